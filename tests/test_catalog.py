"""The catalogue says of each event type what it is, and shows one that is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tests.cases import each
from tillbell.catalog import CATALOG, KNOWN, OPERATIONAL, CatalogEntry
from tillbell.money import exponent, is_currency
from tillbell.rules.delivery.selectors import check_event_type

entries = each("entry", CATALOG.values(), ids=lambda entry: entry.name)
AMOUNTS = {"amount", "price", "unitPrice", "totalPrice", "refundedAmount", "settlementAmount"}


@each(
    "name",
    [
        "order.partially_refunded",
        "order.disputed",
        "subscription.trial.started",
        "transaction.on_hold",
        "shipment.exception",
        "email.complained",
        "product.stock",
        "customer.deleted",
        "endpoint.paused",
        "delivery.failed",
        "test.ping",
    ],
)
def test_the_promised_types_are_there(name: str) -> None:
    assert name in KNOWN


@entries
def test_a_sample_is_valid_by_its_schema(entry: CatalogEntry) -> None:
    validator = jsonschema_rs.Draft202012Validator(entry.schema, validate_formats=True)

    assert [error.message for error in validator.iter_errors(entry.sample)] == []


@entries
def test_a_schema_refuses_another_types_sample(entry: CatalogEntry) -> None:
    wrong = {**entry.sample, "type": "something.else"}

    assert not jsonschema_rs.is_valid(entry.schema, wrong)


@entries
def test_an_entry_is_complete(entry: CatalogEntry) -> None:
    assert entry.group == entry.name.split(".")[0]
    assert entry.description.endswith(".")
    assert list(entry.sample) == ["type", "timestamp", "data"]
    assert check_event_type(entry.name) is None


@entries
def test_amounts_are_decimal_text_with_the_digits_of_their_currency(entry: CatalogEntry) -> None:
    for part in _objects(entry.sample):
        digits = exponent(part["currency"]) if is_currency(part.get("currency") or "") else None
        for name in AMOUNTS & part.keys() - {"settlementAmount"}:
            if part[name] is not None:
                assert digits is not None
                assert re.fullmatch(rf"\d+\.\d{{{digits}}}", part[name])


@pytest.mark.parametrize("family", ["order", "transaction"])
def test_what_is_optional_may_be_missing_or_null(family: str) -> None:
    entry = next(entry for entry in CATALOG.values() if entry.group == family)
    schema, data = entry.schema, entry.sample["data"]
    needed = schema["properties"]["data"]["required"]
    bare = {name: data[name] for name in needed}
    nulls = {name: bare.get(name) for name in data}

    assert jsonschema_rs.is_valid(schema, {**entry.sample, "data": bare})
    assert jsonschema_rs.is_valid(schema, {**entry.sample, "data": nulls})
    assert not jsonschema_rs.is_valid(schema, {**entry.sample, "data": {}})


def test_a_number_for_an_amount_is_refused() -> None:
    entry = CATALOG["order.paid"]
    data = {**entry.sample["data"], "amount": 149.99}

    assert not jsonschema_rs.is_valid(entry.schema, {**entry.sample, "data": data})


def test_only_messages_about_the_gateway_are_operational() -> None:
    assert {name.split(".")[0] for name in OPERATIONAL} == {"endpoint", "delivery", "message"}


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from _objects(member)
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
