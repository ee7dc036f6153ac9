"""Chores: work that runs at regular times.

Each run does a bounded piece of work. One that fails is logged and runs again at its next time.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tillbell.clock import DAY, SECOND, Clock, Micros, wait_until
from tillbell.configure.retention import RetentionPeriods
from tillbell.counters import Meters
from tillbell.errors import Unavailable
from tillbell.logs import log_event
from tillbell.storage.ports.database import Database

PURGE_LEAST, PURGE_MOST = 200, 500  # rows deleted by one commit; fewer would not keep up
DISCARD_BATCH = 500
LAG_EVERY_S = 0.5
LAGS_KEPT = 30  # measurements: the lag shown is the longest of a quarter of a minute
LONG_TRANSACTION: Micros = 60 * SECOND
FRESH_TOTALS_AFTER: Micros = 10 * SECOND  # a transaction of that age: see `use_fresh_totals`


class Chore(NamedTuple):
    """A piece of work and how often it runs."""

    name: str
    every: Micros
    work: Callable[[], Awaitable[object]]


class ChoreRunner:
    """Runs chores, each in a task of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *chores: Chore) -> None:
        """Start the chores; each runs first after one interval."""
        loop = asyncio.get_running_loop()
        self._tasks += [loop.create_task(self._loop(chore)) for chore in chores]

    async def stop(self) -> None:
        """Stop all chores, in the middle of their work too."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _loop(self, chore: Chore) -> None:
        while True:
            await wait_until(self._clock, self._clock.now() + chore.every)
            try:
                await chore.work()
            except Unavailable as error:
                log_event("chore.postponed", chore=chore.name, error=str(error))
            except Exception as error:  # noqa: BLE001 - supervised: a chore must not end its loop
                log_event("chore.error", chore=chore.name, exc_info=error)


class RetentionPurge:
    """Deletes what is past its retention, in steps between which other writes may go."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        retention: RetentionPeriods,
    ) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention
        self._rows = PURGE_LEAST

    async def run(self) -> None:
        """Purge until nothing is left to purge."""
        now, periods = self._clock.now(), await self._retention.current()
        bodies_before = now - periods.body_days * DAY
        history_before = now - periods.history_days * DAY
        created, dropped, busy = await self._database.rotate(
            bodies_before=bodies_before, history_before=history_before, now=now
        )
        for name in created:
            log_event("partition.created", partition=name)
        for name in dropped:
            log_event("partition.dropped", partition=name)
        for name in busy:
            log_event("partition.busy", partition=name)
        database = self._database
        await self._purge_all(
            partial(
                database.purge, bodies_before=bodies_before, history_before=history_before, now=now
            )
        )
        await self._purge_all(
            partial(
                database.purge_inbound,
                requests_before=bodies_before,
                callbacks_before=history_before,
                now=now,
            )
        )
        await self._purge_all(partial(database.purge_audit, before=now - periods.audit_days * DAY))
        await self._purge_all(partial(database.purge_people, now=now))
        await self._purge_all(partial(database.purge_inboxes, now=now))

    async def _purge_all(self, purge: Callable[..., Awaitable[int]]) -> None:
        """Delete rows until none is left, in steps that other writes hardly wait for."""
        while True:
            began = self._clock.now()
            if not await purge(limit=self._rows):
                return
            self._rows = rows_of_next_step(self._rows, self._clock.now() - began)
            await wait_until(self._clock, self._clock.now() + SECOND // 100)


def rows_of_next_step(rows: int, took: Micros) -> int:
    """Return how many rows to delete next, by how long the last ones took: 5 to 20 ms is right.

    Nothing else is written meanwhile. A busy machine deletes a row many times slower.

    >>> [rows_of_next_step(400, took) for took in (3_000, 12_000, 90_000)]
    [500, 400, 200]
    """
    if took > SECOND // 50:
        return max(PURGE_LEAST, rows // 2)
    return min(PURGE_MOST, rows * 2) if took < SECOND // 200 else rows


class DiskSpaceMonitor:
    """Watches the free disk space: it is better to refuse messages than to lose results."""

    def __init__(self, folder: Path, reserve_mb: int) -> None:
        self._folder = folder
        self._reserve = reserve_mb * 1024 * 1024
        self.is_low = False

    async def check(self) -> None:
        """Measure the free space and log when it crosses the reserve."""
        free = shutil.disk_usage(self._folder).free
        if (free < self._reserve) is not self.is_low:
            self.is_low = not self.is_low
            log_event("disk.low" if self.is_low else "disk.ok", free_mb=free >> 20)


class LoopLagMonitor:
    """Measures how late the event loop runs what is due: long work on it delays everything."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._loop = asyncio.get_running_loop()
        self._lags: deque[float] = deque(maxlen=LAGS_KEPT)
        self._due = self._loop.time() + LAG_EVERY_S
        self._timer = self._loop.call_at(self._due, self._measure)

    def stop(self) -> None:
        """Measure no more."""
        self._timer.cancel()

    def _measure(self) -> None:
        now = self._loop.time()
        self._lags.append(max(0.0, now - self._due))
        self._meters.loop_lag_s = max(self._lags)
        self._due = now + LAG_EVERY_S
        self._timer = self._loop.call_at(self._due, self._measure)


class LongTransactionMonitor:
    """Watches for database transactions that are open for so long that busy tables grow.

    They may be anybody's: a report, a backup, a forgotten session.
    """

    def __init__(self, database: Database, meters: Meters) -> None:
        self._database = database
        self._meters = meters
        self._is_logged = False
        self._uses_fresh_totals = False

    async def check(self) -> None:
        """Measure the age of the oldest transaction and act on it."""
        age = self._meters.oldest_snapshot = await self._database.oldest_transaction_age()
        if (age > LONG_TRANSACTION) is not self._is_logged:
            self._is_logged = not self._is_logged
            if self._is_logged:
                log_event("database.long_transaction", for_s=age // SECOND)
            else:
                log_event("database.long_transaction_ended", for_s=age // SECOND)
        is_on = age > FRESH_TOTALS_AFTER
        if is_on or self._uses_fresh_totals:
            # Set again at every check, because the store may have a new connection.
            await self._database.use_fresh_totals(is_on=is_on)
            self._uses_fresh_totals = is_on


class RemovedEndpointDiscarder:
    """Discards the open deliveries of removed endpoints, in batches."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def endpoint_removed(self, app_id: str, endpoint_id: str) -> None:
        """Begin with one endpoint. What a stop leaves over is discarded after the next start."""
        task = asyncio.get_running_loop().create_task(self._discard(app_id, endpoint_id))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def wait_idle(self) -> None:
        """Wait until everything is discarded."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _discard(self, app_id: str, endpoint_id: str) -> None:
        while await self._database.discard(app_id, endpoint_id, self._clock.now(), DISCARD_BATCH):
            pass

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Unavailable):
            log_event("chore.postponed", chore="discard", error=str(error))
