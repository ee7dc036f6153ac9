"""Writes of the hot path and its neighbours: publish, settle, and what prolongs or undoes a claim.

Each function does the work of one run inside the writer's transaction: all of it, or it
raises. What comes back is one outcome for each request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.ids import attempt_id
from tillbell.model.messages import Attempt, Delivery, DeliveryState, Message, Result
from tillbell.storage.operations import message_rows
from tillbell.storage.ports.outbound import (
    INTERRUPTIONS_NOT_COUNTED,
    DuplicateEventId,
    FinishedAttempt,
    LeaseKey,
    Publication,
    PublicationStored,
    RepeatedRequest,
)
from tillbell.storage.session.connection import LaterRows
from tillbell.storage.session.transaction import DbTransaction

WAITING, SENDING = DeliveryState.WAITING, DeliveryState.SENDING
INTERRUPTED_DETAIL = "The process that made this attempt ended before it could record an answer."

PublishResult = PublicationStored | DuplicateEventId | RepeatedRequest
STORED = PublicationStored()


# ── publish ──────────────────────────────────────────────────────────────────────────────────────


def publish(transaction: DbTransaction, publications: Sequence[Publication]) -> list[PublishResult]:
    """Store messages with their bodies and deliveries, except those that are known."""
    seen = _UsedKeys(transaction, publications)
    outcomes: list[PublishResult] = []
    fresh: list[Publication] = []
    for publication in publications:
        known = seen.find(publication)
        outcomes.append(known or STORED)
        if known is None:
            fresh.append(publication)
    insert_publications(transaction, fresh)
    return outcomes


class _UsedKeys:
    """Event ids and idempotency keys that are taken: on disk, or earlier in this run."""

    def __init__(self, transaction: DbTransaction, publications: Sequence[Publication]) -> None:
        events = find_event_ids(transaction, (p.message for p in publications))
        keys = {(p.idempotency[0],) for p in publications if p.idempotency is not None}
        used = transaction.query_bulk_later("find_idempotency_keys", sorted(keys))
        self._events = {(app_id, event_id): id_ for app_id, event_id, id_ in events()}
        self._keys = {
            key: RepeatedRequest(fingerprint, answer) for key, fingerprint, answer in used()
        }

    def find(self, publication: Publication) -> DuplicateEventId | RepeatedRequest | None:
        """Say why this publication adds nothing; None when it does, and then it is seen."""
        message, key = publication.message, publication.idempotency
        if message.event_id is None and key is None:
            return None
        if key is not None:
            repeated = self._keys.get(key[0])
            if repeated is not None:
                return repeated
        if message.event_id is not None:
            event = message.app_id, message.event_id
            id_ = self._events.get(event)
            if id_ is not None:
                return DuplicateEventId(id_)
            self._events[event] = message.id
        if key is not None:
            self._keys[key[0]] = RepeatedRequest(key[1], key[2])
        return None


def find_event_ids(transaction: DbTransaction, messages: Iterable[Message]) -> LaterRows:
    """Ask which event ids of these were published: application, event id, and as which message."""
    events = {(m.app_id, m.event_id) for m in messages if m.event_id is not None}
    return transaction.query_bulk_later("find_event_ids", sorted(events))


def find_idempotency(transaction: DbTransaction, key: str) -> RepeatedRequest | None:
    """Return what a key was answered."""
    row = transaction.query_one("find_idempotency", (key,))
    return RepeatedRequest(*row) if row else None


def insert_publications(transaction: DbTransaction, publications: Sequence[Publication]) -> None:
    """Store messages that are known to be new."""
    messages = [message_rows.message_row(p.message) for p in publications]
    bodies = [
        (p.message.app_id, p.message.id, variant, body, p.message.expires_at)
        for p in publications
        for variant, body in p.bodies.items()
    ]
    deliveries = [d for p in publications for d in p.deliveries]
    keys = [(*p.idempotency, p.message.created_at) for p in publications if p.idempotency]
    transaction.execute_bulk("insert_message", messages)
    transaction.execute_bulk("insert_body", bodies)
    insert_deliveries(transaction, deliveries)
    transaction.execute_each("insert_idempotency", keys)


def insert_deliveries(transaction: DbTransaction, deliveries: Sequence[Delivery]) -> None:
    """Store deliveries, and line up those that have an order key."""
    transaction.execute_bulk("insert_delivery", deliveries)
    transaction.endpoints_to_wake |= {d.endpoint_id for d in deliveries if d.state is WAITING}
    transaction.totals_delta.count_new(deliveries)
    lines = {(d.app_id, d.endpoint_id, d.order_key) for d in deliveries if d.order_key is not None}
    release_next_in_order(transaction, lines)


# ── settle ───────────────────────────────────────────────────────────────────────────────────────


class StaleToken(Exception):
    """Not every settlement of a run holds the present token."""


def finish_attempt(
    transaction: DbTransaction, settlements: Sequence[FinishedAttempt]
) -> list[bool]:
    """Close attempts and move deliveries; False where the token is not the present one.

    A run is written as if all were valid, which nearly always is so. If one is not, it is
    undone (`StaleToken`), and the writer repeats it one by one.
    """
    moves = [(s.attempt.app_id, s.delivery_id, s.token, s.state, s.due_at) for s in settlements]
    if transaction.execute_bulk("finish_attempt", moves)() != len(moves):
        if len(moves) > 1:
            raise StaleToken
        return [False]
    transaction.execute_bulk("insert_attempt", [s.attempt for s in settlements])
    for s in settlements:
        owner = s.attempt.app_id, s.attempt.endpoint_id
        transaction.totals_delta.count_move((s.delivery_id, *owner), SENDING, s.state)
    orders = [(s.attempt.app_id, s.attempt.endpoint_id, s.order_key) for s in settlements]
    release_next_in_order(
        transaction, {(app, endpoint, key) for app, endpoint, key in orders if key is not None}
    )
    return [True] * len(moves)


# ── order keys ───────────────────────────────────────────────────────────────────────────────────


def release_next_in_order(
    transaction: DbTransaction, lines: Iterable[tuple[str, str, str]]
) -> None:
    """Of each line (application, endpoint, order key) let one go, if none is being sent."""
    lines = list(lines)
    transaction.ordered_lanes |= {(app_id, endpoint_id) for app_id, endpoint_id, _ in lines}
    transaction.lock(("order", *line) for line in lines)
    for line in lines:
        transaction.query("hold_back_order_key", line)
        transaction.query("release_next_of_order_key", line)


def release_next_after(transaction: DbTransaction, moved: Iterable[tuple[str, str]]) -> None:
    """Line up behind deliveries that have moved, given as (application, delivery).

    One look is all it costs who uses no order.
    """
    if transaction.query("has_order_keys")[0][0]:
        lines = {line for one in moved for line in transaction.query("order_key_of", one)}
        release_next_in_order(transaction, lines)


# ── renew, release, orphan ───────────────────────────────────────────────────────────────────────


def tries_without_interruption(delivery: Delivery) -> int:
    """Count the tries of a delivery whose open attempt was interrupted.

    That was our fault, so it uses none of them up; but one that kills whoever sends it must end.
    """
    return delivery.tries - (delivery.attempts < INTERRUPTIONS_NOT_COUNTED)


def interrupt(transaction: DbTransaction, lost: Iterable[tuple[Delivery, str]]) -> None:
    """Close the open attempts of leases that were lost; (delivery, event type) of each."""
    transaction.execute_bulk(
        "insert_attempt", [interrupted(d, event_type) for d, event_type in lost]
    )


def interrupted(delivery: Delivery, event_type: str) -> Attempt:
    """Make the record of an open attempt of which nothing more will be heard."""
    assert delivery.started_at is not None
    return Attempt(
        attempt_id(delivery.id, delivery.attempts),
        delivery.id,
        delivery.app_id,
        delivery.endpoint_id,
        delivery.message_id,
        event_type,
        delivery.attempts,
        delivery.trigger,
        Result.INTERRUPTED,
        delivery.started_at,
        0,
        error="interrupted",
        detail=INTERRUPTED_DETAIL,
    )


class LeaseUpdate(NamedTuple):
    """Claims that their holder speaks of, and an instant."""

    claims: Sequence[LeaseKey]
    at: Micros


def renew(transaction: DbTransaction, requests: Sequence[LeaseUpdate]) -> list[list[str]]:
    """Extend leases; say which deliveries are in other hands."""
    return [_renew(transaction, held) for held in requests]


def _renew(transaction: DbTransaction, held: LeaseUpdate) -> list[str]:
    renewed = transaction.execute_bulk("renew", [(*claim, held.at) for claim in held.claims])
    if renewed() == len(held.claims):
        return []
    return [claim[1] for claim in held.claims if not transaction.query("is_leased", claim)]


def release(transaction: DbTransaction, requests: Sequence[LeaseUpdate]) -> list[None]:
    """Give claims back."""
    for held in requests:
        returned = [(*claim, held.at) for claim in held.claims]
        for id_, app_id, endpoint_id in transaction.query_bulk_later("release", returned)():
            transaction.totals_delta.count_move((id_, app_id, endpoint_id), SENDING, WAITING)
            transaction.endpoints_to_wake.add(endpoint_id)
        release_next_after(transaction, [claim[:2] for claim in held.claims])
    return [None] * len(requests)


def release_all_leases(transaction: DbTransaction, requests: Sequence[Micros]) -> list[int]:
    """Make every leased delivery wait, due now."""
    counts = []
    for now in requests:
        leased = _with_event_type(transaction.query("leased_deliveries"))
        interrupt(transaction, leased)
        requeued = [(d.app_id, d.id, now, tries_without_interruption(d)) for d, _ in leased]
        transaction.execute_each("requeue", requeued)
        for delivery, _ in leased:
            transaction.totals_delta.count_move(delivery[:3], SENDING, WAITING)
        release_next_after(transaction, [(d.app_id, d.id) for d, _ in leased])
        counts.append(len(leased))
    return counts


def _with_event_type(found: Iterable[message_rows.Row]) -> list[tuple[Delivery, str]]:
    return [(message_rows.delivery(row[:-1]), row[-1]) for row in found]


def end_deliveries(
    transaction: DbTransaction, open_: Iterable[message_rows.Row], state: DeliveryState
) -> list[Delivery]:
    """Move open deliveries (rows with event type) to a terminal state without an attempt."""
    ended = _with_event_type(open_)
    interrupt(transaction, [(d, event_type) for d, event_type in ended if d.state is SENDING])
    transaction.execute_each("end", [(d.app_id, d.id, state) for d, _ in ended])
    for delivery, _ in ended:
        transaction.totals_delta.count_move(delivery[:3], delivery.state, state)
    release_next_after(transaction, [(d.app_id, d.id) for d, _ in ended])
    return [d for d, _ in ended]
