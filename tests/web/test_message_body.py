"""The body of message creation: what its OpenAPI schema allows is what its decoder accepts."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from tillbell.clock import iso
from tillbell.errors import Invalid, Malformed
from tillbell.testing import ManualClock
from tillbell.web.api.messages import MessageIn
from tillbell.web.edge.publish_route import (
    ApplicationDraft,
    MessageCreateBody,
    decode,
    make_draft,
)

SCHEMA = MessageIn.model_json_schema()
NOW = ManualClock().now()
REMOVED = object()

# Around every bound: one that is accepted, one that is not.
NAMES = (None, "", "a", "a" * 256, "a" * 257, 1, ["a"])
LABELS = ("", "a", "a-b_c.d:e", "a" * 128, "a" * 129, "a b", "ä", 1)
NUMBERS: tuple[Any, ...] = (None, 1, 0, -1, "1", 1.5, 1e308, True, [], 2**31, 2**63, 10**30)
VALUES: dict[str, tuple[Any, ...]] = {
    "eventType": (*NAMES, REMOVED, "a.b/c:d-e_f", "a b", "ä", "a\n"),
    "payload": (REMOVED, None, {}, {"a": 1}, [], "a", 1),
    "eventId": (REMOVED, *NAMES, "ä b"),
    "orderKey": (REMOVED, *NAMES, "ä b"),
    "channels": (None, "a", [], ["a"] * 5, ["a"] * 6, *([label] for label in LABELS)),
    "tags": (None, "a", [], ["a"] * 10, ["a"] * 11, *([label] for label in LABELS)),
    "deliverAt": (None, iso(NOW + 1_000_000), "soon", 1, []),
    "payloadRetentionPeriod": (*NUMBERS, 90, 91),
    "payloadRetentionHours": (*NUMBERS, 2160, 2161),
    "transformationsParams": (
        None,
        {},
        {"rawPayload": "a", "more": 1},
        {"rawPayload": None, "headers": {"content-type": "a/b"}},
        {"rawPayload": 1},
        "a",
        [],
    ),
    "application": (None, {"name": "a"}, {}, {"name": 1}, "a", []),
}
APPLICATION: dict[str, tuple[Any, ...]] = {
    "name": ("a", 1, None),
    "uid": (None, "a", 1),
    "rateLimit": (*NUMBERS, 65_535, 65_536),
    "throttleRate": (*NUMBERS, 65_535, 65_536),
    "metadata": (None, {}, {"a": "b"}, {"a": 1}, []),
    "checkSchemas": (True, False, "true", 1),
    "orderReference": ("orderId", "merchantReference", "metadata.order", 1),
}


def is_accepted(body: dict[str, Any]) -> bool:
    try:
        make_draft(decode(json.dumps(body).encode()), NOW)
    except Invalid:
        return False
    return True


def disagreements(
    values: dict[str, tuple[Any, ...]], body: dict[str, Any], changed: dict[str, Any]
) -> list[str]:
    """Give each member each of its values; list where schema and decoder differ."""
    schema = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)
    differing = []
    for name, tried in values.items():
        for value in tried:
            before = dict(changed)
            changed.pop(name, None)
            if value is not REMOVED:
                changed[name] = value
            if schema.is_valid(body) is not is_accepted(body):
                differing.append(f"{name} = {value!r}: schema says {schema.is_valid(body)}")
            changed.clear()
            changed.update(before)
    return differing


def test_schema_and_decoder_agree_about_every_value() -> None:
    body: dict[str, Any] = {"eventType": "order.paid", "payload": {}}
    assert is_accepted(body)
    assert disagreements(VALUES, body, body) == []


def test_schema_and_decoder_agree_about_the_application() -> None:
    application: dict[str, Any] = {"name": "shop"}
    body = {"eventType": "order.paid", "payload": {}, "application": application}
    assert is_accepted(body)
    assert disagreements(APPLICATION, body, application) == []


@pytest.mark.parametrize(
    ("struct", "schema", "values"),
    [
        (MessageCreateBody, SCHEMA, VALUES),
        (ApplicationDraft, SCHEMA["$defs"]["ApplicationIn"], APPLICATION),
    ],
)
def test_both_have_the_same_members(
    struct: type[msgspec.Struct], schema: dict[str, Any], values: dict[str, Any]
) -> None:
    decoded = set(struct.__struct_fields__)
    assert decoded == set(schema["properties"]) == set(values)


@pytest.mark.parametrize(
    "changed",
    [
        {"eventId": "a\0"},
        {"orderKey": "\0"},
        {"application": {"name": "a\0b"}},
        {"application": {"name": "a", "uid": "\0"}},
        {"application": {"name": "a", "metadata": {"a\0": "b"}}},
        {"application": {"name": "a", "metadata": {"a": "\0b"}}},
        {"channels": ["\0"]},
        {"tags": ["a\0"]},
        {"eventType": "a\0"},
    ],
)
def test_a_nul_is_refused_everywhere_but_in_the_payload(changed: dict[str, Any]) -> None:
    body: dict[str, Any] = {"eventType": "order.paid", "payload": {"a": "\0"}}
    assert is_accepted(body)
    with pytest.raises((Malformed, Invalid)):
        decode(json.dumps(body | changed).encode())
