"""The event types that the gateway itself knows: name, group, schema and a sample of each.

An application may publish any other type too; these are the ones whose shape is ours,
that profiles can translate, and that selectors always know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tillbell.catalog import money_shapes as money
from tillbell.catalog import other_shapes as other
from tillbell.catalog.fields import DRAFT, Shape, sample_of, schema_of
from tillbell.catalog.tables import FAMILIES, EventTypeRow

_SHAPES: Mapping[str, Shape] = {
    "order": money.ORDER,
    "transaction": money.TRANSACTION,
    "subscription": money.SUBSCRIPTION,
    "product": money.PRODUCT,
    "customer": money.CUSTOMER,
    "shipment": other.SHIPMENT,
    "email": other.EMAIL,
    "analytics": other.ANALYTICS,
    "endpoint": other.ENDPOINT,
    "delivery": other.DELIVERY,
    "message": other.MESSAGE,
    "test": other.TEST,
}
_HAPPENED_AT = "2026-05-01T08:42:18.000000Z"


class CatalogEntry(NamedTuple):
    """One event type. `schema` and `sample` are of the whole payload; do not change them."""

    name: str
    description: str
    group: str
    schema: dict[str, Any]
    sample: dict[str, Any]


def _entry(family: str, row: EventTypeRow) -> CatalogEntry:
    name, shape = f"{family}.{row.name}", _SHAPES[family]
    schema = {
        "$schema": DRAFT,
        "title": name,
        "description": row.description,
        "type": "object",
        "properties": {
            "type": {"const": name},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": schema_of(shape),
        },
        "required": ["type", "timestamp", "data"],
    }
    data = {**sample_of(shape), **row.changes}
    sample = {"type": name, "timestamp": _HAPPENED_AT, "data": data}
    return CatalogEntry(name, row.description, family, schema, sample)


def _entries() -> Iterator[CatalogEntry]:
    for family, rows in FAMILIES.items():
        for row in rows:
            yield _entry(family, row)


CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({e.name: e for e in _entries()})
KNOWN: frozenset[str] = frozenset(CATALOG)
# About the gateway itself: only operational endpoints are ever sent these.
OPERATIONAL: frozenset[str] = frozenset(
    name for name, entry in CATALOG.items() if entry.group in ("endpoint", "delivery", "message")
)
