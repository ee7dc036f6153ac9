"""Sources, and one source: the URL to give to the provider, and how its callbacks fare."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.errors import NotFound
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.sources import Source
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.filters.clauses import ListFilter, one_of
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.callbacks import callback_page
from tillbell.web.api.sources import SourceOut, source_out
from tillbell.web.pages.callbacks import CallbackLine, callback_line
from tillbell.web.pages.lists import all_of, export
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.sorting import Keys, sorted_rows

SOURCES_MAX = 250  # in the list
RECENT = 20  # callbacks on the page of a source
_REFUSED = (Outcome.UNAUTHENTICATED, Outcome.MALFORMED)


class SourceHealth(NamedTuple):
    """How a source fares, in a sentence."""

    state: str  # a word of the table of states
    word: str
    text: str  # what is true, and what to do
    tone: str


class SourceLine(NamedTuple):
    """One row of the list."""

    source: Source
    app_name: str  # as links name it
    app_title: str
    health: SourceHealth
    trust: str
    last: Callback | None


_SORTED_BY: Keys[SourceLine] = {
    "name": lambda line: line.source.name,
    "state": lambda line: line.health.word,
    "trust": lambda line: line.trust,
    "application": lambda line: line.app_title,
    "last": lambda line: line.last.received_at if line.last is not None else None,
}
_COLUMNS = ("application", "id", "name", "provider", "state", "trust", "last_callback")


def _cells(line: SourceLine) -> list[object]:
    return [
        line.app_name,
        line.source.id,
        line.source.name,
        line.source.provider,
        line.health.state,
        line.trust,
        iso(line.last.received_at) if line.last is not None else None,
    ]


async def list_(visit: Visit) -> Response:
    """Show the sources, with their last callbacks."""
    compiled = sorted(
        visit.gateway.source_cache.of_scope(visit.app_id), key=lambda each: each.source.name.lower()
    )
    lines = [await _line(visit, source) for source in compiled[:SOURCES_MAX]]
    rows = sorted_rows(visit, lines, _SORTED_BY)
    exported = await export(visit, "source", all_of(rows), _COLUMNS, _cells)
    if exported is not None:
        return exported
    return visit.show("sources.html", rows=rows, is_whole=len(compiled) <= SOURCES_MAX)


async def show(visit: Visit) -> Response:
    """Show a source by its id or uid."""
    app = await visit.the_app()
    compiled = visit.gateway.source_cache.find(app.id, visit.path("source"))
    if compiled is None:
        raise NotFound("There is no such source.")
    recent = await _recent(visit, compiled, RECENT)
    lines: list[CallbackLine] = [callback_line(visit, callback) for callback in recent]
    out = await source_out(visit.gateway, compiled)
    return visit.show(
        "source.html",
        source=out,
        app_name=app.uid or app.id,
        rows=lines,
        health=_health(compiled, out, recent),
    )


PAGES = (
    SitePage("/sources", list_, "/sources"),
    SitePage("/sources/{source}", show, "/sources"),
)


async def _line(visit: Visit, compiled: CompiledSource) -> SourceLine:
    out = await source_out(visit.gateway, compiled)
    recent = await _recent(visit, compiled, 1)
    source = compiled.source
    last = recent[0] if recent else None
    names = visit.names_of(source.scope)
    return SourceLine(source, *names, _health(compiled, out, recent), out.trust, last)


async def _recent(visit: Visit, compiled: CompiledSource, count: int) -> list[Callback]:
    source = compiled.source
    filter_ = ListFilter((one_of("source", source.id),))
    listed = await callback_page(visit.gateway, source.scope, filter_, Page(count))
    return listed.rows


def _health(compiled: CompiledSource, out: SourceOut, recent: list[Callback]) -> SourceHealth:
    """Judge a source by its settings and its last callbacks, newest first."""
    if out.problem:
        return SourceHealth("failing", "Does not work", out.problem, "bad")
    if not compiled.source.is_enabled:
        text = "It is switched off: its callbacks are stored and answered, but not processed."
        return SourceHealth("disabled", "Switched off", text, "warn")
    if not recent:
        text = (
            "Nothing has come yet. Enter its URL at the provider, and let the provider send a test."
        )
        return SourceHealth("waiting", "Nothing has come", text, "warn")
    refused = 0
    for callback in recent:
        if callback.outcome not in _REFUSED:
            break
        refused += 1
    if refused:
        text = f"The last callback was refused: {recent[0].verdict_why or recent[0].why}"
        if refused > 1:
            text = f"The last {refused} callbacks were refused: {recent[0].verdict_why}"
        return SourceHealth("unauthenticated", "Refused last", text, "bad")
    return SourceHealth("active", "Healthy", "Its callbacks arrive and prove their sender.", "ok")
