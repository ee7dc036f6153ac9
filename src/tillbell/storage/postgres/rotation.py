"""The rotation of partitions, which does most of the purge by dropping tables."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from tillbell.clock import DAY, Micros
from tillbell.model.messages import DeliveryState
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.methods import write_by_housekeeper
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
_BODIES = next(table for table in PARTITIONED_TABLES if table.name == "bodies")
_HISTORY = ("attempts", "deliveries", "messages")


@write_by_housekeeper()
def fail_deliveries_without_body(db: DbTransaction, span: DaySpan, now: Micros, limit: int) -> int:
    """End open deliveries whose bodies go with their partition; return how many."""
    rows = db.query("deliveries_of_expiring_bodies", (*span.ids("dlv"), now, limit))
    return end_deliveries(db, rows, DeliveryState.FAILED)


class RotationMethods(StoreMethods):
    """`Database.rotate`, and the purges by rows, which leave to the drops what these will delete.

    Rows that a drop will delete may become older than was asked for, by the days of a partition.
    """

    _connect: Callable[[], DbConnection]
    housekeeper: Writer
    partition_days: int

    def __init__(self) -> None:
        # As of the last rotation of this process: all partitions, and expired ones still in need.
        self._partitions: list[Partition] = []
        self._needed: set[Partition] = set()

    def make_partitions(self, connection: DbConnection, now: Micros) -> partitions.PartitionChanges:
        """Create the partitions of the days to come."""
        return partitions.make(
            connection, DaySpan(now, now + partitions.AHEAD), self.partition_days * DAY
        )

    async def rotate(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros
    ) -> RotationReport:
        cutoffs = PartitionCutoffs(bodies_before, history_before, now)
        created = await self._with_connection(lambda c: self.make_partitions(c, now))
        for partition in partitions.expired_partitions(
            await self._with_connection(partitions.existing_partitions), _BODIES, cutoffs
        ):
            while await fail_deliveries_without_body(self, partition.span, now, FAILED_AT_ONCE):
                pass
        dropped, self._needed = await self._with_connection(lambda c: partitions.drop(c, cutoffs))
        self._partitions = await self._with_connection(partitions.existing_partitions)
        return RotationReport(
            created=tuple(created.done),
            dropped=tuple(dropped.done),
            busy=(*created.busy, *dropped.busy),
        )

    async def _with_connection(self, use: Callable[[DbConnection], T]) -> T:
        """Use a connection of its own, because writes wait for the writer's."""

        def run() -> T:
            with contextlib.closing(self._connect()) as connection:
                return use(connection)

        return await asyncio.get_running_loop().run_in_executor(None, run)

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
        first = partitions.dropped_since(self._partitions, self._needed, tables)
        return before if first is None else min(before, first)
