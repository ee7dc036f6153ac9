"""Writes by hand and by the calendar: resend, replay, discard, expunge, purge, remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tillbell.clock import DAY, Micros
from tillbell.ids import first_of
from tillbell.model.messages import Delivery, DeliveryState, Trigger
from tillbell.storage.operations.messages import (
    end_deliveries,
    find_idempotency,
    insert_deliveries,
    release_next_after,
)
from tillbell.storage.ports.outbound import RepeatedRequest
from tillbell.storage.session.transaction import DbTransaction

IDEMPOTENCY_LIFE: Micros = DAY


class DeliveryAdditions(NamedTuple):
    """Deliveries to add, and bodies rendered for them by (message id, variant)."""

    deliveries: Sequence[Delivery]
    bodies: Mapping[tuple[str, str], bytes]


def add_deliveries(transaction: DbTransaction, requests: Sequence[DeliveryAdditions]) -> list[int]:
    """Add deliveries that do not exist to messages that do."""
    counts = []
    for deliveries, bodies in requests:
        unique = {d.id: d for d in deliveries}.values()
        fresh = [
            d
            for d in unique
            if transaction.query("may_add_delivery", (d.id, d.app_id, d.message_id))[0][0]
        ]
        needed = {(d.app_id, d.message_id, d.variant) for d in fresh}
        added = [(*key, bodies[key[1:]]) for key in sorted(needed) if key[1:] in bodies]
        transaction.execute_each("add_body", added)
        insert_deliveries(transaction, fresh)
        counts.append(len(fresh))
    return counts


class ResendRequest(NamedTuple):
    """Which deliveries are made due."""

    app_id: str
    delivery_ids: Sequence[str]
    now: Micros
    trigger: Trigger
    states: Sequence[DeliveryState]


def resend(transaction: DbTransaction, requests: Sequence[ResendRequest]) -> list[int]:
    """Make deliveries due now."""
    return [_resend(transaction, request) for request in requests]


def _resend(transaction: DbTransaction, request: ResendRequest) -> int:
    states = set(request.states) - {DeliveryState.SENDING}
    found = [
        row
        for id_ in dict.fromkeys(request.delivery_ids)
        for row in transaction.query("resendable", (request.app_id, id_))
        if row[3] in states
    ]
    keys = [(request.app_id, row[0]) for row in found]
    transaction.execute_each("resend", [(*key, request.now, request.trigger) for key in keys])
    for id_, app_id, endpoint_id, state, _ in found:
        transaction.totals_delta.count_move(
            (id_, app_id, endpoint_id), state, DeliveryState.WAITING
        )
        transaction.endpoints_to_wake.add(endpoint_id)
    release_next_after(transaction, keys)
    return len(found)


class DiscardRequest(NamedTuple):
    """Whose deliveries are discarded, and how many at most."""

    app_id: str
    endpoint_id: str
    now: Micros
    limit: int


def discard(transaction: DbTransaction, requests: Sequence[DiscardRequest]) -> list[int]:
    """Discard open deliveries of a removed endpoint."""
    return [
        len(
            end_deliveries(
                transaction, transaction.query("discardable", request), DeliveryState.DISCARDED
            )
        )
        for request in requests
    ]


def expunge(transaction: DbTransaction, requests: Sequence[tuple[str, str]]) -> list[bool]:
    """Delete all bodies of messages given as (application, message)."""
    found = [bool(transaction.query("message_exists", request)[0][0]) for request in requests]
    for request, exists in zip(requests, found, strict=True):
        if exists:
            transaction.query("delete_bodies", request)
    return found


def expunge_attempt(transaction: DbTransaction, requests: Sequence[tuple[str, str]]) -> list[bool]:
    """Delete the answers to attempts given as (application, attempt)."""
    return [bool(transaction.query("expunge_attempt", request)) for request in requests]


# ── purge ────────────────────────────────────────────────────────────────────────────────────────


class PurgeCutoffs(NamedTuple):
    """What is past its time, and how many rows may go at once."""

    bodies_before: Micros
    history_before: Micros
    now: Micros
    limit: int


def purge(transaction: DbTransaction, requests: Sequence[PurgeCutoffs]) -> list[int]:
    """Delete what is past its time, leaves first."""
    return [_purge(transaction, bounds) for bounds in requests]


def _purge(transaction: DbTransaction, bounds: PurgeCutoffs) -> int:
    left = bounds.limit
    for step in (_bodies, _attempts, _deliveries, _messages, _idempotency):
        if left > 0:
            left -= step(transaction, bounds, left)
    return bounds.limit - left


def _bodies(transaction: DbTransaction, bounds: PurgeCutoffs, limit: int) -> int:
    oldest_kept = first_of("msg", bounds.bodies_before)
    stale = transaction.query("expired_bodies", (oldest_kept, bounds.now, limit))
    for body in stale:
        end_deliveries(
            transaction, transaction.query("messages_without_body", body), DeliveryState.FAILED
        )
    return transaction.execute_each("delete_body", stale)()


def _attempts(transaction: DbTransaction, bounds: PurgeCutoffs, limit: int) -> int:
    return transaction.execute_each(
        "delete_attempts", [(first_of("atmpt", bounds.history_before), limit)]
    )()


def _deliveries(transaction: DbTransaction, bounds: PurgeCutoffs, limit: int) -> int:
    oldest_kept = first_of("dlv", bounds.history_before)
    gone = transaction.query("delete_deliveries", (oldest_kept, limit))
    for *delivery, state in gone:
        transaction.totals_delta.count_move(tuple(delivery), state, None)
    return len(gone)


def _messages(transaction: DbTransaction, bounds: PurgeCutoffs, limit: int) -> int:
    oldest_kept = first_of("msg", bounds.history_before)
    gone = transaction.query("expired_messages", (oldest_kept, limit))
    transaction.execute_each("delete_bodies", gone)
    return transaction.execute_each("delete_message", gone)()


def _idempotency(transaction: DbTransaction, bounds: PurgeCutoffs, limit: int) -> int:
    return transaction.execute_each(
        "delete_idempotency", [(bounds.now - IDEMPOTENCY_LIFE, limit)]
    )()


# ── idempotency keys ─────────────────────────────────────────────────────────────────────────────


class IdempotentAnswer(NamedTuple):
    """An idempotency key and what it was answered."""

    key: str
    fingerprint: str
    answer: bytes
    now: Micros


def store_idempotent_answer(
    transaction: DbTransaction, requests: Sequence[IdempotentAnswer]
) -> list[RepeatedRequest | None]:
    """Keep answers; return the earlier one of a key that was answered before."""
    return [_remember(transaction, request) for request in requests]


def _remember(transaction: DbTransaction, request: IdempotentAnswer) -> RepeatedRequest | None:
    earlier = find_idempotency(transaction, request.key)
    if earlier is None:
        transaction.query("insert_idempotency", request)
    elif not earlier.answer:
        transaction.query("answer_idempotency", (request.key, request.answer))
        return None
    return earlier


def use_fresh_totals(transaction: DbTransaction, requests: Sequence[bool]) -> list[None]:
    """Count in fresh rows every few seconds, or no longer."""
    for is_on in requests:
        transaction.query("use_fresh_totals", ("on" if is_on else "off",))
    return [None] * len(requests)


def probe(transaction: DbTransaction, requests: Sequence[None]) -> list[None]:
    """Write something that changes nothing."""
    transaction.query("probe")
    return [None] * len(requests)
