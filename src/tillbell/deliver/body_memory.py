"""Memory for long bodies: how many bytes of them running attempts hold, over the process.

Bodies up to `WAITING_BODY_MAX` are not counted: they wait in memory anyway, and their number is
bounded. A longer one takes memory before it is read and gives it back when its attempt ends.
Receivers that read nothing hold theirs until the timeout. So an application may hold at most as
much as is free: however much one takes, the next one finds half of the rest.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple


class _Waiting(NamedTuple):
    """An attempt that waits for memory."""

    size: int  # bytes
    granted: asyncio.Future[None]


class HeldMemory:
    """The bytes that one attempt holds."""

    def __init__(self, memory: BodyMemory, app_id: str, size: int) -> None:
        self._memory = memory
        self._app_id = app_id
        self._size = size

    def resize(self, size: int) -> None:
        """Hold `size` bytes from now on: the true length is known once the body is read."""
        self._memory.add(self._app_id, size - self._size)
        self._size = size


class BodyMemory:
    """A number of bytes, shared fairly by applications. Lives on one event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held: dict[str, int] = {}  # bytes by application; those with none are not in it
        self._waiting: OrderedDict[str, deque[_Waiting]] = OrderedDict()  # applications in turn
        self.taken = 0

    def has_room(self, app_id: str, size: int) -> bool:
        """Tell whether an application would get `size` bytes at once."""
        return not self._waiting and self._may_take(app_id, min(size, self._limit))

    @asynccontextmanager
    async def hold(self, app_id: str, size: int) -> AsyncIterator[HeldMemory]:
        """Hold `size` bytes, once they are free and it is the application's turn.

        More than there is in all counts as all: such a body is sent alone.
        """
        size = min(size, self._limit)
        if self.has_room(app_id, size):
            self.add(app_id, size)
        else:
            await self._turn(app_id, size)
        held = HeldMemory(self, app_id, size)
        try:
            yield held
        finally:
            held.resize(0)

    def add(self, app_id: str, change: int) -> None:
        """Count bytes that an application holds more, or fewer."""
        self.taken += change
        held = self._held.get(app_id, 0) + change
        if held:
            self._held[app_id] = held
        else:
            self._held.pop(app_id, None)
        if change < 0:
            self._grant()

    def _may_take(self, app_id: str, size: int) -> bool:
        free = self._limit - self.taken
        held = self._held.get(app_id, 0)
        return size <= free and (not held or held + size <= free)

    async def _turn(self, app_id: str, size: int) -> None:
        waiting = _Waiting(size, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(app_id, deque()).append(waiting)
        self._grant()
        try:
            await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._waiting.get(app_id, ()):
                self._forget(app_id, waiting)
            else:  # it has just been granted
                self.add(app_id, -size)
            raise

    def _forget(self, app_id: str, waiting: _Waiting) -> None:
        queue = self._waiting[app_id]
        queue.remove(waiting)
        if not queue:
            del self._waiting[app_id]
        self._grant()

    def _grant(self) -> None:
        """Give what is free to those that wait, one of each application in turn.

        One that waits for more than is free holds up all others, or it would wait for ever.
        """
        while (app_id := self._next_application()) is not None:
            queue = self._waiting[app_id]
            waiting = queue.popleft()
            self._waiting.move_to_end(app_id)
            if not queue:
                del self._waiting[app_id]
            self.add(app_id, waiting.size)
            if not waiting.granted.done():  # else its attempt is being cancelled
                waiting.granted.set_result(None)

    def _next_application(self) -> str | None:
        for app_id, queue in self._waiting.items():
            size = queue[0].size
            if self._may_take(app_id, size):
                return app_id
            if size > self._limit - self.taken:
                return None
        return None
