"""Live: what happens, told to readers while it happens.

One task of the process asks the store what is new since the last look, for all readers together:
soon after a commit of this process, else every second, so that it sees what other processes commit.
Without readers it does nothing. A reader that does not keep up is ended; it resumes where it was,
because the position of each event is the id of the last message and callback, and the end of the
last attempt. The end of an attempt may be stored after that of a later one. So each look goes a
little back and tells what it had not seen; a reader that comes back may be told again of the
attempts of that short time, and of none too few.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tillbell.clock import DAY, SECOND, Clock, Micros
from tillbell.cluster.membership import Cluster
from tillbell.errors import StoreUnavailable, TooMany
from tillbell.ids import first_of, made_at
from tillbell.logs import log_event
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Attempt, Delivery, Message
from tillbell.rules.filters.clauses import ListFilter
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import EndedAttempt, Page, Totals

LOOK_EVERY_S = 1.0
LOOK_APART_S = 0.25  # at least, however many commits there are
BUSY_LOOK_APART_S = 1.0  # where a look has found more than it tells
EVENTS_OF_LOOK = 200  # of each topic; more are passed over, and readers are told
WAITING_MAX = 1_000  # events that wait for one reader
RESUMED_MAX = 1_000  # events that a reader gets that comes back
RESUMED_AGE: Micros = DAY
HEARTBEAT_S = 15.0
STREAMS_MAX = 1_000  # of this process: each event is written for every reader
STREAMS_OF_ONE = 50  # of one key or person
LATE: Micros = 5 * SECOND  # by which the end of an attempt may be stored later than others
SNAPSHOTS_APART_S = 2.0  # of counters and problems, at least
_PROBLEMS_MAX = 99
_POSITION = re.compile(r"(msg_[0-9a-z]{26})\.(cbk_[0-9a-z]{26})(?:\.(\d{1,16}))?")


class Position(NamedTuple):
    """How far a reader has read: the last message and callback, and the end of an attempt."""

    message: str
    callback: str
    ended_at: Micros = 0

    def text(self) -> str:
        """Write it as the id of an event."""
        return f"{self.message}.{self.callback}.{self.ended_at}"


def read_position(text: str) -> Position | None:
    """Read the id of an event; None if it is none. Older ones have no attempt: all count as read.

    >>> read_position("msg_01k0000000000000000000000a.cbk_01k0000000000000000000000b.17").ended_at
    17
    """
    match = _POSITION.fullmatch(text)
    if match is None:
        return None
    ended_at = int(match[3]) if match[3] else made_at(match[1])
    return Position(match[1], match[2], ended_at)


class FailingEndpoints(NamedTuple):
    """The endpoints that fail now: application, endpoint, since when."""

    failing: tuple[tuple[str, str, Micros], ...]


LiveRow = Message | Callback | EndedAttempt | Totals | FailingEndpoints


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that happened. A gap: events were passed over."""

    row: LiveRow | None  # None: a gap
    position: Position
    texts: dict[str, bytes] = field(default_factory=dict)  # as written for readers, by name


class LiveRequest(NamedTuple):
    """What a reader wants: of an application (None: of all), and of these topics."""

    app_id: str | None
    messages: Callable[[Message], bool] | None  # None: no messages
    callbacks: Callable[[Callback], bool] | None
    has_counters: bool
    attempts: Callable[[Attempt], bool] | None = None
    deliveries: Callable[[Delivery, Attempt], bool] | None = None  # after an attempt
    has_problems: bool = False
    resumes_at: str | None = None  # the id of the last event it has
    reader_id: str = ""  # the key or person who reads

    @property
    def has_attempts(self) -> bool:
        """Whether it is told when attempts end."""
        return self.attempts is not None or self.deliveries is not None

    def wants(self, event: LiveEvent) -> bool:
        """Tell whether an event is for this reader."""
        row = event.row
        if isinstance(row, Message):
            is_wanted = self.messages is not None and self.messages(row)
            return is_wanted and self.app_id in (None, row.app_id)
        if isinstance(row, Callback):
            is_wanted = self.callbacks is not None and self.callbacks(row)
            return is_wanted and self.app_id in (None, row.app_id)
        if isinstance(row, EndedAttempt):
            attempt, delivery = row
            if self.app_id not in (None, attempt.app_id):
                return False
            if self.attempts is not None and self.attempts(attempt):
                return True
            return self.deliveries is not None and self.deliveries(delivery, attempt)
        if isinstance(row, FailingEndpoints):
            return self.has_problems
        return row is None or (self.has_counters and self.app_id is None)


