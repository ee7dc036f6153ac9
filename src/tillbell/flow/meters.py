"""Meters: what the process has done, counted in memory.

The hot path calls these methods once a message or attempt, so they are plain
integer additions without a lock: **only the event loop's thread may call them**.
`web/metrics.py` writes them for Prometheus without asking the database. Nothing
is counted per endpoint or application, so the size does not grow with customers.
"""

from __future__ import annotations

from bisect import bisect_left

from tillbell.callbacks import Outcome
from tillbell.clock import Micros
from tillbell.models import Result
from tillbell.storage.base import Totals

TIMES_US = (
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
)  # fmt: skip
# How a callback came: to be processed; known or stopped; not proven or not readable; beyond what
# is kept of those; sent back because too much of its kind waits.
RECEIVED = ("stored", "duplicate", "ignored", "unauthenticated", "malformed", "dropped", "busy")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Histogram:
    """Counts of values by upper bound; the last count is of those above every bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def add(self, value: int) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Meters:
    """The counters of one process."""

    def __init__(self) -> None:
        self.messages = 0
        self.duplicates = 0
        self.deliveries = 0
        self.attempts = {result.value: 0 for result in Result}
        self.durations = Histogram(TIMES_US)
        self.delays = Histogram(TIMES_US)
        self.batches = Histogram(BATCHES)
        self.totals = Totals()
        self.oldest_snapshot: Micros = 0  # of anybody's transaction in a shared store
        self.callbacks = dict.fromkeys(RECEIVED, 0)
        self.outcomes = {outcome.value: 0 for outcome in Outcome}

    def accepted(self, deliveries: int) -> None:
        """Count a message that was stored, and what it fanned out to."""
        self.messages += 1
        self.deliveries += deliveries

    def duplicate(self) -> None:
        """Count a message that was known already."""
        self.duplicates += 1

    def attempt(self, result: Result, duration_us: int, delay_us: int | None = None) -> None:
        """Count an attempt; `delay_us`, given for first attempts, is from accepted to answered."""
        # `_value_`: a plain str hashes in C, an Enum member in Python.
        self.attempts[result._value_] += 1
        self.durations.add(duration_us)
        if delay_us is not None:
            self.delays.add(delay_us)

    def received(self, how: str) -> None:
        """Count a callback as it came: one of `RECEIVED`."""
        self.callbacks[how] += 1

    def concluded(self, outcome: Outcome) -> None:
        """Count how the processing of a callback ended."""
        self.outcomes[outcome._value_] += 1

    def batch(self, size: int) -> None:
        """Count a group commit of `size` writes."""
        self.batches.add(size)

    def restore(self, totals: Totals) -> None:
        """Take the deliveries by state from the counters that the store keeps."""
        self.totals = totals
