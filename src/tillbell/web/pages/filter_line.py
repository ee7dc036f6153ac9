"""The line above a list in which its filter is written. The URL carries the filter.

Conditions are read by `web/api/filtered.py`, as those of the API are. A new condition comes as
`add`, so that the line works without scripts.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from starlette.responses import Response

from tillbell.errors import Invalid, Problem
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.rules.filters.grammar import FilterError, Terms, parse, written, written_term
from tillbell.web.api.filter_completion import CompletionOut, complete, visible_values
from tillbell.web.api.filtered import read_filter
from tillbell.web.pages.page import SitePage, Visit, redirect

_EXAMPLES = {
    FilterList.MESSAGE: "type:order.* since:24h data.customer.email:…",
    FilterList.DELIVERY: "status:failed code:5xx since:24h",
    FilterList.ATTEMPT: "result:timed_out duration:>=5s since:1h",
    FilterList.CALLBACK: "provider:stripe verdict:refused since:24h",
    FilterList.TRANSACTION: "status:approved amount:>=100 currency:EUR",
    FilterList.AUDIT: "action:endpoint.* name:ana@* since:7d",
    FilterList.ENDPOINT: "health:failing profile:shoppex url:https://erp.example/*",
    FilterList.ORDER: "payment:underpaid email:ada@* since:24h",
    FilterList.PRODUCT: "stock:<=5 name:Course*",
    FilterList.CUSTOMER: "consent:given email:*@shop.example since:7d",
    FilterList.SUBSCRIPTION: "status:active plan:monthly",
    FilterList.SHIPMENT: "status:in_transit carrier:dexpress",
}


class FilterToken(NamedTuple):
    """One condition as it is shown."""

    qualifier: str
    value: str
    is_negated: bool
    text: str  # the whole condition
    without: str  # the link of the page without it


class FilterProblemView(NamedTuple):
    """What is wrong with a filter, and the text around the place."""

    before: str
    wrong: str
    after: str
    text: str
    suggestion: str | None  # the whole filter as it was probably meant


class FilterLine(NamedTuple):
    """A filter as it is written, and what it means."""

    of: FilterList
    text: str
    tokens: list[FilterToken]
    wanted: ListFilter | None  # None: it cannot be read
    problems: list[FilterProblemView]

    @property
    def example(self) -> str:
        """Return what may be asked of this list."""
        return _EXAMPLES.get(self.of, "status:open since:24h")


async def filter_line(visit: Visit, list_: FilterList) -> FilterLine | Response:
    """Read the filter of a list page; a response sends the browser to the link with it."""
    text = visit.query("filter")
    if added := visit.query("add").strip():
        joined = f"{text} {added}".strip()
        return redirect(visit.here(filter=joined, add=None, iterator=None, open=None, of=None))
    try:
        wanted = await read_filter(visit.gateway, visit.app_id, list_, text)
    except Invalid as error:
        views = [_view(text, problem) for problem in error.problems]
        return FilterLine(list_, text, _tokens(visit, text), None, views)
    return FilterLine(list_, text, _tokens(visit, text), wanted, [])


def _tokens(visit: Visit, text: str) -> list[FilterToken]:
    """Return the conditions of a filter; none of one that cannot be read."""
    try:
        terms = parse(text)
    except FilterError:
        return []
    return [_token(visit, terms, place) for place in range(len(terms))]


def _token(visit: Visit, terms: Terms, place: int) -> FilterToken:
    term = terms[place]
    rest = terms[:place] + terms[place + 1 :]
    text = written_term(term)
    value = text.removeprefix("-").removeprefix(f"{term.qualifier}:")
    without = visit.here(filter=written(rest), iterator=None, open=None, of=None)
    return FilterToken(term.qualifier, value, term.is_negated, text, without)


def _view(text: str, problem: Problem) -> FilterProblemView:
    place = problem.place
    if place is None:
        return FilterProblemView("", text, "", problem.msg, None)
    end = place.position + place.length
    before, after = text[: place.position], text[end:]
    meant = f"{before}{place.suggestion}{after}" if place.suggestion else None
    return FilterProblemView(before, text[place.position : end], after, problem.msg, meant)


async def suggest(visit: Visit) -> Response:
    """Show what may stand at the end of a condition that is being written."""
    list_ = visit.query("list")
    completion: CompletionOut | None = None
    text = visit.query("add")
    if list_ in set(FilterList):
        known = partial(visible_values, visit.gateway, visit.principal(), visit.app_id)
        completion = await complete(FilterList(list_), text, len(text), known)
    return visit.show("filter_suggestions.html", completion=completion, text=text)


PAGES = (SitePage("/filter/suggestions", suggest),)
