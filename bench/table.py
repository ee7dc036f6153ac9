"""Which figures are shown, what they must reach, and how they are written."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.cases import Measures
from bench.figures import Spread, spread

Round = Mapping[str, Measures]  # case → its measures, of one round
_CELERY = ("celery-prefork-2", "celery-prefork-8", "celery-threads-16")


@dataclass(frozen=True)
class Line:
    """One line of the table; `value` takes it from a round, KeyError if that did not run."""

    title: str
    unit: str
    value: Callable[[Round], float]
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False

    def reaches(self, found: float) -> bool:
        """Tell whether a median is at least as good as it must be."""
        if self.must is None:
            return True
        return found >= self.must if self.more_is_better else found <= self.must


def _of(case: str, measure: str) -> Callable[[Round], float]:
    return lambda one: one[case][measure]


def _ratio(*peers: str) -> Callable[[Round], float]:
    """Compare with the best of some peers in the same round."""

    def value(one: Round) -> float:
        best = max(one[peer]["per_s"] for peer in peers if peer in one) if peers else 0.0
        return one["throughput"]["per_s"] / best

    return value


def _best(*peers: str) -> Callable[[Round], float]:
    return lambda one: max(one[peer]["per_s"] for peer in peers if peer in one)


LINES = (
    Line(
        "accepted durably → delivered once → recorded, fan-out 1, sustained",
        "messages/s",
        _of("throughput", "per_s"),
        must=15_000,
        aim=20_000,
        more_is_better=True,
    ),
    Line("· CPU of the gateway per delivery", "µs", _of("throughput", "cpu_us")),
    Line("· resident memory at the end", "MiB", _of("throughput", "rss_mb")),
    Line(
        "the same with fan-out 5",
        "deliveries/s",
        _of("fan-out", "per_s"),
        must=30_000,
        aim=40_000,
        more_is_better=True,
    ),
    Line("· CPU of the gateway per delivery", "µs", _of("fan-out", "cpu_us")),
    Line("due → first attempt answered, 1,000/s, p50", "ms", _of("latency-1000", "p50_ms")),
    Line("· p99", "ms", _of("latency-1000", "p99_ms"), must=10, aim=5),
    Line("· due → 202, p99", "ms", _of("latency-1000", "accept_p99_ms")),
    Line("due → first attempt answered, 5,000/s, p50", "ms", _of("latency-5000", "p50_ms")),
    Line("· p99", "ms", _of("latency-5000", "p99_ms"), must=25, aim=5),
    Line("· due → 202, p99", "ms", _of("latency-5000", "accept_p99_ms")),
    Line("50 endpoints, none hanging: p99 of 49", "ms", _of("isolation", "base_p99_ms")),
    Line("50 endpoints, one hanging 30 s: p99 of 49", "ms", _of("isolation", "hanging_p99_ms")),
    Line("· ratio of the two", "×", _of("isolation", "ratio"), must=2),
    Line("Celery + Redis + requests, prefork 2", "deliveries/s", _of(_CELERY[0], "per_s")),
    Line("Celery, best of prefork 2, prefork 8, threads 16", "deliveries/s", _best(*_CELERY)),
    Line("Dramatiq + Redis + requests, 2 × 8", "deliveries/s", _of("dramatiq", "per_s")),
    Line("Taskiq + Redis + aiohttp, 2 workers", "deliveries/s", _of("taskiq", "per_s")),
    Line(
        "Tillbell against the best Celery",
        "×",
        _ratio(*_CELERY),
        must=15,
        aim=25,
        more_is_better=True,
    ),
    Line("Tillbell against Dramatiq", "×", _ratio("dramatiq"), must=4, more_is_better=True),
    Line("Tillbell against Taskiq", "×", _ratio("taskiq"), must=4, more_is_better=True),
    Line(
        "callback verified → committed → transition → delivered, sustained",
        "callbacks/s",
        _of("callbacks", "per_s"),
        more_is_better=True,
    ),
    Line("· CPU of the gateway per callback", "µs", _of("callbacks", "cpu_us")),
    Line("callback due → first delivery answered, 300/s, p50", "ms", _of("callbacks", "p50_ms")),
    Line("· p99", "ms", _of("callbacks", "p99_ms")),
    Line("· due → answered, p99", "ms", _of("callbacks", "answer_p99_ms")),
    Line("effects of 200 copies over 50 connections", "", _of("callbacks", "effects"), must=1),
    Line("pending deliveries for a receiver that is down", "", _of("memory", "pending")),
    Line("· resident memory with them", "MiB", _of("memory", "rss_mb"), must=200, aim=150),
    Line("· resident memory after a restart", "MiB", _of("memory", "restarted_mb"), must=200),
    Line("· restart until ready", "s", _of("memory", "start_s"), must=5),
)


@dataclass(frozen=True)
class Figure:
    """A line with what the rounds gave."""

    line: Line
    spread: Spread

    @property
    def verdict(self) -> str:
        """Say whether the median is good enough."""
        if self.line.must is None:
            return ""
        return "ok" if self.line.reaches(self.spread.median) else "**below must**"


def figures(rounds: Sequence[Round]) -> list[Figure]:
    """Take every line that the rounds can fill."""
    found = []
    for line in LINES:
        values = [value for one in rounds if (value := _value(line, one)) is not None]
        if values:
            found.append(Figure(line, spread(values)))
    return found


def _value(line: Line, one: Round) -> float | None:
    try:
        return line.value(one)
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


def rows(found: Sequence[Figure]) -> list[tuple[str, ...]]:
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
        for figure in found
    ]


def _bound(line: Line, value: float | None) -> str:
    if value is None:
        return ""
    return f"{'≥' if line.more_is_better else '≤'} {number(value)}"


def as_text(found: Sequence[Figure]) -> str:
    """Write the table for a terminal."""
    lines = [HEADER, *rows(found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ).replace("**", "")


def as_markdown(found: Sequence[Figure]) -> str:
    """Write the table for a page."""
    rule = tuple("---" for _ in HEADER)
    return "\n".join(f"| {' | '.join(line)} |" for line in (HEADER, rule, *rows(found)))


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
