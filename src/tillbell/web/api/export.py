"""Exports: all rows of a list that fit a filter, as CSV or as one JSON object a line.

Rows are read and sent page by page, so the memory does not grow with the list; the pages wait for a
slow reader. Every export is in the audit log.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel

from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.storage.ports.filtered import Slice
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.attempts import AttemptOut, attempt_doc, place
from tillbell.web.api.audit import AuditOut
from tillbell.web.api.csv_text import MEDIA_TYPE, cell
from tillbell.web.api.deliveries import DeliveryOut, delivery_doc
from tillbell.web.api.filtered import FilterText, read_filter
from tillbell.web.api.overviews import (
    OverviewCallbackOut,
    OverviewConflictOut,
    OverviewMessageOut,
    OverviewTransactionOut,
    ScopeOf,
)
from tillbell.web.api.rendering import message_doc
from tillbell.web.api.routes import GatewayOf, resource
from tillbell.web.edge.paths import STREAM

T = TypeVar("T")
Doc = dict[str, Any]
_ROWS_AT_ONCE = 200
_SEARCHED_AT_ONCE = 5_000


class ExportFormat(StrEnum):
    """How rows are written."""

    CSV = "csv"
    NDJSON = "ndjson"


_MEDIA = {
    ExportFormat.CSV: MEDIA_TYPE,
    ExportFormat.NDJSON: "application/x-ndjson",
}


class ExportQuery:
    """What is exported, and how."""

    def __init__(
        self,
        request: Request,
        gateway: GatewayOf,
        scope: ScopeOf,
        text: FilterText = None,
        format_: Annotated[
            ExportFormat, Query(alias="format", description="How rows are written.")
        ] = ExportFormat.CSV,
    ) -> None:
        self.request = request
        self.gateway = gateway
        self.scope = scope
        self.text = text
        self.format = format_


ExportQueryOf = Annotated[ExportQuery, Depends()]
router = resource("/export", "Export")


class ExportedList(NamedTuple, Generic[T]):
    """How the rows of a list are read and written."""

    list_: FilterList
    shape: type[BaseModel]  # whose members are the columns
    fetch: Callable[[ListFilter, Page, int], Awaitable[Slice[T]]]
    doc_of: Callable[[T], Awaitable[Doc]]
    id_of: Callable[[T], str]


async def _begin(query: ExportQuery, exported: ExportedList[T]) -> Response:
    """Answer with the rows of a list, which are read while they are sent."""
    gateway, list_ = query.gateway, exported.list_
    filter_ = await read_filter(gateway, query.scope, list_, query.text)
    before = gateway.clock.now() if filter_.before is None else filter_.before
    filter_ = filter_._replace(before=before)  # what comes later is not of this export
    await gateway.config_cache.note_export(
        list_, query.scope, {"filter": query.text or "", "format": query.format.value}
    )

    async def docs() -> AsyncIterator[list[Doc]]:
        position: str | None = None
        while True:
            page = Page(_ROWS_AT_ONCE, position)
            slice_ = await exported.fetch(filter_, page, _SEARCHED_AT_ONCE)
            yield [await exported.doc_of(row) for row in slice_.rows]
            is_cut = len(slice_.rows) == _ROWS_AT_ONCE
            position = exported.id_of(slice_.rows[-1]) if is_cut else slice_.end
            if position is None:
                return

    columns = [field.alias or name for name, field in exported.shape.model_fields.items()]
    query.request.scope[STREAM] = _written(docs(), columns, query.format)
    name = f"{list_}.{query.format}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(media_type=_MEDIA[query.format], headers=headers)


async def _written(
    pages: AsyncIterator[list[Doc]], columns: list[str], format_: ExportFormat
) -> AsyncGenerator[bytes, None]:
    if format_ is ExportFormat.CSV:
        yield _table([columns])
    async for docs in pages:
        if format_ is ExportFormat.CSV:
            yield _table([[cell(doc.get(column)) for column in columns] for doc in docs])
        else:
            yield b"".join(msgspec.json.encode(doc) + b"\n" for doc in docs)


def _table(rows: list[list[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


def _shown(shape: BaseModel) -> Doc:
    document: Doc = shape.model_dump(mode="json", by_alias=True)
    return document


_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows, one a line.",
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "id,appId\r\nmsg_01k0000000000000000000000a,app_01k\r\n",
            },
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"id": "msg_01k0000000000000000000000a"}\n',
            },
        },
    }
}


@router.get("/message", response_class=Response, responses=_STREAMED)
async def messages(query: ExportQueryOf) -> Response:
    """Export messages with their payloads, newest first."""
    history, gateway = query.gateway.database.history, query.gateway

    async def doc_of(row: Any) -> Doc:
        shown = await message_doc(gateway, row, with_content=True)
        return {**shown, "appId": row.app_id}

    exported = ExportedList(
        FilterList.MESSAGE,
        OverviewMessageOut,
        lambda filter_, page, size: history.filtered_messages(query.scope, filter_, page, size),
        doc_of,
        lambda row: row.id,
    )
    return await _begin(query, exported)


@router.get("/delivery", response_class=Response, responses=_STREAMED)
async def deliveries(query: ExportQueryOf) -> Response:
    """Export deliveries, those of the newest message first."""
    history, gateway = query.gateway.database.history, query.gateway
    exported = ExportedList(
        FilterList.DELIVERY,
        DeliveryOut,
        lambda filter_, page, size: history.filtered_deliveries(query.scope, filter_, page, size),
        lambda row: delivery_doc(gateway, row),
        lambda row: row.delivery.id,
    )
    return await _begin(query, exported)


@router.get("/attempt", response_class=Response, responses=_STREAMED)
async def attempts(query: ExportQueryOf) -> Response:
    """Export attempts by their start: the latest attempt is first."""
    history = query.gateway.database.history

    async def doc_of(row: Any) -> Doc:
        return attempt_doc(row, with_content=True)

    exported = ExportedList(
        FilterList.ATTEMPT,
        AttemptOut,
        lambda filter_, page, size: history.filtered_attempts(query.scope, filter_, page, size),
        doc_of,
        place,
    )
    return await _begin(query, exported)


@router.get("/callback", response_class=Response, responses=_STREAMED)
async def callbacks(query: ExportQueryOf) -> Response:
    """Export callbacks, newest first."""
    history = query.gateway.database.history

    async def doc_of(row: Any) -> Doc:
        return _shown(OverviewCallbackOut.of(row))

    exported = ExportedList(
        FilterList.CALLBACK,
        OverviewCallbackOut,
        lambda filter_, page, size: history.filtered_callbacks(query.scope, filter_, page, size),
        doc_of,
        lambda row: row.id,
    )
    return await _begin(query, exported)


@router.get("/transaction", response_class=Response, responses=_STREAMED)
async def transactions(query: ExportQueryOf) -> Response:
    """Export transactions, newest first."""
    history = query.gateway.database.history

    async def doc_of(row: Any) -> Doc:
        return _shown(OverviewTransactionOut.of(row))

    exported = ExportedList(
        FilterList.TRANSACTION,
        OverviewTransactionOut,
        lambda filter_, page, size: history.filtered_transactions(query.scope, filter_, page, size),
        doc_of,
        lambda row: row.id,
    )
    return await _begin(query, exported)


@router.get("/audit", response_class=Response, responses=_STREAMED)
async def audit(query: ExportQueryOf) -> Response:
    """Export the audit log, newest first."""
    history = query.gateway.database.history

    async def doc_of(row: Any) -> Doc:
        return _shown(AuditOut.of(row))

    exported = ExportedList(
        FilterList.AUDIT,
        AuditOut,
        lambda filter_, page, size: history.filtered_audit(query.scope, filter_, page, size),
        doc_of,
        lambda row: row.id,
    )
    return await _begin(query, exported)


@router.get("/conflict", response_class=Response, responses=_STREAMED)
async def conflicts(query: ExportQueryOf) -> Response:
    """Export conflicts, newest first."""
    history = query.gateway.database.history

    async def doc_of(row: Any) -> Doc:
        return _shown(OverviewConflictOut.of(row))

    exported = ExportedList(
        FilterList.CONFLICT,
        OverviewConflictOut,
        lambda filter_, page, size: history.filtered_conflicts(query.scope, filter_, page, size),
        doc_of,
        lambda row: row.id,
    )
    return await _begin(query, exported)
