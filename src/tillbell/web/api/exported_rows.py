"""Exported rows: all rows of a list that fit a filter, as CSV, as JSON or one object a line.

Rows are read and sent page by page, so the memory does not grow with the list; the pages wait for a
slow reader, and nothing is held in the store between them. Every export is in the audit log.
"""

from __future__ import annotations

import csv
import io
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel

from tillbell.app import Gateway
from tillbell.model.shop import Buyer, Customer, ShopRecord
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.rules.filters.rows import shop_record_fits
from tillbell.rules.tables.order_history import NO_ORDERS, order_histories
from tillbell.rules.tables.records import (
    CUSTOMERS,
    ORDERS,
    PRODUCTS,
    SHIPMENTS,
    SUBSCRIPTIONS,
    RecordTable,
    document_of,
    rows_of,
)
from tillbell.storage.ports.filtered import Slice
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.attempts import AttemptOut, attempt_doc, place
from tillbell.web.api.audit import AuditOut
from tillbell.web.api.csv_text import MEDIA_TYPE, cell
from tillbell.web.api.deliveries import DeliveryOut, delivery_docs
from tillbell.web.api.filtered import read_filter
from tillbell.web.api.overviews import (
    OverviewCallbackOut,
    OverviewConflictOut,
    OverviewMessageOut,
    OverviewTransactionOut,
)
from tillbell.web.api.rendering import message_doc

Doc = dict[str, Any]
_ROWS_AT_ONCE = 250
_SEARCHED_AT_ONCE = 5_000
_UTF8_MARK = b"\xef\xbb\xbf"


