"""Polling: messages for those who cannot be called.

A **sink** is a name of the caller's choice; it holds nothing. `GET …/poller/{sink}` returns
the messages after `iterator` (or since `after`), oldest first, with the iterator to go on
from; `event_type` and `channel` filter them.

A **consumer** of a sink is a place in that stream that we keep. A poll without `iterator` goes
on from the place; a poll with `iterator` moves the place there first, which says that
everything up to it has been dealt with. So a consumer that dies between two polls gets the
same messages again, and never misses one.

Where processes share a database, messages are seen two seconds after they were published.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import Path, Query, Response

from tillbell.app import Gateway
from tillbell.clock import from_datetime
from tillbell.ids import first_of
from tillbell.model.records import Application, PollCursor
from tillbell.storage.ports.outbound import MessageFilter, Page
from tillbell.web.api.filters import LabelQuery, TimeQuery
from tillbell.web.api.paging import Limit, list_page, row_id
from tillbell.web.api.rendering import MessageOut, answer, message_doc
from tillbell.web.api.routes import UID, ApplicationOf, GatewayOf, app_read, resource
from tillbell.web.api.shapes import In, Out


class PolledOut(Out):
    """Messages since the iterator, oldest first."""

    data: list[MessageOut]
    iterator: str
    done: bool


class SeekIn(In):
    """Where a consumer is to go on."""

    after: datetime


class SeekOut(Out):
    """The consumer's new iterator."""

    iterator: str


router = resource("/app/{app_id}/poller", "Message Poller")

READ = app_read("message", None)

_START = first_of("msg", 0)

Named = Annotated[str, Path(pattern=UID, max_length=120)]
MessageIterator = Annotated[str | None, Query(pattern=r"^msg_[0-9a-z]{26}$")]


@router.get("/{sink_id}", dependencies=READ, response_model=PolledOut)
async def poll(
    app: ApplicationOf,
    sink_id: Named,  # noqa: ARG001 - a name for the caller's own use
    gateway: GatewayOf,
    limit: Limit = 50,
    iterator: MessageIterator = None,
    event_type: Annotated[str | None, Query(max_length=256)] = None,
    channel: LabelQuery = None,
    after: TimeQuery = None,
) -> Response:
    """Return the messages after the iterator, oldest first."""
    begin = first_of("msg", max(from_datetime(after), 0)) if after is not None else _START
    filter_ = MessageFilter(event_types=(event_type,) if event_type else None, channel=channel)
    page = Page(limit, iterator or begin, ascending=True)
    return await _polled(gateway, app, filter_, page)


@router.get("/{sink_id}/consumer/{consumer_id}", dependencies=READ, response_model=PolledOut)
async def consumer_poll(
    app: ApplicationOf,
    sink_id: Named,
    consumer_id: Named,
    gateway: GatewayOf,
    limit: Limit = 50,
    iterator: MessageIterator = None,
) -> Response:
    """Return the messages after the consumer's place; `iterator` moves the place first."""
    name = f"{sink_id}/{consumer_id}"
    cursor = await gateway.database.get(PollCursor, name, app.id)
    place = iterator or (cursor.iterator if cursor else _START)
    if cursor is None or cursor.iterator != place:
        await _keep(gateway, app, name, place)
    return await _polled(gateway, app, MessageFilter(), Page(limit, place, ascending=True))


@router.post("/{sink_id}/consumer/{consumer_id}/seek", dependencies=READ)
async def consumer_seek(
    app: ApplicationOf, sink_id: Named, consumer_id: Named, body: SeekIn, gateway: GatewayOf
) -> SeekOut:
    """Move the consumer's place to a time."""
    place = first_of("msg", max(from_datetime(body.after), 0))
    await _keep(gateway, app, f"{sink_id}/{consumer_id}", place)
    return SeekOut(iterator=place)


async def _polled(
    gateway: Gateway, app: Application, filter_: MessageFilter, page: Page
) -> Response:
    # No message may appear behind an iterator that has passed it. A process commits in the order of
    # its ids; of several processes we wait for the slowest.
    filter_ = filter_._replace(before=gateway.cluster.complete_before())
    messages = await list_page(
        lambda page: gateway.database.messages(app.id, filter_, page), page, row_id
    )
    docs = [await message_doc(gateway, message, with_content=True) for message in messages.rows]
    return answer({"data": docs, "iterator": messages.iterator, "done": messages.done})


async def _keep(gateway: Gateway, app: Application, name: str, place: str) -> None:
    now = gateway.clock.now()

    def moved(cursor: PollCursor | None) -> PollCursor:
        if cursor is not None:
            return msgspec.structs.replace(cursor, iterator=place)
        return PollCursor(
            id=gateway.ids.new("cur", now),
            scope=app.id,
            uid=name,
            created_at=now,
            updated_at=now,
            iterator=place,
        )

    await gateway.config_cache.change_or_add(PollCursor, app.id, name, moved)
