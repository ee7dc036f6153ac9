"""The rotation of history: what of the purge a database with partitions does by dropping them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from tillbell.clock import DAY, Micros
from tillbell.model.messages import DeliveryState
from tillbell.storage.engine.methods import write
from tillbell.storage.operations.claims import end_deliveries
from tillbell.storage.operations.store import StoreMethods
from tillbell.storage.ports.outbound import RotationReport
from tillbell.storage.postgres import partitions
from tillbell.storage.postgres.partitions import (
    PARTITIONED_TABLES,
    DaySpan,
    Partition,
    PartitionCutoffs,
)
from tillbell.storage.session.connection import DbConnection
from tillbell.storage.session.transaction import DbTransaction

T = TypeVar("T")
FAILED_AT_ONCE = 500
_BODIES = next(cut for cut in PARTITIONED_TABLES if cut.table == "bodies")
_HISTORY = ("attempts", "deliveries", "messages")


@write()
def fail_deliveries_without_body(db: DbTransaction, span: DaySpan, now: Micros, limit: int) -> int:
    """End open deliveries whose bodies go with their partition; return how many."""
    rows = db.query("deliveries_of_expiring_bodies", (*span.ids("dlv"), now, limit))
    return end_deliveries(db, rows, DeliveryState.FAILED)


class RotationMethods(StoreMethods):
    """`Database.rotate`, and the purges by rows, which leave alone what drops will take.

    Rows that a drop will take may grow older than is asked for, by one partition's time.
    """

    _connect: Callable[[], DbConnection]
    partition_days: int

    def __init__(self) -> None:
        self._made: list[Partition] = []  # as of the last rotation of this process
        self._kept: set[Partition] = set()

    def make_partitions(self, link: DbConnection, now: Micros) -> partitions.PartitionChanges:
        """Make room for what comes."""
        return partitions.make(
            link, DaySpan(now, now + partitions.AHEAD), self.partition_days * DAY
        )

    async def rotate(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros
    ) -> RotationReport:
        limits = PartitionCutoffs(bodies_before, history_before, now)
        made = await self._with_link(lambda link: self.make_partitions(link, now))
        for partition in partitions.expired_partitions(
            await self._with_link(partitions.existing_partitions), _BODIES, limits
        ):
            while await fail_deliveries_without_body(self, partition.span, now, FAILED_AT_ONCE):
                pass
        dropped, self._kept = await self._with_link(lambda link: partitions.drop(link, limits))
        self._made = await self._with_link(partitions.existing_partitions)
        return RotationReport(tuple(made.done), tuple(dropped.done), (*made.busy, *dropped.busy))

    async def _with_link(self, work: Callable[[DbConnection], T]) -> T:
        """Do it on a link of its own: the writer's has others waiting for it."""
        return await asyncio.get_running_loop().run_in_executor(None, self._on_link, work)

    def _on_link(self, work: Callable[[DbConnection], T]) -> T:
        with contextlib.closing(self._connect()) as link:
            return work(link)

    # ── by rows ──────────────────────────────────────────────────────────────────────────────────

    async def purge(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros, limit: int
    ) -> int:
        return await super().purge(
            bodies_before=self._up_to(bodies_before, "bodies"),
            history_before=self._up_to(history_before, *_HISTORY),
            now=now,
            limit=limit,
        )

    async def purge_inbound(
        self, *, requests_before: Micros, callbacks_before: Micros, now: Micros, limit: int
    ) -> int:
        return await super().purge_inbound(
            requests_before=self._up_to(requests_before, "callback_requests"),
            callbacks_before=self._up_to(callbacks_before, "callbacks"),
            now=now,
            limit=limit,
        )

    def _up_to(self, before: Micros, *tables: str) -> Micros:
        first = partitions.first_left_to_drops(self._made, self._kept, tables)
        return before if first is None else min(before, first)
