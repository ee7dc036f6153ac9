"""Maintain: the things that happen by themselves, now and then.

Each loop does a bounded piece of work, and none gives up: a step that fails is logged
and tried again at its next time.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tillbell.clock import DAY, SECOND, Clock, Micros, wait_until
from tillbell.counters import Meters
from tillbell.errors import Unavailable
from tillbell.logs import log_event
from tillbell.storage.ports.database import Database

PURGE_BATCH = 500  # rows deleted by one commit
DISCARD_BATCH = 500
LONG_TRANSACTION: Micros = 60 * SECOND
FRESH_TOTALS_AFTER: Micros = (
    10 * SECOND
)  # from then on rows that every commit changes are looked after


class Chore(NamedTuple):
    """A piece of work and how often it is done."""

    name: str
    every: Micros
    work: Callable[[], Awaitable[object]]


class ChoreRunner:
    """Runs chores on the injected clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *chores: Chore) -> None:
        """Start each chore's loop; the first run comes after one interval."""
        loop = asyncio.get_running_loop()
        self._tasks += [loop.create_task(self._loop(chore)) for chore in chores]

    async def stop(self) -> None:
        """Stop all loops."""
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
    """Deletes what is past its time, in steps that leave the writer free in between."""

    def __init__(
        self, database: Database, clock: Clock, *, bodies_days: int, history_days: int
    ) -> None:
        self._database = database
        self._clock = clock
        self._bodies = bodies_days * DAY
        self._history = history_days * DAY

    async def run(self) -> None:
        """Purge until nothing is left to purge."""
        now = self._clock.now()
        bodies_before, history_before = now - self._bodies, now - self._history
        made, dropped, busy = await self._database.rotate(
            bodies_before=bodies_before, history_before=history_before, now=now
        )
        for name in made:
            log_event("partition.created", partition=name)
        for name in dropped:
            log_event("partition.dropped", partition=name)
        for name in busy:
            log_event("partition.busy", partition=name)
        while await self._database.purge(
            bodies_before=bodies_before, history_before=history_before, now=now, limit=PURGE_BATCH
        ):
            await self._yield_to_writer()
        while await self._database.purge_inbound(
            requests_before=bodies_before,
            callbacks_before=history_before,
            now=now,
            limit=PURGE_BATCH,
        ):
            await self._yield_to_writer()

    async def _yield_to_writer(self) -> None:
        await wait_until(self._clock, self._clock.now() + SECOND // 100)


class DiskSpaceMonitor:
    """Says when the disk is nearly full: better to refuse messages than to lose results."""

    def __init__(self, folder: Path, reserve_mb: int) -> None:
        self._folder = folder
        self._reserve = reserve_mb * 1024 * 1024
        self.is_short = False

    async def check(self) -> None:
        """Measure the free space."""
        free = shutil.disk_usage(self._folder).free
        if (free < self._reserve) is not self.is_short:
            self.is_short = not self.is_short
            log_event("disk.low" if self.is_short else "disk.ok", free_mb=free >> 20)


class LongTransactionMonitor:
    """Says when somebody's transaction is open for so long that tables of much change swell."""

    def __init__(self, database: Database, meters: Meters) -> None:
        self._database = database
        self._meters = meters
        self._is_held = False
        self._is_turning = False

    async def check(self) -> None:
        """Measure the oldest one."""
        age = self._meters.oldest_snapshot = await self._database.oldest_transaction_age()
        if (age > LONG_TRANSACTION) is not self._is_held:
            self._is_held = not self._is_held
            event = (
                "database.long_transaction" if self._is_held else "database.long_transaction_ended"
            )
            log_event(event, for_s=age // SECOND)
        await self._keep_totals_small(has_long=age > FRESH_TOTALS_AFTER)

    async def _keep_totals_small(self, *, has_long: bool) -> None:
        """Say it again as long as it lasts: the store may have a new connection."""
        if has_long or self._is_turning:
            await self._database.use_fresh_totals(is_on=has_long)
            self._is_turning = has_long


class RemovedEndpointDiscarder:
    """Discards the open deliveries of endpoints that were removed, step by step."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def endpoint_removed(self, app_id: str, endpoint_id: str) -> None:
        """Begin with one endpoint. What a stop leaves over, the next start's sweep finds."""
        task = asyncio.get_running_loop().create_task(self._discard(app_id, endpoint_id))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def wait_idle(self) -> None:
        """Wait until all is discarded."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _discard(self, app_id: str, endpoint_id: str) -> None:
        while await self._database.discard(app_id, endpoint_id, self._clock.now(), DISCARD_BATCH):
            pass

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Unavailable):
            log_event("chore.postponed", chore="discard", error=str(error))
