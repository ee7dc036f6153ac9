"""The callback log: what came in, what became of it, and once more from the start."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Response

from tillbell.clock import Micros, to_datetime
from tillbell.errors import NotFound
from tillbell.model.callbacks import Callback
from tillbell.receive.reprocess import UnreadableRequest
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.callback_filters import FilterOf, filter_of
from tillbell.web.api.callback_previews import preview_out
from tillbell.web.api.callback_view import request_out, verdict_word
from tillbell.web.api.paging import OrderedPageOf, list_page
from tillbell.web.api.routes import (
    UID,
    ApplicationOf,
    GatewayOf,
    also_answers,
    app_read,
    app_write,
    resource,
)
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.callbacks import (
    CallbackDetailOut,
    CallbackOut,
    LinkedDeliveryOut,
    ReplayIn,
    ReplayManyIn,
    ReplayManyOut,
    ReplayOut,
)

router = resource("/app/{app_id}/callback", "Callback")

READ = app_read("callback", None)
WRITE = app_write("callback")
PREVIEWS_MAX = 50  # callbacks that a dry run over many looks at


async def the_callback(
    callback_id: Annotated[str, Path(pattern=UID, max_length=256)],
    app: ApplicationOf,
    gateway: GatewayOf,
) -> Callback:
    """Give the callback of the path."""
    callback = await gateway.database.callback(app.id, callback_id)
    if callback is None:
        raise NotFound("There is no such callback.")
    return callback


CallbackOf = Annotated[Callback, Depends(the_callback)]


@router.get("", dependencies=READ)
async def list_(
    app: ApplicationOf, page: OrderedPageOf, filter_: FilterOf, gateway: GatewayOf
) -> Listed[CallbackOut]:
    """List callbacks, newest first."""

    async def fetch(page: Page) -> list[Callback]:
        return await gateway.database.history.callbacks(app.id, filter_, page)

    found = await list_page(fetch, page, lambda callback: callback.id)
    return Listed(**found.shown([CallbackOut(**members(one)) for one in found.rows]))


@router.get("/{callback_id}", dependencies=READ)
async def get(callback: CallbackOf, gateway: GatewayOf) -> CallbackDetailOut:
    """Show a callback with its request, without what is secret in it, and what it led to."""
    found = await gateway.reprocessor.request(callback)
    why = found.why if isinstance(found, UnreadableRequest) else None
    request = None
    if not isinstance(
        found, UnreadableRequest
    ):  # on another thread: masking a hostile body takes its time
        live = gateway.source_cache.compiled(callback.source_id)
        request = await asyncio.to_thread(request_out, found, live)
    deliveries = [
        LinkedDeliveryOut(
            id=one.id, message_id=one.message_id, endpoint_id=one.endpoint_id, state=one.state
        )
        for message_id in callback.message_ids
        for one in await gateway.database.deliveries_of_message(callback.app_id, message_id)
    ]
    return CallbackDetailOut(
        **members(callback), request=request, request_note=why, deliveries=deliveries
    )


@router.post(
    "/replay",
    status_code=202,
    dependencies=WRITE,
    responses=also_answers(200, ReplayManyOut, "What a replay would do."),
)
async def replay_many(
    app: ApplicationOf, body: ReplayManyIn, gateway: GatewayOf, response: Response
) -> ReplayManyOut:
    """Replay what a filter selects, in the background; of a dry run, show the first."""
    filter_ = filter_of(gateway, app.id, body)
    if not body.dry_run:
        task = await gateway.bulk_reprocessor.begin(app.id, filter_)
        return ReplayManyOut(dry_run=False, task_id=task.id, previews=[], done=True)
    response.status_code = 200
    page = Page(limit=PREVIEWS_MAX + 1)
    found = await gateway.bulk_reprocessor.selected(
        app.id, gateway.bulk_reprocessor.until_now(filter_), page
    )
    again = [await gateway.reprocessor.examine(one) for one in found[:PREVIEWS_MAX]]
    previews = [preview_out(one) for one in again]
    done = len(found) <= PREVIEWS_MAX
    return ReplayManyOut(dry_run=True, task_id=None, previews=previews, done=done)


@router.post("/{callback_id}/replay", dependencies=WRITE)
async def replay(
    callback: CallbackOf, gateway: GatewayOf, body: ReplayIn | None = None
) -> ReplayOut:
    """Verify, read and process a callback again; a dry run shows what would differ."""
    if body is not None and body.dry_run:
        preview = preview_out(await gateway.reprocessor.examine(callback))
        return ReplayOut(dry_run=True, callback=None, preview=preview, why=preview.why)
    done = await gateway.reprocessor.reprocess(callback)
    shown = CallbackOut(**members(done.callback)) if done.callback is not None else None
    return ReplayOut(dry_run=False, callback=shown, preview=None, why=done.why)


def members(callback: Callback) -> dict[str, Any]:
    """Return a callback by the names of its shape."""
    shown = callback._asdict()
    del shown["app_id"]
    times = {name: _time(shown[name]) for name in ("received_at", "processed_at", "retry_at")}
    trust = callback.trust.word if callback.trust is not None else None
    verdict = verdict_word(is_refused=callback.trust is None)
    return shown | times | {"trust": trust, "verdict": verdict}


def _time(at: Micros | None) -> datetime | None:
    return to_datetime(at) if at is not None else None
