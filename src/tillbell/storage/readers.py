"""The readers: a few connections on a small pool of threads."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tillbell.errors import StoreUnavailable
from tillbell.storage.connection import Connection, translated
from tillbell.storage.rows import Row
from tillbell.storage.sql import sql

T = TypeVar("T")


class ConnectionReader:
    """Runs named statements on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, name: str, bindings: Any = (), *chosen: int) -> list[Row]:
        """Return all rows of a statement."""
        with translated():
            return list(self._connection.execute(sql(name, *chosen), bindings))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close(True)


class Readers:
    """Reads beside the writer. Each read is short, so that the log can be checkpointed."""

    def __init__(self, connect: Callable[[], Connection], count: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="tillbell-reader")
        self._free: queue.SimpleQueue[ConnectionReader] = queue.SimpleQueue()
        self._count = count
        for _ in range(count):
            self._free.put(ConnectionReader(connect()))
        self._is_closed = False

    async def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """Call `query(reader, *arguments)` on a thread."""
        if self._is_closed:
            raise StoreUnavailable("The store is closed.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._with_reader, query, arguments)

    def _with_reader(self, query: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        reader = self._free.get()
        try:
            return query(reader, *arguments)
        finally:
            self._free.put(reader)

    async def close(self) -> None:
        """Let reads under way end, then close the connections."""
        if self._is_closed:
            return
        self._is_closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._threads.shutdown)
        for _ in range(self._count):
            self._free.get().close()
