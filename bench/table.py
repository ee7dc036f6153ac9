"""The figures of some rounds beside what they must reach, and how they are written."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.figures import Spread, spread
from bench.lines import Round, TableLine


@dataclass(frozen=True)
class Figure:
    """A line with what the rounds gave."""

    line: TableLine
    spread: Spread

    @property
    def verdict(self) -> str:
        """Say whether the median is good enough."""
        if self.line.must is None:
            return ""
        return "ok" if self.line.reaches(self.spread.median) else "**below must**"


def figures(lines: Sequence[TableLine], rounds: Sequence[Round]) -> list[Figure]:
    """Take every line that the rounds can fill."""
    figures = []
    for line in lines:
        values = [value for round_ in rounds if (value := _value(line, round_)) is not None]
        if values:
            figures.append(Figure(line, spread(values)))
    return figures


def _value(line: TableLine, round_: Round) -> float | None:
    try:
        return line.value(round_)
    except (KeyError, ValueError):  # that case was not chosen, or none of its variants was
        return None


def number(value: float | None) -> str:
    """Write a figure with three significant digits, and thousands apart.

    >>> number(15234.6), number(2.345), number(0.4213), number(None)
    ('15,235', '2.35', '0.421', '')
    """
    if value is None:
        return ""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


HEADER = ("what", "median", "min – max", "runs", "unit", "must", "aim", "")


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    """Write the table's cells."""
    return [
        (
            figure.line.title,
            number(figure.spread.median),
            f"{number(figure.spread.low)} – {number(figure.spread.high)}",
            str(figure.spread.runs),
            figure.line.unit,
            _bound(figure.line, figure.line.must),
            _bound(figure.line, figure.line.aim),
            figure.verdict,
        )
        for figure in figures
    ]


def _bound(line: TableLine, value: float | None) -> str:
    if value is None:
        return ""
    return f"{'≥' if line.more_is_better else '≤'} {number(value)}"


def as_text(figures: Sequence[Figure]) -> str:
    """Write the table for a terminal."""
    lines = [HEADER, *rows(figures)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ).replace("**", "")


def as_markdown(figures: Sequence[Figure]) -> str:
    """Write the table for a page."""
    rule = tuple("---" for _ in HEADER)
    return "\n".join(f"| {' | '.join(line)} |" for line in (HEADER, rule, *rows(figures)))


def machine() -> str:
    """Describe where the figures were taken."""
    cpus = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = cpus[0] if cpus else platform.machine()
    return f"{os.cpu_count()} × {name}, {memory_gib:.0f} GiB, Linux {platform.release()}"


def versions() -> str:
    """List the versions that matter."""
    packages = ("tillbell", "uvicorn", "uvloop", "httptools", "apsw")
    listed = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"CPython {platform.python_version()}, {listed}"
