"""Problems: deliveries that have not arrived, one line for each cause."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.deliver.problems import DeliveryProblem
from tillbell.statistics.plots import EndpointDay
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.lists import all_of, export
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.sorting import Keys, sorted_rows

_COLUMNS = (
    "application",
    "endpoint",
    "name",
    "status",
    "error",
    "failed",
    "waiting",
    "since",
    "last",
    "what_to_do",
    "filter",
)


class ProblemRow(NamedTuple):
    """One cause."""

    problem: DeliveryProblem
    name: str  # of the endpoint
    app_name: str  # as links name it
    app_title: str
    day: EndpointDay


_SORTED_BY: Keys[ProblemRow] = {
    "name": lambda row: row.name,
    "deliveries": lambda row: row.problem.failed + row.problem.waiting,
    "first": lambda row: row.problem.since,
    "last": lambda row: row.problem.last_at,
    "application": lambda row: row.app_title,
}


async def list_(visit: Visit) -> Response:
    """Show what keeps deliveries from arriving."""
    listed = await visit.gateway.delivery_problems.all(visit.app_id)
    endpoints = {problem.endpoint.id: problem.endpoint for problem in listed.problems}
    days = await visit.gateway.plots.endpoint_days(list(endpoints.values()))
    rows = [
        ProblemRow(
            problem,
            name_of(problem.endpoint),
            *visit.names_of(problem.endpoint.scope),
            days[problem.endpoint.id],
        )
        for problem in listed.problems
    ]
    rows = sorted_rows(visit, rows, _SORTED_BY)
    exported = await export(visit, "problem", all_of(rows), _COLUMNS, _cells)
    if exported is not None:
        return exported
    return visit.show(
        "problems.html", rows=rows, searched=listed.searched, is_whole=listed.is_whole
    )


PAGES = (SitePage("/problems", list_, "/problems"),)


def _cells(row: ProblemRow) -> list[object]:
    problem = row.problem
    return [
        row.app_name,
        problem.endpoint.id,
        row.name,
        problem.cause.status,
        problem.cause.error,
        problem.failed,
        problem.waiting,
        iso(problem.since),
        iso(problem.last_at),
        problem.text,
        problem.filter,
    ]
