"""Reads whose results many callers share for some seconds, so that a plot costs one read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Sized
from typing import Any, NamedTuple, TypeVar

from tillbell.clock import Clock, Micros

T = TypeVar("T", bound=Sized)
SUBJECTS_MAX = 5_000  # in all results together: some 20 MB


class _SharedRead(NamedTuple):
    """A read under way, or its result."""

    task: asyncio.Task[Any]
    until: Micros


class SharedReads:
    """Keeps results for a time. Callers that come while a read is under way get its result too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reads: dict[Hashable, _SharedRead] = {}  # the oldest first

    async def get(
        self, key: Hashable, max_age: Micros, read: Callable[[], Coroutine[Any, Any, T]]
    ) -> T:
        """Return the result of a read that began at most `max_age` ago. Do not change it."""
        now = self._clock.now()
        shared = self._reads.get(key)
        if shared is None or now >= shared.until:
            self._make_room(now)
            shared = _SharedRead(asyncio.create_task(read()), now + max_age)
            self._reads.pop(key, None)
            self._reads[key] = shared
            shared.task.add_done_callback(lambda task: self._ended(key, task))
        # A caller that goes away does not end the read of the others.
        result: T = await asyncio.shield(shared.task)
        return result

    def _ended(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        """Forget a read that failed: the next caller tries again."""
        is_failed = task.cancelled() or task.exception() is not None
        if is_failed and key in self._reads and self._reads[key].task is task:
            del self._reads[key]

    def _make_room(self, now: Micros) -> None:
        for key in [key for key, shared in self._reads.items() if now >= shared.until]:
            del self._reads[key]
        sizes = {key: _size(shared.task) for key, shared in self._reads.items()}
        total = sum(sizes.values())
        for key, size in sizes.items():
            if total <= SUBJECTS_MAX:
                return
            del self._reads[key]
            total -= size


def _size(task: asyncio.Task[Any]) -> int:
    """Return how many subjects a result has; 1 if it is empty or not there yet."""
    is_there = task.done() and not task.cancelled() and task.exception() is None
    return max(1, len(task.result())) if is_there else 1
