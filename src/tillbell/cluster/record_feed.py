"""The record feed: brings configuration that other processes changed into memory.

It is polled every second, and at once when the store notifies this process. A change may become
visible after one with a higher number. So the changes of the last half minute are read again, and
those that were read before are skipped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from tillbell.clock import SECOND, Clock, Micros
from tillbell.storage.ports.cluster import ClusterStore, RecordChange

POLL_EVERY: Micros = SECOND
OVERLAP: Micros = 30 * SECOND
BEFORE_START = 1_000  # numbers: changes that were not yet visible at the start

Refresh = Callable[[str, str], Awaitable[None]]  # takes scope and id


class _FeedPosition(NamedTuple):
    at: Micros
    number: int


class RecordFeed:
    """Reads changes of records. `refresh` has for each kind a function that reads a record again.

    Changes of other kinds are ignored.
    """

    def __init__(self, store: ClusterStore, clock: Clock, refresh: Mapping[str, Refresh]) -> None:
        self._store = store
        self._clock = clock
        self._refresh = refresh
        self._after = 0  # changes up to this number are not read again
        self._recent: deque[_FeedPosition] = deque()  # what was read within the overlap
        self._recent_numbers: set[int] = set()
        self._lock = asyncio.Lock()

    def start(self, latest: int) -> None:
        """Begin near the latest change; all records are read at start anyway."""
        self._after = max(0, latest - BEFORE_START)

    async def poll(self) -> None:
        """Read the records that have changed."""
        async with self._lock:
            changes = await self._store.record_changes(self._after)
            new = [change for change in changes if change.number not in self._recent_numbers]
            records = dict.fromkeys((change.kind, change.scope, change.id) for change in new)
            for kind, scope, id_ in records:
                if kind in self._refresh:
                    await self._refresh[kind](scope, id_)
            self._note_read(new)

    def _note_read(self, changes: list[RecordChange]) -> None:
        now = self._clock.now()
        for change in changes:
            self._recent_numbers.add(change.number)
            self._recent.append(_FeedPosition(now, change.number))
        while self._recent and self._recent[0].at < now - OVERLAP:
            oldest = self._recent.popleft()
            self._after = max(self._after, oldest.number)
            self._recent_numbers.discard(oldest.number)
