"""Endpoints, and one endpoint: how it stands, what it takes, how attempts went, how to verify."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.clock import DAY, SECOND, Micros, iso
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.fates import FilterCheck
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint, EndpointHealth
from tillbell.model.messages import Attempt, Message
from tillbell.model.statistics import Marker
from tillbell.rules.delivery.endpoint_standing import endpoint_standing
from tillbell.rules.delivery.fate import Fate
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.statistics.periods import PlotPeriod
from tillbell.statistics.plots import EndpointDay
from tillbell.storage.ports.outbound import AttemptFilter, Page, Totals
from tillbell.web.api.endpoint_health import endpoint_page, health_of
from tillbell.web.api.messages import message_page
from tillbell.web.api.paging import ListPage
from tillbell.web.pages import curl
from tillbell.web.pages.chat_preview import ChatPreview, chat_preview
from tillbell.web.pages.endpoint_views import WORST, EndpointView
from tillbell.web.pages.filter_line import filter_line
from tillbell.web.pages.lists import Fetch, all_of, export, listing_of, nothing, page_of
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.plots import (
    MARKERS_SHOWN,
    RANGES,
    AttemptPlot,
    attempt_plot,
    period_of,
    range_of,
)
from tillbell.web.pages.receiver_samples import LANGUAGES, ReceiverSample, receiver_sample
from tillbell.web.pages.sorting import Keys, sorted_rows
from tillbell.web.pages.target_names import named_markers
from tillbell.web.pages.verdicts import PageVerdict, of_endpoint

_ATTEMPTS_SHOWN = 10
_SORTED_MAX = 1_000  # endpoints that are sorted by a column
_READ_AT_ONCE = 250
_TRIED_MESSAGES = 10  # the newest, that the filter tester offers
_COLUMNS = (
    "application",
    "id",
    "uid",
    "name",
    "url",
    "profile",
    "state",
    "failing_since",
    "attempts_24h",
    "accepted_24h",
    "p95_ms",
    "last_success",
    "last_failure",
    "last_failure_status",
)


class EndpointListRow(NamedTuple):
    """One row of the list."""

    view: EndpointView
    app_title: str
    day: EndpointDay


class ScheduledAttempt(NamedTuple):
    """One attempt of a schedule."""

    wait: Micros  # after the attempt before
    after: Micros  # the first one


class SendingFacts(NamedTuple):
    """How it is sent to. No secret is among it."""

    refusal: str  # why nothing may be sent; "": it may
    success: str
    timeout_s: int
    narrow: int  # attempts at once, at first
    wide: int  # and at most
    has_secret: bool
    secret_end: str  # the last four characters; "": there is none, or it is short
    old_secret_until: Micros | None  # the secret before signs too until then


class FilterTest(NamedTuple):
    """What the endpoint would do with a recent message, and what became of it."""

    payload_filter: bytes | None  # what it asks of the payload, as JSON
    messages: list[Message]
    chosen: Message | None  # None: there is no message yet
    check: FilterCheck | None
    fate: Fate | None


class ShownEndpoint(NamedTuple):
    """An endpoint with all that its page says."""

    view: EndpointView
    verdict: PageVerdict
    sending: SendingFacts
    day: EndpointDay
    totals: Totals  # of the messages of a day
    attempts: list[Attempt]  # the newest
    schedule: list[ScheduledAttempt]
    plot: AttemptPlot | None
    test: FilterTest
    sample: ReceiverSample
    preview: ChatPreview | None  # None: no people read what is sent


_SHOWN_OF_SECRET = 4
_LONG_SECRET = 20  # a shorter one is not shown in part
_SORTED_BY: Keys[EndpointListRow] = {
    "name": lambda row: row.view.name,
    "health": lambda row: WORST.index(row.view.state),
    "accepted": lambda row: row.day.figures.success_rate,
    "p95": lambda row: row.day.figures.response_p95,
    "last_accepted": lambda row: row.view.health.last_success_at if row.view.health else None,
    "last_failure": lambda row: _last_failure_at(row.view.health),
    "application": lambda row: row.app_title,
}


def _last_failure_at(health: EndpointHealth | None) -> Micros | None:
    failure = health.last_failure if health is not None else None
    return failure.at if failure is not None else None


async def _sorted(visit: Visit, fetch: Fetch[EndpointListRow]) -> ListPage[EndpointListRow]:
    """Return the endpoints in this order, of as many as are sorted at once."""
    rows: list[EndpointListRow] = []
    page = Page(_READ_AT_ONCE)
    done = False
    while not done and len(rows) < _SORTED_MAX:
        read = await fetch(page)
        rows += read.rows
        done, page = read.done, page._replace(iterator=read.iterator)
    searched = None if done else len(rows)
    return ListPage(sorted_rows(visit, rows, _SORTED_BY), None, None, True, searched)


async def list_(visit: Visit) -> Response:
    """Show endpoints; those of a page with the worst first."""
    line = await filter_line(visit, FilterList.ENDPOINT)
    if isinstance(line, Response):
        return line
    wanted = line.wanted

    async def fetch(page: Page) -> ListPage[EndpointListRow]:
        if wanted is None:
            return nothing()
        listed = await endpoint_page(visit.gateway, visit.app_id, wanted, page)
        days = await visit.gateway.plots.endpoint_days([row.endpoint for row in listed.rows])
        names = {app.id: (app.uid or app.id, app.name) for app in visit.applications}
        rows = []
        for endpoint, health in listed.rows:
            app_name, title = names.get(endpoint.scope, (endpoint.scope, endpoint.scope))
            view = EndpointView(endpoint, health, app_name)
            rows.append(EndpointListRow(view, title, days[endpoint.id]))
        rows.sort(key=lambda row: (WORST.index(row.view.state), row.view.failing_since or 0))
        return listed.with_rows(rows)

    in_order = None
    if visit.query("sort").removeprefix("-") in _SORTED_BY:
        in_order = await _sorted(visit, fetch)
    read = fetch if in_order is None else all_of(in_order.rows)
    exported = await export(visit, "endpoint", read, _COLUMNS, _cells)
    if exported is not None:
        return exported
    page = page_of(visit)
    rows = in_order or await fetch(page)
    return visit.show(
        "endpoints.html",
        rows=rows.rows,
        listing=listing_of(visit, rows, page, line),
        example=curl.create_endpoint(
            curl.api_url(visit.gateway.settings), visit.app_name or "shop"
        ),
    )


async def show(visit: Visit) -> Response:
    """Show an endpoint by its id or uid."""
    gateway = visit.gateway
    app = await visit.the_app()
    endpoint = await gateway.config_cache.endpoint(app.id, visit.path("endpoint"))
    compiled = None
    if endpoint is not None:
        compiled = await gateway.config_cache.compiled_endpoint(app.id, endpoint.id)
    if endpoint is None or compiled is None:
        raise NotFound("There is no such endpoint.")
    range_ = range_of(visit)
    period = period_of(visit, range_)
    history = gateway.database.history
    health, days, totals, attempts = await asyncio.gather(
        health_of(gateway, endpoint),
        gateway.plots.endpoint_days([endpoint]),
        history.totals(app.id, endpoint.id, visit.now - DAY, visit.now),
        history.attempts(app.id, AttemptFilter(endpoint_id=endpoint.id), Page(_ATTEMPTS_SHOWN)),
    )
    steps, markers, test = await asyncio.gather(
        gateway.plots.of_endpoint(endpoint, period),
        _markers(visit, endpoint, period),
        _filter_test(gateway, endpoint, visit.query("msg")),
    )
    standing = endpoint_standing(endpoint, health, visit.now)
    shown = ShownEndpoint(
        view=EndpointView(endpoint, health, app.uid or app.id),
        verdict=of_endpoint(standing, health.last_failure if health else None),
        sending=_sending(compiled, visit.now),
        day=days[endpoint.id],
        totals=totals,
        attempts=list(attempts),
        schedule=_schedule(compiled),
        plot=attempt_plot(visit, period, steps, markers),
        test=test,
        preview=chat_preview(compiled, visit.now),
        sample=receiver_sample(compiled, visit.query("lang")),
    )
    return visit.show(
        "endpoint.html", e=shown, app=app, range=range_, ranges=RANGES, languages=LANGUAGES
    )


PAGES = (
    SitePage("/endpoints", list_, "/endpoints"),
    SitePage("/endpoints/{endpoint}", show, "/endpoints"),
)


async def _markers(visit: Visit, endpoint: Endpoint, period: PlotPeriod) -> list[Marker]:
    """Return what may explain the plot; nothing to a reader who may not see what others do."""
    if visit.refusal("statistics.markers"):
        return []
    markers = await visit.gateway.plots.markers(endpoint.scope, endpoint.id, period.span)
    return await named_markers(visit, markers[:MARKERS_SHOWN])


async def _filter_test(gateway: Gateway, endpoint: Endpoint, message_id: str) -> FilterTest:
    """Try the message that the reader chose, else the newest one."""
    page = Page(_TRIED_MESSAGES)
    asked = msgspec.json.encode(endpoint.payload_filter) if endpoint.payload_filter else None
    messages = (await message_page(gateway, endpoint.scope, ListFilter(), page)).rows
    chosen = None
    if message_id:
        chosen = await gateway.database.message(endpoint.scope, message_id)
    chosen = chosen or (messages[0] if messages else None)
    if chosen is None:
        return FilterTest(asked, [], None, None, None)
    if chosen.id not in {message.id for message in messages}:
        messages = [*messages, chosen]
    return FilterTest(
        asked,
        messages,
        chosen,
        await gateway.fates.filter_check(chosen, endpoint.id),
        await gateway.fates.of(chosen, endpoint.id),
    )


def _sending(compiled: CompiledEndpoint, now: Micros) -> SendingFacts:
    refusal = compiled.refusal
    ends = [ends_at for _, ends_at in compiled.secrets if ends_at is not None and ends_at > now]
    return SendingFacts(
        refusal=refusal.detail if refusal is not None else "",
        success=compiled.success,
        timeout_s=compiled.timeout_s,
        narrow=compiled.width.narrow,
        wide=compiled.width.wide,
        has_secret=bool(compiled.secrets),
        secret_end=_end_of(compiled.secrets[0][0]) if compiled.secrets else "",
        old_secret_until=max(ends, default=None),
    )


def _end_of(secret: str) -> str:
    """Return what tells a secret from others; "" if that would be much of it."""
    return secret[-_SHOWN_OF_SECRET:] if len(secret) >= _LONG_SECRET else ""


def _schedule(compiled: CompiledEndpoint) -> list[ScheduledAttempt]:
    steps, after = [ScheduledAttempt(0, 0)], 0
    for wait_s in compiled.schedule_s:
        after += wait_s * SECOND
        steps.append(ScheduledAttempt(wait_s * SECOND, after))
    return steps


def _cells(row: EndpointListRow) -> list[object]:
    endpoint, health, figures = row.view.endpoint, row.view.health, row.day.figures
    failure = health.last_failure if health is not None else None
    p95 = figures.response_times.p95
    return [
        row.view.app_name,
        endpoint.id,
        endpoint.uid,
        row.view.name,
        endpoint.url,
        endpoint.profile,
        row.view.state,
        _time(row.view.failing_since),
        figures.attempts,
        figures.accepted,
        p95 // 1000 if p95 is not None else None,
        _time(health.last_success_at if health is not None else None),
        _time(failure.at if failure is not None else None),
        failure.status if failure is not None else None,
    ]


def _time(at: Micros | None) -> str | None:
    return iso(at) if at is not None else None
