"""Cells of CSV: written so that no spreadsheet runs or changes them, and read again exactly.

A cell with an apostrophe in front is text, without the apostrophe. One is written before what a
spreadsheet would take for a formula, a number, a date or a truth value, and before an apostrophe. A
cell that is empty is a value that is not there; an apostrophe alone is an empty text; `null` is
null.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

TEXT_MARK = "'"
NULL = "null"
_FORMULA = frozenset("=+-@\t\r\n|%＝＋－＠")
_EXACT = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_EXACT_DIGITS = 15  # that a spreadsheet keeps of a number
_NUMERIC = re.compile(r"[\d\s.,:/%$€£()eE+-]+")
_DIGIT = re.compile(r"\d")
_DATE_MAX = 40  # characters of the longest date
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"(?:\d{{1,4}}[\s./-]*)?(?:{_MONTHS})[a-z]*[\s./-]*(?:\d{{1,4}})?(?:[\s,./-]+\d{{1,4}})?",
    re.IGNORECASE,
)
_MONTH_STARTS = frozenset(_MONTHS.split("|"))
_WORDS = frozenset({"true", "false", NULL})
# Begins with a letter, and not like an exponent, a month, a truth value or null. Most texts do; the
# rest is looked at more closely.
_PLAIN = re.compile(
    r"(?:[bcghiklpqruvwxyzBCGHIKLPQRUVWXYZ]|[oO](?![cC])|[sSdD](?![eE])|[aA](?![pPuU])"
    r"|[mM](?![aA])|[fF](?![aAeE])|[jJ](?![aAuU])|[nN](?![oOuU])|[tT](?![rR]))(?:.*\S)?",
    re.DOTALL,
)


def text_cell(text: str) -> str:
    """Return a text as a cell, for columns of names, ids and other texts.

    >>> [text_cell(text) for text in ("Ada", "=1+1", "007", "1001", "1-2", "SEP-1", "'a", "")]
    ['Ada', "'=1+1", "'007", '1001', "'1-2", "'SEP-1", "''a", "'"]
    """
    return text if _PLAIN.fullmatch(text) is not None else _marked_if_changed(text)


@lru_cache(maxsize=4_096)  # products and customers come again and again
def _marked_if_changed(text: str) -> str:
    return f"'{text}" if not text or _is_changed(text) else text


def number_cell(text: str) -> str:
    """Return a decimal number as a cell; marked as text if it has more digits than are kept.

    >>> number_cell("10.00"), number_cell("-5"), number_cell("0.100000000000000001")
    ('10.00', '-5', "'0.100000000000000001")
    """
    return text if _is_exact(text) else text_cell(text)


def cell(value: Any) -> str:
    """Return any value as a cell. Decimal text is a number, what is nested is JSON.

    >>> cell("=1+1"), cell("-5.00"), cell(None), cell(True), cell({"a": "1"})
    ("'=1+1", '-5.00', '', 'true', '{"a":"1"}')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return number_cell(value) if value else ""
    return str(value) if type(value) is int else json_text(value)


def json_text(value: Any) -> str:
    """Return a value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def unmarked(written: str) -> str:
    """Return the text of a cell.

    >>> unmarked("'=1+1"), unmarked("''a"), unmarked("Ada")
    ('=1+1', "'a", 'Ada')
    """
    return written[1:] if written[:1] == TEXT_MARK else written


def _is_exact(text: str) -> bool:
    if _EXACT.fullmatch(text) is None:
        return False
    return len(text) - text.count(".") - text.count("-") <= _EXACT_DIGITS


def _is_changed(text: str) -> bool:
    """Tell whether a spreadsheet would take a text for something else."""
    first = text[0]
    if first == TEXT_MARK or first.isspace() or text[-1].isspace():
        return True
    if first in _FORMULA:
        return True
    if first.isalpha() and first not in "eE":
        folded = text.lower()
        return folded in _WORDS or (folded[:3] in _MONTH_STARTS and _is_date(text))
    if text.isdecimal() and (first != "0" or text == "0") and len(text) <= _EXACT_DIGITS:
        return False
    is_numeric = _NUMERIC.fullmatch(text) is not None and _DIGIT.search(text) is not None
    return is_numeric or _is_date(text)


def _is_date(text: str) -> bool:
    is_short = len(text) <= _DATE_MAX and _DIGIT.search(text) is not None
    return is_short and _DATE.fullmatch(text) is not None
