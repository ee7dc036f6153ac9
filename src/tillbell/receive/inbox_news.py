"""News of inboxes: who waits for the next request of one is told of it.

A request that another process stores is not told of here. So where processes share a store, a
wait also ends after a second, and whoever waits looks at the store again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from tillbell.errors import TooMany

LOOK_EVERY_S = 1.0
WATCHES_MAX = 500  # of this process
WATCHES_OF_ONE = 50  # of one inbox


class InboxWatch:
    """Somebody who waits for requests of one inbox."""

    def __init__(self, look_every_s: float | None) -> None:
        self._look_every_s = look_every_s
        self._news = asyncio.Event()
        self.is_ended = False

    def tell(self) -> None:
        """End the wait."""
        self._news.set()

    def end(self) -> None:
        """End the wait for good: the process stops."""
        self.is_ended = True
        self._news.set()

    async def wait(self, limit_s: float) -> None:
        """Wait until something may have come, for so many seconds at most."""
        if self._look_every_s is not None:
            limit_s = min(limit_s, self._look_every_s)
        try:
            async with asyncio.timeout(limit_s):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()


class InboxNews:
    """Tells those who wait. Lives on one event loop."""

    def __init__(self, *, is_shared: bool) -> None:
        self._look_every_s = LOOK_EVERY_S if is_shared else None
        self._watches: defaultdict[str, set[InboxWatch]] = defaultdict(set)
        self._is_stopped = False

    def tell(self, inbox_id: str) -> None:
        """Tell who waits that a request of this inbox is stored."""
        for watch in self._watches.get(inbox_id, ()):
            watch.tell()

    def stop(self) -> None:
        """End all waits."""
        self._is_stopped = True
        for watches in self._watches.values():
            for watch in watches:
                watch.end()

    def check_room(self, inbox_id: str) -> None:
        """Raise `TooMany` if as many wait as may."""
        total = sum(map(len, self._watches.values()))
        if total >= WATCHES_MAX or len(self._watches.get(inbox_id, ())) >= WATCHES_OF_ONE:
            raise TooMany("Too many wait for requests of inboxes; end one of them.")

    @contextmanager
    def watching(self, inbox_id: str) -> Iterator[InboxWatch]:
        """Watch an inbox within the block. `TooMany` if as many do as may."""
        self.check_room(inbox_id)
        watch = InboxWatch(self._look_every_s)
        watch.is_ended = self._is_stopped
        self._watches[inbox_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[inbox_id].discard(watch)
            if not self._watches[inbox_id]:
                del self._watches[inbox_id]
