"""What a schema costs is known before it is used."""

from __future__ import annotations

from typing import Any

import pytest

from tillbell.deliver.schemas import SCHEMA_BYTES_MAX, compile_schema
from tillbell.rules.delivery.schema_work import REFERENCES_MAX, SUBSCHEMAS_MAX, SchemaTooLarge


def doubling(levels: int, keyword: str = "allOf") -> dict[str, Any]:
    """Each definition takes the one before it twice."""
    definitions = {"t0": {"type": "object"}} | {
        f"t{n}": {keyword: [{"$ref": f"#/$defs/t{n - 1}"}] * 2} for n in range(1, levels)
    }
    return {"$defs": definitions, "$ref": f"#/$defs/t{levels - 1}"}


def nested(levels: int, name: str = "a") -> bytes:
    return b'{"%s":' % name.encode() * levels + b"1" + b"}" * levels


def is_checked(schema: Any, payload: bytes) -> bool:
    return "schema_work" not in [
        problem.type for problem in compile_schema(schema).problems(payload)
    ]


BY_ID = {
    f"t{n}": {"$id": f"t{n}", "oneOf": [{"$ref": f"t{n - 1}"}, {"not": {"$ref": f"t{n - 1}"}}]}
    for n in range(1, 30)
}
TOO_LARGE = {
    "all of each other": doubling(30),
    "any of each other": doubling(30, "anyOf"),
    "by their ids": {"$id": "https://a/", "$defs": {"t0": {"$id": "t0"}, **BY_ID}, "$ref": "t29"},
    "in places that are no definitions": {
        "x": {f"t{n}": {"allOf": [{"$ref": f"#/x/t{n - 1}"}] * 2} for n in range(1, 30)}
        | {"t0": True},
        "$ref": "#/x/t29",
    },
    "a circle": {"anyOf": [{"$ref": "#"}, {"type": "string"}]},
    "elsewhere": {"$ref": "https://example.com/schema"},
    "nowhere": {"$ref": "#/$defs/missing"},
    "many parts": {"properties": {f"p{n}": {} for n in range(SUBSCHEMAS_MAX)}},
    "many references": {
        "properties": {f"p{n}": {"$ref": "#"} for n in range(REFERENCES_MAX + 1)},
    },
    "many bytes": {"description": "x" * SCHEMA_BYTES_MAX},
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_can_never_be_used_is_refused(name: str) -> None:
    with pytest.raises(SchemaTooLarge):
        compile_schema(TOO_LARGE[name])


TWICE_AT_EACH_LEVEL = {"allOf": [{"properties": {"a": {"$ref": "#"}}}] * 2}
TREE = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "v": {"type": "integer"}}}
UNION = {
    "$ref": "#/$defs/any",
    "$defs": {
        "any": {"oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in "xyz"]},
        **{
            kind: {"properties": {"kind": {"const": kind}, "a": {"$ref": "#/$defs/any"}}}
            for kind in "xyz"
        },
    },
}


@pytest.mark.parametrize(
    ("schema", "payload", "expected"),
    [
        (TWICE_AT_EACH_LEVEL, nested(5), True),
        (TWICE_AT_EACH_LEVEL, nested(40), False),
        (TREE, nested(60, "left"), True),
        (UNION, nested(4), True),
        (UNION, nested(30), False),
        (
            {"patternProperties": {f"a{{{n}}}": {"$ref": "#"} for n in range(1, 6)}},
            nested(3),
            True,
        ),
        (
            {"patternProperties": {f"^a{{{n},}}": {"$ref": "#"} for n in range(1, 6)}},
            nested(20, "aaaaaa"),
            False,
        ),
        (
            {"properties": {"a": {"items": {"type": "integer"}}}},
            b'{"a":[%s1]}' % (b"1," * 9_999),
            True,
        ),
        (
            {"properties": {"a": {"items": {"allOf": [{"type": "integer"}] * 99}}}},
            b'{"a":[%s1]}' % (b"1," * 9_999),
            False,
        ),
    ],
)
def test_a_check_that_would_take_long_is_not_begun(
    schema: dict[str, Any], payload: bytes, expected: bool
) -> None:
    assert is_checked(schema, payload) is expected


def test_usual_schemas_are_used_whatever_they_refer_to() -> None:
    referring: tuple[dict[str, Any], ...] = (
        {
            "$defs": {"x": {"$anchor": "me", "type": "integer"}},
            "properties": {"a": {"$ref": "#me"}},
        },
        {
            "$id": "https://shop.example/order",
            "$defs": {"x": {"$id": "item", "type": "integer"}},
            "properties": {"a": {"$ref": "https://shop.example/item"}},
        },
        {"x-parts": {"a/b": {"type": "integer"}}, "properties": {"a": {"$ref": "#/x-parts/a~1b"}}},
        {"properties": {"a": {"items": {"$dynamicRef": "#n"}}}, "$dynamicAnchor": "n"},
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
    )
    for schema in referring:
        assert is_checked(schema, b'{"a": "text"}')
    assert compile_schema(referring[0]).problems(b'{"a": "text"}')
    assert not compile_schema(True).problems(b"{}")
