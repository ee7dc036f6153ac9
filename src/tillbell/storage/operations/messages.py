"""Writes of messages: publish, and add what belongs to a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tillbell.model.messages import Delivery, DeliveryState, Message
from tillbell.storage.engine.methods import write, write_batched
from tillbell.storage.operations import message_rows
from tillbell.storage.operations.order_keys import release_next_in_order
from tillbell.storage.ports.outbound import (
    DuplicateEventId,
    IdempotencyUse,
    Publication,
    PublicationStored,
)
from tillbell.storage.session.connection import StatementResult, without_nul
from tillbell.storage.session.transaction import DbTransaction

PublishResult = PublicationStored | DuplicateEventId | IdempotencyUse
STORED = PublicationStored()


@write_batched()
def publish(db: DbTransaction, publications: Sequence[Publication]) -> list[PublishResult]:
    """Store messages with their bodies and deliveries, except those that are known."""
    used = _UsedKeys(db, publications)
    results: list[PublishResult] = []
    new: list[Publication] = []
    for publication in publications:
        earlier = used.take(publication)
        results.append(earlier or STORED)
        if earlier is None:
            new.append(publication)
    insert_publications(db, new)
    return results


class _UsedKeys:
    """Event ids and idempotency keys that were used: on disk, or earlier in this run."""

    def __init__(self, db: DbTransaction, publications: Sequence[Publication]) -> None:
        events = find_event_ids(db, (p.message for p in publications))
        keys = {(p.idempotency.key,) for p in publications if p.idempotency is not None}
        uses = db.query_bulk_later("find_idempotency_keys", sorted(keys))
        self._events = {(app_id, without_nul(event)): id_ for app_id, event, id_ in events.rows()}
        self._uses = {key: IdempotencyUse(key, *use) for key, *use in uses.rows()}

    def take(self, publication: Publication) -> DuplicateEventId | IdempotencyUse | None:
        """Take the keys of a publication and return None, or return what used one before."""
        message, use = publication.message, publication.idempotency
        if use is not None and use.key in self._uses:
            return self._uses[use.key]
        if message.event_id is not None:
            event = message.app_id, without_nul(message.event_id)
            if event in self._events:
                return DuplicateEventId(self._events[event])
            self._events[event] = message.id
        if use is not None:
            self._uses[use.key] = use
        return None


def find_event_ids(db: DbTransaction, messages: Iterable[Message]) -> StatementResult:
    """Look up the event ids of messages. Rows: application, event id, message that has it."""
    events = {(m.app_id, m.event_id) for m in messages if m.event_id is not None}
    return db.query_bulk_later("find_event_ids", sorted(events))


def insert_publications(db: DbTransaction, publications: Sequence[Publication]) -> None:
    """Store messages that are known to be new."""
    bodies = [
        (p.message.app_id, p.message.id, variant, body, p.message.expires_at)
        for p in publications
        for variant, body in p.bodies.items()
    ]
    uses = [(*p.idempotency, p.message.created_at) for p in publications if p.idempotency]
    messages = [message_rows.message_row(p.message) for p in publications]
    db.execute_bulk("insert_message", messages)
    db.execute_bulk("insert_body", bodies)
    insert_deliveries(db, [d for p in publications for d in p.deliveries])
    db.execute_bulk("insert_idempotency", uses)
    db.rollup_delta.count_publications(publications)


def insert_deliveries(db: DbTransaction, deliveries: Sequence[Delivery]) -> None:
    """Store new deliveries. Those with an order key wait for their turn."""
    db.execute_bulk("insert_delivery", deliveries)
    db.endpoints_to_wake |= {d.endpoint_id for d in deliveries if d.state is DeliveryState.WAITING}
    db.totals_delta.count_new(deliveries)
    lines = {(d.app_id, d.endpoint_id, d.order_key) for d in deliveries if d.order_key is not None}
    release_next_in_order(db, lines)


@write()
def add_deliveries(
    db: DbTransaction, deliveries: Sequence[Delivery], bodies: Mapping[tuple[str, str], bytes]
) -> int:
    """Add deliveries that do not exist to messages that do."""
    unique = {d.id: d for d in deliveries}.values()
    new = [d for d in unique if db.query("may_add_delivery", (d.id, d.app_id, d.message_id))[0][0]]
    needed = sorted({(d.app_id, d.message_id, d.variant) for d in new})
    bodies_to_add = [
        (app_id, message_id, variant, bodies[message_id, variant])
        for app_id, message_id, variant in needed
        if (message_id, variant) in bodies
    ]
    db.execute_each("add_body", bodies_to_add)
    insert_deliveries(db, new)
    return len(new)


@write()
def expunge(db: DbTransaction, app_id: str, message_id: str) -> bool:
    """Delete all bodies of a message."""
    is_there = bool(db.query("message_exists", (app_id, message_id))[0][0])
    if is_there:
        db.query("delete_bodies", (app_id, message_id))
    return is_there


@write()
def expunge_attempt(db: DbTransaction, app_id: str, attempt_id: str) -> bool:
    """Delete what was answered to an attempt."""
    return bool(db.query("expunge_attempt", (app_id, attempt_id)))
