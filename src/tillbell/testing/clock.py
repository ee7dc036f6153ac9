"""A clock that tests move by hand."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass

from tillbell.clock import SECOND, Alarm, Micros

START: Micros = 1_760_000_000 * SECOND  # an arbitrary instant


@dataclass(slots=True)
class _ManualAlarm:
    callback: Callable[[], object] | None

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """A `Clock` for tests. Time passes only in `advance`.

    `advance` calls due alarms in the order of their instants; each sees its own instant as now. An
    alarm for an instant that has passed is called soon on the event loop.
    """

    def __init__(self, now: Micros = START) -> None:
        self._now = now
        self._started_at = now
        self._alarms: list[tuple[Micros, int, _ManualAlarm]] = []
        self._set = 0

    def now(self) -> Micros:
        """Return the current instant."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return (self._now - self._started_at) / SECOND

    def call_at(self, at: Micros, callback: Callable[[], object]) -> Alarm:
        """Call back at this instant; soon if it has passed."""
        if at <= self._now:
            return asyncio.get_running_loop().call_soon(callback)
        alarm = _ManualAlarm(callback)
        self._set += 1  # alarms of one instant are called in the order they were set
        heapq.heappush(self._alarms, (at, self._set, alarm))
        return alarm

    def advance(self, seconds: float) -> None:
        """Let time pass and call the alarms that become due."""
        assert seconds >= 0, "time does not run backwards"
        end = self._now + round(seconds * SECOND)
        while self._alarms and self._alarms[0][0] <= end:
            self._now, _, alarm = heapq.heappop(self._alarms)
            if alarm.callback is not None:
                alarm.callback()
        self._now = end
