"""What was found at each size, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench import table
from bench.scale.plans import Touched
from bench.scale.probe import Timing


class SizeResult(NamedTuple):
    """What was found at one size."""

    waiting: int
    endpoints: int
    fill_s: float
    bytes_each: float  # on disk, for each delivery that waits, with message and body
    index_pages: int  # of the index that lanes are found by, in all partitions
    timings: Sequence[Timing]
    touched: dict[str, Touched]


Row = tuple[str, ...]


def rows(sizes: Sequence[SizeResult]) -> list[Row]:
    """Write the tables' cells: one line an operation, one column a size."""
    lines: list[Row] = [
        ("deliveries that wait", *(f"{size.waiting:,}" for size in sizes), "growth"),
        ("endpoints", *(f"{size.endpoints:,}" for size in sizes), ""),
        ("bytes on disk for each", *(f"{size.bytes_each:,.0f}" for size in sizes), ""),
        ("pages of the lanes' index", *(f"{size.index_pages:,}" for size in sizes), ""),
    ]
    for name in sizes[0].touched:
        found = [size.touched[name] for size in sizes]
        pages = [one.pages / max(one.rows, 1) for one in found]
        lines.append((f"{name}: pages touched a row", *map(table.number, pages), _growth(pages)))
        pages = [one.index_pages / max(one.rows, 1) for one in found]
        lines.append(("· of the lanes' index", *map(table.number, pages), _growth(pages)))
    for number, timing in enumerate(sizes[0].timings):
        lines += _of_timing(timing.name, [size.timings[number] for size in sizes])
    return lines


def _of_timing(name: str, found: Sequence[Timing]) -> list[Row]:
    medians = [one.median_ms for one in found]
    shown = [
        f"{table.number(one.median_ms)} ({table.number(min(one.millis))} – "
        f"{table.number(one.p99_ms)})"
        for one in found
    ]
    wal = [one.wal_kb for one in found]
    lines = [(f"{name}, ms", *shown, _growth(medians))]
    if max(wal) >= 1 and len(found[0].millis) > 1:
        lines.append(("· WAL, kB", *(table.number(one) for one in wal), _growth(wal)))
    return lines


def _growth(values: Sequence[float]) -> str:
    """Say how the last compares with the first."""
    return f"× {table.number(values[-1] / values[0])}" if values[0] and len(values) > 1 else ""


def as_text(sizes: Sequence[SizeResult]) -> str:
    """Write the table for a terminal."""
    found = rows(sizes)
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in found
    )


def as_markdown(sizes: Sequence[SizeResult]) -> str:
    """Write the table for a page."""
    first, *others = rows(sizes)
    rule = tuple("---" for _ in first)
    return "\n".join(f"| {' | '.join(line)} |" for line in (first, rule, *others))


def round_trips(size: SizeResult) -> str:
    """Say how often each operation waited for the server."""
    return ", ".join(f"{one.name} {one.round_trips:.0f}" for one in size.timings)
