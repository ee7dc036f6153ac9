"""Group commit: many writes in one commit of the database, on one thread.

Writes queue on the event loop. When the writer is idle the queue goes to its thread at the end
of the loop's present round; while a commit runs, new writes wait and share the next one. No timer.
The queue is swapped on the loop, never by the thread: a write that slipped into a list being
written would be acknowledged and lost.

Within a batch, writes keep their order, except that batched ones, which cannot depend on each
other, are run together (see `Operation` for this and the other options). A batch of only
optimistic writes is first done without savepoints. If something fails, it is undone and done again
with them: of a run that fails each half is repeated, and so on, so that only the write at fault
fails and the others are repeated as rarely as can be. A
commit that fails fails its whole batch, and the writer goes on.

A database may also not answer at all: it was stopped, or the network drops packets. After
`commit_timeout_s` callers fail with `StoreUnavailable`; new ones fail at once until a commit ends.
The result of writes under way is unknown; writes that had not begun are not made. Writes with
`no_timeout` keep waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from tillbell.errors import StoreUnavailable
from tillbell.storage.session.idempotency import RequestKey, with_idempotency
from tillbell.storage.session.request_act import RequestAct, with_request_act
from tillbell.storage.session.transaction import Operation

BATCH_MAX = 1_000  # writes in one commit: bounds how long the last one waits
COMMIT_TIMEOUT_S = 4.0  # for one commit, unless the store says otherwise


class Write(NamedTuple):
    """One write and who waits for it."""

    operation: Operation
    request: Any
    future: asyncio.Future[Any]


class FailedWrite:
    """The result of a write that raised."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class WriterSession(Protocol):
    """What the writer uses: see `DbSession`."""

    def commit_optimistically(
        self, runs: Sequence[tuple[Operation, Sequence[Any]]]
    ) -> list[Sequence[Any]] | None:
        """Do a whole commit without savepoints; None if something failed."""

    def begin(self) -> None:
        """Begin a transaction."""

    def run_operation(self, operation: Operation, requests: list[Any]) -> Any:
        """Do one run of equal writes, or raise."""

    def commit(self) -> None:
        """Make it durable."""

    def close(self) -> None:
        """Close the connection; a transaction that is open is given up."""


class Writer:
    """Commits writes in groups. Lives on one event loop.

    `on_commit` is told how many writes each commit held.
    """

    def __init__(self, session: WriterSession) -> None:
        self._session = session
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
        # A daemon thread, so that the process can end if its event loop has died.
        threading.Thread(target=self._serve, name="tillbell-writer", daemon=True).start()

    # ── on the loop ──────────────────────────────────────────────────────────────────────────────

    def submit(
        self,
        operation: Operation,
        request: Any,
        key: RequestKey | None = None,
        act: RequestAct | None = None,
    ) -> asyncio.Future[Any]:
        """Queue a write; its future ends when it is on disk, or has failed.

        With a `key` the same commit stores that the idempotency key was used, with an `act` what
        the request does, if the write does not say so itself.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._is_closed:
            future.set_exception(StoreUnavailable("The store is closed."))
            return future
        if self._is_unresponsive and self._is_busy and not operation.no_timeout:
            future.set_exception(_no_answer_error())
            return future
        if act is not None:
            operation = with_request_act(operation, act)
        if key is not None:
            operation = with_idempotency(operation, key)
        self._pending.append(Write(operation, request, future))
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
        """Fail the writes that have waited too long; a result that comes later is ignored."""
        self._is_unresponsive = True
        for write in self._under_way + self._pending:
            if not write.operation.no_timeout and not write.future.done():
                write.future.set_exception(_no_answer_error())
        self._pending = [write for write in self._pending if write.operation.no_timeout]

    def _finish(self, batch: list[Write], results: list[Any]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._is_unresponsive = self._is_unresponsive and all(map(_is_lost, results))
        self._hand_over()  # start the next batch before the callers of this one continue
        self.on_commit(len(batch))
        for write, result in zip(batch, results, strict=True):
            if write.future.done():
                continue  # its caller has gone
            if isinstance(result, FailedWrite):
                write.future.set_exception(result.error)
            else:
                write.future.set_result(result)

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
            self._call_on_loop(self._finish, batch, self._commit(batch))
        self._session.close()
        self._call_on_loop(self._ended.set)

    def _call_on_loop(self, callback: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _commit(self, batch: list[Write]) -> list[Any]:
        results: list[Any] = [None] * len(batch)
        runs = list(runs_of(batch))
        try:
            if not self._is_done_optimistically(batch, runs, results):
                self._session.begin()
                for run in runs:
                    self._run(batch, run, results)
                self._session.commit()
        except Exception as error:  # noqa: BLE001 - supervised: every caller must hear of it
            self._session.close()
            # A new error for each caller: a shared one would collect the tracebacks of all.
            return [FailedWrite(StoreUnavailable(str(error))) for _ in batch]
        return results

    def _is_done_optimistically(
        self, batch: list[Write], runs: list[list[int]], results: list[Any]
    ) -> bool:
        """Try to do a batch without savepoints, if all of its writes are optimistic."""
        if not all(write.operation.optimistic for write in batch):
            return False
        done = self._session.commit_optimistically(
            [(batch[run[0]].operation, [batch[n].request for n in run]) for run in runs]
        )
        if done is None:
            return False
        for run, results_of_run in zip(runs, done, strict=True):
            for number, result in zip(run, results_of_run, strict=True):
                results[number] = result
        return True

    def _run(self, batch: list[Write], run: list[int], results: list[Any]) -> None:
        operation, requests = batch[run[0]].operation, [batch[n].request for n in run]
        try:
            results_of_run = self._session.run_operation(operation, requests)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the caller whose write this is
            if len(run) == 1:
                results[run[0]] = FailedWrite(error)
                return
            middle = len(run) // 2
            self._run(batch, run[:middle], results)
            self._run(batch, run[middle:], results)
            return
        for number, result in zip(run, results_of_run, strict=True):
            results[number] = result


def _no_answer_error() -> StoreUnavailable:
    return StoreUnavailable("The database does not answer.")


def _is_lost(result: Any) -> bool:
    return isinstance(result, FailedWrite) and isinstance(result.error, StoreUnavailable)


def runs_of(batch: Iterable[Write]) -> Iterator[list[int]]:
    """Cut a batch into runs: the numbers of writes whose operation is done once for all of them."""
    together: dict[Operation, list[int]] = {}
    for number, write in enumerate(batch):
        if write.operation.batched:
            together.setdefault(write.operation, []).append(number)
        else:
            yield from together.values()
            together = {}
            yield [number]
    yield from together.values()