class ExportFormat(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"


MEDIA = {
    ExportFormat.CSV: MEDIA_TYPE,
    ExportFormat.JSON: "application/json",
    ExportFormat.NDJSON: "application/x-ndjson",
}


class Export(NamedTuple):
    """What is exported. `text`: the filter; `has_mark`: CSV begins with the mark of UTF-8."""

    list_: FilterList
    format: ExportFormat
    text: str | None = None
    has_mark: bool = False


class ExportedPage(NamedTuple):
    """Some rows: of each its document and, where one document is several, its rows of cells."""

    docs: Iterable[Doc]
    rows: Iterable[list[str]] | None = None


class _ExportedList(NamedTuple):
    """How the rows of a list are read and written."""

    columns: list[str]
    pages: Callable[[ListFilter], AsyncIterator[ExportedPage]]


async def begin_export(
    gateway: Gateway, scope: str | None, export: Export
) -> AsyncGenerator[bytes, None]:
    """Return the parts of an export, which are read while they are sent. `Invalid` is the filter's.

    `scope` is an application; None: all of them.
    """
    filter_ = await read_filter(gateway, scope, export.list_, export.text)
    query = {"filter": export.text or "", "format": export.format.value}
    await gateway.config_cache.note_export(export.list_, scope, query)
    return _written(_exported_list(gateway, scope, export.list_), filter_, export)


async def _written(
    exported: _ExportedList, filter_: ListFilter, export: Export
) -> AsyncGenerator[bytes, None]:
    is_first = True
    if export.format is ExportFormat.CSV:
        yield (_UTF8_MARK if export.has_mark else b"") + _table([exported.columns])
    elif export.format is ExportFormat.JSON:
        yield b"["
    async for page in exported.pages(filter_):
        if export.format is ExportFormat.CSV:
            yield _table(page.rows if page.rows is not None else _cells(page, exported.columns))
            continue
        lines = [msgspec.json.encode(doc) for doc in page.docs]
        if export.format is ExportFormat.NDJSON:
            yield b"".join(line + b"\n" for line in lines)
        elif lines:
            yield (b"\n" if is_first else b",\n") + b",\n".join(lines)
            is_first = False
    if export.format is ExportFormat.JSON:
        yield b"\n]\n"


def _cells(page: ExportedPage, columns: list[str]) -> Iterable[list[str]]:
    return ([cell(doc.get(column)) for column in columns] for doc in page.docs)


def _table(rows: Iterable[list[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode("utf-8", "replace")


# ── the shop's records ───────────────────────────────────────────────────────────────────────────

_TABLES: Mapping[FilterList, RecordTable] = {
    FilterList.ORDER: ORDERS,
    FilterList.PRODUCT: PRODUCTS,
    FilterList.CUSTOMER: CUSTOMERS,
    FilterList.SUBSCRIPTION: SUBSCRIPTIONS,
    FilterList.SHIPMENT: SHIPMENTS,
}


def _exported_list(gateway: Gateway, scope: str | None, list_: FilterList) -> _ExportedList:
    table = _TABLES.get(list_)
    if table is None:
        return _other_list(gateway, scope, list_)

    async def pages(filter_: ListFilter) -> AsyncIterator[ExportedPage]:
        """Go along the ids, so that each record comes once, however often it changes meanwhile."""
        page: Page | None = Page(_ROWS_AT_ONCE, ascending=True)
        while page is not None:
            records = await gateway.database.list(table.kind, scope, page)
            is_cut = len(records) == _ROWS_AT_ONCE
            page = page._replace(iterator=records[-1].id) if is_cut else None
            fitting = [r for r in records if shop_record_fits(r, filter_)]
            yield _shop_page(table, fitting, await _order_histories(gateway, scope, fitting))

    return _ExportedList([column.name for column in table.columns], pages)


async def _order_histories(
    gateway: Gateway, scope: str | None, records: list[ShopRecord]
) -> dict[str, Doc]:
    """Return what is known of the orders of each customer among the records, by its id."""
    customers = [record for record in records if isinstance(record, Customer)]
    if scope is None or not customers:
        return {}
    buyers = [Buyer(each.uid or each.id, each.columns.email) for each in customers]
    histories = order_histories(await gateway.database.order_sums(scope, buyers))
    return {each.id: histories.get(each.uid or each.id, NO_ORDERS) for each in customers}


def _shop_page(
    table: RecordTable, records: list[ShopRecord], more: Mapping[str, Doc]
) -> ExportedPage:
    docs = (document_of(record) | more.get(record.id, {}) for record in records)
    rows = (row for record in records for row in rows_of(table, record, more.get(record.id)))
    return ExportedPage(docs, rows)


# ── all other lists ──────────────────────────────────────────────────────────────────────────────


class _StoredList(NamedTuple):
    """How the rows of a list that the store filters are read."""

    shape: type[BaseModel]  # whose members are the columns
    fetch: Callable[[str | None, ListFilter, Page, int], Awaitable[Slice[Any]]]
    docs_of: Callable[[Sequence[Any]], Awaitable[list[Doc]]]
    id_of: Callable[[Any], str]


def _other_list(gateway: Gateway, scope: str | None, list_: FilterList) -> _ExportedList:
    source = _sources(gateway)[list_]

    async def pages(filter_: ListFilter) -> AsyncIterator[ExportedPage]:
        before = gateway.clock.now() if filter_.before is None else filter_.before
        filter_ = filter_._replace(before=before)  # what comes later is not of this export
        position: str | None = None
        while True:
            page = Page(_ROWS_AT_ONCE, position)
            slice_ = await source.fetch(scope, filter_, page, _SEARCHED_AT_ONCE)
            yield ExportedPage(await source.docs_of(slice_.rows))
            is_cut = len(slice_.rows) == _ROWS_AT_ONCE
            position = source.id_of(slice_.rows[-1]) if is_cut else slice_.end
            if position is None:
                return

    columns = [field.alias or name for name, field in source.shape.model_fields.items()]
    return _ExportedList(columns, pages)


def _sources(gateway: Gateway) -> dict[FilterList, _StoredList]:
    history = gateway.database.history

    async def messages(rows: Sequence[Any]) -> list[Doc]:
        return [
            await message_doc(gateway, row, with_content=True) | {"appId": row.app_id}
            for row in rows
        ]

    async def attempts(rows: Sequence[Any]) -> list[Doc]:
        return [attempt_doc(row, with_content=True) for row in rows]

    return {
        FilterList.MESSAGE: _StoredList(
            OverviewMessageOut, history.filtered_messages, messages, lambda row: row.id
        ),
        FilterList.DELIVERY: _StoredList(
            DeliveryOut,
            history.filtered_deliveries,
            lambda rows: delivery_docs(gateway, rows),
            lambda row: row.delivery.id,
        ),
        FilterList.ATTEMPT: _StoredList(AttemptOut, history.filtered_attempts, attempts, place),
        FilterList.CALLBACK: _shaped(OverviewCallbackOut, history.filtered_callbacks),
        FilterList.TRANSACTION: _shaped(OverviewTransactionOut, history.filtered_transactions),
        FilterList.CONFLICT: _shaped(OverviewConflictOut, history.filtered_conflicts),
        FilterList.AUDIT: _shaped(AuditOut, history.filtered_audit),
    }


def _shaped(shape: Any, fetch: Callable[..., Awaitable[Slice[Any]]]) -> _StoredList:
    async def docs_of(rows: Sequence[Any]) -> list[Doc]:
        return [shape.of(row).model_dump(mode="json", by_alias=True) for row in rows]

    return _StoredList(shape, fetch, docs_of, lambda row: row.id)
