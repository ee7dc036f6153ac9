"""Requests to inboxes. An inbox itself is a record (records.py)."""

from __future__ import annotations

from collections.abc import Sequence

from tillbell.clock import Micros
from tillbell.ids import inbox_request_id, span
from tillbell.model.inboxes import (
    Inbox,
    InboxRequest,
    InboxTotals,
    NewInboxRequest,
    SealedInboxRequest,
)
from tillbell.storage.engine.methods import read, write, write_by_housekeeper
from tillbell.storage.operations.pages import page_bounds
from tillbell.storage.ports.inboxes import InboxFilter
from tillbell.storage.ports.outbound import Page
from tillbell.storage.session.connection import DbReader
from tillbell.storage.session.transaction import DbTransaction

_PREFIX = "irq"
_LATEST: Micros = (1 << 63) - 1


@write()
def add_inbox_request(db: DbTransaction, request: NewInboxRequest) -> InboxRequest | None:
    """Store a request, and drop the oldest ones beyond the limits of its inbox."""
    db.lock([("inbox", request.inbox_id)])
    if db.query_one("present_record", (Inbox.__name__, request.app_id, request.inbox_id)) is None:
        return None
    counted = db.query_one("count_inbox_request", (request.inbox_id, request.app_id))
    assert counted is not None
    (number,) = counted
    stored = InboxRequest(
        inbox_request_id(request.inbox_id, number),
        request.inbox_id,
        request.app_id,
        number,
        *request[2:8],
    )
    db.query("insert_inbox_request", stored)
    low, _ = span(_PREFIX, request.inbox_id)
    bounds = {
        "low": low,
        "id": stored.id,
        "oldest": number - request.requests_max + 1,
        "bytes_max": request.bytes_max - request.size,
    }
    dropped = db.query("drop_inbox_requests", bounds)
    if dropped:
        db.query("count_dropped_requests", (request.inbox_id, len(dropped)))
    return stored


@read
def inbox_requests(
    db: DbReader, inbox_id: str, filter_: InboxFilter, page: Page
) -> list[InboxRequest]:
    """Read requests of an inbox in the order of their numbers."""
    bounds = page_bounds(page)
    low, high = span(_PREFIX, inbox_id)
    bindings = {
        "low": max(low, bounds.low),
        "high": min(high, bounds.high),
        "limit": bounds.limit,
        "since": filter_.since or 0,
        "until": _LATEST if filter_.until is None else filter_.until,
        "body_max": filter_.body_max,
    }
    rows = db.query("inbox_requests", bindings, bounds.order)
    return bounds.in_list_order([InboxRequest._make(row) for row in rows])


@read
def inbox_request(db: DbReader, inbox_id: str, request_id: str) -> InboxRequest | None:
    """Read one request of an inbox."""
    rows = db.query("inbox_request", (request_id, inbox_id))
    return next((InboxRequest._make(row) for row in rows), None)


@read
def inbox_totals(db: DbReader, inbox_ids: Sequence[str]) -> list[InboxTotals]:
    """Read the totals of some inboxes."""
    rows = (db.query("inbox_totals", (inbox_id,)) for inbox_id in inbox_ids)
    return [InboxTotals._make(row[0]) if row else InboxTotals() for row in rows]


@write()
def clear_inbox(db: DbTransaction, inbox_id: str) -> int:
    """Delete the requests of an inbox."""
    return len(db.query("clear_inbox", span(_PREFIX, inbox_id)))


@write()
def delete_inbox_request(db: DbTransaction, inbox_id: str, request_id: str) -> bool:
    """Delete one request of an inbox."""
    return bool(db.query("delete_inbox_request", (request_id, inbox_id)))


def remove_inbox(db: DbTransaction, inbox_id: str) -> None:
    """Delete what belongs to an inbox that is removed."""
    db.query("clear_inbox", span(_PREFIX, inbox_id))
    db.query("remove_inbox_totals", (inbox_id,))


def remove_application_inboxes(db: DbTransaction, app_id: str) -> None:
    """Delete what belongs to the inboxes of an application that is removed."""
    db.query("remove_inbox_requests", (app_id,))
    db.query("remove_totals_of_inboxes", (app_id,))


@read
def sealed_inbox_requests(db: DbReader, after: str, limit: int) -> list[SealedInboxRequest]:
    """Read sealed requests of all inboxes."""
    rows = db.query("sealed_inbox_requests", (after, limit))
    return [SealedInboxRequest._make(row) for row in rows]


@write()
def replace_inbox_requests(db: DbTransaction, requests: Sequence[SealedInboxRequest]) -> None:
    """Store requests that were sealed anew."""
    db.execute_each("replace_inbox_request", [(each.id, each.head, each.body) for each in requests])


@write_by_housekeeper()
def purge_inboxes(db: DbTransaction, *, now: Micros, limit: int) -> int:
    """Delete requests that have expired."""
    return len(db.query("purge_inbox_requests", (now, limit)))
