"""The feed: what other processes configured, brought into our own memory.

Looked at every second, and at once when the store says that something changed. A change may
become visible after one with a higher number; so the last half minute is looked at again, and
what was seen in it is left out.
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
BEFORE_START = 1_000  # numbers: those may be read that were on their way when we began

Refresh = Callable[[str, str], Awaitable[None]]  # scope, id


class _FeedPosition(NamedTuple):
    at: Micros
    number: int


class RecordFeed:
    """See the module. `refresh` says for each kind of record how it is read anew."""

    def __init__(self, store: ClusterStore, clock: Clock, refresh: Mapping[str, Refresh]) -> None:
        self._store = store
        self._clock = clock
        self._refresh = refresh
        self._after = 0
        self._seen: dict[int, None] = {}
        self._recent: deque[_FeedPosition] = deque()
        self._one_at_a_time = asyncio.Lock()

    def start(self, latest: int) -> None:
        """Everything up to that number is about to be read from the store anyway."""
        self._after = max(0, latest - BEFORE_START)

    async def poll(self) -> None:
        """Read what is new."""
        async with self._one_at_a_time:
            found = await self._store.record_changes(self._after)
            new = [change for change in found if change.number not in self._seen]
            for change in dict.fromkeys(one[1:] for one in new):
                kind, scope, id_ = change
                if kind in self._refresh:
                    await self._refresh[kind](scope, id_)
            self._note_read(new)

    def _note_read(self, new: list[RecordChange]) -> None:
        now = self._clock.now()
        for change in new:
            self._seen[change.number] = None
            self._recent.append(_FeedPosition(now, change.number))
        while self._recent and self._recent[0].at < now - OVERLAP:
            oldest = self._recent.popleft()
            self._after = max(self._after, oldest.number)
            self._seen.pop(oldest.number, None)
