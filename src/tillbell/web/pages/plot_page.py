"""Plots that Home does not show: response times, callbacks, attempts needed, event types.

Every plot is also a table; the numbers of all plots, those of Home too, come as JSON and CSV.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

import msgspec
from markupsafe import Markup
from starlette.responses import Response

from tillbell.clock import DAY, HOUR, SECOND, Micros, iso
from tillbell.errors import NotFound
from tillbell.model.statistics import ARRIVALS, Marker, MarkerKind
from tillbell.statistics.periods import PlotPeriod, WantedPeriod, plot_period
from tillbell.statistics.plots import Step, attempts_needed
from tillbell.web.api.csv_text import MEDIA_TYPE, csv_text
from tillbell.web.pages import charts
from tillbell.web.pages.formats import clock_time, milliseconds, number, short_date
from tillbell.web.pages.page import SECURITY_HEADERS, SitePage, Visit
from tillbell.web.pages.target_names import named_markers

SPANS: dict[str, Micros] = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
_MARKS_SHOWN = 6
_ARRIVALS = {
    "accepted": ("Accepted", ("accepted",)),
    "interrupted": ("Duplicate or ignored", ("duplicate", "ignored")),
    "refused": ("Not proven", ("unauthenticated", "dropped")),
    "unreachable": ("Malformed", ("malformed",)),
    "throttled": ("Sent back", ("busy",)),
    "blocked": ("Unknown source", ("unknown_source",)),
}
_ICONS = {
    MarkerKind.START: "flag",
    MarkerKind.CHANGE: "edit",
    MarkerKind.ROTATION: "key",
    MarkerKind.CIRCUIT_OPENED: "stop",
    MarkerKind.CIRCUIT_CLOSED: "ok",
}


class LegendItem(NamedTuple):
    """One kind of thing in a plot, with its number over all steps."""

    css: str
    word: str
    number: str
    is_line: bool = False


class MarkItem(NamedTuple):
    """A marker below a plot."""

    icon: str
    at: Micros
    text: str


class Figure(NamedTuple):
    """A plot, ready for the macro `figure` (macros/plots.html)."""

    name: str
    title: str
    note: str
    legend: list[LegendItem]
    top: list[str]  # labels of the vertical axis, from its upper end
    drawing: Markup
    times: list[str]  # labels of the horizontal axis
    marks: list[MarkItem]  # only of the first plot of a page: they are the same for all
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to draw."""
        return not self.legend


