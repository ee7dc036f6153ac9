"""Search by any id or name, as a page and in the palette. One hit is opened at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.responses import Response

from tillbell.web.api.search import SearchHitOut, search_for
from tillbell.web.pages.page import SitePage, Visit, redirect, with_query

_TEXT_MAX = 256
_ICONS = {
    "application": "settings",
    "message": "message",
    "delivery": "replay",
    "attempt": "replay",
    "endpoint": "endpoint",
    "event-type": "list",
    "source": "source",
    "callback": "callback",
    "transaction": "transaction",
    "conflict": "review",
    "order": "order",
    "customer": "customer",
    "product": "product",
    "subscription": "refresh",
    "shipment": "truck",
    "email": "mail",
    "suppression": "ban",
}
# Pages that are one thing's own; its id follows. What has no page is shown by the API.
_PAGES = {
    "message": "/messages/",
    "endpoint": "/endpoints/",
    "event-type": "/event-types/",
    "source": "/sources/",
    "callback": "/callbacks/",
    "transaction": "/transactions/",
    "order": "/orders/",
    "shipment": "/shipments/",
    "product": "/products/",
    "customer": "/customers/",
    "subscription": "/subscriptions/",
}


class HitView(NamedTuple):
    """Something that was found, and the link to its page."""

    hit: SearchHitOut
    icon: str
    href: str | None  # None: it has no page
    app_name: str


PathOf = Callable[[Visit, SearchHitOut], Awaitable[str | None]]


async def show(visit: Visit) -> Response:
    """Show what a text finds; open it if it is one thing."""
    text = visit.query("q").strip()
    hits: list[SearchHitOut] = []
    if 0 < len(text) <= _TEXT_MAX:
        answer = await search_for(text, visit.gateway, visit.app_id, visit.principal())
        hits = answer.data
    views = [await _view(visit, hit) for hit in hits]
    if visit.query("view") == "hits":
        return visit.show("search_hits.html", views=views)
    if len(views) == 1 and views[0].href is not None:
        return redirect(views[0].href)
    return visit.show("search.html", views=views, text=text)


PAGES = (SitePage("/search", show),)


async def _view(visit: Visit, hit: SearchHitOut) -> HitView:
    app = next((app for app in visit.applications if app.id == hit.app_id), None)
    name = (app.uid or app.id) if app is not None else hit.app_id or ""
    path = await _PATHS.get(hit.type, _own_page)(visit, hit)
    href = with_query(path, app=name) if path is not None else None
    return HitView(hit, _ICONS.get(hit.type, "info"), href, name)


async def _own_page(_: Visit, hit: SearchHitOut) -> str | None:
    start = _PAGES.get(hit.type)
    return f"{start}{hit.id}" if start is not None else None


async def _home_of(_: Visit, __: SearchHitOut) -> str | None:
    return "/"


async def _delivery_page(visit: Visit, hit: SearchHitOut) -> str | None:
    row = await visit.gateway.database.delivery(hit.app_id or "", hit.id)
    if row is None:
        return None
    return f"/messages/{row.message.id}/endpoints/{row.delivery.endpoint_id}"


async def _attempt_page(visit: Visit, hit: SearchHitOut) -> str | None:
    attempt = await visit.gateway.database.attempt(hit.app_id or "", hit.id)
    if attempt is None:
        return None
    return f"/messages/{attempt.message_id}/endpoints/{attempt.endpoint_id}"


async def _conflict_page(visit: Visit, hit: SearchHitOut) -> str | None:
    conflict = await visit.gateway.database.conflict(hit.app_id or "", hit.id)
    return f"/transactions/{conflict.transaction_id}" if conflict is not None else None


_PATHS: dict[str, PathOf] = {
    "application": _home_of,
    "delivery": _delivery_page,
    "attempt": _attempt_page,
    "conflict": _conflict_page,
}
