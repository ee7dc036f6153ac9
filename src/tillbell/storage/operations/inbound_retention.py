"""Deletes in the books: by the calendar, and with an application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import DAY, Micros
from tillbell.ids import first_of
from tillbell.storage.session.transaction import DbTransaction

BULK_REQUEST_LIFE: Micros = DAY
KEY_LIFE: Micros = 400 * DAY
ITEM_LIFE: Micros = 2 * DAY

# Leaves first: what is deleted later says whose the rest is.
_REMOVALS = (
    "remove_requests",
    "remove_waits",
    "remove_keys",
    "remove_items",
    "remove_callbacks",
    "remove_effects",
    "remove_transitions",
    "remove_transactions",
    "remove_conflicts",
    "remove_audit",
)


class InboundPurgeCutoffs(NamedTuple):
    """What is past its time, and how many rows may go at once."""

    requests_before: Micros
    callbacks_before: Micros
    now: Micros
    limit: int


def purge_inbound(transaction: DbTransaction, requests: Sequence[InboundPurgeCutoffs]) -> list[int]:
    """Delete what is past its time, leaves first."""
    return [_purge(transaction, bounds) for bounds in requests]


def _purge(transaction: DbTransaction, bounds: InboundPurgeCutoffs) -> int:
    left = bounds.limit
    for step in (_requests, _callbacks, _keys, _items):
        if left > 0:
            left -= step(transaction, bounds, left)
    return bounds.limit - left


def _requests(transaction: DbTransaction, bounds: InboundPurgeCutoffs, limit: int) -> int:
    bindings = {
        "oldest_kept": first_of("cbk", bounds.requests_before),
        "oldest_bulk": first_of("cbk", bounds.now - BULK_REQUEST_LIFE),
        "limit": limit,
    }
    return transaction.execute_each(
        "delete_request", transaction.query("expired_requests", bindings)
    )()


def _callbacks(transaction: DbTransaction, bounds: InboundPurgeCutoffs, limit: int) -> int:
    gone = transaction.query("delete_callbacks", (first_of("cbk", bounds.callbacks_before), limit))
    transaction.execute_each("delete_request", gone)
    transaction.execute_each("delete_callback_waits", gone)
    return len(gone)


def _keys(transaction: DbTransaction, bounds: InboundPurgeCutoffs, limit: int) -> int:
    return len(transaction.query("delete_keys", (bounds.now - KEY_LIFE, limit)))


def _items(transaction: DbTransaction, bounds: InboundPurgeCutoffs, limit: int) -> int:
    return len(transaction.query("delete_items", (bounds.now - ITEM_LIFE, limit)))


def remove_inbound(transaction: DbTransaction, app_id: str) -> None:
    """Delete all that came in for an application and what it did: the only way that history goes.

    In the commit that removes the application, however much it is.
    """
    for name in ("begin_application_removal", *_REMOVALS, "end_application_removal"):
        transaction.query(name, (app_id,))
