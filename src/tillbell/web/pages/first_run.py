"""The first steps, each with the real address: an application, an endpoint, a message."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from tillbell.model.endpoints import Endpoint
from tillbell.rules.filters.clauses import ListFilter
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.messages import message_page
from tillbell.web.pages import curl
from tillbell.web.pages.page import SitePage, Visit


async def show(visit: Visit) -> Response:
    """Show the steps, or only them again while the page waits."""
    apps = [visit.app] if visit.app is not None else visit.applications
    app = apps[0] if apps else None
    name = (app.uid or app.id) if app is not None else "shop"
    database = visit.gateway.database
    endpoints, messages = await asyncio.gather(
        database.list(Endpoint, app.id if app is not None else "", Page(1)),
        message_page(visit.gateway, visit.app_id, ListFilter(), Page(1)),
    )
    base = curl.api_url(visit.gateway.settings)
    return visit.show(
        "first_run_steps.html" if visit.query("view") == "steps" else "first_run.html",
        first_app=app,
        app_name=name,
        endpoint=endpoints[0] if endpoints and app is not None else None,
        message=messages.rows[0] if messages.rows else None,
        create_app=curl.create_application(base),
        create_endpoint=curl.create_endpoint(base, name),
        publish=curl.publish(base, name),
    )


PAGES = (SitePage("/first-run", show, "/"),)
