"""Reads: a few connections on a small pool of threads."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from tillbell.errors import StoreUnavailable
from tillbell.storage.session.connection import DbConnection, DbReader

P = ParamSpec("P")
T = TypeVar("T")
READ_TIMEOUT_S = 4.0  # of batched reads, unless the store says otherwise


class _QueuedRead(NamedTuple):
    """A batched read and the future that waits for it."""

    query: Callable[[DbReader], Any]
    future: asyncio.Future[Any]


class ReadPool:
    """Reads beside the writer. Each read is short, so that the log can be checkpointed.

    A connection is opened now or when it is first needed. One that fails is replaced, and the read
    is done again, once. Batched reads fail with `StoreUnavailable` when the database does not
    answer for `timeout_s`; new ones then fail at once, until it answers.
    """

    def __init__(
        self, connect: Callable[[], DbConnection], count: int, *, connects_now: bool = True
    ) -> None:
        self.timeout_s = READ_TIMEOUT_S
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="tillbell-reader")
        self._connect = connect
        self._count = count
        self._free: queue.SimpleQueue[DbConnection | None] = queue.SimpleQueue()
        for connection in [connect() if connects_now else None for _ in range(count)]:
            self._free.put(connection)
        self._loop = asyncio.get_running_loop()
        self._queued: list[_QueuedRead] = []
        self._is_answering = False
        self._is_unresponsive = False  # the database has not answered, and not since
        self._is_closed = False

    async def read(
        self, query: Callable[Concatenate[DbReader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `query(db, …)` on a thread, with a connection of its own."""
        if self._is_closed:
            raise StoreUnavailable("The store is closed.")
        return await self._loop.run_in_executor(
            self._threads, self._with_connection, lambda db: query(db, *args, **kwargs)
        )

    async def read_batched(
        self, query: Callable[Concatenate[DbReader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do the same together with others that come while a thread is busy with such reads.

        For reads of some ten microseconds: changing threads costs several times that. Not for
        lists: the others would wait for them.
        """
        if self._is_closed:
            raise StoreUnavailable("The store is closed.")
        if self._is_unresponsive and self._is_answering:
            raise _no_answer_error()
        future: asyncio.Future[T] = self._loop.create_future()
        self._queued.append(_QueuedRead(lambda db: query(db, *args, **kwargs), future))
        if not self._is_answering:
            self._is_answering = True
            self._loop.call_soon(self._answer)
        return await future

    def _answer(self) -> None:
        """Take the queued reads to a thread; then those that came meanwhile."""
        batch, self._queued = self._queued, []
        self._is_answering = bool(batch) and not self._is_closed
        if self._is_answering:
            job = self._loop.run_in_executor(
                self._threads, self._with_connection, lambda db: _results_of(db, batch)
            )
            alarm = self._loop.call_later(self.timeout_s, self._timed_out, batch)
            job.add_done_callback(lambda job: self._finish(batch, job, alarm))
        else:
            _resolve(batch, [StoreUnavailable("The store is closed.") for _ in batch])

    def _timed_out(self, batch: Sequence[_QueuedRead]) -> None:
        """Fail the reads that have waited too long; a result that comes later is ignored."""
        self._is_unresponsive = True
        waiting, self._queued = [*batch, *self._queued], []
        _resolve(waiting, [_no_answer_error() for _ in waiting])

    def _finish(
        self,
        batch: Sequence[_QueuedRead],
        job: asyncio.Future[list[Any]],
        alarm: asyncio.TimerHandle,
    ) -> None:
        alarm.cancel()
        error = job.exception()
        self._is_unresponsive = self._is_unresponsive and error is not None
        self._answer()  # start the next batch before the callers of this one continue
        # A new error for each caller: a shared one would collect the tracebacks of all.
        _resolve(batch, [StoreUnavailable(str(error)) for _ in batch] if error else job.result())

    def _with_connection(self, query: Callable[[DbReader], T]) -> T:
        connection = self._free.get()
        try:
            if connection is not None:
                try:
                    return query(connection)
                except StoreUnavailable:  # it may have been broken for long
                    connection.close()
                    connection = None
            connection = self._connect()
            return query(connection)
        finally:
            self._free.put(connection)

    async def close(self) -> None:
        """Let reads under way end, then close the connections."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._loop.run_in_executor(None, self._threads.shutdown)
        for _ in range(self._count):
            connection = self._free.get()
            if connection is not None:
                connection.close()


def _results_of(db: DbReader, batch: Sequence[_QueuedRead]) -> list[Any]:
    return [_result_of(db, queued) for queued in batch]


def _result_of(db: DbReader, queued: _QueuedRead) -> Any:
    try:
        return queued.query(db)
    except StoreUnavailable:  # it fails all of them: they share the connection
        raise
    except Exception as error:  # noqa: BLE001 - it belongs to the caller of this read
        return error


def _no_answer_error() -> StoreUnavailable:
    return StoreUnavailable("The database does not answer.")


def _resolve(batch: Sequence[_QueuedRead], results: Sequence[Any]) -> None:
    for queued, result in zip(batch, results, strict=True):
        if queued.future.done():
            continue  # its caller has gone
        if isinstance(result, Exception):
            queued.future.set_exception(result)
        else:
            queued.future.set_result(result)
