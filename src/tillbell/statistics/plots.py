"""The numbers of each plot, for the API and for pages. Nothing here reads history.

What is read of all subjects of a kind is shared by all who ask for it within `FRESH_FOR`.

`app_id=None`: of all applications. Who may see what, the caller decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from tillbell.clock import DAY, HOUR, MINUTE, SECOND, Clock, Micros
from tillbell.model.audit import AuditedAct
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import Application
from tillbell.model.sources import Source
from tillbell.model.statistics import (
    ALL,
    AMOUNT,
    ARRIVALS,
    ARRIVED,
    ATTEMPTS_MAX,
    ATTEMPTS_NEEDED,
    CONCLUDED,
    CONCLUSIONS,
    DELAYS,
    ENDINGS,
    ENDPOINT,
    EVENT_TYPE,
    EXHAUSTED,
    MESSAGES,
    OVERDUE,
    PENDING,
    RESPONSE_TIMES,
    SOURCE,
    CountedSeries,
    Counts,
    Marker,
    MarkerKind,
    effect_sum,
    percentile,
    sum_of,
)
from tillbell.model.transactions import EffectKind
from tillbell.money import format_amount
from tillbell.rules.filters.clauses import ListFilter, one_of
from tillbell.statistics.periods import PlotPeriod
from tillbell.statistics.shared_reads import SharedReads
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import ALL as FIRST_PAGE
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.statistics import Period

T = TypeVar("T")
SUBJECTS_MAX = 1_000  # event types, endpoints, currencies of one plot
SOURCES_MAX = 50
APPLICATIONS_MAX = 200  # whose endpoints are compared
_KEPT = 400 * DAY
SHOWN_MAX = 100  # rows of one plot
FRESH_FOR: Micros = 10 * SECOND
# Of minutes and hours that ended this long before, nothing changes but that they are removed.
SETTLED_AFTER: Micros = 10 * MINUTE
SETTLED_FRESH_FOR: Micros = 10 * MINUTE
SHARED_STEPS_MAX = 2_000  # of one read
MARKERS_MAX = 100
_AUDIT_PAGES = 5
_AUDIT_PAGE = 200
_CHANGED = frozenset({"application", "endpoint", "source", "event-type", "hold-release"})
_SECRETS = frozenset({"secrets", "sealed_config", "token"})


class Step(NamedTuple):
    """What was counted in one step of a period."""

    start: Micros
    end: Micros
    counts: Counts

    @property
    def endings(self) -> dict[str, int]:
        """How many attempts ended how."""
        return {name: self.counts.get(code, 0) for code, name in enumerate(ENDINGS)}

    @property
    def attempts(self) -> int:
        """How many attempts ended."""
        return _attempts_of(self.counts)[0]

    @property
    def response_times(self) -> Percentiles:
        """How long accepted attempts took, from request to answer."""
        return Percentiles.of(self.counts, RESPONSE_TIMES)

    @property
    def delays(self) -> Percentiles:
        """How long it took from the acceptance of a message to that of its delivery."""
        return Percentiles.of(self.counts, DELAYS)

    @property
    def arrivals(self) -> dict[str, int]:
        """What callbacks were when they came."""
        return {name: self.counts.get(ARRIVED + n, 0) for n, name in enumerate(ARRIVALS)}

    @property
    def conclusions(self) -> dict[str, int]:
        """How processed callbacks ended; outcomes that did not occur are left out."""
        ends = {name: self.counts.get(CONCLUDED + n, 0) for n, name in enumerate(CONCLUSIONS)}
        return {name: number for name, number in ends.items() if number}

    @property
    def pending(self) -> int | None:
        """The most deliveries that were open; None: it was not measured."""
        return self.counts.get(PENDING)

    @property
    def overdue(self) -> Micros | None:
        """For how long the delivery that was due longest had waited; None: not measured."""
        return self.counts.get(OVERDUE)


class Percentiles(NamedTuple):
    """Percentiles of times in microseconds; None: no time was counted."""

    p50: int | None
    p95: int | None
    p99: int | None

    @classmethod
    def of(cls, counts: Counts, base: int) -> Percentiles:
        """Return those of the times that are counted from that code on."""
        return cls(*(percentile(counts, base, share) for share in (0.5, 0.95, 0.99)))


class AttemptsNeeded(NamedTuple):
    """How many attempts deliveries needed until one was accepted."""

    by_attempts: dict[int, int]  # the last key: that many or more
    exhausted: int  # deliveries whose schedule was used up


class TypeCounts(NamedTuple):
    """What was counted of an event type."""

    event_type: str
    messages: int
    attempts: int
    accepted: int


class AmountSum(NamedTuple):
    """The sum of effects of one kind at one provider in one currency: never over two."""

    provider: str
    currency: str
    effect: EffectKind
    number: int  # of effects
    amount: str  # decimal text


class EndpointFigures(NamedTuple):
    """How attempts at an endpoint have gone."""

    app_id: str
    endpoint_id: str
    attempts: int
    accepted: int
    counts: Counts

    @property
    def response_times(self) -> Percentiles:
        """How long accepted attempts took, from request to answer."""
        return Percentiles.of(self.counts, RESPONSE_TIMES)

    @property
    def response_p95(self) -> int | None:
        """The time that 95 of 100 accepted attempts did not exceed; None: none was accepted."""
        return percentile(self.counts, RESPONSE_TIMES, 0.95)

    @property
    def delays(self) -> Percentiles:
        """How long it took from the acceptance of a message to that of its delivery."""
        return Percentiles.of(self.counts, DELAYS)

    @property
    def success_rate(self) -> float | None:
        """The share of accepted attempts; None: there was no attempt."""
        return self.accepted / self.attempts if self.attempts else None


class EndpointDay(NamedTuple):
    """An endpoint within 24 hours: its figures, and its attempts hour by hour."""

    figures: EndpointFigures
    accepted: list[int]
    failed: list[int]


class SourceSteps(NamedTuple):
    """What came for a source."""

    source: Source
    steps: list[Step]


class Plots:
    """Reads what plots show."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._shared = SharedReads(clock)

    # ── over time ────────────────────────────────────────────────────────────────────────────────

    async def of_all(self, app_id: str | None, period: PlotPeriod) -> list[Step]:
        """Return what was counted of an application, step by step."""
        return (await self._steps([CountedSeries(app_id or "", ALL)], period))[0]

    async def of_endpoint(self, endpoint: Endpoint, period: PlotPeriod) -> list[Step]:
        """Return what was counted of an endpoint, step by step."""
        return (await self._steps([CountedSeries(endpoint.scope, ENDPOINT, endpoint.id)], period))[
            0
        ]

    async def of_event_type(
        self, app_id: str | None, event_type: str, period: PlotPeriod
    ) -> list[Step]:
        """Return what was counted of an event type, step by step."""
        return (await self._steps([CountedSeries(app_id or "", EVENT_TYPE, event_type)], period))[0]

    async def has_messages_of(self, app_id: str | None, event_type: str) -> bool:
        """Tell whether messages of an event type were published while statistics are kept."""
        now = self._clock.now()
        period = Period((now - _KEPT) // DAY * DAY, now + DAY)
        series = CountedSeries(app_id or "", EVENT_TYPE, event_type)
        (rollups,) = await self._database.rollups([series], period, DAY)
        return any(counts.get(MESSAGES, 0) for _, counts in rollups)

    async def by_source(self, sources: Sequence[Source], period: PlotPeriod) -> list[SourceSteps]:
        """Return what was counted of sources, step by step."""
        series = [CountedSeries(source.scope, SOURCE, source.id) for source in sources]
        steps = await self._steps(series, period)
        return [SourceSteps(*each) for each in zip(sources, steps, strict=True)]

    async def sources(self, app_id: str | None) -> list[Source]:
        """Return the sources that one plot compares: the newest."""
        page = Page(SOURCES_MAX)
        return await self._database.list(Source, app_id, page)

    async def _steps(self, series: Sequence[CountedSeries], period: PlotPeriod) -> list[list[Step]]:
        """Read the steps that are settled once for many minutes, and those that follow now."""
        since, until, step = period
        settled = since + (self._clock.now() - SETTLED_AFTER - since) // step * step
        settled = min(settled, until)
        is_shared = len(series) * (settled - since) // step <= SHARED_STEPS_MAX
        if settled <= since or not is_shared:
            counted = await self._read_steps(series, period)
        else:
            before = period._replace(until=settled)
            counted, following = await asyncio.gather(
                self._shared.get(
                    ("steps", tuple(series), before),
                    SETTLED_FRESH_FOR,
                    lambda: self._read_steps(series, before),
                ),
                self._read_steps(series, period._replace(since=settled)),
            )
            counted = counted | following
        return [
            [Step(at, at + step, counted.get((each, at), {})) for at in period.starts]
            for each in series
        ]

    async def _read_steps(
        self, series: Sequence[CountedSeries], period: PlotPeriod
    ) -> dict[tuple[CountedSeries, Micros], Counts]:
        """Return the counts of each series by the start of their steps."""
        if period.since >= period.until:
            return {}
        counted = await self._database.rollups(series, period.span, period.step)
        return {
            (each, start): counts
            for each, rollups in zip(series, counted, strict=True)
            for start, counts in rollups
        }

    # ── sums ─────────────────────────────────────────────────────────────────────────────────────

    async def event_types(self, app_id: str | None, period: Period) -> list[TypeCounts]:
        """Return the event types of a period, those with most messages first."""
        sums = await self._shared_by_subject(app_id, EVENT_TYPE, period)
        rows = [
            TypeCounts(name, counts.get(MESSAGES, 0), *_attempts_of(counts))
            for name, counts in sums.items()
        ]
        rows.sort(key=lambda row: (-row.messages, -row.attempts, row.event_type))
        return rows[:SHOWN_MAX]

    async def amounts(self, app_id: str | None, period: Period) -> list[AmountSum]:
        """Return the sums of effects of a period, by provider, currency and kind."""
        sums = await self._shared_by_subject(app_id, AMOUNT, period)
        rows = []
        for subject, counts in sorted(sums.items()):
            provider, _, currency = subject.rpartition(" ")
            for kind in EffectKind:
                number, minor = effect_sum(counts, kind)
                if number:
                    amount = format_amount(minor, currency)
                    rows.append(AmountSum(provider, currency, kind, number, amount))
        return rows

    async def endpoints(self, app_id: str | None) -> list[EndpointFigures]:
        """Return the endpoints with attempts within 24 hours, those with most failures first."""
        key = ("endpoints", app_id)
        return await self._shared.get(key, FRESH_FOR, lambda: self._read_endpoints(app_id))

    async def _read_endpoints(self, app_id: str | None) -> list[EndpointFigures]:
        figures: list[EndpointFigures] = []
        for app in await self._applications(app_id):
            sums = await self._by_subject(app, ENDPOINT, self._day())
            figures += await asyncio.to_thread(_worst, app, sums)
        figures.sort(key=_failures)
        return figures[:SHOWN_MAX]

    async def endpoint(self, endpoint: Endpoint) -> EndpointFigures:
        """Return the figures of an endpoint within 24 hours."""
        return (await self.of_endpoints([endpoint]))[endpoint.id]

    async def of_endpoints(self, endpoints: Sequence[Endpoint]) -> dict[str, EndpointFigures]:
        """Return the figures of each endpoint within 24 hours, by its id."""
        series = [CountedSeries(each.scope, ENDPOINT, each.id) for each in endpoints]
        since, until = self._day()
        settled = (self._clock.now() - SETTLED_AFTER) // HOUR * HOUR
        before, following = await asyncio.gather(
            self._shared.get(
                ("sums", tuple(series), since),
                SETTLED_FRESH_FOR,
                lambda: self._read_sums(series, Period(since, settled)),
            ),
            self._read_sums(series, Period(settled, until)),
        )
        sums = await asyncio.to_thread(_added, before, following)
        return {
            each.subject: _figures(each.app_id, each.subject, sums.get(each, {})) for each in series
        }

    async def _read_sums(
        self, series: Sequence[CountedSeries], period: Period
    ) -> dict[CountedSeries, Counts]:
        counted = await self._database.rollups(series, period, 2 * DAY)
        return {
            each: rollups[0].counts
            for each, rollups in zip(series, counted, strict=True)
            if rollups
        }

    def _day(self) -> Period:
        now = self._clock.now()
        return Period((now - DAY) // HOUR * HOUR, now)

    async def endpoint_days(self, endpoints: Sequence[Endpoint]) -> dict[str, EndpointDay]:
        """Return how attempts at endpoints have gone within 24 hours, by their ids."""
        now = self._clock.now()
        period = PlotPeriod((now - DAY) // HOUR * HOUR, -(-now // HOUR) * HOUR, HOUR)
        series = [CountedSeries(each.scope, ENDPOINT, each.id) for each in endpoints]
        steps = await self._steps(series, period)
        return await asyncio.to_thread(_days, series, steps)

    async def _applications(self, app_id: str | None) -> list[str]:
        if app_id is not None:
            return [app_id]
        page = FIRST_PAGE._replace(limit=APPLICATIONS_MAX)
        return [app.id for app in await self._database.list(Application, page=page)]

    async def _shared_by_subject(
        self, app_id: str | None, kind: str, period: Period
    ) -> dict[str, Counts]:
        key = ("by_subject", app_id, kind, period)
        return await self._shared.get(
            key, FRESH_FOR, lambda: self._by_subject(app_id or "", kind, period)
        )

    async def _by_subject(self, app_id: str, kind: str, period: Period) -> dict[str, Counts]:
        """Read the hours that are settled once for many minutes, and what follows them now."""
        settled = (self._clock.now() - SETTLED_AFTER) // HOUR * HOUR
        if not period.since < settled < period.until:
            return await self._read_by_subject(app_id, kind, period)
        before = Period(period.since, settled)
        sums = await self._shared.get(
            ("settled", app_id, kind, before),
            SETTLED_FRESH_FOR,
            lambda: self._read_by_subject(app_id, kind, before),
        )
        following = await self._read_by_subject(app_id, kind, Period(settled, period.until))
        return await asyncio.to_thread(_added, sums, following)

    async def _read_by_subject(self, app_id: str, kind: str, period: Period) -> dict[str, Counts]:
        return await self._database.rollups_by_subject(app_id, kind, period, SUBJECTS_MAX)

    # ── markers ──────────────────────────────────────────────────────────────────────────────────

    async def markers(
        self, app_id: str | None, endpoint_id: str | None, period: Period
    ) -> list[Marker]:
        """Return what happened in a period, newest first: starts, changes, circuits."""
        stored = await self._database.markers(app_id, period, MARKERS_MAX)
        changes = await self._changes(app_id, endpoint_id, period)
        markers = [
            marker
            for marker in (*stored, *changes)
            if endpoint_id is None or marker.endpoint_id in ("", endpoint_id)
        ]
        markers.sort(key=lambda marker: (marker.at, marker.id), reverse=True)
        return markers[:MARKERS_MAX]

    async def _changes(
        self, app_id: str | None, endpoint_id: str | None, period: Period
    ) -> list[Marker]:
        """Return the changes of configuration in a period, from the audit log."""
        markers: list[Marker] = []
        filter_ = ListFilter(after=period.since, before=period.until)
        if endpoint_id is not None:
            filter_ = filter_.and_(one_of("target", endpoint_id))
        page = Page(_AUDIT_PAGE)
        for _ in range(_AUDIT_PAGES):
            slice_ = await self._database.history.filtered_audit(app_id, filter_, page, _AUDIT_PAGE)
            markers += [_marker_of(entry) for entry in slice_.rows if _is_change(entry)]
            if slice_.end is None or len(markers) >= MARKERS_MAX:
                break
            page = page._replace(iterator=slice_.end)
        return markers


def attempts_needed(steps: Iterable[Step]) -> AttemptsNeeded:
    """Return how many attempts deliveries needed."""
    counts = sum_of(step.counts for step in steps)
    by_attempts = {n: counts.get(ATTEMPTS_NEEDED + n, 0) for n in range(1, ATTEMPTS_MAX + 1)}
    return AttemptsNeeded(by_attempts, counts.get(EXHAUSTED, 0))


def _attempts_of(counts: Counts) -> tuple[int, int]:
    """Return how many attempts ended, and how many of them were accepted."""
    return sum(counts.get(code, 0) for code in range(len(ENDINGS))), counts.get(0, 0)


def _figures(app_id: str, endpoint_id: str, counts: Counts) -> EndpointFigures:
    return EndpointFigures(app_id, endpoint_id, *_attempts_of(counts), counts)


def _days(
    series: Sequence[CountedSeries], steps_of: Sequence[Sequence[Step]]
) -> dict[str, EndpointDay]:
    days = {}
    for each, steps in zip(series, steps_of, strict=True):
        figures = _figures(each.app_id, each.subject, sum_of(step.counts for step in steps))
        ends = [_attempts_of(step.counts) for step in steps]
        accepted = [accepted for _, accepted in ends]
        failed = [attempts - accepted for attempts, accepted in ends]
        days[each.subject] = EndpointDay(figures, accepted, failed)
    return days


def _worst(app_id: str, sums: dict[str, Counts]) -> list[EndpointFigures]:
    """Return the endpoints of an application with attempts that may be shown, worst first."""
    figures = [_figures(app_id, subject, counts) for subject, counts in sums.items()]
    return sorted((each for each in figures if each.attempts), key=_failures)[:SHOWN_MAX]


def _failures(figures: EndpointFigures) -> tuple[int, str]:
    return figures.accepted - figures.attempts, figures.endpoint_id


def _added(some: dict[T, Counts], others: dict[T, Counts]) -> dict[T, Counts]:
    """Add the counts of equal subjects or series."""
    subjects = some.keys() | others.keys()
    return {each: sum_of((some.get(each, {}), others.get(each, {}))) for each in subjects}


def _is_change(entry: AuditedAct) -> bool:
    noun, _, verb = entry.action.partition(".")
    return noun in _CHANGED and verb in ("create", "update", "delete")


def _marker_of(entry: AuditedAct) -> Marker:
    noun, _, verb = entry.action.partition(".")
    is_rotation = verb == "update" and not _SECRETS.isdisjoint(entry.changes)
    kind = MarkerKind.ROTATION if is_rotation else MarkerKind.CHANGE
    done = {"create": "created", "update": "changed", "delete": "removed"}[verb]
    names = f" ({', '.join(entry.changes)})" if verb == "update" else ""
    return Marker(
        id=entry.id,
        app_id=entry.app_id,
        endpoint_id=entry.target if noun == "endpoint" else "",
        at=entry.at,
        kind=kind,
        text=f"{noun} {entry.target} was {done}{names} by {entry.actor.name}.",
    )
