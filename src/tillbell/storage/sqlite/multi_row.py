"""Many rows in one step of SQLite.

Between two steps the driver releases Python's lock and takes it again. While the event loop is
busy that costs more than a row: if a statement runs a hundred times, the writer's thread and the
loop mostly wait for each other. So a statement with one `VALUES (…)` is widened to take many rows
at once: up to 16 of any number, above that powers of two up to 128. So few texts are needed, and
all of them stay prepared.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

WIDEST = 128
ANY_WIDTH = 16  # up to so many rows are one step, whatever their number: most commits are small
_VALUES = re.compile(r"VALUES\s*(\([^()]*\))")
_NUMBER = re.compile(r"\?(\d+)")

Row = Sequence[Any]


@cache
def is_widenable(text: str) -> bool:
    """Tell whether a statement takes its bindings as a `VALUES (…)`."""
    return _VALUES.search(text) is not None


@cache
def widened(text: str, rows: int, width: int) -> str:
    """Return the statement for that many rows of `width` bindings each.

    >>> widened("INSERT INTO t VALUES (?1, ?3)", 2, 3)
    'INSERT INTO t VALUES (?1, ?3), (?4, ?6)'
    """
    values = _VALUES.search(text)
    assert values is not None, f"no VALUES to widen in: {text}"

    def row(number: int) -> str:
        first = number * width
        return _NUMBER.sub(lambda m: f"?{int(m[1]) + first}", values[1])

    return text[: values.start(1)] + ", ".join(map(row, range(rows))) + text[values.end(1) :]


def chunks(rows: Sequence[Row]) -> Iterator[tuple[int, list[Any]]]:
    """Cut rows into runs that are one step each: their number, and their bindings end to end.

    >>> [(n, len(flat)) for n, flat in chunks([("a", "b")] * 37)]
    [(32, 64), (5, 10)]
    """
    start = 0
    while start < len(rows):
        count = len(rows) - start
        if count > ANY_WIDTH:
            count = min(WIDEST, 1 << (count.bit_length() - 1))
        yield count, list(itertools.chain.from_iterable(rows[start : start + count]))
        start += count
