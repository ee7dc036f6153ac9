"""Time: the only file that reads it.

Instants are integers: microseconds since 1970-01-01 UTC (`Micros`). They sort,
subtract and store without a time zone; `iso()` writes them for people and JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

Micros = int
SECOND: Micros = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Alarm(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Make it not come."""
        ...


class Clock(Protocol):
    """Where time comes from. The real one is `SystemClock`; tests use `testing.ManualClock`."""

    def now(self) -> Micros:
        """Return the present instant."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for durations only."""
        ...

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        """Call back on the running event loop at that instant; soon, if it has passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> Micros:
        """Return the present instant."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        """Call back on the running event loop at that instant; soon, if it has passed."""
        delay_s = max(0, at - self.now()) / SECOND
        return asyncio.get_running_loop().call_later(delay_s, callback)


class SteeredClock:
    """A clock that is set by another one: the database's, where processes share one.

    From one setting to the next it goes by the machine's monotonic clock: whoever sets the
    machine's date sets nothing here.
    """

    TOLERANCE: Micros = SECOND // 20

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self._start = inner.now()
        self._start_s = inner.monotonic()

    def now(self) -> Micros:
        """Return the present instant."""
        return self._start + int((self._inner.monotonic() - self._start_s) * SECOND)

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return self._inner.monotonic()

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        """Call back on the running event loop at that instant; soon, if it has passed."""
        return self._inner.call_at(at - self.now() + self._inner.now(), callback)

    @property
    def ahead(self) -> Micros:
        """How much later it is than the machine's own clock says."""
        return self.now() - self._inner.now()

    def steer(self, told: Micros, asked_at: Micros) -> None:
        """Be set to the time that was told, as it was between asking (by this clock) and now.

        No further than is certain: an answer may have been long under way. A clock that was right
        stays so, and one that was wrong becomes right by an answer that is quick.
        """
        if told < asked_at - self.TOLERANCE:
            self._start += told - asked_at
        elif told > (now := self.now()) + self.TOLERANCE:
            self._start += told - now


async def wait_until(clock: Clock, at: Micros) -> None:
    """Wait on the injected clock."""
    rung = asyncio.Event()
    alarm = clock.call_at(at, rung.set)
    try:
        await rung.wait()
    finally:
        alarm.cancel()


def iso(at: Micros) -> str:
    """Write an instant as RFC 3339 in UTC.

    >>> iso(1_614_265_330_000_000)
    '2021-02-25T15:02:10.000000Z'
    """
    seconds, micros = divmod(at, SECOND)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{micros:06d}Z"


def to_datetime(at: Micros) -> datetime:
    """Turn an instant into an aware datetime."""
    return datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND)


def from_datetime(value: datetime) -> Micros:
    """Turn a datetime into an instant; a naive one is taken as UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds
