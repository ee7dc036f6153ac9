"""The pieces that samples and schemas are made of.

A shape is a table of fields. Each field carries its JSON Schema and its sample value, so
that the two cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

DRAFT = "https://json-schema.org/draft/2020-12/schema"


class Field(NamedTuple):
    """One member of a shape."""

    schema: dict[str, Any]
    sample: Any
    is_required: bool = False


Shape = Mapping[str, Field]


def required(field: Field) -> Field:
    """Make a field one that must be there and may not be null."""
    return field._replace(is_required=True)


def text(about: str, sample: str | None) -> Field:
    """Free text."""
    return Field({"type": "string", "description": about}, sample)


def moment(about: str, sample: str | None) -> Field:
    """An instant, RFC 3339."""
    return Field({"type": "string", "format": "date-time", "description": about}, sample)


def amount(about: str, sample: str | None) -> Field:
    """Decimal text with the digits of its currency, never a number (money.py)."""
    pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
    return Field({"type": "string", "pattern": pattern, "description": about}, sample)


def currency(sample: str | None) -> Field:
    """A currency code."""
    about = "ISO 4217 code, or a coin's ticker"
    return Field({"type": "string", "pattern": "^[A-Z0-9]{2,12}$", "description": about}, sample)


def whole(about: str, sample: int | None, least: int = 0) -> Field:
    """An integer."""
    return Field({"type": "integer", "minimum": least, "description": about}, sample)


def number(about: str, sample: float | None) -> Field:
    """A number that is not money."""
    return Field({"type": "number", "description": about}, sample)


def boolean(about: str, sample: bool) -> Field:  # noqa: FBT001 - a sample value, not a switch
    """A boolean."""
    return Field({"type": "boolean", "description": about}, sample)


def one_of(about: str, words: tuple[str, ...], sample: str | None) -> Field:
    """One of a closed list of words."""
    return Field({"type": "string", "enum": list(words), "description": about}, sample)


def part(about: str, shape: Shape) -> Field:
    """A nested object."""
    return Field({**schema_of(shape), "description": about}, sample_of(shape))


def many(about: str, shape: Shape) -> Field:
    """A list of objects."""
    schema = {"type": "array", "items": schema_of(shape), "description": about}
    return Field(schema, [sample_of(shape)])


def texts(about: str, sample: list[str]) -> Field:
    """A list of texts."""
    return Field({"type": "array", "items": {"type": "string"}, "description": about}, sample)


def open_object(about: str, sample: dict[str, Any] | None) -> Field:
    """An object whose members are not ours to name."""
    return Field({"type": "object", "description": about}, sample)


def schema_of(shape: Shape) -> dict[str, Any]:
    """Write the JSON Schema of a shape. Members it does not name are allowed."""
    properties = {name: _nullable(field) for name, field in shape.items()}
    needed = [name for name, field in shape.items() if field.is_required]
    return {"type": "object", "properties": properties, "required": needed}


def sample_of(shape: Shape) -> dict[str, Any]:
    """Write the sample of a shape."""
    return {name: field.sample for name, field in shape.items()}


def _nullable(field: Field) -> dict[str, Any]:
    """Return the schema of a field. An optional member may be null too."""
    if field.is_required:
        return field.schema
    schema = {**field.schema, "type": [field.schema["type"], "null"]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return schema
