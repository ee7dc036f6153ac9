"""Rows as CSV (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tillbell.rules.tables.cells import cell as text_or_number_cell

MEDIA_TYPE = "text/csv; charset=utf-8"


def cell(value: Any) -> str:
    """Return a value as a cell; what is nested may hold raw JSON."""
    if value is None or isinstance(value, str):
        return text_or_number_cell(value)
    return msgspec.json.encode(value).decode()


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Write rows under their columns."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")
