"""Live: what happens, told to readers while it happens.

One task of the process asks the store what is new since the last look, for all readers together:
soon after a commit of this process, else every second, so that it sees what other processes commit.
Without readers it does nothing. A reader that does not keep up is ended; it resumes where it was,
because the position of each event is the id of the last message and callback.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from tillbell.clock import DAY, Clock, Micros
from tillbell.cluster.membership import Cluster
from tillbell.errors import StoreUnavailable, TooMany
from tillbell.ids import first_of, made_at
from tillbell.logs import log_event
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Message
from tillbell.rules.filters.clauses import ListFilter
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page, Totals

LOOK_EVERY_S = 1.0
LOOK_APART_S = 0.25  # at least, however many commits there are
EVENTS_OF_LOOK = 200  # of each topic; more are passed over, and readers are told
WAITING_MAX = 1_000  # events that wait for one reader
RESUMED_MAX = 1_000  # events that a reader gets that comes back
RESUMED_AGE: Micros = DAY
HEARTBEAT_S = 15.0
STREAMS_MAX = 1_000  # of this process: each event is written for every reader
STREAMS_OF_ONE = 50  # of one key or person
_POSITION = re.compile(r"(msg_[0-9a-z]{26})\.(cbk_[0-9a-z]{26})")


class Position(NamedTuple):
    """How far a reader has read: the last message and callback."""

    message: str
    callback: str

    def text(self) -> str:
        """Write it as the id of an event."""
        return f"{self.message}.{self.callback}"


def read_position(text: str) -> Position | None:
    """Read the id of an event; None if it is none."""
    match = _POSITION.fullmatch(text)
    return Position(match[1], match[2]) if match else None


class LiveEvent(NamedTuple):
    """Something that happened. A gap: events were passed over."""

    row: Message | Callback | Totals | None  # None: a gap
    position: Position


class LiveRequest(NamedTuple):
    """What a reader wants: of an application (None: of all), and of these topics."""

    app_id: str | None
    messages: Callable[[Message], bool] | None  # None: no messages
    callbacks: Callable[[Callback], bool] | None
    has_counters: bool
    resumes_at: str | None = None  # the id of the last event it has
    reader_id: str = ""  # the key or person who reads

    def wants(self, event: LiveEvent) -> bool:
        """Tell whether an event is for this reader."""
        row = event.row
        if isinstance(row, Message):
            is_wanted = self.messages is not None and self.messages(row)
            return is_wanted and self.app_id in (None, row.app_id)
        if isinstance(row, Callback):
            is_wanted = self.callbacks is not None and self.callbacks(row)
            return is_wanted and self.app_id in (None, row.app_id)
        return row is None or (self.has_counters and self.app_id is None)


class _LiveReader:
    """The events that wait for one reader; the last one is None."""

    def __init__(self, request: LiveRequest, position: Position) -> None:
        self.request = request
        self.attached_at = position
        self.waiting: asyncio.Queue[LiveEvent | None] = asyncio.Queue()
        self.is_ended = False

    def give(self, event: LiveEvent) -> None:
        if self.is_ended or not self.request.wants(event):
            return
        if self.waiting.qsize() >= WAITING_MAX:
            self.end()
        else:
            self.waiting.put_nowait(event)

    def end(self) -> None:
        """End it behind what waits for it."""
        self.is_ended = True
        self.waiting.put_nowait(None)

    @property
    def is_finished(self) -> bool:
        """Whether it is ended and has taken all that waited."""
        return self.is_ended and self.waiting.empty()

    async def next_event(self) -> LiveEvent | None:
        """Return the next event; None at the end, or if nothing happens for a while."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                return await self.waiting.get()
        except TimeoutError:
            return None


