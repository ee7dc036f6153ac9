"""Pace: the least time between two messages (generic cell rate algorithm).

The state is the instant from which the next message may go. Up to a tenth of a second of unused
time is carried over, so that late timers do not lower the rate. At most `rate` × 1.1 messages
leave in any second.
"""

from __future__ import annotations

from tillbell.clock import MINUTE, SECOND, Micros

SLACK: Micros = SECOND // 10


def interval_of(a_second: int | None, a_minute: int | None = None) -> Micros:
    """Return the time between two messages that keeps both rates; 0: there is none.

    >>> interval_of(10), interval_of(10, 6), interval_of(None)
    (100000, 10000000, 0)
    """
    of_second = SECOND // a_second if a_second else 0
    return max(of_second, MINUTE // a_minute if a_minute else 0)


def next_free(free_at: Micros, now: Micros, interval: Micros) -> Micros:
    """Return the new `free_at` after a message that left at `now`.

    >>> next_free(0, 10 * SECOND, SECOND // 10) - 10 * SECOND == 0
    True
    >>> next_free(10 * SECOND, 10 * SECOND, SECOND // 10) - 10 * SECOND == SECOND // 10
    True
    """
    return max(free_at, now - SLACK) + interval
