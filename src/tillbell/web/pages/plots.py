"""The plots of Home and of endpoints: counts from statistics, ready to be drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import DAY, HOUR, MINUTE, SECOND, Micros
from tillbell.model.endpoints import Endpoint
from tillbell.model.statistics import Marker, MarkerKind
from tillbell.model.transactions import EffectKind
from tillbell.statistics.periods import PlotPeriod, WantedPeriod, plot_period
from tillbell.statistics.plots import AmountSum, Step
from tillbell.web.pages import formats
from tillbell.web.pages.charts import ChartSeries, top_of
from tillbell.web.pages.page import Visit
from tillbell.web.pages.target_names import named_markers

_REFUSED = ("refused_3xx", "refused_4xx", "refused_5xx", "refused_other", "gone")
_RESULTS = {
    "accepted": ("accepted",),
    "throttled": ("throttled",),
    "refused": _REFUSED,
    "timed-out": ("timed_out",),
    "unreachable": ("unreachable",),
    "blocked": ("blocked",),
    "interrupted": ("interrupted",),
}
_TICKS = 6  # times below a plot
MARKERS_SHOWN = 4
_TABLE_ROWS = 12
_MARKER_ICONS = {
    MarkerKind.START: "flag",
    MarkerKind.CHANGE: "settings",
    MarkerKind.ROTATION: "key",
    MarkerKind.CIRCUIT_OPENED: "problem",
    MarkerKind.CIRCUIT_CLOSED: "ok",
}


class TimeRange(NamedTuple):
    """How far back a plot shows, and in which steps."""

    name: str  # as the URL names it
    length: Micros
    step: Micros
    steps_are: str  # for people


RANGES = (
    TimeRange("1h", HOUR, 2 * MINUTE, "two minutes each"),
    TimeRange("24h", DAY, 30 * MINUTE, "half-hours"),
    TimeRange("7d", 7 * DAY, 4 * HOUR, "four hours each"),
    TimeRange("30d", 30 * DAY, 12 * HOUR, "half-days"),
)
USUAL = RANGES[1]


class MarkView(NamedTuple):
    """Something that happened and may explain a plot."""

    place: float  # from 0 to 1
    at: Micros
    icon: str
    text: str


class AttemptPlot(NamedTuple):
    """Attempts by how they ended, over time."""

    series: list[ChartSeries]  # those of which there were any, and `accepted`
    times: list[str]  # of each step
    ticks: list[str]
    axis: list[int]  # numbers beside the plot, the highest first
    marks: list[MarkView]
    rows: list[tuple[str, list[int]]]  # the newest steps as a table
    summary: str  # what the plot shows, in a sentence


class WaitingPlot(NamedTuple):
    """Open deliveries, and for how long the one that was due longest has waited."""

    pending: list[int]
    overdue_s: list[int]
    now_pending: int
    now_overdue: Micros
    axis: list[int]
    ticks: list[str]


class AmountView(NamedTuple):
    """What was credited in one currency at one provider."""

    amount: str
    currency: str
    provider: str
    number: int  # of payments
    share: float  # of the greatest count, in percent


class HomePlots(NamedTuple):
    """All plots of Home."""

    range: TimeRange
    attempts: AttemptPlot | None  # None: there was no attempt
    waiting: WaitingPlot | None  # None: nothing waited
    amounts: list[AmountView]


async def home_plots(visit: Visit) -> HomePlots:
    """Read the plots of Home for the range that the URL names."""
    range_ = range_of(visit)
    period = period_of(visit, range_)
    plots = visit.gateway.plots
    steps, markers, amounts = await asyncio.gather(
        plots.of_all(visit.app_id, period),
        plots.markers(visit.app_id, None, period.span),
        plots.amounts(visit.app_id, period.span),
    )
    return HomePlots(
        range_,
        attempt_plot(visit, period, steps, await named_markers(visit, markers[:MARKERS_SHOWN])),
        _waiting_plot(visit, period, steps),
        _amounts(amounts),
    )


def range_of(visit: Visit) -> TimeRange:
    """Return the range that the URL names; a day if it names none."""
    name = visit.query("range")
    return next((each for each in RANGES if each.name == name), USUAL)


def period_of(visit: Visit, range_: TimeRange) -> PlotPeriod:
    """Return the time of a plot, which ends now."""
    minutes_kept = visit.gateway.settings.minute_statistics_hours * HOUR
    wanted = WantedPeriod(visit.now - range_.length, visit.now, range_.step // SECOND)
    return plot_period(wanted, visit.now, minutes_kept)


async def sparks(visit: Visit, endpoints: Sequence[Endpoint]) -> dict[str, list[int]]:
    """Return the accepted attempts of endpoints within a day, hour by hour, by their ids."""
    days = await visit.gateway.plots.endpoint_days(endpoints)
    return {endpoint_id: day.accepted for endpoint_id, day in days.items()}


def attempt_plot(
    visit: Visit, period: PlotPeriod, steps: Sequence[Step], markers: Sequence[Marker]
) -> AttemptPlot | None:
    """Return attempts by how they ended; None: there was none."""
    endings = [step.endings for step in steps]
    every_series = [
        ChartSeries(name, [sum(each[ending] for ending in members) for each in endings])
        for name, members in _RESULTS.items()
    ]
    series = [each for each in every_series if each.name == "accepted" or any(each.values)]
    sums = [step.attempts for step in steps]
    if not any(sums):
        return None
    top = top_of(max(sums))
    times = [_time(visit, period, step.start) for step in steps]
    rows = [
        (times[place], [each.values[place] for each in series])
        for place in range(len(steps))
        if sums[place]
    ]
    counts = ", ".join(
        f"{formats.number(sum(each.values))} {each.name.replace('-', ' ')}" for each in series
    )
    return AttemptPlot(
        series=series,
        times=times,
        ticks=_ticks(visit, period),
        axis=[top * part // 4 for part in (4, 3, 2, 1, 0)],
        marks=_marks(period, markers),
        rows=rows[-_TABLE_ROWS:],
        summary=f"Attempts by result over time: {counts}.",
    )


def _waiting_plot(visit: Visit, period: PlotPeriod, steps: Sequence[Step]) -> WaitingPlot | None:
    pending = [step.pending or 0 for step in steps]
    if not any(pending):
        return None
    overdue = [step.overdue or 0 for step in steps]
    top = top_of(max(pending))
    return WaitingPlot(
        pending=pending,
        overdue_s=[each // SECOND for each in overdue],
        now_pending=pending[-1],
        now_overdue=overdue[-1],
        axis=[top, top // 2, 0],
        ticks=_ticks(visit, period)[::2],
    )


def _amounts(sums: Sequence[AmountSum]) -> list[AmountView]:
    """Return what was credited, in one row for each currency and provider."""
    credited = [each for each in sums if each.effect is EffectKind.CREDIT]
    most = max((each.number for each in credited), default=1)
    views = [
        AmountView(each.amount, each.currency, each.provider, each.number, each.number * 100 / most)
        for each in credited
    ]
    return sorted(views, key=lambda view: -view.number)


def _marks(period: PlotPeriod, markers: Sequence[Marker]) -> list[MarkView]:
    length = period.until - period.since
    return [
        MarkView(
            (marker.at - period.since) / length,
            marker.at,
            _MARKER_ICONS[marker.kind],
            marker.text,
        )
        for marker in sorted(markers[:MARKERS_SHOWN], key=lambda marker: marker.at)
    ]


def _time(visit: Visit, period: PlotPeriod, at: Micros) -> str:
    """Return the time of a step: of day, or with the day in a long plot."""
    if period.until - period.since > 2 * DAY:
        return formats.short_date(at, visit.zone)
    return formats.clock_time(at, visit.zone)[:5]


def _ticks(visit: Visit, period: PlotPeriod) -> list[str]:
    """Return the times below a plot, evenly spread; the last is `now`."""
    length = period.until - period.since
    times = [period.since + length * place // _TICKS for place in range(_TICKS)]
    if length > 2 * DAY:
        return [*(formats.short_date(at, visit.zone).split(",")[0] for at in times), "now"]
    return [*(_time(visit, period, at) for at in times), "now"]
