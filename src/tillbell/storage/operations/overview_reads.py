"""Lists over all applications: the port's `OverviewLists`, promised there."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.ids import first_of
from tillbell.model.callbacks import Callback
from tillbell.model.transactions import MoneyConflict, Transaction
from tillbell.storage.engine.methods import read
from tillbell.storage.operations import callback_rows
from tillbell.storage.operations.callback_reads import transactions_of
from tillbell.storage.operations.message_reads import delivery_row
from tillbell.storage.operations.pages import LAST, PageBounds, page_bounds
from tillbell.storage.ports.inbound import TransactionFilter
from tillbell.storage.ports.outbound import DeliveryRow, Page
from tillbell.storage.ports.overviews import Attention
from tillbell.storage.session.connection import DbReader


@read
def attention(db: DbReader, app_id: str | None, limit: int) -> Attention:
    """Count what needs somebody."""
    bindings = {"app_id": app_id, "low": "", "limit": limit}
    counts = (db.query(name, bindings)[0][0] for name in ("count_failing", "count_open_conflicts"))
    return Attention(*(min(count, limit) for count in counts))


@read
def deliveries(
    db: DbReader, app_id: str | None, page: Page, *, failed_only: bool = False
) -> list[DeliveryRow]:
    """Read a page of deliveries."""
    bounds = page_bounds(page)
    bindings = bounds.bindings | {"app_id": app_id} if app_id is not None else bounds.bindings
    if failed_only:
        scope = "everywhere" if app_id is None else "in_app"
        rows = db.query("failed_deliveries", bindings, bounds.order, scope)
    elif app_id is None:
        rows = db.query("deliveries", bindings, bounds.order)
    else:
        bindings |= _messages_of(bounds)
        rows = db.query("deliveries_of_app", bindings, bounds.order)
    return bounds.in_list_order([delivery_row(row) for row in rows])


def _messages_of(bounds: PageBounds) -> dict[str, str]:
    """Return the messages, both included, whose deliveries are within the bounds."""
    last = LAST if bounds.high == LAST else _message_of(bounds.high)
    return {"first_message": _message_of(bounds.low), "last_message": last}


def _message_of(id_: str) -> str:
    """Return the message that the id of a delivery or attempt begins with; "" for no id."""
    start = id_.find("_") + 1
    return f"msg_{id_[start : start + 26]}" if id_ else ""


@read
def all_callbacks(db: DbReader, page: Page) -> list[Callback]:
    """Read a page of callbacks."""
    bounds = page_bounds(page)
    rows = db.query("all_callbacks", bounds.bindings, bounds.order)
    return bounds.in_list_order([callback_rows.callback(row) for row in rows])


@read
def refused_by_source(
    db: DbReader, app_id: str | None, since: Micros, limit: int
) -> dict[tuple[str, str], int]:
    """Count refused callbacks."""
    bindings = {"app_id": app_id, "low": first_of("cbk", since), "limit": limit}
    rows = db.query("refused_by_source", bindings, "everywhere" if app_id is None else "of_app")
    return {(app, source): count for app, source, count in rows}


@read
def all_transactions(db: DbReader, page: Page) -> list[Transaction]:
    """Read a page of transactions."""
    bounds = page_bounds(page)
    rows = db.query("all_transactions", bounds.bindings, bounds.order)
    return bounds.in_list_order([callback_rows.transaction(row) for row in rows])


@read
def find_transactions(db: DbReader, filter_: TransactionFilter, page: Page) -> list[Transaction]:
    """Read a page of transactions of each application, and merge them."""
    is_ascending = page.ascending is not page.backwards
    merged = [
        transaction
        for (app_id,) in db.query("application_ids")
        for transaction in transactions_of(db, app_id, filter_, page)
    ]
    merged.sort(key=lambda transaction: transaction.id, reverse=not is_ascending)
    cut = merged[: page.limit]
    return cut[::-1] if page.backwards else cut


@read
def all_conflicts(db: DbReader, page: Page) -> list[MoneyConflict]:
    """Read a page of conflicts."""
    bounds = page_bounds(page)
    rows = db.query("all_conflicts", bounds.bindings, bounds.order)
    return bounds.in_list_order([callback_rows.conflict(row) for row in rows])
