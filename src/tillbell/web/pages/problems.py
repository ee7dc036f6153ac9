"""Problems: deliveries that have not arrived, one line for each cause."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.deliver.problems import DeliveryProblem
from tillbell.statistics.plots import EndpointDay
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import ListPage
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.lists import export
from tillbell.web.pages.page import SitePage, Visit

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

    async def fetch(page: Page) -> ListPage[ProblemRow]:
        del page  # they are few, and all of them
        return ListPage(rows, None, None, done=True)

    exported = await export(visit, "problems", fetch, _COLUMNS, _cells)
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
