"""Reads of the shop's records: lists in the order in which they changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from tillbell.ids import read_record_cursor
from tillbell.model.shop import Buyer, ShopRecord, SumOfOrders
from tillbell.storage.engine.methods import read
from tillbell.storage.operations.records import decode
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.shop import ShopFilter
from tillbell.storage.session.connection import DbReader, json_list, json_rows, without_nul

S = TypeVar("S", bound=ShopRecord)

_LAST = 2**62, "~"


@read
def shop_records(
    db: DbReader, kind: type[S], app_id: str, filter_: ShopFilter, page: Page
) -> list[S]:
    """Read a page of records by their last change."""
    low, high = (filter_.since if filter_.since is not None else -1, ""), _LAST
    is_ascending = page.ascending is not page.backwards
    if page.iterator is not None and is_ascending:
        low = max(low, read_record_cursor(page.iterator))
    elif page.iterator is not None:
        high = read_record_cursor(page.iterator)
    bindings = {
        "kind": kind.__name__,
        "scope": app_id,
        "status": filter_.status,
        "payment_status": filter_.payment_status,
        "order_id": filter_.order_id,
        "text": filter_.text,
        "small_text": filter_.text.lower() if filter_.text is not None else None,
        "low_at": low[0],
        "low_id": low[1],
        "high_at": high[0],
        "high_id": high[1],
        "limit": page.limit,
    }
    order = "ascending" if is_ascending else "descending"
    if filter_.text is not None:
        rows = db.query("shop_records_named", bindings, order)
    else:
        rows = db.query("shop_records_changed", bindings, order, _by(filter_))
    records = [decode(kind, doc) for (doc,) in rows]
    return records[::-1] if page.backwards else records


@read
def shop_records_with(
    db: DbReader, kind: type[S], app_id: str, names: Collection[str], *, is_number: bool = False
) -> list[S]:
    """Read the records with these uids or numbers."""
    bindings = {"kind": kind.__name__, "scope": app_id, "names": json_list(names)}
    rows = db.query("shop_records_with", bindings, "number" if is_number else "uid")
    return [decode(kind, doc) for (doc,) in rows]


@read
def paid_orders(db: DbReader, app_id: str, names: Collection[str]) -> frozenset[str]:
    """Read which names a transaction has."""
    rows = db.query("paid_orders", {"scope": app_id, "names": json_list(names)})
    return frozenset(str(name) for (name,) in rows)


@read
def order_sums(db: DbReader, app_id: str, buyers: Sequence[Buyer]) -> list[SumOfOrders]:
    """Read the sums of the orders of customers: by their ids, and of others by their addresses."""
    named = [(buyer.uid, without_nul(buyer.email or "")) for buyer in buyers]
    bindings = {"scope": app_id, "buyers": json_rows(named)}
    rows = [row for by in ("customer", "email") for row in db.query("order_sums", bindings, by)]
    return [SumOfOrders._make(row) for row in rows]


def _by(filter_: ShopFilter) -> str:
    if filter_.order_id is not None:
        return "order_id"
    if filter_.payment_status is not None:
        return "payment_status"
    return "status" if filter_.status is not None else "any"
