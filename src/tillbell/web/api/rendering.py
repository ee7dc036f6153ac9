"""Messages as JSON, with their payloads byte for byte; and the status of deliveries.

A payload is never decoded and encoded again. `1.10`, `1e2` and the order of members are in the
answer as they were published.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from fastapi import Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import Micros, iso
from tillbell.model.messages import Delivery, DeliveryState, Message, Trigger
from tillbell.rules.delivery.fate import Fate, FateCode
from tillbell.storage.ports.outbound import StateFilter
from tillbell.web.api.shapes import Out, Status
from tillbell.web.edge.publish_route import shown_payload

Doc = dict[str, Any]

WITHOUT_CONTENT = msgspec.Raw(b"{}")
EXPIRED = msgspec.Raw(b'{"expired":true}')

_STATUS = {
    DeliveryState.WAITING: Status.PENDING,  # before its first attempt, else `SENDING`
    DeliveryState.SENDING: Status.SENDING,
    DeliveryState.SUCCEEDED: Status.SUCCESS,
    DeliveryState.FAILED: Status.FAIL,
    DeliveryState.DISCARDED: Status.CANCELED,
}


class MessageOut(Out):
    """A message: one published fact, which never changes."""

    id: str
    event_type: str
    event_id: str | None
    channels: list[str] | None
    tags: list[str] | None
    timestamp: datetime
    deliver_at: datetime | None
    content_type: str | None = Field(
        description="Content type of a payload that is any text; null: it is a JSON object."
    )
    payload: dict[str, Any] = Field(
        description=(
            "`{}` without content, `{'expired': true}` after its time, and `{'rawPayload': '…'}` "
            "for what is no JSON object."
        ),
    )


def answer(value: object, status: int = 200) -> Response:
    """Answer with JSON. `value` may have `msgspec.Raw` parts."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def message_doc(gateway: Gateway, message: Message, *, with_content: bool) -> Doc:
    """Return a message by the names of `MessageOut`; with its payload if `with_content`."""
    return {
        "id": message.id,
        "eventType": message.event_type,
        "eventId": message.event_id,
        "channels": message.channels or None,
        "tags": message.tags or None,
        "timestamp": iso(message.created_at),
        "deliverAt": iso_or_none(message.deliver_at),
        "contentType": message.content_type,
        "payload": await _payload(gateway, message) if with_content else WITHOUT_CONTENT,
    }


async def _payload(gateway: Gateway, message: Message) -> msgspec.Raw:
    body = await gateway.database.body(message.app_id, message.id)
    if body is None:
        return EXPIRED
    return msgspec.Raw(shown_payload(body, message.content_type))


def delivery_status(delivery: Delivery, fate: Fate | None) -> Doc:
    """Return the status of a delivery as members of another document.

    `fate` is that of an open delivery.
    """
    is_waiting = delivery.state is DeliveryState.WAITING
    is_retried = is_waiting and delivery.attempts > 0
    status = Status.SENDING if is_retried else _STATUS[delivery.state]
    return {
        "status": status,
        "statusText": status.name.lower(),
        "nextAttempt": iso_or_none(fate.next_at) if fate and is_waiting else None,
    }


class FateOut(Out):
    """Where a message is on its way to an endpoint."""

    code: FateCode = Field(description="The reason, for programs.")
    text: str = Field(description="What happened and what to do, for a person.")
    since: datetime | None = Field(description="Since when that is so (UTC), if it is known.")
    next_at: datetime | None = Field(
        description="When the next attempt is made; null: none, or it is not known."
    )


def fate_doc(fate: Fate) -> Doc:
    """Return a fate by the names of `FateOut`."""
    return {
        "code": fate.code,
        "text": fate.text,
        "since": iso_or_none(fate.since),
        "nextAt": iso_or_none(fate.next_at),
    }


def states_of(status: Status | None) -> StateFilter:
    """Return which deliveries have a status; those of every state for None."""
    if status is None:
        return StateFilter()
    if status is Status.SENDING:
        return StateFilter((DeliveryState.SENDING, DeliveryState.WAITING), tried=True)
    states = tuple(state for state, its_status in _STATUS.items() if its_status is status)
    return StateFilter(states, tried=False)


def trigger_type(trigger: Trigger) -> int:
    """Return how an attempt was started, as Svix numbers it: 0 by the schedule, 1 by hand."""
    return 0 if trigger is Trigger.SCHEDULED else 1


def iso_or_none(at: Micros | None) -> str | None:
    """Return an instant as text; None for None."""
    return iso(at) if at is not None else None
