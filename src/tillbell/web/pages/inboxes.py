"""Inboxes, and one inbox: its URL, and what has come to it. The newest request opens by itself."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NamedTuple

from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.clock import Micros, iso
from tillbell.errors import NotFound
from tillbell.model.inboxes import Inbox, InboxRequest
from tillbell.receive.inbox_requests import OpenedRequest
from tillbell.storage.ports.inboxes import InboxFilter
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.inboxes import (
    InboxOut,
    body_response,
    find_inbox,
    inboxes_out,
    open_request_of,
    request_page,
)
from tillbell.web.api.live import EVENT_STREAM, HEARTBEAT, RETRY_MS
from tillbell.web.api.paging import ListPage
from tillbell.web.edge.paths import STREAM
from tillbell.web.pages import curl
from tillbell.web.pages.lists import all_of, export
from tillbell.web.pages.live_page import may_read
from tillbell.web.pages.page import SECURITY_HEADERS, SitePage, Visit
from tillbell.web.pages.sorting import Keys, sorted_rows

LISTED = 50  # requests beside the open one
HEARTBEAT_S = 15.0
_NUMBER = re.compile(r"[0-9]{1,18}")  # of a request; no inbox has a longer one


class InboxLine(NamedTuple):
    """One row of the list."""

    inbox: InboxOut
    app_name: str | None  # as links name it; None: it belongs to none
    app_title: str
    last_at: Micros | None


class RequestLine(NamedTuple):
    """One request beside the open one."""

    id: str
    number: int
    method: str
    path: str
    received_at: Micros
    size: int
    url: str
    is_open: bool


class ShownRequest(NamedTuple):
    """The request that is open."""

    id: str
    number: int
    method: str
    path: str
    query: str
    received_at: Micros
    address: str
    headers: list[tuple[str, str]]
    size: int
    body: bytes
    is_json: bool
    is_text: bool


_SORTED_BY: Keys[InboxLine] = {
    "name": lambda line: line.inbox.name,
    "received": lambda line: line.inbox.received,
    "application": lambda line: line.app_title,
    "last": lambda line: line.last_at,
}
_COLUMNS = ("application", "id", "name", "received", "dropped", "last_request")


def _cells(line: InboxLine) -> list[object]:
    last = iso(line.last_at) if line.last_at is not None else None
    inbox = line.inbox
    return [line.app_name, inbox.id, inbox.name, inbox.received, inbox.dropped, last]


async def list_(visit: Visit) -> Response:
    """Show the inboxes."""
    inboxes = sorted(_visible(visit), key=lambda inbox: inbox.id, reverse=True)
    shown = await inboxes_out(visit.gateway, inboxes)
    lines = [await _line(visit, out) for out in shown]
    rows = sorted_rows(visit, lines, _SORTED_BY)
    exported = await export(visit, "inbox", all_of(rows), _COLUMNS, _cells)
    return visit.show("inboxes.html", rows=rows) if exported is None else exported


def _visible(visit: Visit) -> list[Inbox]:
    """Return the inboxes of the chosen application; those of none too, if none is chosen."""
    own = visit.principal().key.app_id
    return visit.gateway.inbox_cache.of_scope(visit.app_id or own)


async def _line(visit: Visit, out: InboxOut) -> InboxLine:
    newest = await visit.gateway.database.inbox_requests(out.id, InboxFilter(), Page(1))
    last_at = newest[0].received_at if newest else None
    if out.app_id is None:
        return InboxLine(out, None, "none", last_at)
    return InboxLine(out, *visit.names_of(out.app_id), last_at)


def the_inbox(visit: Visit) -> Inbox:
    """Return the inbox of the path. `NotFound` if it does not exist for the visitor."""
    return find_inbox(visit.gateway, visit.principal(), visit.path("inbox"))


def app_of(visit: Visit, inbox: Inbox) -> str | None:
    """Return the application of an inbox as links name it; None: it belongs to none."""
    return visit.names_of(inbox.scope)[0] if inbox.scope else None


async def show(visit: Visit) -> Response:
    """Show an inbox, or only its requests again when something has come."""
    gateway, inbox = visit.gateway, the_inbox(visit)
    chosen = visit.query("open")
    page = Page(LISTED, visit.query("iterator") or None)
    rows = await request_page(gateway, inbox, InboxFilter(), page)
    (out,) = await inboxes_out(gateway, [inbox])
    opened = None
    if chosen:
        opened = await open_request_of(gateway, inbox, chosen)
    elif rows.rows:
        opened = await _newest(visit, inbox, rows.rows)
    return visit.show(
        "inbox_requests.html" if visit.query("view") == "requests" else "inbox.html",
        inbox=out,
        app_name=app_of(visit, inbox),
        expires_at=inbox.expires_at,
        rows=_request_lines(visit, rows, opened),
        opened=_shown(opened) if opened is not None else None,
        is_chosen=bool(chosen),
        older=visit.here(iterator=rows.iterator, open=None) if not rows.done else "",
        try_it=curl.to_inbox(out.url),
        wait_for_it=curl.wait_for_request(curl.api_url(gateway.settings), inbox.id),
    )


async def _newest(visit: Visit, inbox: Inbox, rows: list[InboxRequest]) -> OpenedRequest | None:
    """Return the first of the rows with its body; None if it has gone meanwhile."""
    try:
        return await open_request_of(visit.gateway, inbox, rows[0].id)
    except NotFound:
        return None


def _request_lines(
    visit: Visit, rows: ListPage[InboxRequest], opened: OpenedRequest | None
) -> list[RequestLine]:
    lines = []
    for row in rows.rows:
        head = visit.gateway.inbox_intake.opened(row).head
        line = RequestLine(
            id=row.id,
            number=row.number,
            method=row.method,
            path=head.path or "/",
            received_at=row.received_at,
            size=row.size,
            url=visit.here(open=row.id),
            is_open=opened is not None and opened.row.id == row.id,
        )
        lines.append(line)
    return lines


def _shown(request: OpenedRequest) -> ShownRequest:
    row, head, body = request
    content = body or b""
    return ShownRequest(
        id=row.id,
        number=row.number,
        method=row.method,
        path=head.path,
        query=head.query,
        received_at=row.received_at,
        address=head.address,
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers],
        size=row.size,
        body=content,
        is_json=content.lstrip()[:1] in (b"{", b"["),
        is_text=_is_text(content),
    )


def _is_text(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


async def body(visit: Visit) -> Response:
    """Return the body of a request as a file."""
    request = await open_request_of(visit.gateway, the_inbox(visit), visit.path("request"))
    response = body_response(request)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


# ── live ─────────────────────────────────────────────────────────────────────────────────────────


async def stream(visit: Visit) -> Response:
    """Tell when a request has come, as Server-Sent Events."""
    gateway, inbox = visit.gateway, the_inbox(visit)
    gateway.inbox_news.check_room(inbox.id)
    known = visit.request.headers.get("last-event-id", visit.query("after"))
    after = int(known) if _NUMBER.fullmatch(known) else 0
    parts = _events(gateway, inbox, after, may_read(visit))
    visit.request.scope[STREAM] = parts
    headers = SECURITY_HEADERS | {"x-accel-buffering": "no"}
    return Response(media_type=EVENT_STREAM, headers=headers)


async def _events(
    gateway: Gateway, inbox: Inbox, after: int, is_allowed: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes, None]:
    """Yield an event for what has come behind that number, and then for what comes."""
    yield b"retry: %d\n\n" % RETRY_MS
    with gateway.inbox_news.watching(inbox.id) as watch:
        while not watch.is_ended and await is_allowed():
            (totals,) = await gateway.database.inbox_totals([inbox.id])
            if totals.received > after:
                after = totals.received
                yield b'id: %d\nevent: request\ndata: {"number":%d}\n\n' % (after, after)
            else:
                yield HEARTBEAT
            await watch.wait(HEARTBEAT_S)


PAGES = (
    SitePage("/inboxes", list_, "/inboxes"),
    SitePage("/inboxes/{inbox}", show, "/inboxes"),
    SitePage("/inboxes/{inbox}/live", stream),
    SitePage("/inboxes/{inbox}/requests/{request}/body", body, "/inboxes"),
)
