"""Kept connections: few, bounded, and none used that may be dead.

All limits are about descriptors: so many connections in all, so many idle to one origin.
A sender that finds no place waits in line; idle connections give way, oldest first.
One timer serves all deadlines, so that an exchange costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from dataclasses import dataclass

from tillbell.http.connection import HttpConnection, Origin

TICK_S = 0.05  # how late a deadline may be
_BURST_S = 1.0


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How much a sender holds open and for how long.

    A connection is used for at most `age_s` after it was opened, so that an endpoint that moves is
    followed. `connect_timeout_s` covers TCP and TLS.
    """

    open_max: int = 512
    idle_max_per_origin: int = 16
    idle_s: float = 30.0
    age_s: float = 60.0
    connect_timeout_s: float = 5.0


class Pool:
    """The connections of one sender."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._age_s = limits.age_s
        self._open_max = min(limits.open_max, _open_files_budget())
        self._idle: dict[Origin, list[HttpConnection]] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._connections: set[HttpConnection] = set()
        self._ticker: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None
        self.permits_in_use = 0  # connections open or being opened

    # ── taking ───────────────────────────────────────────────────────────────────────────────────

    def take_idle(self, origin: Origin, now: float) -> HttpConnection | None:
        """Return an idle connection that is fit for use."""
        stack = self._idle.get(origin)
        while stack:
            wire = stack.pop()
            if wire.is_dead:
                continue
            if now < wire.opened_at + self._age_s and wire.is_silent():
                return wire
            wire.abort()
        return None

    def try_acquire(self, *, is_next: bool) -> bool:
        """Take a place for a new connection if there is one; those in line go first."""
        if self.permits_in_use >= self._open_max or (self._waiters and not is_next):
            return False
        self.permits_in_use += 1
        return True

    def release_permit(self) -> None:
        """Return a place whose connection did not come about."""
        self.permits_in_use -= 1
        self._wake_next()

    async def wait_for_permit(self, until: float) -> bool:
        """Wait in line until something becomes free; False when the time is over."""
        self.evict_oldest()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            async with asyncio.timeout_at(until):
                await turn
        except TimeoutError:
            self._leave_queue(turn)
            return False
        except asyncio.CancelledError:
            self._leave_queue(turn)
            raise
        return True

    def _leave_queue(self, turn: asyncio.Future[None]) -> None:
        """Leave the line; a turn that has just come goes to the next."""
        if turn in self._waiters:
            self._waiters.remove(turn)
        else:
            self._wake_next()

    def _wake_next(self) -> None:
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def evict_oldest(self) -> None:
        """Close the connection that has been idle longest, if any."""
        idle = [wire for stack in self._idle.values() for wire in stack]
        if idle:
            self._drop(min(idle, key=lambda wire: wire.idle_since))

    def _drop(self, wire: HttpConnection) -> None:
        self._forget(wire)
        if not wire.is_dead:
            wire.abort()

    def _forget(self, wire: HttpConnection) -> None:
        stack = self._idle.get(wire.origin)
        if stack and wire in stack:
            stack.remove(wire)
        if not stack:
            self._idle.pop(wire.origin, None)

    # ── hearing from connections ─────────────────────────────────────────────────────────────────

    def add(self, wire: HttpConnection) -> None:
        """Count a new connection in; the place taken for it is now its own."""
        loop = asyncio.get_running_loop()
        wire.opened_at = wire.idle_since = loop.time()
        self._connections.add(wire)
        if self._ticker is None:
            self._ticker = loop.call_later(TICK_S, self._tick)

    def connection_idle(self, wire: HttpConnection) -> None:
        """Keep a connection for the next exchange with its origin."""
        stack = self._idle.get(wire.origin)
        if stack is None:
            self._idle[wire.origin] = stack = []
        stack.append(wire)
        if self._waiters:
            self._wake_next()

    def connection_closed(self, wire: HttpConnection) -> None:
        """Count a connection out, with its place. One that was never adopted has none."""
        if wire in self._connections:
            self._connections.discard(wire)
            self._forget(wire)
            self.release_permit()
        if self._emptied is not None and not self._connections:
            self._emptied.set()

    # ── time ─────────────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for wire in [wire for wire in self._connections if wire.deadline <= now]:
            wire.expire()
        for wire in self._expired(now):
            self._drop(wire)
        self._ticker = loop.call_later(TICK_S, self._tick) if self._connections else None

    def _expired(self, now: float) -> list[HttpConnection]:
        """List idle connections that should go: too long idle, or too many of one origin.

        The lowest in a stack have been idle longest. A burst may use many connections again and
        again; only those that it left alone for a second are too many.
        """
        overdue = []
        for stack in self._idle.values():
            excess = len(stack) - self._limits.idle_max_per_origin
            for place, wire in enumerate(stack):
                patience_s = _BURST_S if place < excess else self._limits.idle_s
                if wire.idle_since < now - patience_s:
                    overdue.append(wire)
        return overdue

    async def close(self) -> None:
        """Close every connection; exchanges under way end as reset."""
        if self._ticker is not None:
            self._ticker.cancel()
        for wire in list(self._connections):
            wire.abort()
        if self._connections:
            self._emptied = asyncio.Event()  # the loop reports each as closed
            await self._emptied.wait()


def _open_files_budget() -> int:
    """Half of the process's descriptors: the rest serves callers, the store and look-ups."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft // 2) if soft > 0 else 1_000_000
