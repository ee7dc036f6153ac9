"""Purge: what is past its retention is deleted, some rows at a time."""

from __future__ import annotations

from functools import partial

from tillbell.clock import DAY, Micros
from tillbell.ids import first_of
from tillbell.model.messages import DeliveryState
from tillbell.storage.engine.methods import write_by_housekeeper
from tillbell.storage.operations.claims import end_deliveries
from tillbell.storage.session.transaction import DbTransaction

IDEMPOTENCY_LIFE: Micros = DAY
BULK_REQUEST_LIFE: Micros = DAY
DEDUPE_KEY_LIFE: Micros = 400 * DAY
ITEM_KEY_LIFE: Micros = 2 * DAY

# What belongs to an application, leaves first: what is deleted later says whose the rest is.
_REMOVALS = (
    "remove_requests",
    "remove_waits",
    "remove_keys",
    "remove_items",
    "remove_callbacks",
    "remove_effects",
    "remove_transitions",
    "remove_payment_attempts",
    "remove_transactions",
    "remove_conflicts",
    "remove_audit",
)


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


@write_by_housekeeper()
def purge(
    db: DbTransaction, *, bodies_before: Micros, history_before: Micros, now: Micros, limit: int
) -> int:
    """Delete what is past its retention, leaves first."""
    left = limit
    for delete in (
        partial(_delete_bodies, db, bodies_before, now),
        partial(_delete_attempts, db, history_before),
        partial(_delete_deliveries, db, history_before),
        partial(_delete_messages, db, history_before),
        partial(_delete_idempotency_uses, db, now - IDEMPOTENCY_LIFE),
    ):
        if left > 0:
            left -= delete(left)
    return limit - left


def _delete_bodies(db: DbTransaction, before: Micros, now: Micros, limit: int) -> int:
    expired = db.query("expired_bodies", (first_of("msg", before), now, limit))
    for body in expired:
        end_deliveries(db, db.query("messages_without_body", body), DeliveryState.FAILED)
    return db.execute_each("delete_body", expired).rowcount


def _delete_attempts(db: DbTransaction, before: Micros, limit: int) -> int:
    return db.execute_each("delete_attempts", [(first_of("atmpt", before), limit)]).rowcount


def _delete_deliveries(db: DbTransaction, before: Micros, limit: int) -> int:
    deleted = db.query("delete_deliveries", (first_of("dlv", before), limit))
    for id_, app_id, endpoint_id, state in deleted:
        db.totals_delta.count_move(app_id, endpoint_id, id_, state, None)
    return len(deleted)


def _delete_messages(db: DbTransaction, before: Micros, limit: int) -> int:
    expired = db.query("expired_messages", (first_of("msg", before), limit))
    db.execute_each("delete_bodies", expired)
    return db.execute_each("delete_message", expired).rowcount


def _delete_idempotency_uses(db: DbTransaction, before: Micros, limit: int) -> int:
    return db.execute_each("delete_idempotency", [(before, limit)]).rowcount


# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


@write_by_housekeeper()
def purge_inbound(
    db: DbTransaction,
    *,
    requests_before: Micros,
    callbacks_before: Micros,
    now: Micros,
    limit: int,
) -> int:
    """Delete what is past its retention, leaves first."""
    left = limit
    for delete in (
        partial(_delete_requests, db, requests_before, now - BULK_REQUEST_LIFE),
        partial(_delete_callbacks, db, callbacks_before),
        partial(_delete_dedupe_keys, db, now - DEDUPE_KEY_LIFE),
        partial(_delete_item_keys, db, now - ITEM_KEY_LIFE),
        partial(_delete_tombstones, db, now - DEDUPE_KEY_LIFE),
    ):
        if left > 0:
            left -= delete(left)
    return limit - left


def _delete_requests(db: DbTransaction, before: Micros, bulk_before: Micros, limit: int) -> int:
    bindings = {
        "oldest_kept": first_of("cbk", before),
        "oldest_bulk": first_of("cbk", bulk_before),
        "limit": limit,
    }
    return db.execute_each("delete_request", db.query("expired_requests", bindings)).rowcount


def _delete_callbacks(db: DbTransaction, before: Micros, limit: int) -> int:
    deleted = db.query("delete_callbacks", (first_of("cbk", before), limit))
    db.execute_each("delete_request", deleted)
    db.execute_each("delete_callback_waits", deleted)
    return len(deleted)


def _delete_dedupe_keys(db: DbTransaction, before: Micros, limit: int) -> int:
    return len(db.query("delete_keys", (before, limit)))


def _delete_item_keys(db: DbTransaction, before: Micros, limit: int) -> int:
    return len(db.query("delete_items", (before, limit)))


def _delete_tombstones(db: DbTransaction, before: Micros, limit: int) -> int:
    return len(db.query("delete_tombstones", (first_of("tmb", before), limit)))


def remove_inbound(db: DbTransaction, app_id: str) -> None:
    """Delete all callbacks and money of an application. History is deleted in no other way.

    It is done in the commit that removes the application, however much it is.
    """
    for name in ("begin_application_removal", *_REMOVALS, "end_application_removal"):
        db.query(name, (app_id,))
