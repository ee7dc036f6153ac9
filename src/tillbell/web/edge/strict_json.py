"""JSON as we accept it: stricter than most parsers, so that any two parsers read it alike.

Refused, each with its own error: text that is not UTF-8 or not JSON, NaN and Infinity, the same
member name twice in one object, nesting deeper than 64, an unpaired surrogate, a NUL character.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from tillbell.errors import Malformed
from tillbell.rules.delivery.payload import DEPTH_MAX, too_deep


def check_json(body: bytes) -> Any:
    """Return a body, decoded. `Malformed` unless it is JSON that every parser reads alike."""
    if too_deep(body):
        raise Malformed(f"The body nests deeper than {DEPTH_MAX} levels.", code="too_deep")
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant
        )
    except UnicodeDecodeError as error:
        raise Malformed("The body is not UTF-8.", code="not_utf8") from error
    except ValueError as error:  # includes numbers of thousands of digits
        raise Malformed(f"The body is not JSON: {error}") from error
    if b"\\u" in body:
        _check_characters(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"The body has the member {twice[:64]!a} twice.", code="duplicate_member")
    return members


def _constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not a JSON number.", code="not_a_number")


def _check_characters(value: Any) -> None:
    for text in _texts(value):
        if "\0" in text:
            raise Malformed("The body has a NUL character (\\u0000).", code="nul_character")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise Malformed(
                "The body has an unpaired surrogate (\\ud800–\\udfff).", code="lone_surrogate"
            )


def _texts(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending += item.keys()
            pending += item.values()
        elif isinstance(item, list):
            pending += item
