"""Lists with a filter in the grammar of rules/filters: read from a request, and in pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, TypeVar

from fastapi import Query
from pydantic import Field

from tillbell.app import Gateway
from tillbell.errors import Invalid, Place, Problem
from tillbell.model.endpoints import Endpoint
from tillbell.rules.filters.clauses import (
    Clause,
    FilterList,
    ListFilter,
    OneOf,
)
from tillbell.rules.filters.grammar import TEXT_MAX, FilterError, FilterProblem, FilterValue, parse
from tillbell.rules.filters.meaning import has_wildcard, meaning, names_in
from tillbell.rules.filters.qualifiers import NameOf
from tillbell.rules.nearest import nearest
from tillbell.storage.ports.filtered import Slice
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.filters import check_types
from tillbell.web.api.paging import ListPage, cut_page
from tillbell.web.api.shapes import Decides

T = TypeVar("T")
FetchSlice = Callable[[Page, int], Awaitable[Slice[T]]]
Location = tuple[str | int, ...]

SEARCH_MAX = 100_000  # rows that are looked at for one page
PAYLOADS_MAX = 20_000  # the same if their payloads are read
_FIRST_SLICE, _GROWTH, _SLICE_MAX = 1_000, 4, 32_000
_IN_QUERY: Location = ("query", "filter")

FilterText = Annotated[
    str | None,
    Query(
        alias="filter",
        max_length=TEXT_MAX,
        description=(
            "Only rows that all terms fit, e.g. `since:24h -id:msg_1`. The terms of each list:"
            " docs/api.md, Filters, and `GET /api/v1/filter/completion`."
        ),
    ),
]


FilterIn = Annotated[
    str | None,
    Field(max_length=TEXT_MAX, description="Only what the list shows with this `filter`."),
    Decides(),
]


async def read_filter(
    gateway: Gateway,
    scope: str | None,
    list_: FilterList,
    text: str | None,
    loc: Location = _IN_QUERY,
) -> ListFilter:
    """Read a filter of a list, with the ids of what it names in the scope (None: everywhere).

    `Invalid` says where it is wrong.
    """
    try:
        terms = parse(text or "")
        filter_ = meaning(terms, list_, gateway.clock.now())
    except FilterError as error:
        raise Invalid(*(marked(problem, loc) for problem in error.problems)) from error
    ids: dict[tuple[NameOf, str], tuple[str, ...]] = {}
    problems: list[FilterProblem] = []
    for kind, values in names_in(terms, list_):
        for value in values:
            if kind is NameOf.EVENT_TYPE:
                problem = await _type_problem(gateway, scope, value)
            else:
                ids[kind, value.text], problem = await _ids_of(gateway, scope, kind, value)
            problems += [problem] if problem is not None else []
    if problems:
        raise Invalid(*(marked(problem, loc) for problem in problems))
    clauses = tuple(_with_ids(clause, ids) for clause in filter_.clauses)
    return filter_._replace(clauses=clauses)


def marked(problem: FilterProblem, loc: Location) -> Problem:
    """Return a problem of a filter as one of its request."""
    return Problem(loc, problem.text, "filter", Place(*problem.place, problem.suggestion))


async def _type_problem(
    gateway: Gateway, scope: str | None, value: FilterValue
) -> FilterProblem | None:
    """Return what is wrong with an event type that no message has; a wildcard has none."""
    if has_wildcard(value):
        return None
    try:
        await check_types(gateway, scope, [value.text], ())
    except Invalid as error:
        near = gateway.config_cache.near_type(value.text)
        return FilterProblem(value.place, error.problems[0].msg, near)
    return None


def types_in(filter_: ListFilter) -> list[str]:
    """Return the event types that a filter names in full."""
    return [
        name
        for clause in filter_.clauses
        if clause.field == "type"
        for match in clause.matches
        if isinstance(match, OneOf)
        for name in match.values
    ]


_NAMED_FIELDS = {
    "app": NameOf.APPLICATION,
    "endpoint": NameOf.ENDPOINT,
    "source": NameOf.SOURCE,
}


def _with_ids(clause: Clause, ids: Mapping[tuple[NameOf, str], tuple[str, ...]]) -> Clause:
    kind = _NAMED_FIELDS.get(clause.field)
    if kind is None:
        return clause
    names = [name for match in clause.matches if isinstance(match, OneOf) for name in match.values]
    values = dict.fromkeys(id_ for name in names for id_ in ids[kind, name])
    return clause._replace(matches=(OneOf(tuple(values)),))


async def _ids_of(
    gateway: Gateway, scope: str | None, kind: NameOf, value: FilterValue
) -> tuple[tuple[str, ...], FilterProblem | None]:
    """Return the ids of what a value names. An id of something that is gone stays as it is."""
    name = value.text
    ids: tuple[str, ...]
    known: Iterable[str] = ()
    where = "write its id or uid"
    if kind is NameOf.APPLICATION:
        application = await gateway.config_cache.application(name)
        is_seen = application is not None and scope in (None, application.id)
        ids = (application.id,) if application is not None and is_seen else ()
    elif kind is NameOf.ENDPOINT:
        ids, known = await _endpoint_ids(gateway, scope, name)
    elif kind is NameOf.PROVIDER:
        known, where = gateway.source_cache.providers, "see /api/v1/provider"
        ids = (name,) if name in known else ()
    else:
        ids, known = _source_ids(gateway, scope, name)
    if ids or name.startswith(("app_", "ep_", "src_")):
        return ids or (name,), None
    near = nearest(name, known)
    text = f"there is no {kind.value} called {name[:60]!r}; {where}"
    return (), FilterProblem(value.place, text, near)


async def _endpoint_ids(
    gateway: Gateway, scope: str | None, name: str
) -> tuple[tuple[str, ...], list[str]]:
    if scope is None:
        ids = await gateway.database.ids_named(Endpoint, name)
        return tuple(ids), []
    endpoint = await gateway.config_cache.endpoint(scope, name)
    if endpoint is not None:
        return (endpoint.id,), []
    endpoints = await gateway.config_cache.endpoints(scope)
    return (), [endpoint.uid for endpoint in endpoints if endpoint.uid]


def _source_ids(
    gateway: Gateway, scope: str | None, name: str
) -> tuple[tuple[str, ...], list[str]]:
    sources = [compiled.source for compiled in gateway.source_cache.of_scope(scope)]
    exact = [source.id for source in sources if name in (source.id, source.uid, source.name)]
    ids = exact or [source.id for source in sources if source.provider == name]
    return tuple(ids), [name for source in sources for name in (source.name, source.provider)]


# ── pages ────────────────────────────────────────────────────────────────────────────────────────


def search_limit(filter_: ListFilter) -> int:
    """Return how many rows are looked at for one page of this filter."""
    reads_payloads = any(clause.field == "data" for clause in filter_.clauses)
    return PAYLOADS_MAX if reads_payloads else SEARCH_MAX


async def search_page(
    fetch: FetchSlice[T], page: Page, id_of: Callable[[T], str], most: int = SEARCH_MAX
) -> ListPage[T]:
    """Fetch one page. It looks at about `most` rows at most, and says so if that ended it."""
    rows: list[T] = []
    searched, size, position = 0, _FIRST_SLICE, page.iterator
    while len(rows) <= page.limit:
        rest = page._replace(limit=page.limit + 1 - len(rows), iterator=position)
        slice_ = await fetch(rest, size)
        rows += slice_.rows
        searched += slice_.searched
        if slice_.end is None or len(rows) > page.limit:
            break
        position, size = slice_.end, min(size * _GROWTH, _SLICE_MAX)
        if searched >= most:
            listed = rows[::-1] if page.backwards else rows
            return _unfinished(cut_page(listed, page, id_of), page, position, searched)
    return cut_page(rows[::-1] if page.backwards else rows, page, id_of)


def _unfinished(cut: ListPage[T], page: Page, position: str, searched: int) -> ListPage[T]:
    """Return a page behind which more may fit, with the place to go on at."""
    if page.backwards:
        return cut._replace(prev_iterator=f"-{position}", done=False, searched=searched)
    return cut._replace(iterator=position, done=False, searched=searched)
