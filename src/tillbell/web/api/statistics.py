"""Statistics over time: what plots show, as JSON or CSV.

All are read from counts by the minute or hour, so an answer takes as long with many attempts as
with few.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from pydantic import Field

from tillbell.clock import HOUR, SECOND, Micros, iso, to_datetime
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.statistics import ARRIVALS, ENDINGS, MarkerKind
from tillbell.model.transactions import EffectKind
from tillbell.statistics.periods import PlotPeriod, WantedPeriod, plot_period
from tillbell.statistics.plots import EndpointFigures, Percentiles, Step, attempts_needed
from tillbell.web.api.csv_text import MEDIA_TYPE, csv_text
from tillbell.web.api.filters import TimeQuery, check_types, instant
from tillbell.web.api.overviews import ScopeOf
from tillbell.web.api.routes import GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import Out, Time

Row = tuple[object, ...]
_TIME_COLUMNS = tuple(
    f"{name}_p{share}_ms" for name in ("response", "delay") for share in (50, 95, 99)
)


class PlotOut(Out):
    """One plot. The numbers hold for the time from `since` to before `until`."""

    since: datetime = Field(description="Begin of the first step (UTC).")
    until: datetime = Field(description="End of the last step (UTC).")
    step: int = Field(description="Seconds of one step.")


class StepOut(Out):
    """A part of the time that a plot shows."""

    start: datetime = Field(description="Its begin (UTC).")
    end: datetime = Field(description="Its end (UTC), which is not part of it.")


class AttemptCountsOut(Out):
    """How many attempts ended how."""

    accepted: int = Field(description="The receiver took it.")
    refused_3xx: int = Field(alias="refused3xx", description="Refused with a status of 300 to 399.")
    refused_4xx: int = Field(
        alias="refused4xx", description="Refused with 400 to 499, but for 410 and 429."
    )
    refused_5xx: int = Field(alias="refused5xx", description="Refused with 500 to 599.")
    refused_other: int = Field(description="Answered, but not as the endpoint's profile wants it.")
    throttled: int = Field(description="The receiver wants fewer requests.")
    gone: int = Field(description="410: the receiver wants no more.")
    timed_out: int = Field(description="No answer within the time of the endpoint's profile.")
    unreachable: int = Field(description="No connection, or it broke.")
    blocked: int = Field(description="Not sent: the address is not allowed.")
    interrupted: int = Field(description="No answer was recorded, because of us.")


class AttemptStepOut(StepOut):
    """Attempts that ended in one step."""

    results: AttemptCountsOut = Field(description="How they ended.")


class PercentilesOut(Out):
    """Times in milliseconds, exact to a tenth of the value; null: none was counted."""

    p50: float | None = Field(description="Half of them took no longer.")
    p95: float | None = Field(description="95 of 100 took no longer.")
    p99: float | None = Field(description="99 of 100 took no longer.")

    @classmethod
    def of(cls, percentiles: Percentiles) -> PercentilesOut:
        """Return percentiles in the shape that callers see."""
        return cls(p50=_ms(percentiles[0]), p95=_ms(percentiles[1]), p99=_ms(percentiles[2]))


class TimeStepOut(StepOut):
    """How long accepted attempts of one step took."""

    response: PercentilesOut = Field(description="From request to answer, of accepted attempts.")
    delay: PercentilesOut = Field(
        description="From the acceptance of a message to that of its delivery, retries included."
    )


class PendingStepOut(StepOut):
    """What waited in one step. It is measured each minute; these are the highest numbers."""

    pending: int | None = Field(description="Open deliveries; null: it was not measured.")
    overdue_seconds: float | None = Field(
        description="For how long the delivery that was due longest had waited; null: not measured."
    )


class CallbackCountsOut(Out):
    """What callbacks were when they came."""

    accepted: int = Field(description="To be processed.")
    duplicate: int = Field(description="Received before.")
    ignored: int = Field(description="Its source or kind is switched off.")
    unauthenticated: int = Field(description="Not proven, e.g. by a wrong signature.")
    malformed: int = Field(description="Not readable.")
    dropped: int = Field(description="Unauthenticated, and more than are stored.")
    busy: int = Field(description="Sent back, because too many of their kind waited.")
    unknown_source: int = Field(description="For a path that no source has.")


class CallbackStepOut(StepOut):
    """Callbacks of one source, or of all, that came in one step."""

    source_id: str | None = Field(description="The source; null: all together.")
    arrivals: CallbackCountsOut = Field(description="What they were when they came.")
    outcomes: dict[str, int] = Field(description="How those ended that were processed meanwhile.")


class AttemptsNeededOut(Out):
    """Deliveries that needed so many attempts. Resends by hand are not counted."""

    attempts: int = Field(description="How many; the last row: that many or more.")
    deliveries: int = Field(description="Deliveries that were accepted with that attempt.")


class EventTypeCountsOut(Out):
    """What was counted of an event type."""

    event_type: str
    messages: int = Field(description="Messages that were published.")
    attempts: int = Field(description="Attempts that ended.")
    accepted: int = Field(description="Attempts that were accepted.")


class AmountSumOut(Out):
    """The sum of one kind of effect at one provider in one currency."""

    provider: str = Field(description='Name of the provider; "": none.')
    currency: str
    effect: EffectKind = Field(description="What was done to accounts.")
    count: int = Field(description="How many effects were added up.")
    amount: str = Field(description="Their sum in whole units, as text. It is exact.")


class EndpointFiguresOut(Out):
    """How attempts at an endpoint have gone within 24 hours."""

    app_id: str
    endpoint_id: str = Field(description="Id of the endpoint.")
    attempts: int = Field(description="Attempts that ended.")
    accepted: int = Field(description="Attempts that were accepted.")
    success_rate: float | None = Field(description="From 0 to 1; null: there was no attempt.")
    response: PercentilesOut = Field(description="From request to answer, of accepted attempts.")
    delay: PercentilesOut = Field(description="From the acceptance of messages to their delivery.")


class MarkerOut(Out):
    """Something that happened and may explain what a plot shows."""

    at: datetime = Field(description="When it happened (UTC).")
    kind: MarkerKind = Field(description="Which kind of thing happened.")
    app_id: str = Field(description='The application; "": it concerns all.')
    endpoint_id: str | None = Field(description="The endpoint; null: no single one.")
    text: str = Field(description="What happened, for a person.")


class AttemptPlotOut(PlotOut):
    """Attempts over time."""

    data: list[AttemptStepOut] = Field(description="The steps, in order.")


class TimePlotOut(PlotOut):
    """How long attempts took over time."""

    data: list[TimeStepOut] = Field(description="The steps, in order.")


class PendingPlotOut(PlotOut):
    """What waited over time."""

    data: list[PendingStepOut] = Field(description="The steps, in order.")


class CallbackPlotOut(PlotOut):
    """Callbacks over time."""

    data: list[CallbackStepOut] = Field(description="The steps, in order; source after source.")


class AttemptsNeededPlotOut(PlotOut):
    """How many attempts deliveries needed until one was accepted."""

    data: list[AttemptsNeededOut] = Field(description="One row for each number of attempts.")
    exhausted: int = Field(description="Deliveries that failed: their schedule was used up.")


class EventTypePlotOut(PlotOut):
    """What was counted by event type."""

    data: list[EventTypeCountsOut] = Field(description="Those with most messages first.")


class AmountPlotOut(PlotOut):
    """Sums of money."""

    data: list[AmountSumOut] = Field(description="By provider, currency and kind of effect.")


class EndpointPlotOut(PlotOut):
    """How attempts at endpoints have gone."""

    data: list[EndpointFiguresOut] = Field(description="Those with most failures first.")


class MarkerPlotOut(PlotOut):
    """What happened and may explain a plot."""

    data: list[MarkerOut] = Field(description="The newest first.")


# ── what a request names ─────────────────────────────────────────────────────────────────────────


async def the_period(
    gateway: GatewayOf,
    since: Annotated[
        Time | None, Query(description="Begin (UTC); an hour before `until` if left out.")
    ] = None,
    until: TimeQuery = None,
    step: Annotated[
        int | None,
        Query(
            description="Seconds of one step; default: so long that there are at most 120.",
            ge=60,
            le=366 * 86_400,
        ),
    ] = None,
) -> PlotPeriod:
    """Read the time that a plot is to show: by default the last hour."""
    minutes_kept = gateway.settings.minute_statistics_hours * HOUR
    wanted = WantedPeriod(instant(since), instant(until), step)
    return plot_period(wanted, gateway.clock.now(), minutes_kept)


async def the_endpoint_of_plot(
    gateway: GatewayOf,
    principal: PrincipalOf,
    scope: ScopeOf,
    endpoint: Annotated[
        str | None,
        Query(max_length=256, description="Only this endpoint: its id, or with `app` its uid."),
    ] = None,
) -> Endpoint | None:
    """Return the endpoint that is named. `NotFound` if the key may not see it."""
    if endpoint is None:
        return None
    if scope is not None:
        found_endpoint = await gateway.config_cache.endpoint(scope, endpoint)
    else:
        found_endpoint = await gateway.database.get(Endpoint, endpoint, None)
    if found_endpoint is None or not principal.may_see(found_endpoint.scope):
        raise NotFound("There is no such endpoint.")
    return found_endpoint


async def wants_csv(
    request: Request,
    format_: Annotated[
        Literal["json", "csv"] | None,
        Query(alias="format", description="Also by the header `Accept: text/csv`."),
    ] = None,
) -> bool:
    """Tell whether the answer is to be CSV."""
    if format_ is not None:
        return format_ == "csv"
    return request.headers.get("accept", "").startswith("text/csv")


PeriodOf = Annotated[PlotPeriod, Depends(the_period)]
PlotEndpointOf = Annotated[Endpoint | None, Depends(the_endpoint_of_plot)]
CsvOf = Annotated[bool, Depends(wants_csv)]

CSV_TOO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}}
}
router = resource("/statistics", "Statistics")


# ── plots ────────────────────────────────────────────────────────────────────────────────────────


@router.get("/attempt", response_model=AttemptPlotOut, responses=CSV_TOO)
async def attempts(
    gateway: GatewayOf,
    scope: ScopeOf,
    period: PeriodOf,
    endpoint: PlotEndpointOf,
    is_csv: CsvOf,
    event_type: Annotated[str | None, Query(max_length=256)] = None,
) -> Response:
    """Count attempts over time by how they ended.

    With `endpoint` those at it, else with `event_type` those of its messages.
    """
    if endpoint is None and event_type is not None:
        await check_types(gateway, scope, [event_type], ("query", "event_type"))
        steps = await gateway.plots.of_event_type(scope, event_type, period)
    else:
        steps = await _steps(gateway, scope, endpoint, period)
    data = [
        AttemptStepOut(**_edges(step), results=AttemptCountsOut(**step.endings)) for step in steps
    ]
    rows = [(*_cells(step), *step.endings.values()) for step in steps]
    return _answer(
        AttemptPlotOut(**_span(period), data=data), ("start", "end", *ENDINGS), rows, is_csv=is_csv
    )


@router.get("/response-time", response_model=TimePlotOut, responses=CSV_TOO)
async def response_times(
    gateway: GatewayOf,
    scope: ScopeOf,
    period: PeriodOf,
    endpoint: PlotEndpointOf,
    is_csv: CsvOf,
) -> Response:
    """Show how long accepted attempts took over time, and how long messages took to arrive."""
    steps = await _steps(gateway, scope, endpoint, period)
    data = [
        TimeStepOut(
            **_edges(step),
            response=PercentilesOut.of(step.response_times),
            delay=PercentilesOut.of(step.delays),
        )
        for step in steps
    ]
    rows = [
        (*_cells(step), *map(_ms, step.response_times), *map(_ms, step.delays)) for step in steps
    ]
    return _answer(
        TimePlotOut(**_span(period), data=data),
        ("start", "end", *_TIME_COLUMNS),
        rows,
        is_csv=is_csv,
    )


@router.get("/pending", response_model=PendingPlotOut, responses=CSV_TOO)
async def pending(
    gateway: GatewayOf,
    scope: ScopeOf,
    period: PeriodOf,
    endpoint: PlotEndpointOf,
    is_csv: CsvOf,
) -> Response:
    """Show how many deliveries were open over time, and for how long they were overdue.

    Of an endpoint only how long it was overdue is measured.
    """
    steps = await _steps(gateway, scope, endpoint, period)
    data = [
        PendingStepOut(**_edges(step), pending=step.pending, overdue_seconds=_seconds(step.overdue))
        for step in steps
    ]
    rows = [(*_cells(step), step.pending, _seconds(step.overdue)) for step in steps]
    return _answer(
        PendingPlotOut(**_span(period), data=data),
        ("start", "end", "pending", "overdue_seconds"),
        rows,
        is_csv=is_csv,
    )


@router.get("/callback", response_model=CallbackPlotOut, responses=CSV_TOO)
async def callbacks(
    gateway: GatewayOf,
    scope: ScopeOf,
    period: PeriodOf,
    is_csv: CsvOf,
    by_source: Annotated[
        bool, Query(description="Each of the 50 newest sources by itself.")
    ] = False,
) -> Response:
    """Count callbacks over time by what they were when they came, and by how they ended."""
    steps: list[tuple[str | None, Step]]
    if by_source:
        sources = await gateway.plots.sources(scope)
        counted = await gateway.plots.by_source(sources, period)
        steps = [(each.source.id, step) for each in counted for step in each.steps]
    else:
        steps = [(None, step) for step in await gateway.plots.of_all(scope, period)]
    data = [
        CallbackStepOut(
            **_edges(step),
            source_id=source_id,
            arrivals=CallbackCountsOut(**step.arrivals),
            outcomes=step.conclusions,
        )
        for source_id, step in steps
    ]
    rows = [(source_id, *_cells(step), *step.arrivals.values()) for source_id, step in steps]
    return _answer(
        CallbackPlotOut(**_span(period), data=data),
        ("source_id", "start", "end", *ARRIVALS),
        rows,
        is_csv=is_csv,
    )


@router.get("/attempts-needed", response_model=AttemptsNeededPlotOut, responses=CSV_TOO)
async def needed(
    gateway: GatewayOf,
    scope: ScopeOf,
    period: PeriodOf,
    endpoint: PlotEndpointOf,
    is_csv: CsvOf,
) -> Response:
    """Count deliveries by how many attempts they needed until one was accepted."""
    answer = attempts_needed(await _steps(gateway, scope, endpoint, period))
    data = [
        AttemptsNeededOut(attempts=number, deliveries=deliveries)
        for number, deliveries in answer.by_attempts.items()
    ]
    plot = AttemptsNeededPlotOut(**_span(period), data=data, exhausted=answer.exhausted)
    rows: list[Row] = [*answer.by_attempts.items(), ("exhausted", answer.exhausted)]
    return _answer(plot, ("attempts", "deliveries"), rows, is_csv=is_csv)


@router.get("/event-type", response_model=EventTypePlotOut, responses=CSV_TOO)
async def event_types(
    gateway: GatewayOf, scope: ScopeOf, period: PeriodOf, is_csv: CsvOf
) -> Response:
    """Count messages and attempts by event type: the 100 with most messages, most first."""
    rows = await gateway.plots.event_types(scope, period.span)
    data = [EventTypeCountsOut(**row._asdict()) for row in rows]
    columns = ("event_type", "messages", "attempts", "accepted")
    return _answer(EventTypePlotOut(**_span(period), data=data), columns, rows, is_csv=is_csv)


@router.get("/amount", response_model=AmountPlotOut, responses=CSV_TOO)
async def amounts(gateway: GatewayOf, scope: ScopeOf, period: PeriodOf, is_csv: CsvOf) -> Response:
    """Add up the effects of transactions by provider, currency and kind.

    Nothing is added up over two currencies.
    """
    rows = await gateway.plots.amounts(scope, period.span)
    data = [
        AmountSumOut(
            provider=row.provider,
            currency=row.currency,
            effect=row.effect,
            count=row.number,
            amount=row.amount,
        )
        for row in rows
    ]
    columns = ("provider", "currency", "effect", "count", "amount")
    return _answer(AmountPlotOut(**_span(period), data=data), columns, rows, is_csv=is_csv)


@router.get("/endpoint", response_model=EndpointPlotOut, responses=CSV_TOO)
async def endpoints(
    gateway: GatewayOf, scope: ScopeOf, endpoint: PlotEndpointOf, is_csv: CsvOf
) -> Response:
    """Show how attempts at endpoints have gone within 24 hours.

    The 100 with most failed attempts, most first; with `endpoint` only this one.
    """
    now = gateway.clock.now()
    period = PlotPeriod((now - 24 * HOUR) // HOUR * HOUR, now, now - (now - 24 * HOUR))
    if endpoint is not None:
        figures = [await gateway.plots.endpoint(endpoint)]
    else:
        figures = await gateway.plots.endpoints(scope)
    data = [_figures_out(each) for each in figures]
    columns = ("app_id", "endpoint_id", "attempts", "accepted", "success_rate", *_TIME_COLUMNS)
    rows = [
        (*each[:4], each.success_rate, *map(_ms, each.response_times), *map(_ms, each.delays))
        for each in figures
    ]
    return _answer(EndpointPlotOut(**_span(period), data=data), columns, rows, is_csv=is_csv)


@router.get("/marker", response_model=MarkerPlotOut, responses=CSV_TOO)
async def markers(
    gateway: GatewayOf,
    scope: ScopeOf,
    period: PeriodOf,
    endpoint: PlotEndpointOf,
    is_csv: CsvOf,
) -> Response:
    """List what happened and may explain a plot, newest first: at most 100.

    Starts of processes, changes of the configuration, rotated secrets, circuits that opened or
    closed.
    """
    endpoint_id = endpoint.id if endpoint is not None else None
    app_id = endpoint.scope if endpoint is not None else scope
    rows = await gateway.plots.markers(app_id, endpoint_id, period.span)
    data = [
        MarkerOut(
            at=to_datetime(marker.at),
            kind=marker.kind,
            app_id=marker.app_id,
            endpoint_id=marker.endpoint_id or None,
            text=marker.text,
        )
        for marker in rows
    ]
    columns = ("at", "kind", "app_id", "endpoint_id", "text")
    cells = [(iso(m.at), m.kind.value, m.app_id, m.endpoint_id, m.text) for m in rows]
    return _answer(MarkerPlotOut(**_span(period), data=data), columns, cells, is_csv=is_csv)


# ── rendering ────────────────────────────────────────────────────────────────────────────────────


async def _steps(
    gateway: GatewayOf, scope: str | None, endpoint: Endpoint | None, period: PlotPeriod
) -> list[Step]:
    if endpoint is not None:
        return await gateway.plots.of_endpoint(endpoint, period)
    return await gateway.plots.of_all(scope, period)


def _figures_out(figures: EndpointFigures) -> EndpointFiguresOut:
    return EndpointFiguresOut(
        app_id=figures.app_id,
        endpoint_id=figures.endpoint_id,
        attempts=figures.attempts,
        accepted=figures.accepted,
        success_rate=figures.success_rate,
        response=PercentilesOut.of(figures.response_times),
        delay=PercentilesOut.of(figures.delays),
    )


def _span(period: PlotPeriod) -> dict[str, Any]:
    return {
        "since": to_datetime(period.since),
        "until": to_datetime(period.until),
        "step": period.step // SECOND,
    }


def _edges(step: Step) -> dict[str, datetime]:
    return {"start": to_datetime(step.start), "end": to_datetime(step.end)}


def _cells(step: Step) -> tuple[str, str]:
    return iso(step.start), iso(step.end)


def _ms(micros: Micros | None) -> float | None:
    return None if micros is None else round(micros / 1_000, 3)


def _seconds(micros: Micros | None) -> float | None:
    return None if micros is None else round(micros / SECOND, 3)


def _answer(
    plot: Out, columns: Sequence[str], rows: Iterable[Iterable[object]], *, is_csv: bool
) -> Response:
    if is_csv:
        return Response(csv_text(columns, rows), media_type=MEDIA_TYPE)
    return Response(plot.model_dump_json(by_alias=True), media_type="application/json")
