"""Whether a payload has what a filter asks for at a path.

A path begins at the payload itself, or at its member `data`. A list on the way stands for each of
its items. Numbers are compared exactly, whatever their notation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tillbell.rules.filters.clauses import AtPath, Clause

_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_PLAIN = re.compile(r"[^\"\\/\x00-\x1f]+")
_WORDS = {"true": True, "false": False, "null": None}
_WHOLE_MAX = 40  # digits of a number in a payload that is compared


def matches_payload(payload: bytes | None, clauses: tuple[Clause, ...]) -> bool:
    """Tell whether a payload fits all clauses; without a payload only negated ones do."""
    document = _decoded(payload)
    return all(_fits(document, clause) for clause in clauses)


def needles(clauses: tuple[Clause, ...]) -> list[tuple[bytes, ...]]:
    r"""Return for each clause texts of which a payload must hold one, if it has no backslash.

    What JSON writes without a backslash stands in it as it is. So a database can pass over nearly
    all payloads without decoding them.
    """
    return [
        tuple(
            dict.fromkeys(_needle(match) for match in clause.matches if isinstance(match, AtPath))
        )
        for clause in clauses
        if not clause.is_negated
    ]


def _needle(match: AtPath) -> bytes:
    is_text = not match.comparison and match.text not in _WORDS
    if is_text and _PLAIN.fullmatch(match.text) and not _NUMBER.fullmatch(match.text):
        return match.text.encode()
    names = [name for name in match.path if not name.isdecimal() and _PLAIN.fullmatch(name)]
    return names[-1].encode() if names else b"{"


def _decoded(payload: bytes | None) -> Any:
    if payload is None:
        return None
    try:
        return json.loads(payload, parse_float=Decimal, parse_int=_whole)
    except (ValueError, RecursionError):
        return None


def _whole(text: str) -> Any:
    return Decimal(text) if len(text) <= _WHOLE_MAX else text


def _fits(document: Any, clause: Clause) -> bool:
    has_match = any(
        _compares(value, match)
        for match in clause.matches
        if isinstance(match, AtPath)
        for value in _at(document, match.path)
    )
    return has_match is not clause.is_negated


def _at(document: Any, path: tuple[str, ...]) -> Iterator[Any]:
    yield from _below(document, path)
    if isinstance(document, dict) and isinstance(document.get("data"), dict):
        yield from _below(document["data"], path)


def _below(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        if path and path[0].isdecimal() and len(path[0]) < 6:
            yield from _below_item(value, path)
        for item in value:
            yield from _below(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _below(value[path[0]], path[1:])


def _below_item(items: list[Any], path: tuple[str, ...]) -> Iterator[Any]:
    number = int(path[0])
    if number < len(items):
        yield from _below(items[number], path[1:])


def _compares(value: Any, match: AtPath) -> bool:
    if match.is_prefix:
        return isinstance(value, str) and value.startswith(match.text)
    if not match.comparison and (value == match.text and isinstance(value, str)):
        return True
    if match.text in _WORDS and not match.comparison:
        return value is _WORDS[match.text]
    number = _as_number(value)
    if number is None or not _NUMBER.fullmatch(match.text):
        return False
    return _is_true(number, match.comparison, Decimal(match.text))


def _as_number(value: Any) -> Decimal | None:
    """Return a number of the payload, or the number that a text holds, as amounts are written."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    return value if isinstance(value, Decimal) and value.is_finite() else None


def _is_true(number: Decimal, comparison: str, other: Decimal) -> bool:
    return {
        "": number == other,
        ">=": number >= other,
        ">": number > other,
        "<=": number <= other,
        "<": number < other,
    }[comparison]
