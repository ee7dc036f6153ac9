"""The record feed: brings configuration that other processes changed into memory.

It is polled every second, and at once when the store notifies this process. A change may become
visible after one with a higher number. So the changes of the last half minute are read again, and
those that were read before are skipped.

Who changes a record waits until all processes have read it (`ReadByAll`), so that the next request
of the same client finds it, whichever process gets it. A process that does not answer is waited for
no longer than two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from tillbell.clock import SECOND, Clock, Micros
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.storage.ports.cluster import ClusterStore, RecordChange

POLL_EVERY: Micros = SECOND
OVERLAP: Micros = 30 * SECOND
WAIT_MAX_S = 2.0  # for the other processes to read a change
LOOK_EVERY_S = 0.025  # whether they have; a notification comes sooner
BEFORE_START = 1_000  # numbers: changes that were not yet visible at the start

Refresh = Callable[[str, str], Awaitable[None]]  # takes scope and id


class _FeedPosition(NamedTuple):
    at: Micros
    number: int


class RecordFeed:
    """Reads changes of records. `refresh` has for each kind a function that reads a record again.

    Changes of other kinds are ignored.
    """

    def __init__(
        self, store: ClusterStore, member_id: str, clock: Clock, refresh: Mapping[str, Refresh]
    ) -> None:
        self._store = store
        self._member_id = member_id
        self._clock = clock
        self._refresh = refresh
        self._after = 0  # changes up to this number are not read again
        self._recent: deque[_FeedPosition] = deque()  # what was read within the overlap
        self._recent_numbers: set[int] = set()
        self._round = 0  # the latest that was done
        self._lock = asyncio.Lock()

    def start(self, latest: int) -> None:
        """Begin near the latest change; all records are read at start anyway."""
        self._after = max(0, latest - BEFORE_START)

    async def poll(self) -> None:
        """Read the records that have changed."""
        async with self._lock:
            changes, round_ = await self._store.record_changes(self._after)
            new = [change for change in changes if change.number not in self._recent_numbers]
            records = dict.fromkeys((change.kind, change.scope, change.id) for change in new)
            for kind, scope, id_ in records:
                if kind in self._refresh:
                    await self._refresh[kind](scope, id_)
            self._note_read(new)
            if round_ is not None and round_ > self._round:
                await self._store.end_feed_round(self._member_id, round_)
                self._round = round_

    def _note_read(self, changes: list[RecordChange]) -> None:
        now = self._clock.now()
        for change in changes:
            self._recent_numbers.add(change.number)
            self._recent.append(_FeedPosition(now, change.number))
        while self._recent and self._recent[0].at < now - OVERLAP:
            oldest = self._recent.popleft()
            self._after = max(self._after, oldest.number)
            self._recent_numbers.discard(oldest.number)


class ReadByAll:
    """Waits until the other processes have read what this one has stored."""

    def __init__(self, store: ClusterStore, member_id: str) -> None:
        self._store = store
        self._member_id = member_id
        self._has_moved = asyncio.Event()

    def notified(self) -> None:
        """Look now: a member has done a round."""
        self._has_moved.set()

    async def wait(self) -> None:
        """Wait until all have read what is stored now, or for two seconds.

        What is stored stays so: a failing store ends the wait, and nothing is raised.
        """
        if not self._store.is_shared:
            return
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await self._wait_for_round()
        except (TimeoutError, StoreUnavailable) as error:
            log_event("record_feed.not_read_by_all", error=str(error))

    async def _wait_for_round(self) -> None:
        number = await self._store.begin_feed_round()
        while await self._store.members_behind(self._member_id, number):
            self._has_moved.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_moved.wait(), LOOK_EVERY_S)
