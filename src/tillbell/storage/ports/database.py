"""The whole database: all ports, and how it is opened, checked, copied and closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tillbell.clock import Micros
from tillbell.storage.ports.cluster import ClusterStore
from tillbell.storage.ports.erasure import ErasureStore
from tillbell.storage.ports.filtered import FilteredLists
from tillbell.storage.ports.inbound import InboundLists, InboundReads, InboundStore
from tillbell.storage.ports.inboxes import InboxStore
from tillbell.storage.ports.outbound import (
    OutboundLists,
    OutboundReads,
    OutboundStore,
    Registry,
    RotationReport,
)
from tillbell.storage.ports.overviews import OverviewLists
from tillbell.storage.ports.people import PeopleStore
from tillbell.storage.ports.shop import ShopLists
from tillbell.storage.ports.statistics import StatisticsStore


class HistoryReads(OutboundLists, InboundLists, OverviewLists, FilteredLists, Protocol):
    """Lists for people. They may come from a replica that lags behind: base no decision on them."""


class Database(
    OutboundStore,
    Registry,
    OutboundReads,
    InboundStore,
    InboundReads,
    OverviewLists,
    PeopleStore,
    StatisticsStore,
    FilteredLists,
    ShopLists,
    InboxStore,
    ErasureStore,
    ClusterStore,
    Protocol,
):
    """One object with all ports. It is used on the event loop that opened it."""

    on_commit: Callable[[int], object]  # called with the number of writes of each commit
    on_notification: Callable[[str], object]  # called with what other processes stored (cluster.py)

    @property
    def history(self) -> HistoryReads:
        """The lists for callers that only show them."""
        ...

    async def open(self) -> None:
        """Connect, check the version, migrate."""
        ...

    async def open_beside(self) -> None:
        """Connect to a store that a gateway may be using, for a short command.

        It neither locks the store nor migrates. `Misconfigured` if the schema is not ours. Only
        people may be read and written: of all other things a gateway assumes that it is told.
        """
        ...

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        ...

    async def check(self) -> None:
        """Commit a write that changes nothing; `StoreUnavailable` if that takes too long."""
        ...

    async def size(self) -> int:
        """Return how many bytes the database has on the disk."""
        ...

    async def rotate(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros
    ) -> RotationReport:
        """Create partitions for the days to come, and drop those that are past their retention.

        A partition in which something is needed (an open delivery, an unprocessed callback) stays,
        and `purge` deletes its other rows. A database without partitions has nothing to do. No
        write waits for longer than a moment.
        """
        ...

    async def backup(self, target: str) -> None:
        """Copy the whole store to a file while it is in use."""
        ...
