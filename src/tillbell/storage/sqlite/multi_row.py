"""Many rows in one step of SQLite.

Between two steps the driver gives Python's lock away and takes it back, which costs more
than a row once the event loop is busy: with a statement run a hundred times the writer's
thread and the loop do little but change places. So a statement with one `VALUES (…)` is
widened to take 2, 4, … 128 rows at once. Widths are powers of two: few texts, all kept
prepared.
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
    found = _VALUES.search(text)
    assert found is not None, f"no VALUES to widen in: {text}"

    def row(number: int) -> str:
        first = number * width
        return _NUMBER.sub(lambda m: f"?{int(m[1]) + first}", found[1])

    return text[: found.start(1)] + ", ".join(map(row, range(rows))) + text[found.end(1) :]


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