class LiveHub:
    """Looks for what is new, and gives it to the readers of this process."""

    def __init__(self, database: Database, cluster: Cluster, clock: Clock) -> None:
        self._database = database
        self._cluster = cluster
        self._clock = clock
        self._readers: set[_LiveReader] = set()
        self._position = Position("", "")
        self._totals: Totals | None = None
        self._committed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._is_stopped = False

    def committed(self, writes: int) -> None:
        """Look soon, if anybody reads: this process has committed something."""
        del writes
        if self._readers:
            self._committed.set()

    def stop(self) -> None:
        """End all readers: they come back to the next process."""
        self._is_stopped = True
        for reader in self._readers:
            reader.end()
        if self._looking is not None:
            self._looking.cancel()

    def check_room(self, reader_id: str) -> None:
        """Raise `TooMany` if a key or person has all the streams that one may have."""
        of_one = sum(reader.request.reader_id == reader_id for reader in self._readers)
        if of_one >= STREAMS_OF_ONE or len(self._readers) >= STREAMS_MAX:
            raise TooMany("Too many streams are open; close one.", retry_after_s=int(HEARTBEAT_S))

    async def events(self, request: LiveRequest) -> AsyncGenerator[LiveEvent | None, None]:
        """Yield what happens; None from time to time if nothing does. It ends with the process."""
        if self._is_stopped:
            return
        reader = self._attach(request)
        try:
            if request.resumes_at is not None:
                async for event in self._missed(reader, request.resumes_at):
                    yield event
            while not reader.is_finished:
                yield await reader.next_event()
        finally:
            self._readers.discard(reader)

    def _attach(self, request: LiveRequest) -> _LiveReader:
        if not self._readers:
            self._position = self._now()
            self._totals = None
        reader = _LiveReader(request, self._position)
        self._readers.add(reader)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_on())
        return reader

    def _now(self) -> Position:
        at = self._complete_before()
        return Position(first_of("msg", at), first_of("cbk", at))

    def _complete_before(self) -> Micros:
        before = self._cluster.complete_before()
        return self._clock.now() if before is None else before

    # ── what was missed ──────────────────────────────────────────────────────────────────────────

    async def _missed(
        self, reader: _LiveReader, resumes_at: str
    ) -> AsyncGenerator[LiveEvent, None]:
        """Yield the events between a position and the one at which the reader was attached."""
        position, end = read_position(resumes_at), reader.attached_at
        if position is None or made_at(position.message) < self._clock.now() - RESUMED_AGE:
            yield LiveEvent(None, end)
            return
        events, is_whole = await self._between(reader.request.app_id, position, end, RESUMED_MAX)
        if not is_whole:
            yield LiveEvent(None, position)
        for event in events:
            if reader.request.wants(event):
                yield event

    async def _between(
        self, app_id: str | None, start: Position, end: Position, limit: int
    ) -> tuple[list[LiveEvent], bool]:
        """Return the events behind a position, up to another, and whether that is all of them."""
        messages = await self._database.filtered_messages(
            app_id, ListFilter(), Page(limit, start.message, ascending=True), limit
        )
        callbacks = await self._database.filtered_callbacks(
            app_id, ListFilter(), Page(limit, start.callback, ascending=True), limit
        )
        events, position = [], start
        for message in messages.rows:
            if message.id <= end.message:
                position = position._replace(message=message.id)
                events.append(LiveEvent(message, position))
        for callback in callbacks.rows:
            if callback.id <= end.callback:
                position = position._replace(callback=callback.id)
                events.append(LiveEvent(callback, position))
        longest = max(len(messages.rows), len(callbacks.rows))
        return events, longest < limit

    # ── looking ──────────────────────────────────────────────────────────────────────────────────

    async def _look_on(self) -> None:
        while self._readers and not self._is_stopped:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._committed.wait()
            except TimeoutError:
                pass
            self._committed.clear()
            try:
                await self._look()
            except StoreUnavailable as error:
                log_event("live.postponed", error=str(error))
            await asyncio.sleep(LOOK_APART_S)

    async def _look(self) -> None:
        """Give what is new to the readers."""
        at = self._complete_before() + 1000  # ids are exact to the millisecond
        end = Position(first_of("msg", at), first_of("cbk", at))
        scopes = {reader.request.app_id for reader in self._readers}
        scope = scopes.pop() if len(scopes) == 1 else None
        events, is_whole = await self._between(scope, self._position, end, EVENTS_OF_LOOK)
        self._position = events[-1].position if events else self._position
        for event in events:
            self._give(event)
        if not is_whole:
            self._position = self._now()
            self._give(LiveEvent(None, self._position))
        if any(reader.request.has_counters for reader in self._readers):
            totals = await self._database.counts()
            if totals != self._totals:
                self._totals = totals
                self._give(LiveEvent(totals, self._position))

    def _give(self, event: LiveEvent) -> None:
        for reader in tuple(self._readers):
            reader.give(event)
