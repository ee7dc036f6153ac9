"""The rotation of history: what of the purge a database with partitions does by dropping them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from tillbell.clock import DAY, Micros
from tillbell.model.messages import DeliveryState
from tillbell.storage.engine.book_methods import InboundStoreMethods
from tillbell.storage.engine.methods import OutboundStoreMethods
from tillbell.storage.operations.messages import end_deliveries
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


class ExpiringBodies(NamedTuple):
    """Messages whose bodies go, and how many of their deliveries fail at once."""

    span: DaySpan
    now: Micros
    limit: int


def fail_deliveries_without_body(
    transaction: DbTransaction, requests: Sequence[ExpiringBodies]
) -> list[int]:
    """End open deliveries whose bodies go with their partition; say how many."""
    return [
        len(
            end_deliveries(
                transaction,
                transaction.query(
                    "deliveries_of_expiring_bodies", (*r.span.ids("dlv"), r.now, r.limit)
                ),
                DeliveryState.FAILED,
            )
        )
        for r in requests
    ]


class RotationMethods(OutboundStoreMethods, InboundStoreMethods):
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
        """See `Database.rotate`."""
        limits = PartitionCutoffs(bodies_before, history_before, now)
        made = await self._with_link(lambda link: self.make_partitions(link, now))
        for partition in partitions.expired_partitions(
            await self._with_link(partitions.existing_partitions), _BODIES, limits
        ):
            request = ExpiringBodies(partition.span, now, FAILED_AT_ONCE)
            while await self._writer.submit(fail_deliveries_without_body, request):
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
        """See `OutboundStore.purge`."""
        return await super().purge(
            bodies_before=self._up_to(bodies_before, "bodies"),
            history_before=self._up_to(history_before, *_HISTORY),
            now=now,
            limit=limit,
        )

    async def purge_inbound(
        self, *, requests_before: Micros, callbacks_before: Micros, now: Micros, limit: int
    ) -> int:
        """See `InboundStore.purge_inbound`."""
        return await super().purge_inbound(
            requests_before=self._up_to(requests_before, "callback_requests"),
            callbacks_before=self._up_to(callbacks_before, "callbacks"),
            now=now,
            limit=limit,
        )

    def _up_to(self, before: Micros, *tables: str) -> Micros:
        first = partitions.first_left_to_drops(self._made, self._kept, tables)
        return before if first is None else min(before, first)
