"""Which time a plot shows, and in which steps. Steps begin at whole steps of UTC."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import DAY, HOUR, MINUTE, SECOND, Micros
from tillbell.errors import Invalid, Problem
from tillbell.storage.ports.statistics import Period

STEPS_MAX = 1_500
STEPS_WANTED = 120  # at most, where the caller names no step
DEFAULT_SPAN: Micros = HOUR
_STEPS = (
    *(minutes * MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * DAY for days in (1, 2, 7, 28)),
)


class PlotPeriod(NamedTuple):
    """A time from `since` to before `until`, in steps. Both are whole steps."""

    since: Micros
    until: Micros
    step: Micros

    @property
    def starts(self) -> range:
        """When each step begins."""
        return range(self.since, self.until, self.step)

    @property
    def span(self) -> Period:
        """The time without its steps."""
        return Period(self.since, self.until)


class WantedPeriod(NamedTuple):
    """What a caller names of a period; None: what is usual."""

    since: Micros | None = None
    until: Micros | None = None
    step_s: int | None = None


def plot_period(wanted: WantedPeriod, now: Micros, minutes_kept: Micros) -> PlotPeriod:
    """Return the period that a caller wants, widened to whole steps; `Invalid` if there is none.

    By default it is the last hour, in at most `STEPS_WANTED` steps. What is older than
    `minutes_kept` is known by the hour alone.
    """
    until = min(wanted.until if wanted.until is not None else now, now)
    since = wanted.since if wanted.since is not None else until - DEFAULT_SPAN
    if since >= until:
        raise Invalid(Problem(("query", "since"), "must be before until, and in the past", "span"))
    smallest = MINUTE if since >= now - minutes_kept else HOUR
    if wanted.step_s is None:
        step = _fitting_step(until - since, smallest)
    else:
        step = wanted.step_s * SECOND
        _check_step(step, smallest, until - since)
    return PlotPeriod(since // step * step, -(-until // step) * step, step)


def _fitting_step(span: Micros, smallest: Micros) -> Micros:
    fitting = (step for step in _STEPS if step >= smallest and span <= step * STEPS_WANTED)
    return next(fitting, -(-span // STEPS_WANTED // DAY) * DAY)


def _check_step(step: Micros, smallest: Micros, span: Micros) -> None:
    if step <= 0 or step % smallest:
        unit = "minutes (60)" if smallest == MINUTE else "hours (3600): minutes are kept for a time"
        raise Invalid(Problem(("query", "step"), f"must be whole {unit}", "step"))
    if span > step * STEPS_MAX:
        text = f"makes more than {STEPS_MAX} steps: use a longer step"
        raise Invalid(Problem(("query", "step"), text, "step"))
