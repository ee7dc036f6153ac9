"""Live: a stream of Server-Sent Events of what happens, which resumes where it broke off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import Header, Query, Request, Response

from tillbell.app import Gateway
from tillbell.clock import iso
from tillbell.errors import Invalid, Problem
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Attempt, DeliveryState, Message
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.rules.filters.rows import attempt_fits, callback_fits, delivery_fits, message_fits
from tillbell.storage.ports.outbound import EndedAttempt, Totals
from tillbell.upkeep.live import FailingEndpoints, LiveEvent, LiveRequest
from tillbell.web.api.attempts import attempt_doc
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
    ATTEMPTS = "attempts"
    DELIVERIES = "deliveries"
    PROBLEMS = "problems"
    COUNTERS = "counters"


_NEEDED = {
    LiveTopic.MESSAGES: "overview.messages",
    LiveTopic.CALLBACKS: "overview.callbacks",
    LiveTopic.ATTEMPTS: "overview.attempts",
    LiveTopic.DELIVERIES: "overview.deliveries",
    LiveTopic.PROBLEMS: "overview.problems",
    LiveTopic.COUNTERS: "overview.deliveries",
}
_OF_MESSAGES = frozenset({"channel", "tag", "order", "event", "data"})  # not of attempts
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
        str, Query(max_length=100, description=f"Of `{'`, `'.join(LiveTopic)}`, with commas.")
    ] = LiveTopic.MESSAGES,
    last_event_id: Annotated[
        str | None,
        Header(max_length=120, description="Id of the last event that was read: go on behind it."),
    ] = None,
) -> Response:
    """Tell what happens as Server-Sent Events. `Last-Event-ID` resumes behind that event.

    `message`, `callback`, `attempt` (it has ended) and `delivery` (how it stands after an attempt)
    are events. `counters` and `problems` (what fails now) come at the begin and when they change.
    `gap` says that events were passed over.
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
    messages = callbacks = attempts = deliveries = None
    if LiveTopic.MESSAGES in named:
        of_messages = await read_filter(gateway, scope, FilterList.MESSAGE, text)
        _check_fields(of_messages, {"data"})
        messages = partial(message_fits, filter_=of_messages)
    if LiveTopic.CALLBACKS in named:
        of_callbacks = await read_filter(gateway, scope, FilterList.CALLBACK, text)
        callbacks = partial(callback_fits, filter_=of_callbacks)
    if LiveTopic.ATTEMPTS in named:
        of_attempts = await read_filter(gateway, scope, FilterList.ATTEMPT, text)
        _check_fields(of_attempts, _OF_MESSAGES)
        attempts = partial(attempt_fits, filter_=of_attempts)
    if LiveTopic.DELIVERIES in named:
        of_deliveries = await read_filter(gateway, scope, FilterList.DELIVERY, text)
        _check_fields(of_deliveries, _OF_MESSAGES)
        deliveries = partial(delivery_fits, filter_=of_deliveries)
    has_counters = LiveTopic.COUNTERS in named and scope is None
    return LiveRequest(
        scope,
        messages,
        callbacks,
        has_counters,
        attempts=attempts,
        deliveries=deliveries,
        has_problems=LiveTopic.PROBLEMS in named,
    )


def _check_fields(filter_: ListFilter, refused: AbstractSet[str]) -> None:
    """Raise `Invalid` if a filter asks for what is not at hand when something happens."""
    asked = sorted({clause.field for clause in filter_.clauses} & refused)
    if asked:
        name = "data." if asked[0] == "data" else asked[0]
        problem = f"what happens is not filtered by `{name}` here; leave it out"
        raise Invalid(Problem(("query", "filter"), problem, "filter"))


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
    async for events in gateway.live.events(wanted):
        if not await may_read():
            return
        yield b"".join(_written(event, wanted) for event in events) or HEARTBEAT


def _written(event: LiveEvent, wanted: LiveRequest) -> bytes:
    """Write an event; the end of an attempt may be two, of which the last one has the position."""
    row = event.row
    if isinstance(row, EndedAttempt):
        text = b""
        if wanted.deliveries is not None and wanted.deliveries(row.delivery, row.attempt):
            text += _text(event, "delivery", lambda: _delivery_doc(row))
        if wanted.attempts is not None and wanted.attempts(row.attempt):
            text += _text(event, "attempt", lambda: _attempt_doc(row.attempt))
        return text
    if isinstance(row, FailingEndpoints):
        return _text(event, "problems", lambda: _failing_doc(row, wanted.app_id), wanted.app_id)
    return _text(event, _NAMES[type(row)], lambda: _doc(row))


def _text(
    event: LiveEvent, name: str, data: Callable[[], dict[str, Any]], app_id: str | None = None
) -> bytes:
    """Return an event as it is sent: written once for all readers that get the same."""
    key = name if app_id is None else f"{name} {app_id}"
    text = event.texts.get(key)
    if text is None:
        fields = (event.position.text().encode(), name.encode(), msgspec.json.encode(data()))
        text = event.texts[key] = b"id: %b\nevent: %b\ndata: %b\n\n" % fields
    return text


def _attempt_doc(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as it is listed, without what was sent and answered."""
    doc = attempt_doc(attempt, with_content=False)
    for name in ("response", "requestHeaders", "responseHeaders", "msg"):
        del doc[name]
    return doc


def _delivery_doc(row: EndedAttempt) -> dict[str, Any]:
    delivery = row.delivery
    is_waiting = delivery.state is DeliveryState.WAITING
    return {
        "id": delivery.id,
        "appId": delivery.app_id,
        "msgId": delivery.message_id,
        "endpointId": delivery.endpoint_id,
        "eventType": row.attempt.event_type,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "nextAttemptAt": iso(delivery.due_at) if is_waiting else None,
    }


def _failing_doc(row: FailingEndpoints, app_id: str | None) -> dict[str, Any]:
    failing = [
        {"appId": of_app, "endpointId": endpoint_id, "since": iso(since)}
        for of_app, endpoint_id, since in row.failing
        if app_id in (None, of_app)
    ]
    return {"failing": failing}


_NAMES = {Message: "message", Callback: "callback", Totals: "counters", type(None): "gap"}


def _doc(row: Message | Callback | Totals | None) -> dict[str, Any]:
    if isinstance(row, Message):
        return {
            "id": row.id,
            "appId": row.app_id,
            "eventType": row.event_type,
            "eventId": row.event_id,
            "channels": row.channels or None,
            "tags": row.tags or None,
            "timestamp": iso(row.created_at),
        }
    if isinstance(row, Callback):
        return {
            "id": row.id,
            "appId": row.app_id,
            "sourceId": row.source_id,
            "provider": row.provider,
            "verdict": "refused" if row.trust is None else "accepted",
            "receivedAt": iso(row.received_at),
        }
    return {} if row is None else row._asdict()
