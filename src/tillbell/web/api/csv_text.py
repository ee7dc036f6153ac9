"""Rows as CSV (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

MEDIA_TYPE = "text/csv; charset=utf-8"
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FORMULA = tuple("=+-@\t\r\n|%")  # a spreadsheet may run what begins so


def cell(value: Any) -> str:
    """Return a value as a cell of a table: exact, and never a formula.

    >>> cell("=1+1"), cell("-5.00"), cell(None), cell(True), cell({"a": "1"})
    ("'=1+1", '-5.00', '', 'true', '{"a":"1"}')
    """
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    is_safe = not text.lstrip(" ").startswith(_FORMULA) or _NUMBER.fullmatch(text)
    return text if is_safe else f"'{text}"


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Write rows under their columns."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")