class Scene(NamedTuple):
    """What all plots of one page share."""

    period: PlotPeriod
    markers: list[Marker]  # those that are shown, newest first
    zone: tzinfo
    about: str  # whose numbers they are, for the label of a drawing

    @property
    def places(self) -> list[float]:
        """Where the markers are, from 0 to 1."""
        since, until, _ = self.period
        shown = [m for m in self.markers if since <= m.at < until]
        return [(marker.at - since) / (until - since) for marker in shown]

    @property
    def marks(self) -> list[MarkItem]:
        """The newest markers, oldest first."""
        return [MarkItem(_ICONS[m.kind], m.at, m.text) for m in reversed(self.markers)]

    def time(self, at: Micros) -> str:
        """Return a time as this period needs it."""
        is_long = self.period.until - self.period.since > DAY + HOUR
        return short_date(at, self.zone) if is_long else clock_time(at, self.zone)[:5]

    @property
    def times(self) -> list[str]:
        """Labels of the horizontal axis."""
        since, until, _ = self.period
        return [*(self.time(since + (until - since) * n // 4) for n in range(4)), "now"]


# ── figures ──────────────────────────────────────────────────────────────────────────────────────


def callbacks_chart(steps: Sequence[Step], scene: Scene) -> Figure:
    """Return callbacks over time by what they were when they came."""
    return _stacked(
        "Callbacks",
        f"Callbacks {scene.about} by what they were",
        _ARRIVALS,
        [(step, step.arrivals) for step in steps],
        scene,
    )._replace(marks=[])


def times_chart(steps: Sequence[Step], scene: Scene) -> Figure:
    """Return how long accepted attempts took: half of them, and 95 of 100."""
    p50, p95 = [s.response_times.p50 for s in steps], [s.response_times.p95 for s in steps]
    highest = max((value for value in p95 if value is not None), default=None)
    legend = [
        LegendItem("line1", "95 of 100 within", _longest(p95), is_line=True),
        LegendItem("line2", "Half within", _longest(p50), is_line=True),
    ]
    return Figure(
        name="response-times",
        title="Response time",
        note="of accepted attempts; the longest step",
        legend=legend if highest is not None else [],
        top=[milliseconds(highest or 0), milliseconds((highest or 0) // 2), "0"],
        drawing=charts.lines(
            [p95, p50],
            f"Response time of accepted attempts {scene.about}",
            scene.places,
            highest=highest or 1,
        ),
        times=scene.times,
        marks=scene.marks,
        columns=("From", "Half within", "95 of 100", "99 of 100", "Arrived: half within"),
        rows=[
            (scene.time(step.start), *map(_ms, step.response_times), _ms(step.delays.p50))
            for step in steps
            if step.response_times.p50 is not None
        ],
    )


def needed_chart(steps: Sequence[Step]) -> Figure:
    """Return how many attempts deliveries needed until one was accepted."""
    needed = attempts_needed(steps)
    most = max((n for n, count in needed.by_attempts.items() if count), default=1)
    shown = [needed.by_attempts[n] for n in range(1, max(most, 10) + 1)]
    words = [f"attempt {n}" for n in range(1, len(shown) + 1)]
    series = [
        charts.ChartSeries("accepted", [*shown, 0], "deliveries"),
        charts.ChartSeries("refused", [*(0 for _ in shown), needed.exhausted], "exhausted"),
    ]
    legend = [LegendItem("accepted", "Accepted", number(sum(shown)))]
    if needed.exhausted:
        legend.append(LegendItem("refused", "Schedule used up", number(needed.exhausted)))
    return Figure(
        name="attempts-needed",
        title="Attempts needed",
        note="until a delivery was accepted; not those by hand",
        legend=legend if sum(shown) + needed.exhausted else [],
        top=_axis(max(*shown, needed.exhausted)),
        drawing=charts.stacked(series, "Attempts that deliveries needed", [*words, "never"]),
        times=["1", str(len(shown)), "never"],
        marks=[],
        columns=("Attempts", "Deliveries"),
        rows=[
            *((str(n), number(count)) for n, count in needed.by_attempts.items() if count),
            ("never accepted", number(needed.exhausted)),
        ],
    )


def _stacked(
    title: str,
    label: str,
    groups: dict[str, tuple[str, tuple[str, ...]]],
    counted: Sequence[tuple[Step, dict[str, int]]],
    scene: Scene,
) -> Figure:
    series = [
        charts.ChartSeries(css, [sum(each[m] for m in members) for _, each in counted], word)
        for css, (word, members) in groups.items()
    ]
    shown = [each for each in series if any(each.values)]
    sums = [sum(values) for values in zip(*(each.values for each in shown), strict=True)]
    rows = [
        (scene.time(step.start), *(number(each.values[place]) for each in shown))
        for place, (step, _) in enumerate(counted)
        if sums and sums[place]
    ]
    return Figure(
        name=title.lower(),
        title=title,
        note="",
        legend=[LegendItem(each.name, each.word, number(sum(each.values))) for each in shown],
        top=_axis(max(sums, default=0)),
        drawing=charts.stacked(
            shown, label, [scene.time(step.start) for step, _ in counted], scene.places
        ),
        times=scene.times,
        marks=scene.marks,
        columns=("From", *(each.word for each in shown)),
        rows=rows,
    )


def _axis(highest: int) -> list[str]:
    top = charts.top_of(highest)
    return [number(top), number(top // 2), "0"]


def _ms(micros: Micros | None) -> str:
    return "–" if micros is None else milliseconds(micros)


def _longest(values: Iterable[int | None]) -> str:
    return _ms(max((value for value in values if value is not None), default=None))


# ── pages ────────────────────────────────────────────────────────────────────────────────────────


async def scene_of(visit: Visit) -> Scene:
    """Return the period that the URL asks for by `span`, with its markers."""
    name = visit.query("span")
    length = SPANS.get(name) or SPANS["24h"]
    minutes_kept = visit.gateway.settings.minute_statistics_hours * HOUR
    period = plot_period(WantedPeriod(since=visit.now - length), visit.now, minutes_kept)
    markers = await visit.gateway.plots.markers(visit.app_id, None, period.span)
    named = await named_markers(visit, markers[:_MARKS_SHOWN])
    about = f"of {visit.app.name}" if visit.app else "of all applications"
    return Scene(period, named, visit.zone, about)


async def show(visit: Visit) -> Response:
    """Show all plots."""
    scene, plots = await scene_of(visit), visit.gateway.plots
    steps = await plots.of_all(visit.app_id, scene.period)
    return visit.show(
        "plots.html",
        figures=[
            times_chart(steps, scene),
            callbacks_chart(steps, scene),
            needed_chart(steps),
        ],
        spans=SPANS,
        chosen=visit.query("span") if visit.query("span") in SPANS else "24h",
        event_types=(await plots.event_types(visit.app_id, scene.period.span))[:12],
    )


async def download(visit: Visit) -> Response:
    """Answer with the numbers of a plot as JSON, or CSV if the URL asks for it."""
    name = visit.path("name")
    if name not in _DOWNLOADS:
        raise NotFound("There is no such plot.")
    scene = await scene_of(visit)
    steps = await visit.gateway.plots.of_all(visit.app_id, scene.period)
    rows = [{"start": iso(s.start), "end": iso(s.end), **_numbers(name, s)} for s in steps]
    if visit.query("format") == "csv":
        body = csv_text(tuple(rows[0]), [tuple(row.values()) for row in rows])
        return Response(body, 200, SECURITY_HEADERS, media_type=MEDIA_TYPE)
    body = msgspec.json.encode({"step": scene.period.step // SECOND, "data": rows})
    return Response(body, 200, SECURITY_HEADERS, media_type="application/json")


_DOWNLOADS = ("attempts", "callbacks", "pending", "response-times")


def _numbers(name: str, step: Step) -> dict[str, Any]:
    if name == "attempts":
        return step.endings
    if name == "callbacks":
        return {arrival: step.arrivals[arrival] for arrival in ARRIVALS}
    if name == "pending":
        return {"pending": step.pending, "overdue_us": step.overdue}
    response, delay = step.response_times, step.delays
    return {
        **{f"response_{share}_us": value for share, value in response._asdict().items()},
        **{f"delay_{share}_us": value for share, value in delay._asdict().items()},
    }


PAGES = (
    SitePage("/plots", show, "/plots"),
    SitePage("/plots/{name}", download, "/plots"),
)
