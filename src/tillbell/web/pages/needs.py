"""What needs a person, the worst first: it is the first thing that Home says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import DAY, Micros
from tillbell.deliver.problems import open_span
from tillbell.model.sources import Source
from tillbell.model.transactions import MoneyConflict
from tillbell.storage.ports.outbound import Page, Totals
from tillbell.web.api.conflicts import open_conflict_page
from tillbell.web.pages.endpoint_views import EndpointView
from tillbell.web.pages.formats import number
from tillbell.web.pages.page import Visit, with_query

_LISTED_MAX = 5  # of one kind
_CALLBACKS_READ = 250


class Need(NamedTuple):
    """One thing that needs a person."""

    tone: str
    icon: str
    name: str  # what it is about; foreign text
    what: str  # what is wrong with it; it follows the name
    text: str  # what that means, and what to do
    href: str
    action: str
    since: Micros | None = None


async def endpoint_needs(visit: Visit, views: Sequence[EndpointView]) -> list[Need]:
    """Return the failing and paused endpoints, the worst first."""
    unhealthy = [view for view in views if view.state in ("failing", "probing", "paused")]
    unhealthy = unhealthy[:_LISTED_MAX]
    spans = [
        open_span(view.endpoint, view.failing_since or view.endpoint.updated_at, visit.now)
        for view in unhealthy
    ]
    totals = await visit.gateway.database.history.totals_of(spans) if spans else []
    return list(map(_of_endpoint, unhealthy, totals))


async def money_needs(visit: Visit) -> list[Need]:
    """Return the newest conflicts that wait for a decision."""
    names = {app.id: app.uid or app.id for app in visit.applications}
    listed = await open_conflict_page(visit.gateway, visit.app_id, Page(_LISTED_MAX))
    return [_of_conflict(conflict, names) for conflict in listed.rows]


def _of_endpoint(view: EndpointView, totals: Totals) -> Need:
    endpoint = view.endpoint
    href = with_query(f"/endpoints/{endpoint.id}", app=view.app_name)
    since = view.failing_since or endpoint.updated_at
    waiting = _count(totals.waiting + totals.sending, "delivery waits", "deliveries wait")
    if view.state == "paused":
        text = f"{waiting} until it is switched on again. Nothing is lost."
        what = " is paused by us after days of failures"
        return Need("warn", "pause", view.name, what, text, href, "Check and switch on")
    failure = view.health.last_failure if view.health is not None else None
    reason = failure.text if failure is not None else "The last attempt failed."
    text = f"{waiting}. {reason}"
    return Need("bad", "problem", view.name, _failing(view), text, href, "See why", since)


def _failing(view: EndpointView) -> str:
    failure = view.health.last_failure if view.health is not None else None
    if failure is not None and failure.status:
        return f" answers {failure.status}"
    return " does not answer"


def _of_conflict(conflict: MoneyConflict, names: dict[str, str]) -> Need:
    app = names.get(conflict.app_id, conflict.app_id)
    href = with_query(f"/transactions/{conflict.transaction_id}", app=app)
    return Need(
        "hold",
        "review",
        conflict.reference or conflict.transaction_id,
        f" is {conflict.current}; now {conflict.status} is reported",
        f"{conflict.why} No money moves until a person decides.",
        href,
        "Decide",
        conflict.at,
    )


async def refused_callback_needs(visit: Visit) -> list[Need]:
    """Return the sources whose callbacks of the last day did not prove who sent them."""
    refused = await visit.gateway.database.history.refused_by_source(
        visit.app_id, visit.now - DAY, _CALLBACKS_READ
    )
    worst = sorted(refused.items(), key=lambda item: -item[1])[:_LISTED_MAX]
    return await asyncio.gather(
        *(_of_source(visit, app_id, source_id, count) for (app_id, source_id), count in worst)
    )


async def _of_source(visit: Visit, app_id: str, source_id: str, count: int) -> Need:
    source = await visit.gateway.database.get(Source, source_id, app_id)
    names = {app.id: app.uid or app.id for app in visit.applications}
    href = with_query(f"/sources/{source_id}", app=names.get(app_id, app_id))
    return Need(
        "bad",
        "key",
        source.name if source is not None else source_id,
        f": {_count(count, 'callback', 'callbacks')} did not prove who sent them",
        f"{'It was' if count == 1 else 'They were'} stored and refused; no money has moved."
        " Often a secret was changed.",
        href,
        "See why",
    )


def _count(count: int, singular: str, plural: str) -> str:
    return f"{number(count)} {singular if count == 1 else plural}"
