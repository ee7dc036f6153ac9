"""Pace: at most so many messages a second, without bursts that pass the limit.

A pace is the instant from which the next message may go (generic cell rate algorithm).
Up to a tenth of a second of unused time is kept, so that timers may be late without
slowing the flow; in no second do more than `rate` × 1.1 messages leave.
"""

from __future__ import annotations

from tillbell.clock import SECOND, Micros

SLACK: Micros = SECOND // 10


def next_free(free_at: Micros, now: Micros, rate: int) -> Micros:
    """Return the new `free_at` after one message was let through at `now`.

    >>> next_free(0, 10 * SECOND, rate=10) - 10 * SECOND == 0
    True
    >>> next_free(10 * SECOND, 10 * SECOND, rate=10) - 10 * SECOND == SECOND // 10
    True
    """
    return max(free_at, now - SLACK) + SECOND // rate
