"""Whether a payload has what a filter asks for at a path.

A path begins at the payload itself, or at its member `data`. A list on the way stands for each of
its items. Numbers are compared exactly, whatever their notation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tillbell.rules.exact_json import decoded_exactly, number_of
from tillbell.rules.filters.clauses import AtPath, Clause

_PLAIN = re.compile(r"[^\"\\/\x00-\x1f]+")
_WORDS = {"true": True, "false": False, "null": None}


def matches_payload(payload: bytes | None, clauses: tuple[Clause, ...]) -> bool:
    """Tell whether a payload fits all clauses; without a payload only negated ones do."""
    document = decoded_exactly(payload) if payload is not None else None
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
    if is_text and _PLAIN.fullmatch(match.text) and number_of(match.text) is None:
        return match.text.encode()
    names = [name for name in match.path if not name.isdecimal() and _PLAIN.fullmatch(name)]
    return names[-1].encode() if names else b"{"


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
    number, other = number_of(value), number_of(match.text)
    return number is not None and other is not None and _is_true(number, match.comparison, other)


def _is_true(number: Decimal, comparison: str, other: Decimal) -> bool:
    return {
        "": number == other,
        ">=": number >= other,
        ">": number > other,
        "<=": number <= other,
        "<": number < other,
    }[comparison]
