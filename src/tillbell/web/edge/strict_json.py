"""JSON as we accept it: stricter than most parsers, so that any two parsers read it alike.

Refused, each with its own error: text that is not UTF-8 or not JSON, NaN and Infinity, the same
member name twice in one object, nesting deeper than 64, an unpaired surrogate, a NUL character.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from tillbell.errors import Invalid, Malformed, Problem
from tillbell.rules.delivery.payload import DEPTH_MAX, too_deep

_DIGITS_MAX = 308


def check_json(body: bytes) -> Any:
    """Return a body, decoded.

    `Malformed` unless it is JSON, `Invalid` if parsers read it differently.
    """
    if too_deep(body):
        raise Malformed(f"The body nests deeper than {DEPTH_MAX} levels.", code="too_deep")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError as error:
        raise Malformed("The body is not UTF-8.", code="not_utf8") from error
    except ValueError as error:  # includes numbers of thousands of digits
        raise not_json(body, error) from error
    if b"\\u" in body:
        _check_characters(value)
    return value


def not_json(body: bytes, error: Exception) -> Malformed:
    """Return the error for a body that is not JSON."""
    if not body.strip():
        return Malformed("The body is empty: send a JSON object.")
    if body.lstrip()[:1] in b"{[":
        return Malformed(f"The body is not JSON: {error}")
    return Malformed(
        f"The body is not JSON: {error}. Send a JSON object, with"
        " `Content-Type: application/json`; forms are not read."
    )


def check_near_json(body: bytes) -> None:
    """Raise an error that says why, if a body is JSON but for NaN, Infinity or half a character."""
    with contextlib.suppress(ValueError, RecursionError):
        _check_surrogates(json.loads(body, parse_constant=_constant))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        text = f"the member {twice[:64]!a} is there twice"
        raise Invalid(Problem(("body", _plain(twice)), text, "duplicate_member"))
    return members


def _constant(name: str) -> NoReturn:
    raise Invalid(Problem(("body",), f"{name} is not a JSON number", "not_a_number"))


def _float(text: str) -> float:
    """Read a number. `Invalid` if it is too large: it would be written as null."""
    value = float(text)
    if not math.isfinite(value):
        raise _too_large(text)
    return value


def _int(text: str) -> int:
    """Read an integer. `Invalid` above the range of floating point, which most parsers have."""
    if len(text) > _DIGITS_MAX:
        raise _too_large(text)
    return int(text)


def _too_large(text: str) -> Invalid:
    message = f"the number {text[:32]} is too large; send it as text"
    return Invalid(Problem(("body",), message, "number_too_large"))


def _plain(name: str) -> str:
    return name[:64].encode("utf-8", "replace").decode()


def _check_characters(value: Any) -> None:
    if any("\0" in text for text in _texts(value)):
        raise Malformed("The body has a NUL character (\\u0000).", code="nul_character")
    _check_surrogates(value)


def _check_surrogates(value: Any) -> None:
    for text in _texts(value):
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
