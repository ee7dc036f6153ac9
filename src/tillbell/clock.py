"""Clocks and instants. The only module that reads the time.

Instants are integers: microseconds since 1970-01-01 UTC (`Micros`). They sort,
subtract and store without a time zone; `iso()` writes them for people and JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

Micros = int
SECOND: Micros = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Alarm(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""
        ...


class Clock(Protocol):
    """Source of time: `SystemClock`, or `testing.ManualClock` in tests."""

    def now(self) -> Micros:
        """Return the current instant."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for durations only."""
        ...

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        """Call back on the running event loop at this instant; soon if it has passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> Micros:
        """Return the current instant."""
        return time.time_ns() // 1000

    monotonic = staticmethod(time.monotonic)  # each delivery asks three times: without a frame

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        """Call back on the running event loop at this instant; soon if it has passed."""
        delay_s = max(0, at - self.now()) / SECOND
        return asyncio.get_running_loop().call_later(delay_s, callback)


class SteeredClock:
    """A clock that follows another one: the clock of the database that processes share.

    Between two corrections it runs by the machine's monotonic clock, so a change of the machine's
    date has no effect.
    """

    TOLERANCE: Micros = SECOND // 20

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self._start = inner.now()
        self._start_s = inner.monotonic()

    def now(self) -> Micros:
        """Return the current instant."""
        return self._start + int((self._inner.monotonic() - self._start_s) * SECOND)

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return self._inner.monotonic()

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        """Call back on the running event loop at this instant; soon if it has passed."""
        return self._inner.call_at(at - self.now() + self._inner.now(), callback)

    @property
    def ahead(self) -> Micros:
        """How far this clock is ahead of the machine's own."""
        return self.now() - self._inner.now()

    def steer(self, reference: Micros, asked_at: Micros) -> None:
        """Correct the clock by a time that was read between `asked_at` (by this clock) and now.

        The clock moves only as far as is certain, because the answer may have been delayed: to the
        nearer end of that interval, if the time is outside of it by more than the tolerance.
        """
        if reference < asked_at - self.TOLERANCE:
            self._start += reference - asked_at
        elif reference > (now := self.now()) + self.TOLERANCE:
            self._start += reference - now


async def wait_until(clock: Clock, at: Micros) -> None:
    """Wait until an instant of this clock."""
    is_due = asyncio.Event()
    alarm = clock.call_at(at, is_due.set)
    try:
        await is_due.wait()
    finally:
        alarm.cancel()


def iso(at: Micros) -> str:
    """Return an instant as RFC 3339 in UTC.

    >>> iso(1_614_265_330_000_000)
    '2021-02-25T15:02:10.000000Z'
    """
    seconds, micros = divmod(at, SECOND)
    return f"{_iso_seconds(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=256)
def _iso_seconds(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def to_datetime(at: Micros) -> datetime:
    """Return an instant as an aware datetime in UTC."""
    return datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND)


def from_datetime(value: datetime) -> Micros:
    """Return a datetime as an instant; a naive one is taken as UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds
