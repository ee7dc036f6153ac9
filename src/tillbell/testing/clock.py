"""A clock that moves only when it is told to."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass

from tillbell.clock import SECOND, Alarm, Micros

START: Micros = 1_760_000_000 * SECOND  # an instant like any other


@dataclass(slots=True)
class _ManualAlarm:
    callback: Callable[[], object] | None

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """A `Clock` for tests: days pass in microseconds, and only between two lines of the test.

    Alarms ring inside `advance`, in the order of their instants, and each sees its own
    instant as now. An alarm set for an instant that has passed rings soon, on the loop.
    """

    def __init__(self, now: Micros = START) -> None:
        self._now = now
        self._started_at = now
        self._alarms: list[tuple[Micros, int, _ManualAlarm]] = []
        self._set = 0

    def now(self) -> Micros:
        """Return the instant the test has come to."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that were advanced so far."""
        return (self._now - self._started_at) / SECOND

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        """Call back when the test has come to that instant; soon, if it has passed."""
        if at <= self._now:
            return asyncio.get_running_loop().call_soon(callback)
        alarm = _ManualAlarm(callback)
        self._set += 1  # alarms of one instant ring in the order they were set
        heapq.heappush(self._alarms, (at, self._set, alarm))
        return alarm

    def advance(self, seconds: float) -> None:
        """Let time pass, and ring what comes due on the way."""
        assert seconds >= 0, "time does not run backwards"
        end = self._now + round(seconds * SECOND)
        while self._alarms and self._alarms[0][0] <= end:
            self._now, _, alarm = heapq.heappop(self._alarms)
            if alarm.callback is not None:
                alarm.callback()
        self._now = end
