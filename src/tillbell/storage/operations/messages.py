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
    FORGIVEN,
    Added,
    Duplicate,
    Hold,
    Publication,
    Repeated,
    Settlement,
)
from tillbell.storage.session.connection import Asked
from tillbell.storage.session.transaction import Transaction

WAITING, SENDING = DeliveryState.WAITING, DeliveryState.SENDING
INTERRUPTED_DETAIL = "The process that made this attempt ended before it could record an answer."

Outcome = Added | Duplicate | Repeated
ADDED = Added()


# ── publish ──────────────────────────────────────────────────────────────────────────────────────


def publish(transaction: Transaction, publications: Sequence[Publication]) -> list[Outcome]:
    """Store messages with their bodies and deliveries, except those that are known."""
    seen = _Seen(transaction, publications)
    outcomes: list[Outcome] = []
    fresh: list[Publication] = []
    for publication in publications:
        known = seen.look(publication)
        outcomes.append(known or ADDED)
        if known is None:
            fresh.append(publication)
    insert(transaction, fresh)
    return outcomes


class _Seen:
    """Event ids and idempotency keys that are taken: on disk, or earlier in this run."""

    def __init__(self, transaction: Transaction, publications: Sequence[Publication]) -> None:
        events = published_as(transaction, (p.message for p in publications))
        keys = {(p.idempotency[0],) for p in publications if p.idempotency is not None}
        used = transaction.bulk_ask("find_idempotency_keys", sorted(keys))
        self._events = {(app_id, event_id): id_ for app_id, event_id, id_ in events()}
        self._keys = {key: Repeated(fingerprint, answer) for key, fingerprint, answer in used()}

    def look(self, publication: Publication) -> Duplicate | Repeated | None:
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
                return Duplicate(id_)
            self._events[event] = message.id
        if key is not None:
            self._keys[key[0]] = Repeated(key[1], key[2])
        return None


def published_as(transaction: Transaction, messages: Iterable[Message]) -> Asked:
    """Ask which event ids of these were published: application, event id, and as which message."""
    events = {(m.app_id, m.event_id) for m in messages if m.event_id is not None}
    return transaction.bulk_ask("find_event_ids", sorted(events))


def find_idempotency(transaction: Transaction, key: str) -> Repeated | None:
    """Return what a key was answered."""
    row = transaction.row("find_idempotency", (key,))
    return Repeated(*row) if row else None


def insert(transaction: Transaction, publications: Sequence[Publication]) -> None:
    """Store messages that are known to be new."""
    messages = [message_rows.message_row(p.message) for p in publications]
    bodies = [
        (p.message.app_id, p.message.id, variant, body, p.message.expires_at)
        for p in publications
        for variant, body in p.bodies.items()
    ]
    deliveries = [d for p in publications for d in p.deliveries]
    keys = [(*p.idempotency, p.message.created_at) for p in publications if p.idempotency]
    transaction.bulk("insert_message", messages)
    transaction.bulk("insert_body", bodies)
    insert_deliveries(transaction, deliveries)
    transaction.many("insert_idempotency", keys)


