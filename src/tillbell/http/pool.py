"""The connection pool: few connections, all bounded, and none used that may be dead.

The limits are about file descriptors: so many connections in all, so many idle ones per origin. A
semaphore counts the connections that are open or being opened. When all permits are in use,
callers wait in a queue; a waiter is woken when a permit is released or a connection becomes idle,
and idle connections are closed for waiters, the oldest first.

One timer serves all deadlines, so that an exchange costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from dataclasses import dataclass

from tillbell.http.address_policy import Origin
from tillbell.http.connection import BODY_KEPT, HttpConnection

TICK_S = 0.05  # how late a deadline may be
_BURST_S = 5.0  # how long more than `idle_max_per_origin` connections may be idle


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections are open at the same time, and for how long.

    A connection is used for at most `age_s` after it was opened, so that requests follow an
    endpoint to a new address. `connect_timeout_s` covers TCP and TLS. `body_kept` is how many
    bytes of an answer's body are in the reply.
    """

    open_max: int = 512
    idle_max_per_origin: int = 16
    idle_s: float = 30.0
    age_s: float = 60.0
    connect_timeout_s: float = 5.0
    body_kept: int = BODY_KEPT


class Pool:
    """The connections of one HTTP client, and the semaphore that limits them."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._age_s = limits.age_s
        self._permits = min(limits.open_max, _open_files_budget())
        self.permits_in_use = 0  # connections that are open or being opened
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._connections: set[HttpConnection] = set()
        self._idle: dict[Origin, list[HttpConnection]] = {}  # a stack: the newest is used first
        self._ticker: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None  # made by `close`

    # ── the semaphore ────────────────────────────────────────────────────────────────────────────

    def try_acquire(self, *, was_woken: bool) -> bool:
        """Acquire a permit for a new connection if one is free; a new caller goes after waiters."""
        if self.permits_in_use >= self._permits or (self._waiters and not was_woken):
            return False
        self.permits_in_use += 1
        return True

    def release(self) -> None:
        """Release the permit of a connection that was closed or never opened."""
        self.permits_in_use -= 1
        self._wake_next()

    async def wait(self, until: float) -> None:
        """Wait until a permit or an idle connection may be free, or until that loop time."""
        self.evict_oldest()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(until):
                await waiter
        except TimeoutError:
            self._leave_queue(waiter)
        except asyncio.CancelledError:
            self._leave_queue(waiter)
            raise

    def _leave_queue(self, waiter: asyncio.Future[None]) -> None:
        """Stop waiting; if the waiter was woken at the same moment, wake the next instead."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        else:
            self._wake_next()

    def _wake_next(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    # ── idle connections ─────────────────────────────────────────────────────────────────────────

    def take_idle(self, origin: Origin, now: float) -> HttpConnection | None:
        """Take an idle connection that is fit for use; its permit stays in use."""
        stack = self._idle.get(origin)
        while stack:
            connection = stack.pop()
            if connection.is_dead:
                continue
            is_fit = now < connection.opened_at + self._age_s and now < connection.idle_until
            if is_fit and connection.is_silent():
                return connection
            connection.abort()
        return None

    def evict_oldest(self) -> None:
        """Close the connection that has been idle longest, if any."""
        idle = [connection for stack in self._idle.values() for connection in stack]
        if idle:
            self._evict(min(idle, key=lambda connection: connection.idle_since))

    def _evict(self, connection: HttpConnection) -> None:
        self._remove_idle(connection)
        if not connection.is_dead:
            connection.abort()

    def _remove_idle(self, connection: HttpConnection) -> None:
        stack = self._idle.get(connection.origin)
        if stack and connection in stack:
            stack.remove(connection)
        if not stack:
            self._idle.pop(connection.origin, None)

    # ── the life of a connection ─────────────────────────────────────────────────────────────────

    def add(self, connection: HttpConnection) -> None:
        """Take over a new connection, with the permit that was acquired for it."""
        loop = asyncio.get_running_loop()
        connection.opened_at = connection.idle_since = loop.time()
        self._connections.add(connection)
        if self._ticker is None:
            self._ticker = loop.call_later(TICK_S, self._tick)

    def connection_idle(self, connection: HttpConnection) -> None:
        """Keep a connection for the next exchange with its origin."""
        stack = self._idle.get(connection.origin)
        if stack is None:
            self._idle[connection.origin] = stack = []
        stack.append(connection)
        if self._waiters:
            self._wake_next()

    def connection_closed(self, connection: HttpConnection) -> None:
        """Forget a connection and release its permit; one that was never added has none."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._remove_idle(connection)
            self.release()
        if self._emptied is not None and not self._connections:
            self._emptied.set()

    # ── time ─────────────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.expire()
        for connection in self._expired(now):
            self._evict(connection)
        self._ticker = loop.call_later(TICK_S, self._tick) if self._connections else None

    def _expired(self, now: float) -> list[HttpConnection]:
        """List idle connections to close: idle for too long, also by what their receiver announced,
        or too many of one origin.

        The lowest of a stack have been idle longest. A burst may use many connections again and
        again; only those that it has not used for some seconds are too many.
        """
        expired = []
        for stack in self._idle.values():
            excess = len(stack) - self._limits.idle_max_per_origin
            for position, connection in enumerate(stack):
                idle_max_s = _BURST_S if position < excess else self._limits.idle_s
                if connection.idle_since < now - idle_max_s or connection.idle_until <= now:
                    expired.append(connection)
        return expired

    async def close(self) -> None:
        """Close every connection; exchanges under way end as reset."""
        if self._ticker is not None:
            self._ticker.cancel()
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            self._emptied = asyncio.Event()  # the event loop reports each as closed
            await self._emptied.wait()


def _open_files_budget() -> int:
    """Half of the process's descriptors: the rest serves callers, the store and look-ups."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft // 2) if soft > 0 else 1_000_000
