"""The tables of the shop's records: which columns each kind has, and its rows.

A record is one row; an order has one row for each of its lines, which follow each other and repeat
the order's own cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from tillbell.catalog.money_shapes import SUBSCRIPTION_STATES
from tillbell.clock import iso
from tillbell.model.shipments import Shipment
from tillbell.model.shop import Customer, Order, Product, ShopDocument, ShopRecord, Subscription
from tillbell.rules.orders import PAYMENT_STATES, STATES
from tillbell.rules.tables.cells import NULL, text_cell
from tillbell.rules.tables.columns import CellKind, CellWriter, Column, writer_of

UID = "uid"
LINES = "items"
LINE = "line"
SKU = "sku"


class RecordTable(NamedTuple):
    """The table of a kind. `own`: what all rows of a record repeat; `line`: of its lines."""

    kind: type[ShopRecord]
    own: tuple[Column, ...]
    line: tuple[Column, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in their order."""
        return (*_front(self), *self.line, *(c for c in self.own if c.is_read_only))


def _front(table: RecordTable) -> Iterator[Column]:
    yield _UID
    yield from (column for column in table.own if not column.is_read_only)
    if table.line:
        yield _LINE


def _column(name: str, kind: CellKind = CellKind.TEXT, words: Sequence[str] = ()) -> Column:
    return Column(name, tuple(name.split(".")), kind, tuple(words))


def _read_only(name: str, kind: CellKind = CellKind.TEXT) -> Column:
    return Column(name, (name,), kind, is_read_only=True)


_UID = _column(UID)
_LINE = _column(LINE, CellKind.WHOLE)
_METADATA = _column("metadata", CellKind.JSON)
_CREATED = _column("createdAt", CellKind.TIME)
_READ_ONLY = (
    _read_only("id"),
    _read_only("sourceId"),
    _read_only("version", CellKind.WHOLE),
    _read_only("updatedAt", CellKind.TIME),
)


def _buyer(name: str) -> tuple[Column, ...]:
    return tuple(_column(f"{name}.{member}") for member in ("id", "name", "email", "phoneNumber"))


def _address(name: str) -> tuple[Column, ...]:
    members = ("line1", "line2", "city", "postalCode", "region")
    texts = tuple(_column(f"{name}.{member}") for member in members)
    return (*texts, _column(f"{name}.country", CellKind.COUNTRY))


ORDERS = RecordTable(
    Order,
    (
        _column("number"),
        _column("status", CellKind.WORD, STATES),
        _column("paymentStatus", CellKind.WORD, PAYMENT_STATES),
        _column("amount", CellKind.AMOUNT),
        _column("currency", CellKind.CURRENCY),
        _column("gateway"),
        _column("reference"),
        _CREATED,
        _column("paidAt", CellKind.TIME),
        _column("cancelledAt", CellKind.TIME),
        _column("cancelReason"),
        _column("refundedAt", CellKind.TIME),
        _column("refundedAmount", CellKind.AMOUNT),
        _column("affiliateId"),
        *_buyer("customer"),
        *_address("shippingAddress"),
        _METADATA,
        _read_only("paidAmount", CellKind.AMOUNT),
        *_READ_ONLY,
    ),
    (
        Column("line.productId", ("productId",)),
        Column("line.productName", ("productName",)),
        Column("line.quantity", ("quantity",), CellKind.QUANTITY),
        Column("line.unitPrice", ("unitPrice",), CellKind.AMOUNT),
        Column("line.totalPrice", ("totalPrice",), CellKind.AMOUNT),
        Column("line.currency", ("currency",), CellKind.CURRENCY),
        Column("line.isBumpProduct", ("isBumpProduct",), CellKind.FLAG),
    ),
)
PRODUCTS = RecordTable(
    Product,
    (
        _column("name"),
        _column(SKU),
        _column("stock", CellKind.WHOLE),
        _column("price", CellKind.AMOUNT),
        _column("currency", CellKind.CURRENCY),
        _column("description", CellKind.LONG_TEXT),
        _column("imageUrl"),
        _CREATED,
        _METADATA,
        *_READ_ONLY,
    ),
)
CUSTOMERS = RecordTable(
    Customer,
    (
        _column("name"),
        _column("email"),
        _column("phoneNumber"),
        _CREATED,
        _column("consent.isGiven", CellKind.FLAG),
        _column("consent.source"),
        _column("consent.at", CellKind.TIME),
        _column("tags", CellKind.TAGS),
        *_address("address"),
        _METADATA,
        _read_only("orderCount", CellKind.WHOLE),
        _read_only("firstOrderAt", CellKind.TIME),
        _read_only("lastOrderAt", CellKind.TIME),
        _read_only("paidAmounts", CellKind.TAGS),
        *_READ_ONLY,
    ),
)
SUBSCRIPTIONS = RecordTable(
    Subscription,
    (
        _column("status", CellKind.WORD, SUBSCRIPTION_STATES),
        _column("plan"),
        _column("amount", CellKind.AMOUNT),
        _column("currency", CellKind.CURRENCY),
        _column("interval", CellKind.WORD, ("day", "week", "month", "year")),
        _column("intervalCount", CellKind.QUANTITY),
        *(
            _column(name, CellKind.TIME)
            for name in (
                "currentPeriodStart",
                "currentPeriodEnd",
                "trialEnd",
                "cancelledAt",
                "effectiveAt",
            )
        ),
        _column("reason"),
        _column("orderId"),
        _column("transactionId"),
        *_buyer("customer"),
        _CREATED,
        _METADATA,
        *_READ_ONLY,
    ),
)
SHIPMENTS = RecordTable(
    Shipment,
    (
        _column("carrier"),
        _column("trackingNumber"),
        _column("status"),
        _column("substate"),
        _column("rawStatus"),
        _column("orderId"),
        _column("trackingUrl"),
        _column("occurredAt", CellKind.TIME),
        _column("estimatedDeliveryAt", CellKind.TIME),
        _column("deliveredAt", CellKind.TIME),
        _METADATA,
        _read_only("createdAt", CellKind.TIME),
        *_READ_ONLY,
    ),
)
TABLES: Mapping[str, RecordTable] = {
    "orders": ORDERS,
    "products": PRODUCTS,
    "customers": CUSTOMERS,
    "subscriptions": SUBSCRIPTIONS,
    "shipments": SHIPMENTS,
}


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────


