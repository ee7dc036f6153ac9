"""The readers: a few links on a small pool of threads."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from tillbell.errors import StoreUnavailable
from tillbell.storage.operations.message_reads import Reader
from tillbell.storage.session.connection import DbConnection

T = TypeVar("T")
READ_TIMEOUT_S = 4.0  # for look-ups that went together, unless the store says otherwise


class _QueuedRead(NamedTuple):
    """A look-up and who waits for it."""

    query: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]


class ReadPool:
    """Reads beside the writer. Each read is short, so that the log can be checkpointed.

    A link is made now or when it is first needed. One that fails is replaced, and what was asked
    is asked again, once. Look-ups are given up when the database says nothing for `patience_s`;
    others then at once, until it answers.

    `read` has a thread to itself. `look_up` is for what takes some ten microseconds: changing
    threads costs several times that, so look-ups that come while others are answered go together.
    """

    def __init__(
        self, connect: Callable[[], DbConnection], count: int, *, connects_now: bool = True
    ) -> None:
        self.patience_s = READ_TIMEOUT_S
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="tillbell-reader")
        self._connect = connect
        self._count = count
        self._free: queue.SimpleQueue[DbConnection | None] = queue.SimpleQueue()
        for link in [connect() if connects_now else None for _ in range(count)]:
            self._free.put(link)
        self._loop = asyncio.get_running_loop()
        self._asked: list[_QueuedRead] = []
        self._is_answering = False
        self._is_unresponsive = False  # the database has not answered, and not since
        self._is_closed = False

    async def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """Call `query(reader, *arguments)` on a thread."""
        if self._is_closed:
            raise StoreUnavailable("The store is closed.")
        return await self._loop.run_in_executor(self._threads, self._with_reader, query, arguments)

    async def read_batched(self, query: Callable[..., T], *arguments: Any) -> T:
        """Do the same together with others. Not for lists: the rest would wait for them."""
        if self._is_closed:
            raise StoreUnavailable("The store is closed.")
        if self._is_unresponsive and self._is_answering:
            raise _no_answer_error()
        future: asyncio.Future[T] = self._loop.create_future()
        self._asked.append(_QueuedRead(query, arguments, future))
        if not self._is_answering:
            self._is_answering = True
            self._loop.call_soon(self._answer)
        return await future

    def _answer(self) -> None:
        """Take what was asked until now to a thread; then what was asked meanwhile."""
        asked, self._asked = self._asked, []
        self._is_answering = bool(asked) and not self._is_closed
        if self._is_answering:
            questions = _resolve_all, (asked,)
            job = self._loop.run_in_executor(self._threads, self._with_reader, *questions)
            alarm = self._loop.call_later(self.patience_s, self._late, asked)
            job.add_done_callback(lambda job: self._finish(asked, job, alarm))
        else:
            _resolve(asked, [StoreUnavailable("The store is closed.") for _ in asked])

    def _late(self, asked: Sequence[_QueuedRead]) -> None:
        """Tell those who wait; whatever the thread brings later, they are gone."""
        self._is_unresponsive = True
        waiting, self._asked = [*asked, *self._asked], []
        _resolve(waiting, [_no_answer_error() for _ in waiting])

    def _finish(
        self,
        asked: Sequence[_QueuedRead],
        job: asyncio.Future[list[Any]],
        alarm: asyncio.TimerHandle,
    ) -> None:
        alarm.cancel()
        error = job.exception()
        self._is_unresponsive = self._is_unresponsive and error is not None
        self._answer()  # first: the next ones need not wait for those who wait for these
        # Each its own: a traceback must not grow with every asker that raises it.
        _resolve(asked, [StoreUnavailable(str(error)) for _ in asked] if error else job.result())

    def _with_reader(self, query: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        link = self._free.get()
        try:
            if link is not None:
                try:
                    return query(link.query, *arguments)
                except StoreUnavailable:  # perhaps broken long ago: only now it shows
                    link.close()
                    link = None
            link = self._connect()
            return query(link.query, *arguments)
        finally:
            self._free.put(link)

    async def close(self) -> None:
        """Let reads under way end, then close the links."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._loop.run_in_executor(None, self._threads.shutdown)
        for _ in range(self._count):
            link = self._free.get()
            if link is not None:
                link.close()


def _resolve_all(reader: Reader, asked: Sequence[_QueuedRead]) -> list[Any]:
    return [_answer_to(reader, question) for question in asked]


def _answer_to(reader: Reader, question: _QueuedRead) -> Any:
    try:
        return question.query(reader, *question.arguments)
    except StoreUnavailable:  # of all: they share the link
        raise
    except Exception as error:  # noqa: BLE001 - it belongs to the caller who asked this
        return error


def _no_answer_error() -> StoreUnavailable:
    return StoreUnavailable("The database does not answer.")


def _resolve(asked: Sequence[_QueuedRead], answers: Sequence[Any]) -> None:
    for question, answer in zip(asked, answers, strict=True):
        if question.future.done():
            continue  # its caller has gone
        if isinstance(answer, Exception):
            question.future.set_exception(answer)
        else:
            question.future.set_result(answer)
