"""Callbacks, and one callback: who sent it, what it says, and what became of it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from tillbell.clock import iso
from tillbell.errors import NotFound
from tillbell.model.callbacks import Callback, Outcome
from tillbell.receive.reprocess import UnreadableRequest
from tillbell.rules.filters.clauses import FilterList
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.callbacks import (
    DifferenceOut,
    LinkedDeliveryOut,
    PreviewOut,
    callback_page,
    linked_deliveries,
    preview_out,
)
from tillbell.web.api.masked_callback import RequestOut, request_out
from tillbell.web.api.paging import ListPage
from tillbell.web.pages.filter_line import filter_line
from tillbell.web.pages.lists import export, listing_of, nothing, page_by_time
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.target_names import target_name

WAITING = "waiting"  # how a callback looks that is not processed yet
_COLUMNS = (
    "received",
    "application",
    "id",
    "source",
    "provider",
    "verdict",
    "trust",
    "outcome",
    "why",
    "transaction",
)
# What a person may do about each outcome; "" for one that needs nothing.
WHAT_TO_DO = {
    None: "It is stored, and is processed in its turn.",
    Outcome.APPLIED: "",
    Outcome.DUPLICATE: "It says what was said before, and is counted once. Nothing needs doing.",
    Outcome.STALE: "Later news had come before it, so it changes nothing.",
    Outcome.NOTED: "It is no news about money, or it proves nothing by itself. Nothing moved.",
    Outcome.IGNORED: "Its source, or news of its kind, is switched off. Switch it on, then replay.",
    Outcome.CONFLICT: "A person must decide: nothing moves by it until then.",
    Outcome.ILLEGAL: "It cannot follow the present status. Compare with the provider's own page.",
    Outcome.UNMATCHED: (
        "No transaction fits. Create the one that it names, with that reference or the provider's"
        " id: it is then decided by itself. Or replay it."
    ),
    Outcome.UNMAPPED: (
        "The provider's word is not known, and nothing is guessed. Money did not move. Look at the"
        " provider's page, and decide by hand."
    ),
    Outcome.MISMATCH: (
        "The amount or currency is not what was asked for. Compare with the provider's own page."
    ),
    Outcome.UNAUTHENTICATED: (
        "It was refused, and nothing in it was believed. If the sender is the provider, correct the"
        " secret of the source; then replay it, or wait until the provider sends it again."
    ),
    Outcome.MALFORMED: "It could not be read. Look at the bytes as they came.",
}


class CallbackLine(NamedTuple):
    """One row of the list."""

    callback: Callback
    app_name: str  # as links name it
    app_title: str
    source_name: str
    word: str  # how it ended


class ShownCallback(NamedTuple):
    """A callback with all that its page says."""

    callback: Callback
    app_name: str
    source_name: str
    word: str
    to_do: str
    request: RequestOut | None  # None: see `request_note`
    request_note: str
    preview: PreviewOut
    says: list[str]  # its notices, as JSON
    differences: list[DifferenceOut]
    deliveries: list[LinkedDeliveryOut]
    endpoint_names: dict[str, str]  # of their endpoints, by id


def callback_line(visit: Visit, callback: Callback) -> CallbackLine:
    """Return a callback as a row of a list."""
    source_name = visit.gateway.source_cache.name(callback.source_id)
    names = visit.names_of(callback.app_id)
    return CallbackLine(callback, *names, source_name, callback.outcome or WAITING)


async def list_(visit: Visit) -> Response:
    """Show callbacks, newest first."""
    line = await filter_line(visit, FilterList.CALLBACK)
    if isinstance(line, Response):
        return line
    wanted = line.wanted

    async def fetch(page: Page) -> ListPage[CallbackLine]:
        if wanted is None:
            return nothing()
        listed = await callback_page(visit.gateway, visit.app_id, wanted, page)
        return listed.with_rows([callback_line(visit, callback) for callback in listed.rows])

    exported = await export(visit, "callback", fetch, _COLUMNS, _cells)
    if exported is not None:
        return exported
    page = page_by_time(visit)
    rows = await fetch(page)
    return visit.show("callbacks.html", rows=rows.rows, listing=listing_of(visit, rows, page, line))


async def show(visit: Visit) -> Response:
    """Show a callback."""
    gateway = visit.gateway
    app = await visit.the_app()
    callback = await gateway.database.callback(app.id, visit.path("callback"))
    if callback is None:
        raise NotFound("There is no such callback.")
    incoming = await gateway.reprocessor.request(callback)
    request, note = None, ""
    if isinstance(incoming, UnreadableRequest):
        note = incoming.why
    else:
        compiled = gateway.source_cache.compiled(callback.source_id)
        request = await asyncio.to_thread(request_out, incoming, compiled)
        note = request.body_note or ""
    deliveries = await linked_deliveries(gateway, callback)
    preview = preview_out(await gateway.reprocessor.reparse_with_advice(callback))
    shown = ShownCallback(
        callback=callback,
        app_name=app.uid or app.id,
        source_name=gateway.source_cache.name(callback.source_id),
        word=callback.outcome or WAITING,
        to_do=WHAT_TO_DO[callback.outcome],
        request=request,
        request_note=note,
        preview=preview,
        says=[_pretty(notice) for notice in preview.reading.notices] if preview.reading else [],
        differences=preview.differences,
        deliveries=deliveries,
        endpoint_names={
            each.endpoint_id: await target_name(visit, callback.app_id, each.endpoint_id)
            for each in deliveries
        },
    )
    return visit.show("callback.html", c=shown)


PAGES = (
    SitePage("/callbacks", list_, "/callbacks"),
    SitePage("/callbacks/{callback}", show, "/callbacks"),
)


def _pretty(notice: object) -> str:
    return msgspec.json.format(msgspec.json.encode(notice), indent=2).decode()


def _cells(row: CallbackLine) -> list[object]:
    callback = row.callback
    return [
        iso(callback.received_at),
        row.app_name,
        callback.id,
        row.source_name,
        callback.provider,
        "refused" if callback.trust is None else "accepted",
        callback.trust.word if callback.trust is not None else None,
        callback.outcome,
        callback.why or callback.verdict_why,
        callback.transaction_id,
    ]
