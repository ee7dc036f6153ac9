"""The writer: group commit with natural batching, on one thread.

Writes queue on the event loop. When the writer is idle the queue goes to its thread at the end
of the loop's present round; while a commit runs, what arrives waits and shares the next one.
No timer. The queue is swapped on the loop, never by the thread: a write that slipped into a
list being written would be acknowledged and lost.

Within a batch, writes keep their order, except that hot ones (kinds.py), which cannot depend on
each other, are run kind by kind. A batch of sure ones alone is first done whole, as if
nothing could go wrong; if something does, it is undone and done again with care: a run that fails
is repeated write by write, so that only the one at fault fails. A commit that fails fails its whole
batch, and the writer goes on.

A database may also say nothing at all: stopped, or behind a network that swallows. After
`patience_s` whoever waits for a commit is told so, and from then on others at once, until one
commit has ended. What becomes of the writes under way is not known; those that had not begun
are not made. Patient ones, for which nobody holds a request open, wait on.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from tillbell.errors import StoreUnavailable
from tillbell.storage.session.idempotency import with_idempotency
from tillbell.storage.session.transaction import Operation

BATCH_MAX = 1_000  # writes in one commit: bounds how long the last one waits
COMMIT_TIMEOUT_S = 4.0  # for one commit, unless the store says otherwise


class Write(NamedTuple):
    """One write and who waits for it."""

    operation: Operation
    request: Any
    future: asyncio.Future[Any]


class FailedWrite(NamedTuple):
    """The outcome of a write that raised."""

    error: Exception


class WriterSession(Protocol):
    """What the writer drives: see `transaction.Session`."""

    def commit_optimistically(
        self, works: Sequence[tuple[Operation, Sequence[Any]]]
    ) -> list[Sequence[Any]] | None:
        """Do all of a commit as if nothing could go wrong; None: something did."""

    def begin(self) -> None:
        """Begin a transaction."""

    def run_operation(self, work: Operation, requests: list[Any]) -> Any:
        """Do a piece of work, whole or not at all."""

    def commit(self) -> None:
        """Make it durable."""

    def reset(self) -> None:
        """Give up the transaction, if there is one."""

    def close(self) -> None:
        """End."""


class BatchPolicy(NamedTuple):
    """Works that are treated differently (see above)."""

    batched: frozenset[Operation] = frozenset()
    optimistic: frozenset[Operation] = frozenset()
    no_timeout: frozenset[Operation] = frozenset()


class Writer:
    """Commits writes in groups. Lives on one event loop.

    `on_commit` is told how many writes each commit held.
    """

    def __init__(self, session: WriterSession, kinds: BatchPolicy) -> None:
        self._session = session
        self._hot, self._sure, self._patient = kinds
        self.on_commit: Callable[[int], object] = lambda _: None
        self.commit_timeout_s = COMMIT_TIMEOUT_S
        self._loop = asyncio.get_running_loop()
        self._pending: list[Write] = []
        self._under_way: list[Write] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._is_unresponsive = False  # the database has not answered, and not since
        self._is_busy = False
        self._is_closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = asyncio.Event()
        self._batches: queue.SimpleQueue[list[Write] | None] = queue.SimpleQueue()
        # A daemon: a process whose loop has died must not hang on it.
        threading.Thread(target=self._serve, name="tillbell-writer", daemon=True).start()

    # ── on the loop ──────────────────────────────────────────────────────────────────────────────

    def submit(self, work: Operation, request: Any) -> asyncio.Future[Any]:
        """Queue a write; its future ends when it is on disk, or has failed."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._is_closed:
            future.set_exception(StoreUnavailable("The store is closed."))
            return future
        if self._is_unresponsive and self._is_busy and work not in self._patient:
            future.set_exception(_no_answer_error())
            return future
        self._pending.append(Write(with_idempotency(work), request, future))
        if not self._is_busy:
            self._is_busy = True
            self._idle.clear()
            self._loop.call_soon(self._hand_over)
        return future

    def _hand_over(self) -> None:
        batch, self._pending = self._pending[:BATCH_MAX], self._pending[BATCH_MAX:]
        self._under_way = batch
        if batch:
            self._alarm = self._loop.call_later(self.commit_timeout_s, self._timed_out)
            self._batches.put(batch)
        else:
            self._is_busy = False
            self._idle.set()

    def _timed_out(self) -> None:
        """Tell those who wait; whatever the thread brings later, they are gone."""
        self._is_unresponsive = True
        for write in self._under_way + self._pending:
            if write.operation not in self._patient and not write.future.done():
                write.future.set_exception(_no_answer_error())
        self._pending = [write for write in self._pending if write.operation in self._patient]

    def _finish(self, batch: list[Write], outcomes: list[Any]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._is_unresponsive = self._is_unresponsive and all(map(_is_lost, outcomes))
        self._hand_over()  # first: the disk need not wait for those who wait for it
        self.on_commit(len(batch))
        for write, outcome in zip(batch, outcomes, strict=True):
            if write.future.done():
                continue  # its caller has gone
            if isinstance(outcome, FailedWrite):
                write.future.set_exception(outcome.error)
            else:
                write.future.set_result(outcome)

    async def close(self) -> None:
        """Refuse more, commit what was accepted, end the thread."""
        if not self._is_closed:
            self._is_closed = True
            await self._idle.wait()
            self._batches.put(None)
        await self._ended.wait()

    # ── on the thread ────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._resolve_futures(self._finish, batch, self._commit(batch))
        self._session.close()
        self._resolve_futures(self._ended.set)

    def _resolve_futures(self, call: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed under us: nobody waits
            self._loop.call_soon_threadsafe(call, *arguments)

    def _commit(self, batch: list[Write]) -> list[Any]:
        outcomes: list[Any] = [None] * len(batch)
        cut = list(runs(batch, self._hot))
        try:
            if not self._is_done_whole(batch, cut, outcomes):
                self._session.begin()
                for run in cut:
                    self._run(batch, run, outcomes)
                self._session.commit()
        except Exception as error:  # noqa: BLE001 - supervised: every caller must hear of it
            self._session.reset()
            # Each its own: a traceback must not grow with every caller that raises it.
            return [FailedWrite(StoreUnavailable(str(error))) for _ in batch]
        return outcomes

    def _is_done_whole(self, batch: list[Write], cut: list[list[int]], outcomes: list[Any]) -> bool:
        """Try to do all as if nothing could go wrong, if none of it is likely to."""
        if any(write.operation not in self._sure for write in batch):
            return False
        works = [(batch[run[0]].operation, [batch[n].request for n in run]) for run in cut]
        found = self._session.commit_optimistically(works)
        if found is None:
            return False
        for run, results in zip(cut, found, strict=True):
            for number, result in zip(run, results, strict=True):
                outcomes[number] = result
        return True

    def _run(self, batch: list[Write], numbers: list[int], outcomes: list[Any]) -> None:
        work = batch[numbers[0]].operation
        try:
            results = self._session.run_operation(work, [batch[n].request for n in numbers])
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the caller whose write this is
            if len(numbers) == 1:
                outcomes[numbers[0]] = FailedWrite(error)
                return
            for number in numbers:
                self._run(batch, [number], outcomes)
            return
        for number, result in zip(numbers, results, strict=True):
            outcomes[number] = result


def _no_answer_error() -> StoreUnavailable:
    return StoreUnavailable("The database does not answer.")


def _is_lost(outcome: Any) -> bool:
    return isinstance(outcome, FailedWrite) and isinstance(outcome.error, StoreUnavailable)


def runs(batch: Iterable[Write], hot: frozenset[Operation]) -> Iterator[list[int]]:
    """Cut a batch into runs of one kind: numbers of writes that are done together."""
    together: dict[Operation, list[int]] = {}
    for number, write in enumerate(batch):
        if write.operation in hot:
            together.setdefault(write.operation, []).append(number)
        else:
            yield from together.values()
            together = {}
            yield [number]
    yield from together.values()
