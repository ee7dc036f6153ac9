"""Messages, and one message with what became of it at each endpoint."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.clock import iso
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import Attempt, Delivery, Message
from tillbell.model.records import Application
from tillbell.rules.delivery.fate import Fate
from tillbell.rules.filters.clauses import FilterList
from tillbell.storage.ports.outbound import ALL, AttemptFilter, MessageContent, Page
from tillbell.web.api.messages import message_page
from tillbell.web.api.paging import ListPage
from tillbell.web.pages import curl
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.filter_line import filter_line
from tillbell.web.pages.lists import export, listing_of, nothing, page_by_time
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.payload_summary import Summary, summary_of
from tillbell.web.pages.states import state_of
from tillbell.web.pages.verdicts import NamedFate, PageVerdict, of_fates

_COLUMNS = (
    "time",
    "application",
    "id",
    "event_type",
    "event_id",
    "deliveries",
    "amount",
    "currency",
)


class MessageRow(NamedTuple):
    """One row of the list."""

    message: Message
    app_name: str  # as links name it
    app_title: str
    states: list[str]
    summary: Summary


class Way(NamedTuple):
    """The way of a message to one endpoint."""

    endpoint_id: str
    endpoint: Endpoint | None  # None: it was deleted
    delivery: Delivery | None  # None: there is none
    fate: Fate
    attempt: Attempt | None  # the last one

    @property
    def name(self) -> str:
        """Return the name of the endpoint; its id if it was deleted."""
        return name_of(self.endpoint) if self.endpoint is not None else self.endpoint_id


class ShownMessage(NamedTuple):
    """One message with all that its page says."""

    message: Message
    app: Application
    app_name: str
    body: bytes | None  # None: it was deleted
    summary: Summary
    ways: list[Way]
    others: list[Way]  # endpoints that do not get it
    verdict: PageVerdict


async def list_(visit: Visit) -> Response:
    """Show messages, newest first."""

    line = await filter_line(visit, FilterList.MESSAGE)
    if isinstance(line, Response):
        return line
    wanted = line.wanted

    async def fetch(page: Page) -> ListPage[MessageRow]:
        if wanted is None:
            return nothing()
        messages = await message_page(visit.gateway, visit.app_id, wanted, page)
        contents = await visit.gateway.database.message_contents(messages.rows)
        return messages.with_rows(
            [_row(visit, message, contents[message.id]) for message in messages.rows]
        )

    exported = await export(visit, "message", fetch, _COLUMNS, _cells)
    if exported is not None:
        return exported
    page = page_by_time(visit)
    rows = await fetch(page)
    opened = visit.query("open")
    return visit.show(
        "messages.html",
        rows=rows.rows,
        listing=listing_of(visit, rows, page, line),
        opened=opened,
        opened_message=await _opened(visit, opened),
        publish=curl.publish(curl.api_url(visit.gateway.settings), visit.app_name or "shop"),
    )


async def show(visit: Visit) -> Response:
    """Show a message, as a page or beside the list."""
    shown = await shown_message(visit, visit.path("msg"))
    template = "message_drawer.html" if visit.wants_drawer else "message.html"
    return visit.show(template, m=shown)


PAGES = (
    SitePage("/messages", list_, "/messages"),
    SitePage("/messages/{msg}", show, "/messages"),
)


async def shown_message(visit: Visit, id_: str, app: Application | None = None) -> ShownMessage:
    """Read a message by its id or event id. `NotFound` if there is none."""
    gateway = visit.gateway
    app = app or await visit.the_app()
    message = await gateway.database.message(app.id, id_)
    if message is None:
        raise NotFound("There is no such message.")
    body = await gateway.database.body(app.id, message.id)
    every_way = await _ways(gateway, message)
    ways = [way for way in every_way if way.delivery is not None]
    others = [way for way in every_way if way.delivery is None]
    return ShownMessage(
        message=message,
        app=app,
        app_name=app.uid or app.id,
        body=body,
        summary=summary_of(message.event_type, body),
        ways=ways,
        others=others,
        verdict=of_fates(
            [NamedFate(way.name, way.fate) for way in ways], is_wanted_by_none=bool(others)
        ),
    )


async def _opened(visit: Visit, id_: str) -> ShownMessage | None:
    """Return the message that stands beside the list; None: none, or it is gone."""
    if not id_:
        return None
    named = visit.query("of")
    apps = {app.uid or app.id: app for app in visit.applications}
    try:
        return await shown_message(visit, id_, apps.get(named))
    except NotFound:
        return None


async def _ways(gateway: Gateway, message: Message) -> list[Way]:
    deliveries = await gateway.database.deliveries_of_message(message.app_id, message.id)
    of_endpoint = {delivery.endpoint_id: delivery for delivery in deliveries}
    fates = await gateway.fates.of_message(message)
    attempts = await gateway.database.history.attempts(
        message.app_id, AttemptFilter(message_id=message.id), ALL
    )
    last = {attempt.endpoint_id: attempt for attempt in attempts}
    return [
        Way(
            endpoint_id,
            await gateway.config_cache.endpoint(message.app_id, endpoint_id),
            of_endpoint.get(endpoint_id),
            fate,
            last.get(endpoint_id),
        )
        for endpoint_id, fate in fates.items()
    ]


def _row(visit: Visit, message: Message, content: MessageContent) -> MessageRow:
    app_name, app_title = visit.names_of(message.app_id)
    return MessageRow(
        message=message,
        app_name=app_name,
        app_title=app_title,
        states=[state_of(delivery) for delivery in content.deliveries],
        summary=summary_of(message.event_type, content.body),
    )


def _cells(row: MessageRow) -> list[object]:
    message = row.message
    return [
        iso(message.created_at),
        row.app_name,
        message.id,
        message.event_type,
        message.event_id,
        " ".join(row.states),
        row.summary.amount,
        row.summary.currency,
    ]