def insert_deliveries(transaction: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Store deliveries, and line up those that have an order key."""
    transaction.bulk("insert_delivery", deliveries)
    transaction.woken |= {d.endpoint_id for d in deliveries if d.state is WAITING}
    transaction.tally.born(deliveries)
    lines = {(d.app_id, d.endpoint_id, d.order_key) for d in deliveries if d.order_key is not None}
    line_up(transaction, lines)


# ── settle ───────────────────────────────────────────────────────────────────────────────────────


class Stale(Exception):
    """Not every settlement of a run holds the present token."""


def settle(transaction: Transaction, settlements: Sequence[Settlement]) -> list[bool]:
    """Close attempts and move deliveries; False where the token is not the present one.

    A run is written as if all were valid, which nearly always is so. If one is not, it is
    undone (`Stale`), and the writer repeats it one by one.
    """
    moves = [(s.attempt.app_id, s.delivery_id, s.token, s.state, s.due_at) for s in settlements]
    if transaction.bulk("settle", moves)() != len(moves):
        if len(moves) > 1:
            raise Stale
        return [False]
    transaction.bulk("insert_attempt", [s.attempt for s in settlements])
    for s in settlements:
        owner = s.attempt.app_id, s.attempt.endpoint_id
        transaction.tally.moved((s.delivery_id, *owner), SENDING, s.state)
    orders = [(s.attempt.app_id, s.attempt.endpoint_id, s.order_key) for s in settlements]
    line_up(transaction, {(app, endpoint, key) for app, endpoint, key in orders if key is not None})
    return [True] * len(moves)


# ── order keys ───────────────────────────────────────────────────────────────────────────────────


def line_up(transaction: Transaction, lines: Iterable[tuple[str, str, str]]) -> None:
    """Of each line (application, endpoint, order key) let one go, if none is being sent."""
    lines = list(lines)
    transaction.ordered |= {(app_id, endpoint_id) for app_id, endpoint_id, _ in lines}
    transaction.lock(("order", *line) for line in lines)
    for line in lines:
        transaction.rows("hold_line", line)
        transaction.rows("head_of_line", line)


def line_up_after(transaction: Transaction, moved: Iterable[tuple[str, str]]) -> None:
    """Line up behind deliveries that have moved, given as (application, delivery).

    One look is all it costs who uses no order.
    """
    if transaction.rows("any_ordered")[0][0]:
        lines = {line for one in moved for line in transaction.rows("order_of", one)}
        line_up(transaction, lines)


# ── renew, release, orphan ───────────────────────────────────────────────────────────────────────


def tries_without(delivery: Delivery) -> int:
    """Count the tries of a delivery whose open attempt was interrupted.

    That was our fault, so it uses none of them up; but one that kills whoever sends it must end.
    """
    return delivery.tries - (delivery.attempts < FORGIVEN)


def interrupt(transaction: Transaction, lost: Iterable[tuple[Delivery, str]]) -> None:
    """Close the open attempts of leases that were lost; (delivery, event type) of each."""
    transaction.bulk("insert_attempt", [interrupted(d, event_type) for d, event_type in lost])


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


class Held(NamedTuple):
    """Claims that their holder speaks of, and an instant."""

    claims: Sequence[Hold]
    at: Micros


def renew(transaction: Transaction, requests: Sequence[Held]) -> list[list[str]]:
    """Extend leases; say which deliveries are in other hands."""
    return [_renew(transaction, held) for held in requests]


def _renew(transaction: Transaction, held: Held) -> list[str]:
    renewed = transaction.bulk("renew", [(*claim, held.at) for claim in held.claims])
    if renewed() == len(held.claims):
        return []
    return [claim[1] for claim in held.claims if not transaction.rows("is_held", claim)]


def release(transaction: Transaction, requests: Sequence[Held]) -> list[None]:
    """Give claims back."""
    for held in requests:
        returned = [(*claim, held.at) for claim in held.claims]
        for id_, app_id, endpoint_id in transaction.bulk_ask("release", returned)():
            transaction.tally.moved((id_, app_id, endpoint_id), SENDING, WAITING)
            transaction.woken.add(endpoint_id)
        line_up_after(transaction, [claim[:2] for claim in held.claims])
    return [None] * len(requests)


def orphan(transaction: Transaction, requests: Sequence[Micros]) -> list[int]:
    """Make every leased delivery wait, due now."""
    counts = []
    for now in requests:
        leased = _with_event_type(transaction.rows("leased_deliveries"))
        interrupt(transaction, leased)
        requeued = [(d.app_id, d.id, now, tries_without(d)) for d, _ in leased]
        transaction.many("requeue", requeued)
        for delivery, _ in leased:
            transaction.tally.moved(delivery[:3], SENDING, WAITING)
        line_up_after(transaction, [(d.app_id, d.id) for d, _ in leased])
        counts.append(len(leased))
    return counts


def _with_event_type(found: Iterable[message_rows.Row]) -> list[tuple[Delivery, str]]:
    return [(message_rows.delivery(row[:-1]), row[-1]) for row in found]


def end(
    transaction: Transaction, open_: Iterable[message_rows.Row], state: DeliveryState
) -> list[Delivery]:
    """Move open deliveries (rows with event type) to a terminal state without an attempt."""
    ended = _with_event_type(open_)
    interrupt(transaction, [(d, event_type) for d, event_type in ended if d.state is SENDING])
    transaction.many("end", [(d.app_id, d.id, state) for d, _ in ended])
    for delivery, _ in ended:
        transaction.tally.moved(delivery[:3], delivery.state, state)
    line_up_after(transaction, [(d.app_id, d.id) for d, _ in ended])
    return [d for d, _ in ended]
