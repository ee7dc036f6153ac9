"""Charts as drawings that the server makes: they need no script, and read without colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from tillbell.clock import Micros
from tillbell.web.pages.formats import milliseconds, number

_WIDTH, _HEIGHT = 1000, 200
_SMALLEST = 2.0  # height of a bar that is not zero
_WORDS = {
    "wait": "waited",
    "dns": "name",
    "connect": "connect",
    "tls": "TLS",
    "first": "first byte",
    "read": "read",
    "cut": "cut off",
    "whole": "",
}


class ChartSeries(NamedTuple):
    """Counts of one kind over time. `name` is a CSS class: `accepted`, `timed-out`."""

    name: str
    values: Sequence[int]
    word: str = ""  # for people; "": the name


def top_of(highest: int) -> int:
    """Return the upper end of an axis: a round number, not below the highest value.

    >>> [top_of(value) for value in (0, 1, 7, 11, 423, 1200)]
    [4, 4, 8, 12, 480, 1200]
    """
    step = 1
    while True:
        for factor in (4, 8, 12, 16, 20, 24, 32, 40, 48, 60, 80):
            if factor * step >= highest:
                return factor * step
        step *= 10


def stacked(
    series: Sequence[ChartSeries], label: str, times: Sequence[str], marks: Sequence[float] = ()
) -> Markup:
    """Return stacked bars. `times` names each bar; `marks` are places from 0 to 1."""
    count = max((len(each.values) for each in series), default=0) or 1
    sums = [sum(each.values[place] for each in series) for place in range(count)] if series else []
    highest = top_of(max(sums, default=0))
    width = _WIDTH / count
    parts = [_grid(5), _marks(marks)]
    for place in range(count):
        bars, words, bottom = [], [], float(_HEIGHT)
        for each in series:
            value = each.values[place]
            if not value:
                continue
            height = max(value / highest * _HEIGHT, 0 if each.name == "accepted" else _SMALLEST)
            bottom -= height
            bars.append(
                _rect(f"s-{each.name}", (place + 0.14) * width, bottom, width * 0.72, height)
            )
            words.append(f"{each.word or each.name.replace('-', ' ')} {number(value)}")
        title = f"{times[place]}: {', '.join(words) or 'none'}"
        parts.append(
            Markup(f'<g class="bar"><title>{escape(title)}</title>{"".join(bars)}</g>')  # noqa: S704
        )
    return _drawing(label, parts)


def lines(
    sets: Sequence[Sequence[int | None]],
    label: str,
    marks: Sequence[float] = (),
    highest: int | None = None,
) -> Markup:
    """Return up to two lines, each on a scale of its own unless `highest` is that of all.

    A line is broken where its value is not known.
    """
    parts = [_grid(3), _marks(marks)]
    for place, values in enumerate(sets, start=1):
        top = highest or top_of(max((value for value in values if value is not None), default=0))
        step = _WIDTH / max(len(values) - 1, 1)
        for run in _known_runs(values):
            points = [(each * step, _HEIGHT - value / top * _HEIGHT) for each, value in run]
            if len(points) == 1:  # a dash, or it would not be seen
                points.append((points[0][0] + min(step / 2, 4), points[0][1]))
            path = " ".join(f"{x:.0f} {y:.1f}" for x, y in points)
            if place == 1:
                start, end = f"{points[0][0]:.0f}", f"{points[-1][0]:.0f}"
                area = f"M{path} L{end} {_HEIGHT} {start} {_HEIGHT}z"
                parts.append(Markup('<path class="ar1" d="{}"/>').format(area))
            parts.append(Markup('<path class="ln ln{}" d="M{}"/>').format(place, path))
    return _drawing(label, parts)


def _known_runs(values: Sequence[int | None]) -> Iterator[list[tuple[int, int]]]:
    """Yield the runs of known values, each with its place."""
    run: list[tuple[int, int]] = []
    for place, value in enumerate(values):
        if value is not None:
            run.append((place, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def spark(values: Sequence[int], label: str, *, bad: bool = False) -> Markup:
    """Return a small line without axes."""
    highest = max(*values, 1) if values else 1
    points = " ".join(
        f"{place * 100 / max(len(values) - 1, 1):.0f} {19 - value / highest * 18:.1f}"
        for place, value in enumerate(values)
    )
    return Markup(
        '<svg class="{}" viewBox="0 0 100 20" preserveAspectRatio="none" role="img" '
        'aria-label="{}"><path d="M{}"/></svg>'
    ).format("spark bad" if bad else "spark", label, points or "0 19")


def bar(share: float) -> Markup:
    """Return a bar of 0 to 100 percent."""
    return Markup(
        '<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{}" height="6"/></svg>'
    ).format(f"{max(0.0, min(share, 100.0)):.0f}")


_SHORTEST: Micros = 50  # a phase that is drawn; a shorter one is 0.0 ms


def timing(phases: Sequence[tuple[str, Micros]], scale: Micros, label: str) -> Markup:
    """Return the times of an attempt as a bar with numbers.

    `wait` is drawn, but not counted; `whole` has no number besides the total.
    """
    at, total = 0.0, 0
    rects, words = [], []
    for name, duration in phases:
        if duration < _SHORTEST:
            total += 0 if name == "wait" else duration
            continue
        width = max(5.0, duration / max(scale, 1) * _WIDTH)
        rects.append(_rect(f"seg-{'first' if name == 'whole' else name}", at, 0, width, 10))
        at += width
        total += 0 if name == "wait" else duration
        if not _WORDS[name]:
            continue
        words.append(
            Markup('<div class="it"><dt class="seg-{}">{}</dt><dd>{}</dd></div>').format(
                name, _WORDS[name], milliseconds(duration)
            )
        )
    return Markup(
        '<div class="timing"><svg viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg><dl><div class="total"><dt>total</dt>'
        "<dd>{}</dd></div>{}</dl></div>"
    ).format(label, Markup("").join(rects), milliseconds(total), Markup("").join(words))


def _rect(css: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup(  # noqa: S704 - `Markup.format` takes ten times as long, and a chart has hundreds
        f'<rect class="{escape(css)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}"'
        f' height="{height:.1f}"/>'
    )


def _grid(count: int) -> Markup:
    rows = []
    for place in range(count):
        css = "base" if place == count - 1 else "grid"
        y = f"{_HEIGHT * place / (count - 1):.0f}"
        rows.append(
            Markup('<line class="{0}" x1="0" x2="{1}" y1="{2}" y2="{2}"/>').format(css, _WIDTH, y)
        )
    return Markup("").join(rows)


def _marks(marks: Sequence[float]) -> Markup:
    return Markup("").join(
        Markup('<line class="markline" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(
            f"{mark * _WIDTH:.0f}", _HEIGHT
        )
        for mark in marks
    )


def _drawing(label: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, _HEIGHT, label, Markup("").join(parts))