def document_of(record: ShopRecord) -> dict[str, Any]:
    """Return a record as callers see it, with plain JSON values."""
    own = {
        "id": record.id,
        "uid": record.uid,
        "version": record.version,
        "updatedAt": iso(record.updated_at),
    }
    if isinstance(record, ShopDocument):
        data = {"createdAt": iso(record.created_at), **record.data}
        return data | own | {"sourceId": record.source_id or None}
    assert isinstance(record, Shipment), "there is no other kind"
    return _shipment(record) | own


def _shipment(record: Shipment) -> dict[str, Any]:
    times = {
        "occurredAt": record.news_at,
        "estimatedDeliveryAt": record.estimated_delivery_at,
        "deliveredAt": record.delivered_at,
        "createdAt": record.created_at,
    }
    return {
        "carrier": record.carrier,
        "trackingNumber": record.tracking_number,
        "status": record.status,
        "substate": record.substate,
        "rawStatus": record.raw_status,
        "orderId": record.reference,
        "trackingUrl": record.tracking_url,
        "sourceId": record.source_id or None,
        "metadata": record.metadata,
        **{name: None if at is None else iso(at) for name, at in times.items()},
    }


def rows_of(
    table: RecordTable, record: ShopRecord, more: dict[str, Any] | None = None
) -> list[list[str]]:
    """Return the rows of a record: one, or one for each line of an order.

    `more`: members that others know of it.
    """
    writers = _WRITERS[table.kind]
    document = document_of(record) | (more or {})
    front = [text_cell(record.uid or record.id), *_cells(writers.own, document)]
    last = _cells(writers.read_only, document)
    if not table.line:
        return [front + last]
    lines = document.get(LINES)
    if not isinstance(lines, list) or not lines:
        mark = "0" if lines == [] else ""
        return [[*front, mark, *[""] * len(table.line), *last]]
    return [
        [*front, str(number), *line_cells(table, line), *last]
        for number, line in enumerate(lines, start=1)
    ]


def line_cells(table: RecordTable, line: Any) -> list[str]:
    """Return the cells of an order's line."""
    return _members_cells(line if isinstance(line, dict) else {}, _WRITERS[table.kind].line)


def _members_cells(members: Mapping[str, Any], writers: _Members) -> list[str]:
    """Return the cells of an object in a record: null is not the same as none."""
    get = members.get
    return [
        ("" if name not in members else NULL)
        if (value := get(name)) is None
        else (text(value) if isinstance(value, str) else other(value))
        for name, text, other in writers
    ]


_Members = tuple[CellWriter, ...]


class _Part(NamedTuple):
    """Columns beside each other whose values are members of one object; "": of the record."""

    parent: str
    members: _Members


class _Writers(NamedTuple):
    own: tuple[_Part, ...]
    line: _Members
    read_only: tuple[_Part, ...]


def _cells(parts: tuple[_Part, ...], document: Mapping[str, Any]) -> list[str]:
    cells: list[str] = []
    for parent, members in parts:
        values = document.get(parent) if parent else document
        if not isinstance(values, dict):
            cells += [""] * len(members)
            continue
        if parent:
            cells += _members_cells(values, members)
            continue
        get = values.get
        cells += [
            ""
            if (value := get(name)) is None
            else (text(value) if isinstance(value, str) else other(value))
            for name, text, other in members
        ]
    return cells


def _parts(columns: Iterable[Column]) -> tuple[_Part, ...]:
    by_parent = groupby(columns, key=lambda column: ".".join(column.path[:-1]))
    return tuple(
        _Part(parent, tuple(writer_of(column) for column in group)) for parent, group in by_parent
    )


_WRITERS = {
    table.kind: _Writers(
        _parts(column for column in table.own if not column.is_read_only),
        tuple(writer_of(column) for column in table.line),
        _parts(column for column in table.own if column.is_read_only),
    )
    for table in TABLES.values()
}
