"""Many rows in one step of SQLite.

Between two steps the driver releases Python's lock and takes it again. While the event loop is
busy that costs more than a row: if a statement runs a hundred times, the writer's thread and the
loop mostly wait for each other. So a statement with one `VALUES (…)` is widened to take 2, 4, … 128
rows at once. Widths are powers of two, so that few texts are needed and all stay prepared.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

WIDEST = 128
_VALUES = re.compile(r"VALUES\s*(\([^()]*\))")
_NUMBER = re.compile(r"\?(\d+)")

Row = Sequence[Any]


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
    """Cut rows into runs of powers of two: their number, and their bindings end to end.

    >>> [(n, len(flat)) for n, flat in chunks([("a", "b")] * 5)]
    [(4, 8), (1, 2)]
    """
    start = 0
    while start < len(rows):
        count = min(WIDEST, 1 << ((len(rows) - start).bit_length() - 1))
        yield count, list(itertools.chain.from_iterable(rows[start : start + count]))
        start += count
