"""The reading pool: callbacks that are large or unproven are read beside the event loop.

Anybody may send a body that takes a second to parse, and Python runs one thread at a time. So one
callback is read at once; sources take turns, and in a source the addresses that send to it. Each
has its share of the places; who is above it is told to send again later.

An address that has proven who it is to a source goes first. All others have a quarter of the time:
after one of theirs was read, the next one waits for three times as long as that took.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from tillbell.errors import Unavailable
from tillbell.providers.kit.base import Incoming
from tillbell.receive.verify_and_parse import CallbackReading

PLACES = 1_024
PLACES_OF_SOURCE = 512
PLACES_OF_ADDRESS = 256  # at one source
BYTES_MAX = 32 * 1_048_576  # of all bodies that wait
BYTES_OF_SOURCE = BYTES_MAX // 4
REST = 3  # times as long as an unproven callback took
REST_FROM_S = 0.002  # shorter ones cost nobody anything
PROVEN_MAX = 10_000  # addresses that are remembered

Read = Callable[[], CallbackReading]


class _Sender(NamedTuple):
    """Who sends to whom."""

    source_id: str
    address: str


class _Job(NamedTuple):
    """A callback to read, and who waits for it."""

    sender: _Sender
    size: int
    read: Read
    future: asyncio.Future[CallbackReading]


class _SourceJobs:
    """The jobs of one source: its addresses in turn. Counts are kept: a flood asks for them."""

    def __init__(self) -> None:
        self.addresses: OrderedDict[str, deque[_Job]] = OrderedDict()
        self.count = 0
        self.size = 0  # bytes

    def add(self, job: _Job) -> None:
        self.addresses.setdefault(job.sender.address, deque()).append(job)
        self.count += 1
        self.size += job.size

    def take(self) -> _Job:
        address, jobs = self.addresses.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self.addresses[address] = jobs
        self.count -= 1
        self.size -= job.size
        return job


_NO_JOBS = _SourceJobs()


class _Turns:
    """Jobs that wait: sources in turn, and in each its addresses in turn."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, _SourceJobs] = OrderedDict()

    def add(self, job: _Job) -> None:
        """Put a job behind those of its sender."""
        self._sources.setdefault(job.sender.source_id, _SourceJobs()).add(job)

    def take(self) -> _Job | None:
        """Take the next job; None if there is none."""
        if not self._sources:
            return None
        source_id, of_source = self._sources.popitem(last=False)
        job = of_source.take()
        if of_source.count:
            self._sources[source_id] = of_source
        return job

    def has_place(self, sender: _Sender, size: int) -> bool:
        """Tell whether one more fits into the shares of its source and its address."""
        of_source = self._sources.get(sender.source_id, _NO_JOBS)
        return (
            of_source.count < PLACES_OF_SOURCE
            and len(of_source.addresses.get(sender.address, ())) < PLACES_OF_ADDRESS
            and of_source.size + size <= BYTES_OF_SOURCE
        )


class ReadingPool:
    """Reads callbacks on a thread, one at a time. Lives on one event loop."""

    def __init__(self) -> None:
        self._proven_turns = _Turns()
        self._other_turns = _Turns()
        self._proven: OrderedDict[_Sender, None] = OrderedDict()
        self._waiting = 0
        self._bytes = 0
        self._is_busy = False
        self._rests_until = 0.0  # as loop time: no callback of unproven senders before
        self._alarm: asyncio.TimerHandle | None = None

    async def read(self, source_id: str, incoming: Incoming, read: Read) -> CallbackReading:
        """Call `read` on the thread when it is its turn; `Unavailable` if there is no place."""
        sender = _Sender(source_id, incoming.peer)
        size = len(incoming.body)
        turns = self._proven_turns if sender in self._proven else self._other_turns
        is_full = self._waiting >= PLACES or self._bytes + size > BYTES_MAX
        if is_full or not turns.has_place(sender, size):
            raise Unavailable(
                "Too many callbacks wait to be read; send it again later.", code="busy"
            )
        future: asyncio.Future[CallbackReading] = asyncio.get_running_loop().create_future()
        turns.add(_Job(sender, size, read, future))
        self._waiting += 1
        self._bytes += size
        self._start_next()
        return await future

    def _start_next(self) -> None:
        if self._is_busy:
            return
        loop = asyncio.get_running_loop()
        job = self._proven_turns.take()
        if job is None:
            if loop.time() < self._rests_until:
                if self._alarm is None:
                    self._alarm = loop.call_at(self._rests_until, self._end_rest)
                return
            job = self._other_turns.take()
        if job is not None:
            self._is_busy = True
            self._waiting -= 1
            self._bytes -= job.size
            started_at = loop.time()
            running = loop.run_in_executor(None, job.read)
            running.add_done_callback(lambda done: self._finish(job, done, started_at))

    def _end_rest(self) -> None:
        self._alarm = None
        self._start_next()

    def _finish(self, job: _Job, done: asyncio.Future[CallbackReading], started_at: float) -> None:
        now_s = asyncio.get_running_loop().time()
        self._is_busy = False
        error = done.exception()
        is_proven = error is None and done.result().is_proven
        if is_proven:
            self._proven[job.sender] = None
            self._proven.move_to_end(job.sender)
            if len(self._proven) > PROVEN_MAX:
                self._proven.popitem(last=False)
        else:
            self._proven.pop(job.sender, None)
            if now_s - started_at > REST_FROM_S:
                self._rests_until = now_s + REST * (now_s - started_at)
        self._start_next()
        if job.future.done():
            return  # its caller has gone
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(done.result())