class _LiveReader:
    """The events that wait for one reader."""

    def __init__(self, request: LiveRequest, position: Position) -> None:
        self.request = request
        self.attached_at = position
        self.resumed: set[str] = set()  # attempts that it was told when it came back
        self.waiting: list[LiveEvent] = []
        self.is_ended = False
        self._has_news = asyncio.Event()

    def give(self, events: Sequence[LiveEvent]) -> None:
        if self.is_ended:
            return
        wants, knows = self.request.wants, self.knows
        wanted = [event for event in events if wants(event) and not knows(event.row)]
        if len(self.waiting) + len(wanted) > WAITING_MAX:
            self.end()
        elif wanted:
            self.waiting += wanted
            self._has_news.set()

    def knows(self, row: LiveRow | None) -> bool:
        """Tell whether this attempt is known to a reader that returned, or older than a new one."""
        if not isinstance(row, EndedAttempt):
            return False
        is_earlier = row.attempt.ended_at <= self.attached_at.ended_at
        return row.attempt.id in self.resumed or (is_earlier and self.request.resumes_at is None)

    def end(self) -> None:
        """End it behind what waits for it."""
        self.is_ended = True
        self._has_news.set()

    @property
    def is_finished(self) -> bool:
        """Whether it is ended and has taken all that waited."""
        return self.is_ended and not self.waiting

    async def next_events(self) -> list[LiveEvent]:
        """Return all that waits; none at the end, or if nothing happens for a while."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._has_news.wait()
        except TimeoutError:
            return []
        events, self.waiting = self.waiting, []
        if not self.is_ended:
            self._has_news.clear()
        return [event for event in events if not self.knows(event.row)]


class LiveHub:
    """Looks for what is new, and gives it to the readers of this process."""

    def __init__(self, database: Database, cluster: Cluster, clock: Clock) -> None:
        self._database = database
        self._cluster = cluster
        self._clock = clock
        self._readers: set[_LiveReader] = set()
        self._position = Position("", "")
        self._snapshots: dict[
            type[Totals | FailingEndpoints], Totals | FailingEndpoints
        ] = {}  # as last told
        self._snapshots_at = -SNAPSHOTS_APART_S
        self._told: dict[str, Micros] = {}  # ends of the attempts that were told lately, by id
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

    async def events(self, request: LiveRequest) -> AsyncGenerator[list[LiveEvent], None]:
        """Yield what happens, what is there together; now and then nothing.

        It ends with the process.
        """
        if self._is_stopped:
            return
        reader = self._attach(request)
        try:
            if request.resumes_at is not None:
                async for event in self._missed(reader, request.resumes_at):
                    yield [event]
            while not reader.is_finished:
                yield await reader.next_events()
        finally:
            self._readers.discard(reader)

    def _attach(self, request: LiveRequest) -> _LiveReader:
        if not self._readers:
            self._position = self._now()
            self._snapshots.clear()
            self._told.clear()
        attached_at = self._position._replace(ended_at=self._complete_before())
        reader = _LiveReader(request, attached_at)
        self._readers.add(reader)
        for snapshot in self._snapshots.values():
            reader.give([LiveEvent(snapshot, attached_at)])
        if request.has_problems or request.has_counters:
            self._snapshots_at = -SNAPSHOTS_APART_S
            self._committed.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_on())
        return reader

    def _now(self) -> Position:
        at = self._complete_before()
        return Position(first_of("msg", at), first_of("cbk", at), at)

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
        if reader.request.has_attempts:
            async for event in self._missed_attempts(reader, position):
                yield event

    async def _missed_attempts(
        self, reader: _LiveReader, position: Position
    ) -> AsyncGenerator[LiveEvent, None]:
        """Yield the attempts that ended behind a position, and shortly before."""
        end = reader.attached_at
        rows = await self._database.ended_attempts(
            reader.request.app_id, position.ended_at - LATE, RESUMED_MAX
        )
        if len(rows) == RESUMED_MAX:
            yield LiveEvent(None, position)
        for row in rows:
            position = end._replace(ended_at=max(position.ended_at, row.attempt.ended_at))
            event = LiveEvent(row, position)
            if row.attempt.ended_at <= end.ended_at and reader.request.wants(event):
                reader.resumed.add(row.attempt.id)
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
            is_whole = True
            try:
                is_whole = await self._look()
            except StoreUnavailable as error:
                log_event("live.postponed", error=str(error))
            await asyncio.sleep(LOOK_APART_S if is_whole else BUSY_LOOK_APART_S)

    async def _look(self) -> bool:
        """Give what is new to the readers; False: there is more than that."""
        at = self._complete_before() + 1000  # ids are exact to the millisecond
        end = Position(first_of("msg", at), first_of("cbk", at), at)
        scopes = {reader.request.app_id for reader in self._readers}
        scope = scopes.pop() if len(scopes) == 1 else None
        events, is_whole = await self._between(scope, self._position, end, EVENTS_OF_LOOK)
        self._position = events[-1].position if events else self._position
        if not is_whole:
            self._position = self._now()
            events.append(LiveEvent(None, self._position))
        self._give(events)
        if any(reader.request.has_attempts for reader in self._readers):
            is_whole &= await self._look_at_attempts(scope)
        else:
            self._position = self._position._replace(ended_at=at)
        now_s = self._clock.monotonic()
        if now_s >= self._snapshots_at + SNAPSHOTS_APART_S:
            self._snapshots_at = now_s
            await self._take_snapshots(scope)
        return is_whole

    async def _look_at_attempts(self, scope: str | None) -> bool:
        """Give the attempts that have ended, and those whose end was stored late.

        False: there are more.
        """
        since = self._position.ended_at - LATE
        self._told = {id_: ended for id_, ended in self._told.items() if ended > since}
        limit = EVENTS_OF_LOOK + len(self._told)
        rows = await self._database.ended_attempts(scope, since, limit)
        events = []
        for row in rows:
            attempt = row.attempt
            if attempt.id not in self._told:
                self._told[attempt.id] = attempt.ended_at
                ended_at = max(self._position.ended_at, attempt.ended_at)
                self._position = self._position._replace(ended_at=ended_at)
                events.append(LiveEvent(row, self._position))
        is_whole = len(rows) < limit
        if not is_whole:
            self._position = self._position._replace(ended_at=self._clock.now())
            events.append(LiveEvent(None, self._position))
        self._give(events)
        return is_whole

    async def _take_snapshots(self, scope: str | None) -> None:
        """Give the counters and the problems, if they have changed."""
        taken: list[Totals | FailingEndpoints] = []
        if any(reader.request.has_counters for reader in self._readers):
            taken.append(await self._database.counts())
        if any(reader.request.has_problems for reader in self._readers):
            failing = await self._database.failing_endpoints(scope, Page(_PROBLEMS_MAX))
            taken.append(
                FailingEndpoints(
                    tuple(
                        (health.scope, health.id, health.failing_since or 0) for health in failing
                    )
                )
            )
        for snapshot in taken:
            if self._snapshots.get(type(snapshot)) != snapshot:
                self._snapshots[type(snapshot)] = snapshot
                self._give([LiveEvent(snapshot, self._position)])

    def _give(self, events: Sequence[LiveEvent]) -> None:
        for reader in tuple(self._readers):
            reader.give(events)
