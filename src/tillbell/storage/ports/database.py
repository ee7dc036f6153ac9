"""The whole database: what goes out (base.py), what comes in (books.py), and its life."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tillbell.clock import Micros
from tillbell.storage.ports.cluster import ClusterStore
from tillbell.storage.ports.inbound import InboundLists, InboundReads, InboundStore
from tillbell.storage.ports.outbound import (
    OutboundLists,
    OutboundReads,
    OutboundStore,
    Registry,
    RotationReport,
)


class HistoryReads(OutboundLists, InboundLists, Protocol):
    """What people look at. It may come from a replica, and lag by as much: decide nothing by it."""


class Database(
    OutboundStore, Registry, OutboundReads, InboundStore, InboundReads, ClusterStore, Protocol
):
    """All the ports, one object behind them. Lives on the event loop that opened it."""

    on_commit: Callable[[int], object]  # told how many writes each commit held
    on_notification: Callable[[str], object]  # told what other processes stored: see `NOTIFY_ALL`

    @property
    def history(self) -> HistoryReads:
        """The lists for those who only show them."""
        ...

    async def open(self) -> None:
        """Connect, check the version, migrate."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        ...

    async def check(self) -> None:
        """Prove that a write would be accepted now; `StoreUnavailable` if not."""
        ...

    async def rotate(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros
    ) -> RotationReport:
        """Make partitions for what comes, drop those that are past their time.

        What is still needed keeps its partition: a delivery that is open, a callback that is not
        processed. `purge` then deletes the rest of it by rows. A database that is not partitioned
        has nothing to do. Never keeps a write waiting for longer than a moment.
        """
        ...

    async def backup(self, target: str) -> None:
        """Copy the whole store to a file while it is in use."""
        ...
