"""Event types: those that are built in and those that were registered, with schemas and samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from tillbell.catalog import CATALOG
from tillbell.clock import DAY, HOUR
from tillbell.configure.event_types import not_registered
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import EventType
from tillbell.statistics.plots import TypeCounts
from tillbell.storage.ports.statistics import Period
from tillbell.web.api.endpoints import schema_examples
from tillbell.web.pages.endpoint_views import ENDPOINTS_MAX, EndpointView, endpoint_views
from tillbell.web.pages.lists import all_of, export
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.plots import AttemptPlot, attempt_plot, period_of, range_of
from tillbell.web.pages.sorting import Keys, sorted_rows

_COLUMNS = ("name", "group", "description", "origin", "endpoints", "messages_24h", "attempts_24h")
_NONE = TypeCounts("", 0, 0, 0)


class TypeRow(NamedTuple):
    """One event type."""

    name: str
    group: str
    description: str
    registered: EventType | None  # None: it is built in only
    counts: TypeCounts  # of a day
    takers: int  # endpoints that take it

    @property
    def origin(self) -> str:
        """Return whether it is built in, registered, or only used."""
        if self.registered is not None:
            return "registered"
        return "built in" if self.name in CATALOG else "not registered"


_SORTED_BY: Keys[TypeRow] = {
    "name": lambda row: row.name,
    "group": lambda row: row.group,
    "origin": lambda row: row.origin,
    "endpoints": lambda row: row.takers,
    "messages": lambda row: row.counts.messages,
}


class ShownType(NamedTuple):
    """An event type with all that its page says."""

    row: TypeRow
    schemas: list[tuple[str, str]]  # version, JSON Schema as text; the newest first
    sample: str  # "": there is none
    takers: list[EndpointView]
    plot: AttemptPlot | None


async def list_(visit: Visit) -> Response:
    """Show all event types, those with most messages first."""
    counted = {each.event_type: each for each in await _counts(visit)}
    takers = await _takers(visit)
    registered = {each.uid or each.id: each for each in _registered(visit)}
    names = {name for name in (*CATALOG, *registered, *counted) if _may_see(visit, name)}
    rows = [_row(name, registered.get(name), counted, takers) for name in names]
    rows.sort(key=lambda row: (-row.counts.messages, row.group, row.name))

    rows = sorted_rows(visit, rows, _SORTED_BY)
    exported = await export(visit, "event-type", all_of(rows), _COLUMNS, _cells)
    if exported is not None:
        return exported
    return visit.show("event_types.html", rows=rows)


async def show(visit: Visit) -> Response:
    """Show an event type by its name."""
    name = visit.path("name")
    counted = {each.event_type: each for each in await _counts(visit)}
    registered = visit.gateway.config_cache.cached_event_type(name)
    is_known = name in CATALOG or registered is not None or name in counted
    if not is_known or not _may_see(visit, name):
        raise not_registered()
    period = period_of(visit, range_of(visit))
    takers = [view for view in await endpoint_views(visit) if await _takes(visit, view, name)]
    steps = await visit.gateway.plots.of_event_type(visit.app_id, name, period)
    shown = ShownType(
        row=_row(name, registered, counted, {name: len(takers)}),
        schemas=_schemas(name, registered),
        sample=_sample(name, registered),
        takers=takers,
        plot=attempt_plot(visit, period, steps, []),
    )
    return visit.show("event_type.html", t=shown, is_capped=len(takers) >= ENDPOINTS_MAX)


PAGES = (
    SitePage("/event-types", list_, "/event-types"),
    SitePage("/event-types/{name:path}", show, "/event-types"),
)


def _may_see(visit: Visit, name: str) -> bool:
    """Tell whether an event type is not hidden from the visitor."""
    return visit.principal().may_see_type(visit.gateway.config_cache.cached_event_type(name))


async def _counts(visit: Visit) -> list[TypeCounts]:
    period = Period((visit.now - DAY) // HOUR * HOUR, visit.now)
    return await visit.gateway.plots.event_types(visit.app_id, period)


def _registered(visit: Visit) -> list[EventType]:
    listed = visit.gateway.config_cache.registered_event_types()
    return [event_type for event_type in listed if not event_type.archived]


async def _takers(visit: Visit) -> dict[str, int]:
    """Count the endpoints that take each event type, by its name."""
    gateway = visit.gateway
    names = gateway.config_cache.known_event_types()
    counts = dict.fromkeys(names, 0)
    endpoints: list[Endpoint] = [view.endpoint for view in await endpoint_views(visit)]
    for endpoint in endpoints:
        compiled = await gateway.config_cache.compiled_endpoint(endpoint.scope, endpoint.id)
        for name in names if compiled is not None and compiled.takes_messages else ():
            counts[name] += compiled is not None and compiled.takes_type(name)
    return counts


async def _takes(visit: Visit, view: EndpointView, name: str) -> bool:
    endpoint = view.endpoint
    cache = visit.gateway.config_cache
    compiled = await cache.compiled_endpoint(endpoint.scope, endpoint.id)
    return compiled is not None and compiled.takes_messages and compiled.takes_type(name)


def _row(
    name: str,
    registered: EventType | None,
    counted: Mapping[str, TypeCounts],
    takers: Mapping[str, int],
) -> TypeRow:
    built_in = CATALOG.get(name)
    group = registered.group_name if registered is not None else None
    described = registered.description if registered is not None else ""
    return TypeRow(
        name=name,
        group=group or (built_in.group if built_in is not None else "own"),
        description=described or (built_in.description if built_in is not None else ""),
        registered=registered,
        counts=counted.get(name, _NONE),
        takers=takers.get(name, 0),
    )


def _schemas(name: str, registered: EventType | None) -> list[tuple[str, str]]:
    schemas: dict[str, Any] = dict((registered.schemas if registered is not None else None) or {})
    if not schemas and name in CATALOG:
        schemas = {"1": CATALOG[name].schema}
    return [(version, _text(schemas[version])) for version in sorted(schemas, reverse=True)]


def _sample(name: str, registered: EventType | None) -> str:
    examples = schema_examples(registered.schemas) if registered is not None else []
    if examples:
        return _text(examples[0])
    return _text(CATALOG[name].sample) if name in CATALOG else ""


def _text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def _cells(row: TypeRow) -> list[object]:
    counts = row.counts
    return [
        row.name,
        row.group,
        row.description,
        row.origin,
        row.takers,
        counts.messages,
        counts.attempts,
    ]
