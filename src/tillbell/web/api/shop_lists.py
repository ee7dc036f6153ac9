"""Lists of the shop's records with a filter, by their last change.

The store finds records by one status or payment status, by one text that names them, and by the
time of their last change. What a filter asks beyond that is looked at record by record.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from tillbell.app import Gateway
from tillbell.ids import record_cursor
from tillbell.model.shop import ShopRecord
from tillbell.rules.filters.clauses import ListFilter, OneOf
from tillbell.rules.filters.rows import shop_record_fits
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.shop import ShopFilter
from tillbell.web.api.paging import ListPage, filtered_page, list_page

S = TypeVar("S", bound=ShopRecord)

_NAMES = ("id", "uid", "number", "sku", "email", "customer", "order")  # the store looks these up


class AskedRecords(NamedTuple):
    """Which records are asked for. `text`: only those that it names; "": all."""

    filter: ListFilter
    text: str = ""


async def shop_page(
    gateway: Gateway, kind: type[S], app_id: str, asked: AskedRecords, page: Page
) -> ListPage[S]:
    """Read a page of the records that are asked for."""
    wanted = asked.filter
    filter_ = _in_store(wanted, asked.text)
    count = 0

    async def fetch(page: Page) -> list[S]:
        nonlocal count
        records = list(await gateway.database.shop_records(kind, app_id, filter_, page))
        count += len(records)
        return records

    async def fits(record: S) -> bool:
        return shop_record_fits(record, wanted)

    if wanted == ListFilter():
        return await list_page(fetch, page, _cursor)
    cut = await filtered_page(fetch, page, _cursor, fits)
    is_short = len(cut.rows) < page.limit and not cut.done
    return cut._replace(searched=count if is_short else None)


def _cursor(record: ShopRecord) -> str:
    return record_cursor(record.id, record.updated_at)


def _in_store(wanted: ListFilter, text: str) -> ShopFilter:
    """Return what the store finds: all that fit, and perhaps more.

    >>> from tillbell.rules.filters.clauses import one_of
    >>> _in_store(ListFilter((one_of("status", "paid"),)), "").status
    'paid'
    >>> _in_store(ListFilter((one_of("status", "paid"),)), "a@b.example").status is None
    True
    """
    status = _only_value(wanted, "status")
    name = text or next(filter(None, (_only_value(wanted, field) for field in _NAMES)), None)
    if name:
        return ShopFilter(text=name, since=wanted.after)
    if status is None:
        payment_status = _only_value(wanted, "payment")
        return ShopFilter(payment_status=payment_status, since=wanted.after)
    return ShopFilter(status=status, since=wanted.after)


def _only_value(wanted: ListFilter, field: str) -> str | None:
    """Return the one value that a field must have; None: it may have several, or any."""
    for clause in wanted.clauses:
        if clause.field != field or clause.is_negated or len(clause.matches) != 1:
            continue
        match = clause.matches[0]
        if isinstance(match, OneOf) and len(match.values) == 1:
            return match.values[0]
    return None
