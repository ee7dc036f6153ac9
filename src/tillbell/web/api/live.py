"""Live: a stream of Server-Sent Events of what happens, which resumes where it broke off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import Header, Query, Request, Response

from tillbell.app import Gateway
from tillbell.clock import iso
from tillbell.errors import Invalid, Problem
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Message
from tillbell.rules.filters.clauses import FilterList
from tillbell.rules.filters.rows import callback_fits, message_fits
from tillbell.storage.ports.outbound import Totals
from tillbell.upkeep.live import LiveEvent, LiveRequest
from tillbell.web.api.filtered import FilterText, read_filter
from tillbell.web.api.overviews import ScopeOf
from tillbell.web.api.routes import GatewayOf, PrincipalOf, resource
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.auth import Principal, is_valid
from tillbell.web.edge.paths import STREAM

EVENT_STREAM = "text/event-stream"
RETRY_MS = 2_000  # after which a client comes back
HEARTBEAT = b": still here\n\n"


class LiveTopic(StrEnum):
    """What a stream is about."""

    MESSAGES = "messages"
    CALLBACKS = "callbacks"
    COUNTERS = "counters"


_NEEDED = {
    LiveTopic.MESSAGES: "overview.messages",
    LiveTopic.CALLBACKS: "overview.callbacks",
    LiveTopic.COUNTERS: "overview.deliveries",
}
_EXAMPLE = 'id: msg_….cbk_…\nevent: message\ndata: {"id":"msg_…","eventType":"order.paid"}\n\n'

router = resource("/live", "Live")


@router.get(
    "",
    response_class=Response,
    responses={
        200: {
            "description": "Events, as they happen.",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
)
async def stream(
    request: Request,
    scope: ScopeOf,
    gateway: GatewayOf,
    principal: PrincipalOf,
    text: FilterText = None,
    topics: Annotated[
        str, Query(max_length=100, description="`messages`, `callbacks`, `counters`, with commas.")
    ] = LiveTopic.MESSAGES,
    last_event_id: Annotated[
        str | None,
        Header(max_length=100, description="Id of the last event that was read: go on behind it."),
    ] = None,
) -> Response:
    """Tell what happens as Server-Sent Events. `Last-Event-ID` resumes behind that event.

    `message`, `callback` and `counters` are events; `gap` says that some were passed over.
    """
    wanted = await live_request(gateway, principal, scope, topics, text)
    wanted = wanted._replace(resumes_at=last_event_id, reader_id=principal.key.id)

    async def may_read() -> bool:
        return is_valid(gateway, principal.key)

    request.scope[STREAM] = live_stream(gateway, wanted, may_read)
    return Response(media_type=EVENT_STREAM, headers={"x-accel-buffering": "no"})


async def live_request(
    gateway: Gateway, principal: Principal, scope: str | None, topics: str, text: str | None
) -> LiveRequest:
    """Return what a reader wants. `Invalid` if it cannot be understood, `Forbidden` if it may not.

    Counters are those of everything, so they are only for whoever sees every application.
    """
    try:
        named = {LiveTopic(name) for name in topics.split(",") if name}
    except ValueError as error:
        known = ", ".join(LiveTopic)
        raise Invalid(Problem(("query", "topics"), f"a topic is one of {known}", "enum")) from error
    for topic in sorted(named):
        principal.require(ACCESS[_NEEDED[topic]])
    messages = callbacks = None
    if LiveTopic.MESSAGES in named:
        of_messages = await read_filter(gateway, scope, FilterList.MESSAGE, text)
        if any(clause.field == "data" for clause in of_messages.clauses):
            problem = "what happens is not filtered by payloads; leave `data.` out"
            raise Invalid(Problem(("query", "filter"), problem, "filter"))
        messages = partial(message_fits, filter_=of_messages)
    if LiveTopic.CALLBACKS in named:
        of_callbacks = await read_filter(gateway, scope, FilterList.CALLBACK, text)
        callbacks = partial(callback_fits, filter_=of_callbacks)
    has_counters = LiveTopic.COUNTERS in named and scope is None
    return LiveRequest(scope, messages, callbacks, has_counters)


def live_stream(
    gateway: Gateway, wanted: LiveRequest, may_read: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes, None]:
    """Return events in the format of Server-Sent Events, for a route that may be read by a page.

    They end as soon as `may_read` says that the reader may not any more. `TooMany` if it has too
    many streams.
    """
    gateway.live.check_room(wanted.reader_id)
    return _parts(gateway, wanted, may_read)


async def _parts(
    gateway: Gateway, wanted: LiveRequest, may_read: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes, None]:
    yield b"retry: %d\n\n" % RETRY_MS
    async for event in gateway.live.events(wanted):
        if not await may_read():
            return
        yield HEARTBEAT if event is None else _written(event)


def _written(event: LiveEvent) -> bytes:
    name, data = _named(event.row)
    encoded = msgspec.json.encode(data).decode()
    return f"id: {event.position.text()}\nevent: {name}\ndata: {encoded}\n\n".encode()


def _named(row: Message | Callback | Totals | None) -> tuple[str, dict[str, Any]]:
    if isinstance(row, Message):
        return "message", {
            "id": row.id,
            "appId": row.app_id,
            "eventType": row.event_type,
            "eventId": row.event_id,
            "channels": row.channels or None,
            "tags": row.tags or None,
            "timestamp": iso(row.created_at),
        }
    if isinstance(row, Callback):
        return "callback", {
            "id": row.id,
            "appId": row.app_id,
            "sourceId": row.source_id,
            "provider": row.provider,
            "verdict": "refused" if row.trust is None else "accepted",
            "receivedAt": iso(row.received_at),
        }
    return ("gap", {}) if row is None else ("counters", row._asdict())
