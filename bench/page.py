"""docs/benchmarks.md: the measured parts of the page, with date, machine and effort.

A part stands between two comments and is written anew when its cases ran; what is around it is
written by hand.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from bench import postgres, table
from bench.lines import PARTS, Round
from bench.processes import ROOT
from bench.rivals import LOCK
from bench.scene import Effort
from bench.table import Figure

PAGE = ROOT / "docs" / "benchmarks.md"


def write(rounds: Sequence[Round], effort: Effort) -> Path:
    """Write the parts that were measured; return where."""
    text = PAGE.read_text()
    for part, lines in PARTS.items():
        if figures := table.figures(lines, rounds):
            text = replaced(text, part, _part(part, figures, effort))
    PAGE.write_text(text)
    return PAGE


def replaced(page: str, part: str, content: str) -> str:
    """Put new content between a part's comments; a page without them is a `ValueError`.

    >>> replaced("a <!-- x: begin -->old<!-- x: end --> b", "x", "new")
    'a <!-- x: begin -->\\n\\nnew\\n\\n<!-- x: end --> b'
    """
    before, begin, rest = page.partition(f"<!-- {part}: begin -->")
    _, end, after = rest.partition(f"<!-- {part}: end -->")
    if not end:
        raise ValueError(f"the page has no place for {part}")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def _part(part: str, figures: Sequence[Figure], effort: Effort) -> str:
    software = f"{_peers()}" if part == "SQLite" else postgres.version()
    rounds = "1 round" if effort.rounds == 1 else f"{effort.rounds} rounds"
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {rounds} of {effort.seconds:g} s. "
        f"{table.machine()}. {table.versions()}, {software}.\n\n{table.as_markdown(figures)}"
    )


def _peers() -> str:
    pattern = re.compile(r"^(celery|dramatiq|taskiq|requests|aiohttp|redis)==(\S+)", re.MULTILINE)
    return ", ".join(" ".join(pair) for pair in pattern.findall(LOCK.read_text()))
