"""Deliveries and attempts, as lists."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from tillbell.clock import Micros, iso
from tillbell.model.messages import Attempt
from tillbell.rules.delivery.fate import Fate
from tillbell.rules.filters.clauses import FilterList
from tillbell.storage.ports.outbound import DeliveryRow, Page
from tillbell.web.api.attempts import attempt_page
from tillbell.web.api.deliveries import delivery_page
from tillbell.web.api.paging import ListPage
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.filter_line import filter_line
from tillbell.web.pages.lists import export, listing_of, nothing, page_by_time
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.states import state_of

_DELIVERY_COLUMNS = (
    "published",
    "application",
    "id",
    "message",
    "event_type",
    "event_id",
    "endpoint",
    "endpoint_name",
    "state",
    "attempts",
    "waits_for",
    "next_attempt",
)
_ATTEMPT_COLUMNS = (
    "began",
    "application",
    "id",
    "delivery",
    "message",
    "event_type",
    "endpoint",
    "endpoint_name",
    "number",
    "result",
    "status_code",
    "error",
    "duration_us",
    "url",
    "detail",
)


class DeliveryLine(NamedTuple):
    """One row of the list of deliveries."""

    row: DeliveryRow
    state: str
    endpoint_name: str  # its id if it was deleted
    app_name: str  # as links name it
    app_title: str
    fate: Fate | None  # None: it is not open

    @property
    def next_at(self) -> Micros | None:
        """Return when the next attempt is made; None: none, or it is not known."""
        return self.fate.next_at if self.fate is not None else None


class AttemptLine(NamedTuple):
    """One row of the list of attempts."""

    attempt: Attempt
    endpoint_name: str
    app_name: str
    app_title: str


async def list_(visit: Visit) -> Response:
    """Show deliveries, those of the newest message first."""
    line = await filter_line(visit, FilterList.DELIVERY)
    if isinstance(line, Response):
        return line
    wanted = line.wanted

    async def fetch(page: Page) -> ListPage[DeliveryLine]:
        if wanted is None:
            return nothing()
        listed = await delivery_page(visit.gateway, visit.app_id, wanted, page)
        fates = await visit.gateway.fates.of_open(listed.rows)
        return listed.with_rows(
            [await _delivery_line(visit, row, fates.get(row.delivery.id)) for row in listed.rows]
        )

    exported = await export(visit, "delivery", fetch, _DELIVERY_COLUMNS, _delivery_cells)
    if exported is not None:
        return exported
    page = page_by_time(visit)
    rows = await fetch(page)
    return visit.show(
        "deliveries.html", rows=rows.rows, listing=listing_of(visit, rows, page, line)
    )


async def attempts(visit: Visit) -> Response:
    """Show attempts that have ended by their start: the latest is first."""
    line = await filter_line(visit, FilterList.ATTEMPT)
    if isinstance(line, Response):
        return line
    wanted = line.wanted

    async def fetch(page: Page) -> ListPage[AttemptLine]:
        if wanted is None:
            return nothing()
        listed = await attempt_page(visit.gateway, visit.app_id, wanted, page)
        return listed.with_rows([await _attempt_line(visit, row) for row in listed.rows])

    exported = await export(visit, "attempt", fetch, _ATTEMPT_COLUMNS, _attempt_cells)
    if exported is not None:
        return exported
    page = page_by_time(visit)
    rows = await fetch(page)
    return visit.show("attempts.html", rows=rows.rows, listing=listing_of(visit, rows, page, line))


PAGES = (
    SitePage("/deliveries", list_, "/messages"),
    SitePage("/attempts", attempts, "/messages"),
)


async def _delivery_line(visit: Visit, row: DeliveryRow, fate: Fate | None) -> DeliveryLine:
    delivery = row.delivery
    return DeliveryLine(
        row,
        state_of(delivery),
        await _endpoint_name(visit, delivery.app_id, delivery.endpoint_id),
        *visit.names_of(delivery.app_id),
        fate,
    )


async def _attempt_line(visit: Visit, attempt: Attempt) -> AttemptLine:
    name = await _endpoint_name(visit, attempt.app_id, attempt.endpoint_id)
    return AttemptLine(attempt, name, *visit.names_of(attempt.app_id))


async def _endpoint_name(visit: Visit, app_id: str, id_: str) -> str:
    endpoint = await visit.gateway.config_cache.endpoint(app_id, id_)
    return name_of(endpoint) if endpoint is not None else id_


def _delivery_cells(line: DeliveryLine) -> list[object]:
    delivery, message = line.row
    return [
        iso(message.created_at),
        line.app_name,
        delivery.id,
        message.id,
        message.event_type,
        message.event_id,
        delivery.endpoint_id,
        line.endpoint_name,
        delivery.state,
        delivery.attempts,
        line.fate.code if line.fate is not None else None,
        iso(line.next_at) if line.next_at is not None else None,
    ]


def _attempt_cells(line: AttemptLine) -> list[object]:
    attempt = line.attempt
    return [
        iso(attempt.started_at),
        line.app_name,
        attempt.id,
        attempt.delivery_id,
        attempt.message_id,
        attempt.event_type,
        attempt.endpoint_id,
        line.endpoint_name,
        attempt.number,
        attempt.result,
        attempt.status_code,
        attempt.error,
        attempt.duration_us,
        attempt.url,
        attempt.detail,
    ]
