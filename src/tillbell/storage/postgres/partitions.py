"""Partitions: history is cut by time, so that retention is a drop and not a delete.

Ids begin with the time they were made at, so a table cut by its ids is cut by time; those of
deliveries and attempts begin with their message's. What a drop cannot do is left to the purge by
rows: what fell into a default partition, and old partitions in which something is needed.

To drop is to shut the whole table, for some milliseconds, and to wait until nobody uses it. Who
waits lets all others wait behind, so nobody waits for long: what is in use is dropped a minute
later. Each table on its own, leaves first; stopped in between, the next run goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from tillbell.clock import DAY, SECOND, Micros
from tillbell.ids import first_of
from tillbell.storage.session.connection import DbConnection, LockTimeout

WIDTH_DAYS = 7  # with 90 days of history some 16 partitions; with many more, claims get slow
AHEAD: Micros = 3 * DAY  # how long a database may be without anybody who makes partitions
DEFAULT_MAX_BYTES = 64 * 2**20  # read in some 50 ms
FREED_AT_ONCE = 5_000
COVERED_MAX: Micros = 400 * DAY  # of a past that is brought in
_NAME = re.compile(r"(\d{8})_(\d+)")


class DaySpan(NamedTuple):
    """A time from `low` to before `high`; whole days."""

    low: Micros
    high: Micros

    def ids(self, prefix: str) -> tuple[str, str]:
        """Return the bounds of the ids that were made in it."""
        return first_of(prefix, self.low), first_of(prefix, self.high)


class PartitionCutoffs(NamedTuple):
    """What is past its time."""

    bodies_before: Micros
    history_before: Micros
    now: Micros


class Partition(NamedTuple):
    """A partition that was made."""

    table: str
    span: DaySpan

    @property
    def name(self) -> str:
        """Its name: the table, the first day, and how many days."""
        first = datetime.fromtimestamp(self.span.low // SECOND, UTC)
        days = (self.span.high - self.span.low) // DAY
        return f"{self.table}_{first:%Y%m%d}_{days}"


class PartitionChanges(NamedTuple):
    """What was done to which partitions, by name."""

    done: list[str]
    busy: list[str]  # in use: another time

    def add(self, partition: Partition, link: DbConnection, work: Callable[[], bool]) -> None:
        """Do it and note what came of it."""
        try:
            if _with_short_timeout(link, work):
                self.done.append(partition.name)
        except LockTimeout:
            self.busy.append(partition.name)


Check = Callable[[DbConnection, DaySpan, PartitionCutoffs], bool]


class PartitionedTable(NamedTuple):
    """A table that is cut by time."""

    table: str
    prefix: str  # of the ids it is cut by; "": by hours
    before: Callable[[PartitionCutoffs], Micros]  # when it is past its time
    is_needed: Check

    def bounds(self, span: DaySpan) -> tuple[str, str]:
        """Return the bounds of its partition."""
        return span.ids(self.prefix) if self.prefix else (str(span.low), str(span.high))


# ── what is still needed ─────────────────────────────────────────────────────────────────────────


def _finds(link: DbConnection, name: str, bindings: Sequence[object]) -> bool:
    return bool(link.query(name, bindings)[0][0])


def _nothing(_link: DbConnection, _span: DaySpan, _limits: PartitionCutoffs) -> bool:
    return False


def _bodies(link: DbConnection, span: DaySpan, limits: PartitionCutoffs) -> bool:
    """Say whether somebody sends one, or one has a later expiry of its own."""
    lasting = (*span.ids("msg"), limits.now)
    return _attempts(link, span, limits) or _finds(link, "has_lasting_bodies", lasting)


def _attempts(link: DbConnection, span: DaySpan, _limits: PartitionCutoffs) -> bool:
    return _finds(link, "has_open_deliveries", span.ids("dlv"))


def _deliveries(link: DbConnection, span: DaySpan, limits: PartitionCutoffs) -> bool:
    has_leaves = _finds(link, "has_attempts", span.ids("atmpt"))
    return has_leaves or _attempts(link, span, limits)


def _messages(link: DbConnection, span: DaySpan, _limits: PartitionCutoffs) -> bool:
    return _finds(link, "has_deliveries", span.ids("dlv"))


def _callbacks(link: DbConnection, span: DaySpan, _limits: PartitionCutoffs) -> bool:
    return _finds(link, "has_open_callbacks", span.ids("cbk"))


def _before_of_bodies(limits: PartitionCutoffs) -> Micros:
    return max(limits.bodies_before, limits.history_before)  # not longer than what they belong to


def _before_of_history(limits: PartitionCutoffs) -> Micros:
    return limits.history_before


# Leaves first. The counters of deliveries go with them (tally.py).
PARTITIONED_TABLES = (
    PartitionedTable("callback_requests", "cbk", _before_of_bodies, _nothing),
    PartitionedTable("bodies", "msg", _before_of_bodies, _bodies),
    PartitionedTable("attempts", "atmpt", _before_of_history, _attempts),
    PartitionedTable("deliveries", "dlv", _before_of_history, _deliveries),
    PartitionedTable("totals", "", _before_of_history, _messages),
    PartitionedTable("messages", "msg", _before_of_history, _messages),
    PartitionedTable("callbacks", "cbk", _before_of_history, _callbacks),
)


TABLES = tuple(cut.table for cut in PARTITIONED_TABLES)

# ── making ───────────────────────────────────────────────────────────────────────────────────────


def existing_partitions(link: DbConnection) -> list[Partition]:
    """Return the partitions that are there, in order of time."""
    partitions = [
        Partition(table, _span(match[1], int(match[2])))
        for table, name in link.query("partitions")
        if (match := _NAME.fullmatch(name.removeprefix(f"{table}_")))
    ]
    return sorted(partitions, key=lambda partition: partition.span)


def _span(first_day: str, days: int) -> DaySpan:
    low = int(datetime.strptime(first_day, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * SECOND
    return DaySpan(low, low + days * DAY)


def missing_spans(made: Sequence[DaySpan], wanted: DaySpan, width: Micros) -> Iterator[DaySpan]:
    """Return what is not there yet of a time, cut at multiples of `width`.

    Pieces that others left free are smaller: after a change of the width.
    """
    cell = wanted.low // width * width
    while cell < wanted.high:
        yield from _uncovered(DaySpan(cell, cell + width), made)
        cell += width


def _uncovered(cell: DaySpan, made: Sequence[DaySpan]) -> Iterator[DaySpan]:
    low = cell.low
    for other in sorted(made):
        if other.high > low and other.low < cell.high:
            if other.low > low:
                yield DaySpan(low, other.low)
            low = other.high
    if low < cell.high:
        yield DaySpan(low, cell.high)


def make(link: DbConnection, wanted: DaySpan, width: Micros) -> PartitionChanges:
    """Make what is missing in that time. What is in use is left for later."""
    made = PartitionChanges([], [])
    for cut in PARTITIONED_TABLES:
        spans = [
            partition.span
            for partition in existing_partitions(link)
            if partition.table == cut.table
        ]
        for span in missing_spans(spans, wanted, width):
            partition = Partition(cut.table, span)
            made.add(partition, link, partial(_make, link, partition, cut))
    return made


def cover_past(link: DbConnection, oldest: Micros, now: Micros) -> PartitionChanges:
    """Make partitions for a past that is to be brought in."""
    return make(link, DaySpan(max(oldest, now - COVERED_MAX), now + AHEAD), WIDTH_DAYS * DAY)


def _make(link: DbConnection, partition: Partition, cut: PartitionedTable) -> bool:
    if partition in existing_partitions(link):
        return False
    if link.query("default_size", (cut.table,))[0][0] > DEFAULT_MAX_BYTES:
        return False
    link.query("make_partition", (cut.table, partition.name, *cut.bounds(partition.span)))
    return True


# ── dropping ─────────────────────────────────────────────────────────────────────────────────────


def expired_partitions(
    partitions: Iterable[Partition], cut: PartitionedTable, limits: PartitionCutoffs
) -> list[Partition]:
    """Return those of a table that are past their time from beginning to end."""
    before = cut.before(limits)
    return [p for p in partitions if p.table == cut.table and p.span.high <= before]


def drop(link: DbConnection, limits: PartitionCutoffs) -> tuple[PartitionChanges, set[Partition]]:
    """Drop what is past its time; return what was done, and what is kept because it is needed."""
    dropped, kept = PartitionChanges([], []), set()
    partitions = existing_partitions(link)
    for cut in PARTITIONED_TABLES:
        for partition in expired_partitions(partitions, cut, limits):
            if cut.is_needed(link, partition.span, limits):
                kept.add(partition)
                continue
            if cut.table == "messages":
                _free_event_ids(link, partition.span)
            dropped.add(partition, link, partial(_drop, link, partition, limits))
    return dropped, kept


def _free_event_ids(link: DbConnection, span: DaySpan) -> None:
    """Free the event ids of messages that go, step by step: no index is cut by time and unique."""
    while link.execute_each("free_event_ids", [(*span.ids("msg"), FREED_AT_ONCE)]).rowcount:
        pass


def _drop(link: DbConnection, partition: Partition, limits: PartitionCutoffs) -> bool:
    """Drop it, unless it was dropped or became needed a moment ago. Nobody else uses the table."""
    link.query("lock_table", (), partition.table)
    table = PARTITIONED_TABLES[TABLES.index(partition.table)]
    if partition not in existing_partitions(link) or table.is_needed(link, partition.span, limits):
        return False
    link.query("drop_partition", (partition.name,))
    return True


def _with_short_timeout(link: DbConnection, work: Callable[[], bool]) -> bool:
    """Do it in a transaction of its own that waits for nobody: `LockTimeout`."""
    link.query("begin")
    try:
        link.query("set_short_timeouts")
        link.lock([("partitions",)])
        is_done = work()
    except BaseException:
        link.rollback()
        raise
    link.commit()
    return is_done


# ── what is left to the purge by rows ────────────────────────────────────────────────────────────


def first_left_to_drops(
    partitions: Iterable[Partition], kept: set[Partition], tables: Sequence[str]
) -> Micros | None:
    """Return since when rows of these tables go by drops. Older ones go one by one."""
    lows = [p.span.low for p in partitions if p.table in tables and p not in kept]
    return min(lows, default=None)
