"""What the lists of the shop's records share: orders, products, customers and all others.

They are lists of one application, by the last change. `?q=` finds records by any of their names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from starlette.responses import Response

from tillbell.clock import Micros, from_datetime
from tillbell.errors import NotFound
from tillbell.model.messages import Delivery
from tillbell.model.records import Application
from tillbell.model.shop import ShopRecord
from tillbell.rules.filters.clauses import FilterList
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import ListPage
from tillbell.web.api.shop_lists import AskedRecords, shop_page
from tillbell.web.api.shop_records import TimelineEntry
from tillbell.web.pages import curl
from tillbell.web.pages.filter_line import filter_line
from tillbell.web.pages.lists import export, listing_of, nothing, page_by_time
from tillbell.web.pages.page import Visit
from tillbell.web.pages.states import state_of

S = TypeVar("S", bound=ShopRecord)

_TEXT_MAX = 256
_ADDRESS = ("line1", "line2", "postalCode", "city", "region", "country")
_ICONS = {
    "message": "message",
    "callback": "callback",
    "transaction": "transaction",
    "shipment": "truck",
}


class ShopList(NamedTuple, Generic[S]):
    """A list of one kind of record."""

    list_: FilterList
    kind: type[S]
    template: str
    columns: tuple[str, ...]  # of its file
    cells: Callable[[S], Iterable[object]]
    example: str  # body of the command that puts the first record


class TimelineStep(NamedTuple):
    """Something that happened to a record, as its page shows it."""

    entry: TimelineEntry
    at: Micros
    icon: str
    href: str
    title: str
    states: list[str]  # of the deliveries of a message


async def show_list(visit: Visit, of: ShopList[Any]) -> Response:
    """Show the records of an application, the latest change first."""
    app = chosen(visit)
    if app is None:
        return visit.show("choose_application.html", many=_plural(of.list_))
    line = await filter_line(visit, of.list_)
    if isinstance(line, Response):
        return line
    wanted, text = line.wanted, visit.query("q").strip()[:_TEXT_MAX]

    async def fetch(page: Page) -> ListPage[Any]:
        if wanted is None:
            return nothing()
        return await shop_page(visit.gateway, of.kind, app.id, AskedRecords(wanted, text), page)

    exported = await export(visit, of.list_, fetch, of.columns, of.cells)
    if exported is not None:
        return exported
    page = page_by_time(visit)
    rows = await fetch(page)
    base = curl.api_url(visit.gateway.settings)
    name = app.uid or app.id
    return visit.show(
        of.template,
        rows=rows.rows,
        listing=listing_of(visit, rows, page, line),
        text=text,
        app_name=name,
        text_of=text_of,
        part_of=part_of,
        example=curl.put(f"{base}/app/{name}/{of.list_}/{_EXAMPLE_UIDS[of.list_]}", of.example),
    )


_EXAMPLE_UIDS = {
    FilterList.ORDER: "1001",
    FilterList.PRODUCT: "course",
    FilterList.CUSTOMER: "cus-1",
    FilterList.SUBSCRIPTION: "sub-1",
    FilterList.SHIPMENT: "parcel-1",
}


def _plural(list_: FilterList) -> str:
    return f"{list_}s"


def chosen(visit: Visit) -> Application | None:
    """Return the application whose records are listed; None: one must be chosen first."""
    if visit.app is None and len(visit.applications) == 1:
        return visit.applications[0]
    return visit.app


async def record_of(visit: Visit, kind: type[S], name: str) -> S:
    """Return the record of a page, by its id or uid. `NotFound` if there is none."""
    app = await visit.the_app()
    record = await visit.gateway.database.get(kind, visit.path(name), app.id)
    if record is None:
        raise NotFound(f"There is no such {name}.")
    return record


async def steps_of(
    visit: Visit, app_id: str, entries: Iterable[TimelineEntry]
) -> list[TimelineStep]:
    """Return what happened to a record, the oldest first, with how its messages were delivered."""
    app_name = visit.names_of(app_id)[0]
    steps = []
    for entry in entries:
        deliveries: Iterable[Delivery] = ()
        if entry.kind == "message":
            deliveries = await visit.gateway.database.deliveries_of_message(app_id, entry.id)
        states = [state_of(delivery) for delivery in deliveries]
        href = visit.link(f"/{entry.kind}s/{entry.id}", app=app_name)
        at, icon = from_datetime(entry.at), _ICONS[entry.kind]
        steps.append(TimelineStep(entry, at, icon, href, _title(entry), states))
    return steps


def _title(entry: TimelineEntry) -> str:
    if entry.kind == "transaction":
        return entry.type.replace("_", " ").capitalize()
    if entry.kind == "callback":
        return f"Callback of {entry.type}"
    if entry.kind == "shipment":
        return f"Parcel with {entry.type}"
    return entry.type


def text_of(data: Mapping[str, Any], name: str) -> str:
    """Return a member of a record as text; "" if it has none.

    >>> text_of({"name": "Ana", "tags": ["a"]}, "name"), text_of({}, "name")
    ('Ana', '')
    """
    value = data.get(name)
    if isinstance(value, bool) or value is None:
        return ""
    return str(value) if isinstance(value, (str, int, float)) else ""


def part_of(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a member of a record that has members; none if it has not."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def time_of(data: Mapping[str, Any], name: str) -> Micros | None:
    """Return a member of a record as an instant; None if it is none that can be read."""
    try:
        return from_datetime(datetime.fromisoformat(text_of(data, name)))
    except (ValueError, OverflowError):
        return None


class RecordFact(NamedTuple):
    """A member of a record as its page shows it: a text, or an instant."""

    word: str
    text: str
    at: Micros | None = None


def facts_of(data: Mapping[str, Any], words: Mapping[str, str]) -> list[RecordFact]:
    """Return the members of a record that it has, with their words."""
    return [
        RecordFact(
            word, text, time_of(data, name) if name.endswith(("At", "End", "Start")) else None
        )
        for name, word in words.items()
        if (text := text_of(data, name))
    ]


def address_of(address: Mapping[str, Any]) -> list[str]:
    """Return the lines of an address."""
    return [text for name in _ADDRESS if (text := text_of(address, name))]


def metadata_of(data: Mapping[str, Any]) -> str:
    """Return what the shop keeps with a record, as it is shown; "" for nothing."""
    metadata = data.get("metadata")
    return msgspec.json.format(msgspec.json.encode(metadata), indent=2).decode() if metadata else ""


Handler = Callable[[Visit], Awaitable[Response]]


def list_handler(of: ShopList[Any]) -> Handler:
    """Return what answers for a list."""

    async def list_(visit: Visit) -> Response:
        return await show_list(visit, of)

    return list_
