"""The breaker of a lane: stops attempts to a receiver that is down, and probes it later.

```
closed ──5 failures in a row, or ≥ 70 % of ≥ 10 within 5 minutes──▶ open
open ──probe time reached──▶ one probe at a time
probe fails ──▶ open again, twice as long (5 s at first, 15 min at most)
probe succeeds ──▶ closed, with slow start: 1 attempt at once, doubled by each success
```

While it is open, deliveries wait; they keep their place and their attempts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import MINUTE, SECOND, Micros

ROW_MAX = 5
SHARE_MIN = 0.7
SAMPLE_MIN = 10
SAMPLE_TIME: Micros = 5 * MINUTE
FIRST_WAIT: Micros = 5 * SECOND
LONGEST_WAIT: Micros = 15 * MINUTE


class CircuitState(StrEnum):
    """Whether attempts to an endpoint are made."""

    CLOSED = "closed"
    OPEN = "open"  # no attempt before the next probe
    HALF_OPEN = "half_open"  # a probe is due or under way


class Breaker(NamedTuple):
    """State of a breaker; it starts as `CLOSED`."""

    row: int = 0  # failures in a row
    sample_from: Micros = 0
    sampled: int = 0
    failed: int = 0
    probe_at: Micros | None = None  # None: closed
    wait: Micros = 0  # between opening and probe
    ramp: int | None = None  # slow start: attempts allowed at once; None: no limit


CLOSED = Breaker()


def after_success(breaker: Breaker, now: Micros) -> Breaker:
    """Return the state after an accepted attempt.

    >>> after_success(CLOSED, now=1) is CLOSED
    True
    """
    if breaker.probe_at is not None:
        return Breaker(ramp=1, sample_from=now)
    if breaker == CLOSED:
        return breaker
    ramp = None if breaker.ramp is None or breaker.ramp >= 64 else breaker.ramp * 2
    if breaker.failed == 0 and breaker.row == 0 and ramp is None:
        return CLOSED
    counted = _counted(breaker, now, failed=0)
    return counted._replace(row=0, ramp=ramp) if counted.failed or ramp else CLOSED


def after_failure(breaker: Breaker, now: Micros) -> Breaker:
    """Return the state after a failed attempt. Before the probe time nothing changes."""
    if breaker.probe_at is not None and now < breaker.probe_at:
        return breaker
    if breaker.probe_at is not None:
        wait = min(breaker.wait * 2, LONGEST_WAIT)
        return breaker._replace(row=breaker.row + 1, probe_at=now + wait, wait=wait)
    counted = _counted(breaker, now, failed=1)._replace(row=breaker.row + 1)
    is_failing = counted.sampled >= SAMPLE_MIN and counted.failed >= SHARE_MIN * counted.sampled
    if counted.row >= ROW_MAX or is_failing:
        return Breaker(row=counted.row, probe_at=now + FIRST_WAIT, wait=FIRST_WAIT)
    return counted


def _counted(breaker: Breaker, now: Micros, failed: int) -> Breaker:
    if now - breaker.sample_from > SAMPLE_TIME:
        return Breaker(
            row=breaker.row, sample_from=now, sampled=1, failed=failed, ramp=breaker.ramp
        )
    return breaker._replace(sampled=breaker.sampled + 1, failed=breaker.failed + failed)


def circuit_state(probe_at: Micros | None, now: Micros) -> CircuitState:
    """Return the state of a breaker by the time of its next probe."""
    if probe_at is None:
        return CircuitState.CLOSED
    return CircuitState.OPEN if now < probe_at else CircuitState.HALF_OPEN


def allowance(breaker: Breaker, now: Micros, *, concurrency: int) -> int:
    """Return how many attempts may run at once; 0 while open before the probe time."""
    if breaker.probe_at is not None:
        return 1 if now >= breaker.probe_at else 0
    return concurrency if breaker.ramp is None else min(breaker.ramp, concurrency)
