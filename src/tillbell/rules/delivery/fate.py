"""The fate of a message at an endpoint: where it is, why, and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.endpoints import Endpoint, EndpointStatus
from tillbell.model.messages import AttemptEnd, Delivery, DeliveryState, Message


class FateCode(StrEnum):
    """Why a message has reached an endpoint, or has not."""

    DELIVERED = "delivered"
    RETRYING = "retrying"  # an attempt is under way, due or planned
    FILTERED_TYPE = "filtered_type"
    FILTERED_CHANNEL = "filtered_channel"
    FILTERED_PAYLOAD = "filtered_payload"
    ENDPOINT_DISABLED = "endpoint_disabled"
    ENDPOINT_PAUSED = "endpoint_paused"
    CREATED_LATER = "created_later"
    CIRCUIT_OPEN = "circuit_open"
    ORDERED_BEHIND = "ordered_behind"
    RATE_LIMITED = "rate_limited"
    HELD = "held"
    PAYLOAD_EXPIRED = "payload_expired"
    DELETED = "deleted"
    FAILED = "failed"


class Fate(NamedTuple):
    """Where a message is on its way to an endpoint."""

    code: FateCode
    text: str  # what happened and what to do, for a person
    since: Micros | None = None
    next_at: Micros | None = None  # of the next attempt; None: not known, or none will be made


class Lookup(NamedTuple):
    """What is known of a message and an endpoint, besides the two and their deliveries."""

    now: Micros
    has_body: bool = True  # the payload is still stored
    mismatch: FateCode | None = None  # the filter that leaves the message out
    mismatch_text: str | None = None  # what its payload filter asks that is not so
    probe_at: Micros | None = None  # the endpoint's breaker is open until then
    ahead: str | None = None  # the delivery that its order key waits for
    rate: int | None = None  # attempts a second, of the endpoint or of its application
    last: AttemptEnd | None = None  # the last attempt of the delivery that has ended
    is_held: bool = False  # the gateway sends nothing


_HELD = (
    "The gateway was started with --hold and sends nothing. `tillbell release`, or"
    " `POST /api/v1/hold/release`, lets it send."
)
_NO_PAYLOAD = "payload_deleted"  # the error of an attempt that had nothing to send
_OTHER_SOURCE = (
    "The endpoint is the webhook of the source {source}, and the message is not about a transaction"
    " of it. A resend sends this message anyway."
)
_MISMATCH = {
    FateCode.FILTERED_TYPE: (
        "The endpoint does not take the event type {type}. To change that, add it to its"
        " `eventTypes`; a resend sends this message anyway."
    ),
    FateCode.FILTERED_CHANNEL: (
        "The endpoint takes other channels than those of this message. To change that, change its"
        " `channels`; a resend sends this message anyway."
    ),
    FateCode.FILTERED_PAYLOAD: (
        "{reason} To send it, change what the endpoint asks for, then resend."
    ),
}


def fate_of(
    message: Message, endpoint: Endpoint | None, delivery: Delivery | None, lookup: Lookup
) -> Fate:
    """Return the fate of a message at an endpoint; None for an endpoint that was deleted."""
    if delivery is None:
        return _without_delivery(message, endpoint, lookup)
    if delivery.state is DeliveryState.SUCCEEDED:
        at = _ended_at(lookup.last)
        return Fate(FateCode.DELIVERED, "The receiver has accepted it.", since=at)
    if endpoint is None:
        return Fate(FateCode.DELETED, "The endpoint was deleted before the message was delivered.")
    if delivery.state is DeliveryState.DISCARDED:
        return Fate(FateCode.DELETED, "The delivery was canceled by hand. A resend sends it.")
    if delivery.state is DeliveryState.FAILED:
        return _failed(delivery, lookup)
    if delivery.state is DeliveryState.SENDING:
        text = f"Attempt {delivery.attempts} is under way."
        return Fate(FateCode.RETRYING, text, since=delivery.started_at, next_at=lookup.now)
    return _waiting(endpoint, delivery, lookup)


def resend_obstacle(message: Message, endpoint: Endpoint, *, has_body: bool) -> Fate | None:
    """Return why a message cannot be sent again by hand; None: it can, whatever became of it."""
    return endpoint_obstacle(endpoint) or (None if has_body else _expired(message))


def endpoint_obstacle(endpoint: Endpoint) -> Fate | None:
    """Return why nothing can be sent to an endpoint now; None: it can."""
    if endpoint.status is EndpointStatus.ACTIVE:
        return None
    return _stopped(endpoint, "and gets nothing while it is. Enable it, then resend.")


def _without_delivery(message: Message, endpoint: Endpoint | None, lookup: Lookup) -> Fate:
    if endpoint is None:
        return Fate(FateCode.DELETED, "The endpoint was deleted.")
    if lookup.mismatch is not None:
        is_other_source = lookup.mismatch is FateCode.FILTERED_CHANNEL and endpoint.source_id
        text = (_OTHER_SOURCE if is_other_source else _MISMATCH[lookup.mismatch]).format(
            type=message.event_type, reason=lookup.mismatch_text, source=endpoint.source_id
        )
        return Fate(lookup.mismatch, text, since=message.created_at)
    obstacle = resend_obstacle(message, endpoint, has_body=lookup.has_body)
    if obstacle is not None:
        return obstacle
    if endpoint.created_at > message.created_at:
        text = "The endpoint was created after the message. A resend or `replay-missing` sends it."
        return Fate(FateCode.CREATED_LATER, text, since=endpoint.created_at)
    text = (
        "The endpoint did not take it when it was published; its settings were changed later."
        " A resend or `replay-missing` sends it."
    )
    return Fate(FateCode.CREATED_LATER, text, since=endpoint.updated_at)


def _failed(delivery: Delivery, lookup: Lookup) -> Fate:
    last = lookup.last
    if last is not None and last.error == _NO_PAYLOAD:
        text = "Its payload was deleted before it was delivered; it cannot be sent any more."
        return Fate(FateCode.PAYLOAD_EXPIRED, text, since=_ended_at(last))
    reason = f" The last one: {last.detail}" if last is not None and last.detail else ""
    text = (
        f"No attempt is left after {_failures(delivery)}.{reason} Repair the receiver, then resend."
    )
    return Fate(FateCode.FAILED, text, since=_ended_at(last))


def _waiting(endpoint: Endpoint, delivery: Delivery, lookup: Lookup) -> Fate:
    if endpoint.status is not EndpointStatus.ACTIVE:
        return _stopped(endpoint, "so the message waits. Enable it.")
    if not lookup.has_body:
        text = "Its payload was deleted; it cannot be sent any more."
        return Fate(FateCode.PAYLOAD_EXPIRED, text, next_at=delivery.due_at)
    if lookup.is_held:
        return Fate(FateCode.HELD, _HELD, since=delivery.created_at)
    now, due_at = lookup.now, delivery.due_at
    if lookup.probe_at is not None:
        text = (
            "The endpoint keeps failing, so attempts are stopped until the next probe. Repair the"
            " receiver; a resend probes it at once."
        )
        next_at = max(due_at, lookup.probe_at, now)
        return Fate(FateCode.CIRCUIT_OPEN, text, since=_ended_at(lookup.last), next_at=next_at)
    if lookup.ahead is not None and lookup.ahead != delivery.id:
        text = f"It waits for delivery {lookup.ahead}, which has the same order key and goes first."
        return Fate(FateCode.ORDERED_BEHIND, text, since=delivery.created_at)
    if due_at > now:
        return Fate(FateCode.RETRYING, _planned(delivery, lookup.last), next_at=due_at)
    if lookup.rate is not None:
        text = f"It waits for its turn: at most {lookup.rate} attempts a second are made."
        return Fate(FateCode.RATE_LIMITED, text, since=due_at, next_at=now)
    return Fate(FateCode.RETRYING, "It is due and waits for its turn.", since=due_at, next_at=now)


def _planned(delivery: Delivery, last: AttemptEnd | None) -> str:
    if delivery.attempts == 0:
        return "It is sent at the time that it was published for."
    reason = f": {last.detail}" if last is not None and last.detail else "."
    failures = _failures(delivery)
    attempts = "1 attempt has" if failures == 1 else f"{failures} attempts have"
    return f"{attempts} failed; it is tried again{reason}"


def _failures(delivery: Delivery) -> int:
    """Count the failed attempts since it was first sent or last resent: before, one may have
    been accepted."""
    return max(delivery.tries, 1)


def _stopped(endpoint: Endpoint, consequence: str) -> Fate:
    is_paused = endpoint.status is EndpointStatus.PAUSED
    code = FateCode.ENDPOINT_PAUSED if is_paused else FateCode.ENDPOINT_DISABLED
    word = "paused because all attempts failed for days" if is_paused else "disabled"
    if endpoint.status_reason == "gone":
        word = "disabled because its receiver answered that it is gone"
    return Fate(code, f"The endpoint is {word}, {consequence}", endpoint.updated_at)


def _expired(message: Message) -> Fate:
    text = "Its payload was deleted (retention or expunge); it cannot be sent any more."
    return Fate(FateCode.PAYLOAD_EXPIRED, text, since=message.expires_at)


def _ended_at(attempt: AttemptEnd | None) -> Micros | None:
    return attempt.ended_at if attempt is not None else None
