"""Meters: counters in memory of what this process has done.

The hot path calls these methods once per message or attempt, so they are plain integer additions
without a lock: **only the event loop's thread may call them**. `web/edge/metrics.py` writes them
for Prometheus without asking the database. Nothing is counted per endpoint or application, so
their size does not grow with customers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

import msgspec
from msgspec import field

from tillbell.clock import Micros
from tillbell.model.callbacks import Outcome
from tillbell.model.messages import Result
from tillbell.storage.ports.outbound import Totals

TIMES_US = (
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
)  # fmt: skip
# What happened to a callback when it came: it is processed; it was known, contradicts the first of
# its id, or is ignored; it was not
# proven or not readable; there were too many of those to store it; it was sent back because too
# many of its kind wait.
RECEIVED = (
    "stored", "duplicate", "conflict", "ignored", "unauthenticated", "malformed", "dropped", "busy"
)  # fmt: skip
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Histogram(msgspec.Struct, array_like=True):
    """Counts of values by upper bound; the last count is of values above every bound."""

    bounds: tuple[int, ...]
    counts: list[int]
    total: int = 0

    @classmethod
    def of(cls, bounds: tuple[int, ...]) -> Histogram:
        """Return an empty histogram."""
        return cls(bounds, [0] * (len(bounds) + 1))

    def add(self, value: int) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def _zeros(names: Iterable[str]) -> Callable[[], dict[str, int]]:
    return lambda: dict.fromkeys(names, 0)


class Meters(msgspec.Struct):
    """The counters of one process."""

    request_errors: int = 0
    requests: dict[str, int] = field(default_factory=dict)  # by method, route and status
    request_durations: Histogram = field(default_factory=lambda: Histogram.of(TIMES_US))
    messages: int = 0
    duplicates: int = 0
    deliveries: int = 0
    attempts: dict[str, int] = field(default_factory=_zeros([result.value for result in Result]))
    durations: Histogram = field(default_factory=lambda: Histogram.of(TIMES_US))
    delays: Histogram = field(default_factory=lambda: Histogram.of(TIMES_US))
    batches: Histogram = field(default_factory=lambda: Histogram.of(BATCHES))
    totals: Totals = Totals()
    oldest_snapshot: Micros = 0  # age of the oldest transaction in a shared database
    callbacks: dict[str, int] = field(default_factory=_zeros(RECEIVED))
    outcomes: dict[str, int] = field(default_factory=_zeros([outcome.value for outcome in Outcome]))
    provider_callbacks: dict[str, int] = field(default_factory=dict)  # by provider and `RECEIVED`
    provider_outcomes: dict[str, int] = field(default_factory=dict)  # by provider and outcome
    mails: dict[str, int] = field(default_factory=_zeros(("taken", "failed")))  # of alerts
    database_bytes: int = 0
    loop_lag_s: float = 0.0  # the longest of the last seconds

    def request(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a request that is answered. `route` has names in place of values: it is bounded."""
        key = f"{method} {route} {status}"
        self.requests[key] = self.requests.get(key, 0) + 1
        self.request_durations.add(int(duration_s * 1_000_000))

    def request_failed(self) -> None:
        """Count a request that was answered 500, because of a bug."""
        self.request_errors += 1

    def accepted(self, deliveries: int) -> None:
        """Count a message that was stored, and its deliveries."""
        self.messages += 1
        self.deliveries += deliveries

    def duplicate(self) -> None:
        """Count a message that was published before."""
        self.duplicates += 1

    def attempt(self, result: Result, duration_us: int, delay_us: int | None = None) -> None:
        """Count an attempt; `delay_us` of first attempts is from publishing to the answer."""
        # `_value_`: a plain str hashes in C, an Enum member in Python.
        self.attempts[result._value_] += 1
        self.durations.add(duration_us)
        if delay_us is not None:
            self.delays.add(delay_us)

    def received(self, how: str, provider: str) -> None:
        """Count a callback; `how` is one of `RECEIVED`."""
        self.callbacks[how] += 1
        key = f"{provider} {how}"
        self.provider_callbacks[key] = self.provider_callbacks.get(key, 0) + 1

    def concluded(self, outcome: Outcome, provider: str) -> None:
        """Count how the processing of a callback ended."""
        self.outcomes[outcome._value_] += 1
        key = f"{provider} {outcome._value_}"
        self.provider_outcomes[key] = self.provider_outcomes.get(key, 0) + 1

    def mail(self, *, is_taken: bool) -> None:
        """Count an e-mail of an alert."""
        self.mails["taken" if is_taken else "failed"] += 1

    def batch(self, size: int) -> None:
        """Count a group commit of `size` writes."""
        self.batches.add(size)

    def restore(self, totals: Totals) -> None:
        """Take the deliveries by state from the counters that the store keeps."""
        self.totals = totals
