"""Partitions: history is cut by time, so that old history is dropped and not deleted row by row.

Ids begin with the time at which they were made, so a table that is cut by its ids is cut by time.
Ids of deliveries and attempts begin with that of their message. The purge by rows deletes what a
drop cannot: rows in a default partition, and old partitions in which something is needed.

To drop a partition, its whole table is locked for some milliseconds, once nobody uses it. While the
drop waits for that, all others wait behind it. So it waits only for a moment: a table in use is
tried again a minute later. Each table is dropped on its own, leaves first; if the process stops in
between, the next run goes on.
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
AHEAD: Micros = 3 * DAY  # for how long a database may run without new partitions
DEFAULT_MAX_BYTES = 64 * 2**20  # read in some 50 ms
FREED_AT_ONCE = 5_000
COVERED_MAX: Micros = 400 * DAY  # of the past that a move brings in
_NAME = re.compile(r"(\d{8})_(\d+)")


class DaySpan(NamedTuple):
    """A time from `low` to before `high`; whole days."""

    low: Micros
    high: Micros

    def ids(self, prefix: str) -> tuple[str, str]:
        """Return the bounds of the ids that were made in this time."""
        return first_of(prefix, self.low), first_of(prefix, self.high)


class PartitionCutoffs(NamedTuple):
    """Before which times bodies and history are past their retention."""

    bodies_before: Micros
    history_before: Micros
    now: Micros


class Partition(NamedTuple):
    """A partition of a table."""

    table: str
    span: DaySpan

    @property
    def name(self) -> str:
        """Its name: the table, the first day, and the number of days."""
        first = datetime.fromtimestamp(self.span.low // SECOND, UTC)
        days = (self.span.high - self.span.low) // DAY
        return f"{self.table}_{first:%Y%m%d}_{days}"


class PartitionChanges(NamedTuple):
    """Which partitions were created or dropped, by name."""

    done: list[str]
    busy: list[str]  # in use: to be tried another time

    def add(
        self, partition: Partition, connection: DbConnection, change: Callable[[], bool]
    ) -> None:
        """Make a change of a partition and note its result."""
        try:
            if _with_short_timeout(connection, change):
                self.done.append(partition.name)
        except LockTimeout:
            self.busy.append(partition.name)


Check = Callable[[DbConnection, DaySpan, PartitionCutoffs], bool]


class PartitionedTable(NamedTuple):
    """A table that is cut by time."""

    name: str
    prefix: str  # of the ids it is cut by; "": by hours
    cutoff: Callable[[PartitionCutoffs], Micros]  # what is older is past its retention
    is_needed: Check

    def bounds(self, span: DaySpan) -> tuple[str, str]:
        """Return the bounds of the partition of a time."""
        return span.ids(self.prefix) if self.prefix else (str(span.low), str(span.high))


# ── what is still needed ─────────────────────────────────────────────────────────────────────────


def _finds(connection: DbConnection, name: str, bindings: Sequence[object]) -> bool:
    return bool(connection.query(name, bindings)[0][0])


def _nothing(_link: DbConnection, _span: DaySpan, _cutoffs: PartitionCutoffs) -> bool:
    return False


def _bodies(connection: DbConnection, span: DaySpan, cutoffs: PartitionCutoffs) -> bool:
    """Whether a delivery needs one, or the message of one has a later `expires_at`."""
    lasting = (*span.ids("msg"), cutoffs.now)
    return _attempts(connection, span, cutoffs) or _finds(connection, "has_lasting_bodies", lasting)


def _attempts(connection: DbConnection, span: DaySpan, _cutoffs: PartitionCutoffs) -> bool:
    return _finds(connection, "has_open_deliveries", span.ids("dlv"))


def _deliveries(connection: DbConnection, span: DaySpan, cutoffs: PartitionCutoffs) -> bool:
    has_leaves = _finds(connection, "has_attempts", span.ids("atmpt"))
    return has_leaves or _attempts(connection, span, cutoffs)


def _messages(connection: DbConnection, span: DaySpan, _cutoffs: PartitionCutoffs) -> bool:
    return _finds(connection, "has_deliveries", span.ids("dlv"))


def _callbacks(connection: DbConnection, span: DaySpan, _cutoffs: PartitionCutoffs) -> bool:
    return _finds(connection, "has_open_callbacks", span.ids("cbk"))


def _cutoff_of_bodies(cutoffs: PartitionCutoffs) -> Micros:
    return max(cutoffs.bodies_before, cutoffs.history_before)  # not longer than their messages


def _cutoff_of_history(cutoffs: PartitionCutoffs) -> Micros:
    return cutoffs.history_before


# Leaves first. The totals of deliveries go with them (session/counters.py).
PARTITIONED_TABLES = (
    PartitionedTable("callback_requests", "cbk", _cutoff_of_bodies, _nothing),
    PartitionedTable("bodies", "msg", _cutoff_of_bodies, _bodies),
    PartitionedTable("attempts", "atmpt", _cutoff_of_history, _attempts),
    PartitionedTable("deliveries", "dlv", _cutoff_of_history, _deliveries),
    PartitionedTable("totals", "", _cutoff_of_history, _messages),
    PartitionedTable("messages", "msg", _cutoff_of_history, _messages),
    PartitionedTable("callbacks", "cbk", _cutoff_of_history, _callbacks),
)


TABLES = tuple(table.name for table in PARTITIONED_TABLES)

# ── creating ──────────────────────────────────────────────────────────────────────────────────────


def existing_partitions(connection: DbConnection) -> list[Partition]:
    """Return the partitions of all tables, in order of time."""
    partitions = [
        Partition(table, _span(match[1], int(match[2])))
        for table, name in connection.query("partitions")
        if (match := _NAME.fullmatch(name.removeprefix(f"{table}_")))
    ]
    return sorted(partitions, key=lambda partition: partition.span)


def _span(first_day: str, days: int) -> DaySpan:
    low = int(datetime.strptime(first_day, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * SECOND
    return DaySpan(low, low + days * DAY)


def missing_spans(existing: Sequence[DaySpan], wanted: DaySpan, width: Micros) -> Iterator[DaySpan]:
    """Return the parts of a time that no partition covers yet, cut at multiples of `width`.

    After a change of the width there may be smaller parts, between partitions of the old width.
    """
    cell = wanted.low // width * width
    while cell < wanted.high:
        yield from _uncovered(DaySpan(cell, cell + width), existing)
        cell += width


def _uncovered(cell: DaySpan, existing: Sequence[DaySpan]) -> Iterator[DaySpan]:
    low = cell.low
    for other in sorted(existing):
        if other.high > low and other.low < cell.high:
            if other.low > low:
                yield DaySpan(low, other.low)
            low = other.high
    if low < cell.high:
        yield DaySpan(low, cell.high)


def make(connection: DbConnection, wanted: DaySpan, width: Micros) -> PartitionChanges:
    """Create the missing partitions of a time. Tables in use are left for later."""
    changes = PartitionChanges([], [])
    for table in PARTITIONED_TABLES:
        existing = [p.span for p in existing_partitions(connection) if p.table == table.name]
        for span in missing_spans(existing, wanted, width):
            partition = Partition(table.name, span)
            changes.add(partition, connection, partial(_make, connection, partition, table))
    return changes


def cover_past(connection: DbConnection, oldest: Micros, now: Micros) -> PartitionChanges:
    """Create the partitions of a past that a move brings in."""
    return make(connection, DaySpan(max(oldest, now - COVERED_MAX), now + AHEAD), WIDTH_DAYS * DAY)


def _make(connection: DbConnection, partition: Partition, table: PartitionedTable) -> bool:
    if partition in existing_partitions(connection):
        return False
    if connection.query("default_size", (table.name,))[0][0] > DEFAULT_MAX_BYTES:
        return False
    connection.query("make_partition", (table.name, partition.name, *table.bounds(partition.span)))
    return True


# ── dropping ─────────────────────────────────────────────────────────────────────────────────────


def expired_partitions(
    partitions: Iterable[Partition], table: PartitionedTable, cutoffs: PartitionCutoffs
) -> list[Partition]:
    """Return the partitions of a table that are past their retention from beginning to end."""
    cutoff = table.cutoff(cutoffs)
    return [p for p in partitions if p.table == table.name and p.span.high <= cutoff]


def drop(
    connection: DbConnection, cutoffs: PartitionCutoffs
) -> tuple[PartitionChanges, set[Partition]]:
    """Drop expired partitions; return the changes, and expired ones that are still needed."""
    changes, needed = PartitionChanges([], []), set()
    partitions = existing_partitions(connection)
    for table in PARTITIONED_TABLES:
        for partition in expired_partitions(partitions, table, cutoffs):
            if table.is_needed(connection, partition.span, cutoffs):
                needed.add(partition)
                continue
            if table.name == "messages":
                _free_event_ids(connection, partition.span)
            changes.add(partition, connection, partial(_drop, connection, partition, cutoffs))
    return changes, needed


def _free_event_ids(connection: DbConnection, span: DaySpan) -> None:
    """Delete the event ids of a partition's messages, in steps.

    They have a table of their own, because a unique index cannot be cut by time.
    """
    while connection.execute_each("free_event_ids", [(*span.ids("msg"), FREED_AT_ONCE)]).rowcount:
        pass


def _drop(connection: DbConnection, partition: Partition, cutoffs: PartitionCutoffs) -> bool:
    """Drop a partition, unless that was done or it became needed in the meantime.

    The lock is taken first, so nobody else uses the table.
    """
    connection.query("lock_table", (), partition.table)
    table = PARTITIONED_TABLES[TABLES.index(partition.table)]
    if partition not in existing_partitions(connection) or table.is_needed(
        connection, partition.span, cutoffs
    ):
        return False
    connection.query("drop_partition", (partition.name,))
    return True


def _with_short_timeout(connection: DbConnection, change: Callable[[], bool]) -> bool:
    """Make a change in a transaction of its own; `LockTimeout` if it would wait for long."""
    connection.query("begin")
    try:
        connection.query("set_short_timeouts")
        connection.lock([("partitions",)])
        is_done = change()
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    return is_done


# ── what is left to the purge by rows ────────────────────────────────────────────────────────────


def dropped_since(
    partitions: Iterable[Partition], needed: set[Partition], tables: Sequence[str]
) -> Micros | None:
    """Return the time since which rows of these tables go by drops; older rows go one by one."""
    lows = [p.span.low for p in partitions if p.table in tables and p not in needed]
    return min(lows, default=None)
