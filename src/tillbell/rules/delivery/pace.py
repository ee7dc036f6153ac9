"""Pace: limits an endpoint to a number of messages a second (generic cell rate algorithm).

The state is the instant from which the next message may go. Up to a tenth of a second of unused
time is carried over, so that late timers do not lower the rate. At most `rate` × 1.1 messages
leave in any second.
"""

from __future__ import annotations

from tillbell.clock import SECOND, Micros

SLACK: Micros = SECOND // 10


def next_free(free_at: Micros, now: Micros, rate: int) -> Micros:
    """Return the new `free_at` after a message that left at `now`.

    >>> next_free(0, 10 * SECOND, rate=10) - 10 * SECOND == 0
    True
    >>> next_free(10 * SECOND, 10 * SECOND, rate=10) - 10 * SECOND == SECOND // 10
    True
    """
    return max(free_at, now - SLACK) + SECOND // rate
