"""Which columns a table has, and how each of its cells is written and read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.money import is_currency
from tillbell.rules.tables.cells import NULL, cell, json_text, number_cell, text_cell, unmarked

TEXT_MAX = 256
LONG_TEXT_MAX = 4096
TAGS_MAX = 100
_WHOLE_MAX = 1_000_000_000
_WHOLE = re.compile(r"(-?\d{1,10})(?:[.,]0+)?")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
_TRUE = frozenset({"true", "yes", "1", "wahr", "vrai", "verdadero", "verdadeiro", "vero"})
_FALSE = frozenset({"false", "no", "0", "falsch", "faux", "falso"})


class CellKind(StrEnum):
    """What the cells of a column hold."""

    TEXT = "text"
    LONG_TEXT = "long text"
    AMOUNT = "amount"
    CURRENCY = "currency"
    COUNTRY = "country"
    WHOLE = "whole number"
    QUANTITY = "quantity"
    FLAG = "true or false"
    TIME = "time"
    WORD = "word"
    TAGS = "tags"
    JSON = "JSON object"


class Column(NamedTuple):
    """A column. `path` leads to its value in the record's data.

    One that is `read_only` is written by exports and ignored by imports.
    """

    name: str
    path: tuple[str, ...]
    kind: CellKind = CellKind.TEXT
    words: tuple[str, ...] = ()
    is_read_only: bool = False


class CellError(ValueError):
    """A cell breaks a rule; the text says which."""


Data = Mapping[str, Any]


# ── written ──────────────────────────────────────────────────────────────────────────────────────


class CellWriter(NamedTuple):
    """What writes the values of a member as cells: those that are text, and others but None."""

    name: str
    text: Callable[[str], str]
    other: Callable[[Any], str]


def writer_of(column: Column) -> CellWriter:
    """Return what writes the values of a column."""
    return CellWriter(
        name=column.path[-1],
        text=_TEXT_WRITERS.get(column.kind, text_cell),
        other=_tags_cell if column.kind is CellKind.TAGS else cell,
    )


def _plain_cell(text: str) -> str:
    return text if text[:1].isalnum() else text_cell(text)


_TEXT_WRITERS: Mapping[CellKind, Callable[[str], str]] = {
    CellKind.AMOUNT: number_cell,
    CellKind.TIME: _plain_cell,
    CellKind.WORD: _plain_cell,
    CellKind.CURRENCY: _plain_cell,
}


def _tags_cell(tags: Any) -> str:
    """Return labels with commas between them; as JSON where that would not be exact."""
    if not isinstance(tags, list):
        return cell(tags)
    texts = [tag for tag in tags if isinstance(tag, str)]
    joined = ", ".join(texts)
    is_exact = len(texts) == len(tags) > 0 and _split_tags(joined) == texts
    if not is_exact or joined.startswith("["):
        return json_text(tags)
    return text_cell(joined)


def _split_tags(text: str) -> list[str]:
    return [tag for tag in (part.strip() for part in text.split(",")) if tag]


# ── read ─────────────────────────────────────────────────────────────────────────────────────────


def read(column: Column, cell_text: str, *, has_decimal_comma: bool = False) -> Any:
    """Return the value of a cell that is not empty; None: it is null. `CellError` if it is wrong.

    Amounts are texts that are not yet exact in their currency.
    """
    if cell_text == NULL:
        return None
    text = unmarked(cell_text)
    if column.kind is CellKind.LONG_TEXT and len(text) <= LONG_TEXT_MAX:
        return text
    stripped = text if column.kind in (CellKind.TEXT, CellKind.LONG_TEXT) else text.strip()
    if has_decimal_comma and column.kind is CellKind.AMOUNT:
        stripped = stripped.replace(",", ".") if _DECIMAL_COMMA.fullmatch(stripped) else stripped
    return _READERS[column.kind](column, stripped)


def _text(column: Column, text: str) -> str:
    most = LONG_TEXT_MAX if column.kind is CellKind.LONG_TEXT else TEXT_MAX
    if not 0 < len(text) <= most:
        raise CellError(f"must have 1 to {most} characters")
    return text


def _amount(_: Column, text: str) -> str:
    if not text or len(text) > 50:
        raise CellError("must be an amount such as 149.99")
    return text


def _currency(_: Column, text: str) -> str:
    if not is_currency(text):
        raise CellError("is not a known currency code")
    return text


def _country(_: Column, text: str) -> str:
    if len(text) != len("RS"):
        raise CellError("must be a country code of two letters")
    return text


def _whole(_: Column, text: str) -> int:
    match = _WHOLE.fullmatch(text)
    if match is None or not -_WHOLE_MAX <= int(match[1]) <= _WHOLE_MAX:
        raise CellError("must be a whole number")
    return int(match[1])


def _quantity(column: Column, text: str) -> int:
    number = _whole(column, text)
    if number < 1:
        raise CellError("must be at least 1")
    return number


def _flag(_: Column, text: str) -> bool:
    folded = text.lower()
    if folded not in _TRUE | _FALSE:
        raise CellError("must be true or false")
    return folded in _TRUE


def _time(_: Column, text: str) -> str:
    problem = CellError("must be a time such as 2026-11-30T10:00:00Z")
    if text[:4].isdecimal() is False or "-" not in text:
        raise problem
    try:
        at = datetime.fromisoformat(text)
        aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        is_within = datetime(1970, 1, 1, tzinfo=UTC) <= aware
    except (ValueError, OverflowError):
        raise problem from None
    if not is_within:
        raise problem
    return text if at.tzinfo is not None else aware.isoformat().replace("+00:00", "Z")


def _word(column: Column, text: str) -> str:
    if text not in column.words:
        raise CellError(f"must be one of {', '.join(column.words)}")
    return text


def _tags(_: Column, text: str) -> list[str]:
    tags: Any = _json(text, list, "a list of labels") if text[:1] == "[" else _split_tags(text)
    if not all(isinstance(tag, str) and 0 < len(tag) <= TEXT_MAX for tag in tags):
        raise CellError(f"must be labels of 1 to {TEXT_MAX} characters")
    if len(tags) > TAGS_MAX:
        raise CellError(f"must be at most {TAGS_MAX} labels")
    return list(tags)


def _object(_: Column, text: str) -> dict[str, Any]:
    members: dict[str, Any] = _json(text, dict, "a JSON object")
    return members


def _json(text: str, kind: type, name: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise CellError(f"must be {name}")
    return value


def _no_number(text: str) -> None:
    raise ValueError(text)


_READERS: Mapping[CellKind, Callable[[Column, str], Any]] = {
    CellKind.TEXT: _text,
    CellKind.LONG_TEXT: _text,
    CellKind.AMOUNT: _amount,
    CellKind.CURRENCY: _currency,
    CellKind.COUNTRY: _country,
    CellKind.WHOLE: _whole,
    CellKind.QUANTITY: _quantity,
    CellKind.FLAG: _flag,
    CellKind.TIME: _time,
    CellKind.WORD: _word,
    CellKind.TAGS: _tags,
    CellKind.JSON: _object,
}
