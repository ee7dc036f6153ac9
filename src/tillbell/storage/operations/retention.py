"""Writes by hand and by the calendar: resend, replay, discard, expunge, purge, remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tillbell.clock import DAY, Micros
from tillbell.ids import first_of
from tillbell.model.messages import Delivery, DeliveryState, Trigger
from tillbell.storage.operations.messages import (
    end,
    find_idempotency,
    insert_deliveries,
    line_up_after,
)
from tillbell.storage.ports.outbound import Repeated
from tillbell.storage.session.transaction import Transaction

IDEMPOTENCY_LIFE: Micros = DAY


class Additions(NamedTuple):
    """Deliveries to add, and bodies rendered for them by (message id, variant)."""

    deliveries: Sequence[Delivery]
    bodies: Mapping[tuple[str, str], bytes]


def add_deliveries(transaction: Transaction, requests: Sequence[Additions]) -> list[int]:
    """Add deliveries that do not exist to messages that do."""
    counts = []
    for deliveries, bodies in requests:
        unique = {d.id: d for d in deliveries}.values()
        fresh = [
            d
            for d in unique
            if transaction.rows("may_add_delivery", (d.id, d.app_id, d.message_id))[0][0]
        ]
        needed = {(d.app_id, d.message_id, d.variant) for d in fresh}
        added = [(*key, bodies[key[1:]]) for key in sorted(needed) if key[1:] in bodies]
        transaction.many("add_body", added)
        insert_deliveries(transaction, fresh)
        counts.append(len(fresh))
    return counts


class Resend(NamedTuple):
    """Which deliveries are made due."""

    app_id: str
    delivery_ids: Sequence[str]
    now: Micros
    trigger: Trigger
    states: Sequence[DeliveryState]


def resend(transaction: Transaction, requests: Sequence[Resend]) -> list[int]:
    """Make deliveries due now."""
    return [_resend(transaction, request) for request in requests]


def _resend(transaction: Transaction, request: Resend) -> int:
    states = set(request.states) - {DeliveryState.SENDING}
    found = [
        row
        for id_ in dict.fromkeys(request.delivery_ids)
        for row in transaction.rows("resendable", (request.app_id, id_))
        if row[3] in states
    ]
    keys = [(request.app_id, row[0]) for row in found]
    transaction.many("resend", [(*key, request.now, request.trigger) for key in keys])
    for id_, app_id, endpoint_id, state, _ in found:
        transaction.tally.moved((id_, app_id, endpoint_id), state, DeliveryState.WAITING)
        transaction.woken.add(endpoint_id)
    line_up_after(transaction, keys)
    return len(found)


class Discard(NamedTuple):
    """Whose deliveries are discarded, and how many at most."""

    app_id: str
    endpoint_id: str
    now: Micros
    limit: int


def discard(transaction: Transaction, requests: Sequence[Discard]) -> list[int]:
    """Discard open deliveries of a removed endpoint."""
    return [
        len(end(transaction, transaction.rows("discardable", request), DeliveryState.DISCARDED))
        for request in requests
    ]


def expunge(transaction: Transaction, requests: Sequence[tuple[str, str]]) -> list[bool]:
    """Delete all bodies of messages given as (application, message)."""
    found = [bool(transaction.rows("message_exists", request)[0][0]) for request in requests]
    for request, exists in zip(requests, found, strict=True):
        if exists:
            transaction.rows("delete_bodies", request)
    return found


def expunge_attempt(transaction: Transaction, requests: Sequence[tuple[str, str]]) -> list[bool]:
    """Delete the answers to attempts given as (application, attempt)."""
    return [bool(transaction.rows("expunge_attempt", request)) for request in requests]


# ── purge ────────────────────────────────────────────────────────────────────────────────────────


class Bounds(NamedTuple):
    """What is past its time, and how many rows may go at once."""

    bodies_before: Micros
    history_before: Micros
    now: Micros
    limit: int


def purge(transaction: Transaction, requests: Sequence[Bounds]) -> list[int]:
    """Delete what is past its time, leaves first."""
    return [_purge(transaction, bounds) for bounds in requests]


def _purge(transaction: Transaction, bounds: Bounds) -> int:
    left = bounds.limit
    for step in (_bodies, _attempts, _deliveries, _messages, _idempotency):
        if left > 0:
            left -= step(transaction, bounds, left)
    return bounds.limit - left


def _bodies(transaction: Transaction, bounds: Bounds, limit: int) -> int:
    oldest_kept = first_of("msg", bounds.bodies_before)
    stale = transaction.rows("stale_bodies", (oldest_kept, bounds.now, limit))
    for body in stale:
        end(transaction, transaction.rows("bodiless", body), DeliveryState.FAILED)
    return transaction.many("delete_body", stale)()


def _attempts(transaction: Transaction, bounds: Bounds, limit: int) -> int:
    return transaction.many(
        "delete_attempts", [(first_of("atmpt", bounds.history_before), limit)]
    )()


def _deliveries(transaction: Transaction, bounds: Bounds, limit: int) -> int:
    oldest_kept = first_of("dlv", bounds.history_before)
    gone = transaction.rows("delete_deliveries", (oldest_kept, limit))
    for *delivery, state in gone:
        transaction.tally.moved(tuple(delivery), state, None)
    return len(gone)


def _messages(transaction: Transaction, bounds: Bounds, limit: int) -> int:
    oldest_kept = first_of("msg", bounds.history_before)
    gone = transaction.rows("stale_messages", (oldest_kept, limit))
    transaction.many("delete_bodies", gone)
    return transaction.many("delete_message", gone)()


def _idempotency(transaction: Transaction, bounds: Bounds, limit: int) -> int:
    return transaction.many("delete_idempotency", [(bounds.now - IDEMPOTENCY_LIFE, limit)])()


# ── idempotency keys ─────────────────────────────────────────────────────────────────────────────


class Answered(NamedTuple):
    """An idempotency key and what it was answered."""

    key: str
    fingerprint: str
    answer: bytes
    now: Micros


def remember(transaction: Transaction, requests: Sequence[Answered]) -> list[Repeated | None]:
    """Keep answers; return the earlier one of a key that was answered before."""
    return [_remember(transaction, request) for request in requests]


def _remember(transaction: Transaction, request: Answered) -> Repeated | None:
    earlier = find_idempotency(transaction, request.key)
    if earlier is None:
        transaction.rows("insert_idempotency", request)
    elif not earlier.answer:
        transaction.rows("answer_idempotency", (request.key, request.answer))
        return None
    return earlier


def turn_totals(transaction: Transaction, requests: Sequence[bool]) -> list[None]:
    """Count in fresh rows every few seconds, or no longer."""
    for is_on in requests:
        transaction.rows("turn_totals", ("on" if is_on else "off",))
    return [None] * len(requests)


def probe(transaction: Transaction, requests: Sequence[None]) -> list[None]:
    """Write something that changes nothing."""
    transaction.rows("probe")
    return [None] * len(requests)
