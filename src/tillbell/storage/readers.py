"""The readers: a few links on a small pool of threads."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from tillbell.errors import StoreUnavailable
from tillbell.storage.link import Link
from tillbell.storage.reads import Reader

T = TypeVar("T")


class _Question(NamedTuple):
    """A look-up and who waits for it."""

    query: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]


class Readers:
    """Reads beside the writer. Each read is short, so that the log can be checkpointed.

    `read` has a thread to itself. `look_up` is for what takes some ten microseconds: changing
    threads costs several times that, so look-ups that come while others are answered go together.
    """

    def __init__(self, connect: Callable[[], Link], count: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="tillbell-reader")
        self._links = [connect() for _ in range(count)]
        self._free: queue.SimpleQueue[Reader] = queue.SimpleQueue()
        for link in self._links:
            self._free.put(link.rows)
        self._loop = asyncio.get_running_loop()
        self._asked: list[_Question] = []
        self._is_answering = False
        self._is_closed = False

    async def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """Call `query(reader, *arguments)` on a thread."""
        if self._is_closed:
            raise StoreUnavailable("The store is closed.")
        return await self._loop.run_in_executor(self._threads, self._with_reader, query, arguments)

    async def look_up(self, query: Callable[..., T], *arguments: Any) -> T:
        """Do the same together with others. Not for lists: the rest would wait for them."""
        if self._is_closed:
            raise StoreUnavailable("The store is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._asked.append(_Question(query, arguments, future))
        if not self._is_answering:
            self._is_answering = True
            self._loop.call_soon(self._answer)
        return await future

    def _answer(self) -> None:
        """Take what was asked until now to a thread; then what was asked meanwhile."""
        asked, self._asked = self._asked, []
        self._is_answering = bool(asked) and not self._is_closed
        if self._is_answering:
            questions = _answers, (asked,)
            job = self._loop.run_in_executor(self._threads, self._with_reader, *questions)
            job.add_done_callback(lambda job: self._finish(asked, job.result()))
        else:
            _tell(asked, [StoreUnavailable("The store is closed.") for _ in asked])

    def _finish(self, asked: Sequence[_Question], answers: Sequence[Any]) -> None:
        self._answer()  # first: the next ones need not wait for those who wait for these
        _tell(asked, answers)

    def _with_reader(self, query: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        reader = self._free.get()
        try:
            return query(reader, *arguments)
        finally:
            self._free.put(reader)

    async def close(self) -> None:
        """Let reads under way end, then close the links."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._loop.run_in_executor(None, self._threads.shutdown)
        for link in self._links:
            link.close()


def _answers(reader: Reader, asked: Sequence[_Question]) -> list[Any]:
    return [_answer_to(reader, question) for question in asked]


def _answer_to(reader: Reader, question: _Question) -> Any:
    try:
        return question.query(reader, *question.arguments)
    except Exception as error:  # noqa: BLE001 - it belongs to the caller who asked this
        return error


def _tell(asked: Sequence[_Question], answers: Sequence[Any]) -> None:
    for question, answer in zip(asked, answers, strict=True):
        if question.future.done():
            continue  # its caller has gone
        if isinstance(answer, Exception):
            question.future.set_exception(answer)
        else:
            question.future.set_result(answer)
