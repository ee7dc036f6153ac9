"""Home: one sentence of truth, what needs somebody, and what happens now."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import Response

from tillbell.clock import DAY, SECOND, Micros
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Delivery, Message
from tillbell.rules.filters.clauses import ListFilter
from tillbell.storage.ports.inbound import CallbackFilter
from tillbell.storage.ports.outbound import CountedSpan, Page, Totals
from tillbell.web.api.messages import message_page
from tillbell.web.pages.endpoint_views import ENDPOINTS_MAX, endpoint_views, name_of
from tillbell.web.pages.needs import endpoint_needs, money_needs, refused_callback_needs
from tillbell.web.pages.page import SitePage, Visit, redirect, with_query
from tillbell.web.pages.plots import RANGES, home_plots, sparks
from tillbell.web.pages.states import look, state_of

_TAIL = 10  # rows of what happens now
_TAIL_FRESH_FOR: Micros = SECOND  # open pages ask for the same rows
_SHOWN_ENDPOINTS = 6
_WORDS = {"succeeded": "arrived", "failed": "failed"}
_WORST_STATES = ("failed", "retrying", "sending", "waiting", "discarded", "succeeded")


class TailRow(NamedTuple):
    """One thing that has just happened."""

    at: Micros
    is_incoming: bool
    text: str
    about: str
    href: str
    state: str
    word: str


async def show(visit: Visit) -> Response:
    """Show Home; before the first message or callback, how to begin."""
    if visit.query("view") == "tail":
        tail = await visit.shared.get(("tail", visit.app_id), _TAIL_FRESH_FOR, lambda: _tail(visit))
        return visit.show("home_tail.html", tail=tail)
    views, money, refused, totals, tail, plots = await asyncio.gather(
        endpoint_views(visit),
        money_needs(visit),
        refused_callback_needs(visit),
        _totals(visit),
        _tail(visit),
        home_plots(visit),
    )
    if not tail and visit.app is None:
        return redirect("/first-run")
    shown = views[:_SHOWN_ENDPOINTS]
    of_endpoints, accepted = await asyncio.gather(
        endpoint_needs(visit, views), sparks(visit, [view.endpoint for view in shown])
    )
    return visit.show(
        "home.html",
        views=shown,
        endpoint_count=len(views),
        is_capped=len(views) >= ENDPOINTS_MAX,
        healthy=sum(view.is_healthy for view in views),
        unhealthy=[view for view in views if not view.is_healthy and view.state != "disabled"],
        conflicts=visit.counts.get("/review", 0),
        needs=[*of_endpoints, *money, *refused],
        totals=totals,
        tail=tail,
        plots=plots,
        ranges=RANGES,
        sparks=accepted,
    )


PAGES = (SitePage("/", show, "/"),)


async def _totals(visit: Visit) -> Totals:
    """Count the deliveries of the last day, in all that is shown."""
    scopes = [visit.app.id] if visit.app is not None else ["", OPERATIONAL]
    spans = [CountedSpan(scope, None, visit.now - DAY, visit.now) for scope in scopes]
    everything, *own = await visit.gateway.database.history.totals_of(spans)
    return Totals(*map(operator.sub, everything, own[0])) if own else everything


async def _tail(visit: Visit) -> list[TailRow]:
    """Return the newest messages and callbacks together."""
    history = visit.gateway.database.history
    messages = await message_page(visit.gateway, visit.app_id, ListFilter(), Page(_TAIL))
    if visit.app is not None:
        callbacks = await history.callbacks(visit.app.id, CallbackFilter(), Page(_TAIL))
    else:
        callbacks = await history.all_callbacks(Page(_TAIL))
    contents = await visit.gateway.database.message_contents(messages.rows)
    rows = [
        await _message_row(visit, message, contents[message.id].deliveries)
        for message in messages.rows
    ]
    rows += [_callback_row(visit, callback) for callback in callbacks]
    return sorted(rows, key=lambda row: row.at, reverse=True)[:_TAIL]


async def _message_row(visit: Visit, message: Message, deliveries: Sequence[Delivery]) -> TailRow:
    gateway = visit.gateway
    states = sorted((state_of(each) for each in deliveries), key=_WORST_STATES.index)
    endpoints = [
        await gateway.config_cache.endpoint(message.app_id, each.endpoint_id) for each in deliveries
    ]
    return TailRow(
        at=message.created_at,
        is_incoming=False,
        text=message.event_type,
        about=", ".join(name_of(endpoint) for endpoint in endpoints if endpoint is not None),
        href=with_query(f"/messages/{message.id}", app=_app_name(visit, message.app_id)),
        state=states[0] if states else "ignored",
        word=_said(states),
    )


def _said(states: list[str]) -> str:
    """Say in two words how the deliveries of a message stand; the worst of them first."""
    if not states:
        return "No endpoint"
    worst = states[0]
    count = states.count(worst)
    if worst in ("waiting", "retrying"):
        return "1 waits" if count == 1 else f"{count} wait"
    return f"{count} {_WORDS[worst]}" if worst in _WORDS else look(worst).word


def _callback_row(visit: Visit, callback: Callback) -> TailRow:
    outcome = callback.outcome
    return TailRow(
        at=callback.received_at,
        is_incoming=True,
        text=callback.provider,
        about=callback.why or callback.verdict_why,
        href=with_query(f"/callbacks/{callback.id}", app=_app_name(visit, callback.app_id)),
        state=outcome.value if outcome is not None else "waiting",
        word=look(outcome.value).word if outcome is not None else "Not processed",
    )


def _app_name(visit: Visit, app_id: str) -> str:
    return next((app.uid or app.id for app in visit.applications if app.id == app_id), app_id)
