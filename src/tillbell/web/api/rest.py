"""The REST API as one application of the framework."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute

from tillbell import __version__
from tillbell.app import Gateway
from tillbell.web.api import (
    alerts,
    applications,
    attempts,
    audit,
    callbacks,
    cashier,
    conflicts,
    customers,
    deliveries,
    described,
    emails,
    endpoint_preview,
    endpoints,
    event_type_documents,
    event_types,
    export,
    export_links,
    export_schedules,
    filter_completion,
    hold,
    imports,
    inboxes,
    keys,
    live,
    messages,
    operational,
    orders,
    overviews,
    persons,
    poller,
    portal,
    products,
    providers,
    replays,
    reseal,
    retention,
    search,
    settings,
    shipments,
    sources,
    statistics,
    subscriptions,
    suppressions,
    tasks,
    transactions,
    webhooks,
    why,
)
from tillbell.web.api.failures import install
from tillbell.web.api.openapi import make_document
from tillbell.web.api.route_index import IndexedRouter
from tillbell.web.api.routes import operation_id, resource
from tillbell.web.api.shop_routes import ShopResource
from tillbell.web.api.usual_upserts import UsualUpserts
from tillbell.web.edge.access import ACCESS, PUBLIC
from tillbell.web.edge.asgi_types import App
from tillbell.web.edge.paths import BASE

health = resource("/health", "Health")


@health.get(
    "/ping",
    status_code=204,
    response_model=None,
    name="ping",
    description="Say that the API answers, under its older path. Needs no key.",
    deprecated=True,
)
@health.get("", status_code=204, response_model=None)
async def get() -> Response:
    """Say that the API answers. Needs no key."""
    return Response(status_code=204)


SHOP_RESOURCES: tuple[ShopResource[Any], ...] = (
    orders.RESOURCE,
    products.RESOURCE,
    customers.RESOURCE,
    subscriptions.RESOURCE,
    shipments.RESOURCE,
)
ROUTERS: tuple[APIRouter, ...] = (
    applications.router,
    alerts.router,
    endpoints.router,
    endpoint_preview.router,
    replays.router,
    overviews.router,
    filter_completion.router,
    export.router,
    export.app_router,
    export_links.router,
    export_schedules.router,
    imports.router,
    live.router,
    search.router,
    statistics.router,
    event_type_documents.router,
    event_types.router,
    messages.router,
    attempts.router,
    deliveries.router,
    why.router,
    sources.router,
    callbacks.router,
    inboxes.router,
    providers.router,
    transactions.router,
    conflicts.router,
    audit.router,
    audit.proof_router,
    orders.router,
    products.router,
    webhooks.product_router,
    webhooks.default_router,
    customers.router,
    subscriptions.router,
    shipments.router,
    emails.router,
    suppressions.router,
    cashier.router,
    poller.router,
    operational.router,
    portal.router,
    tasks.router,
    keys.router,
    persons.router,
    hold.router,
    retention.router,
    settings.router,
    reseal.router,
    health,
)


def make_rest(gateway: Gateway) -> App:
    """Build the API. Nothing in it is loaded from another host."""
    api = _routed()
    api.state.gateway = gateway
    install(api)
    api.add_route(f"{BASE}/openapi.json", _openapi, include_in_schema=False)
    return UsualUpserts(api, gateway, SHOP_RESOURCES)


def openapi_document() -> dict[str, Any]:
    """Write the OpenAPI document, without a gateway."""
    return make_document(_routed(), described.router.routes)


def _openapi(_: Request) -> Response:
    """Return the document. A plain function, so that the framework runs it on another thread."""
    return Response(written_document(), media_type="application/json")


@functools.cache
def written_document() -> bytes:
    """Write it as JSON when it is first asked for: that takes as long as the rest of a start."""
    return msgspec.json.encode(openapi_document())


def _routed() -> FastAPI:
    """Return the API with all routes. Each must have a row in the table of access."""
    api = FastAPI(
        title="Tillbell",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    # Not `include_router`, which would match each path twice: the router, then its routes.
    routes = [route for router in ROUTERS for route in router.routes]
    api.router = IndexedRouter(routes=routes, redirect_slashes=False)
    names = {operation_id(route) for route in api.router.routes if isinstance(route, APIRoute)}
    if missing := names - PUBLIC - set(ACCESS):
        raise AssertionError(f"no row in web/edge/access.py: {sorted(missing)}")
    return api
