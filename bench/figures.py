"""Plain statistics over a few runs and many latencies."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

Measures = dict[str, float]  # what a case found, by name


class Spread(NamedTuple):
    """What several runs of one case gave."""

    median: float
    low: float
    high: float
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Summarize the runs of one case.

    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0, runs=3)
    """
    return Spread(median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank).

    >>> percentile([4, 1, 3, 2], 0.5)
    2
    """
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]
