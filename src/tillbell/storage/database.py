"""The whole database: what goes out (base.py), what comes in (books.py), and its life."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tillbell.storage.base import Registry, Store, Views
from tillbell.storage.books import Books, BookViews


class Database(Store, Registry, Views, Books, BookViews, Protocol):
    """All the ports, one object behind them. Lives on the event loop that opened it."""

    on_commit: Callable[[int], object]  # told how many writes each commit held

    async def open(self) -> None:
        """Connect, check the version, migrate."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        ...

    async def check(self) -> None:
        """Prove that a write would be accepted now; `StoreUnavailable` if not."""
        ...

    async def backup(self, target: str) -> None:
        """Copy the whole store to a file while it is in use."""
        ...
