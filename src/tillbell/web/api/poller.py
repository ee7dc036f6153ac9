"""Polling: messages for receivers that cannot accept requests.

A **sink** is a name that the caller chooses; nothing is stored for it. `GET …/poller/{sink}`
returns the messages after `iterator` (or since `after`), oldest first, and the iterator for the
next poll. `event_type` and `channel` filter them.

A **consumer** of a sink is a position in that list, which we store. A poll without `iterator`
returns what follows the position. A poll with `iterator` moves the position there first: this
confirms everything up to it. A consumer that stops between two polls gets the same messages
again and misses none.

When several processes share a database, a message can be polled two seconds after it was
published.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Path, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import from_datetime
from tillbell.ids import first_of
from tillbell.model.records import Application, PollCursor
from tillbell.rules.delivery.own_tags import is_for_one
from tillbell.rules.rights import Action
from tillbell.storage.ports.outbound import MessageFilter, Page
from tillbell.web.api.filters import (
    LabelQuery,
    TimeQuery,
    check_types,
)
from tillbell.web.api.paging import Limit, list_page, row_id
from tillbell.web.api.rendering import MessageOut, answer, message_doc
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    resource,
)
from tillbell.web.api.shapes import In, Out, Time
from tillbell.web.edge.auth import Access, Tenant
from tillbell.web.edge.patterns import MESSAGE_ITERATOR, UID


class PolledOut(Out):
    """Messages after the iterator, oldest first."""

    data: list[MessageOut] = Field(description="The messages, oldest first.")
    iterator: str = Field(description="Pass it as `iterator` for the messages that follow.")
    done: bool = Field(description="Whether no message follows at present.")


class SeekIn(In):
    """The time from which a consumer polls."""

    after: Time = Field(description="Messages published at or after this time are polled next.")


class SeekOut(Out):
    """The consumer's new iterator."""

    iterator: str = Field(
        description="Pass it as `iterator`, or poll as the same consumer without one."
    )


router = resource("/app/{app_id}/poller", "Message Poller")

MOVE = Access("message", Action.WRITE, Tenant.APPLICATION)

_START = first_of("msg", 0)

PollerName = Annotated[str, Path(pattern=UID, max_length=120)]
MessageIterator = Annotated[str | None, Query(pattern=MESSAGE_ITERATOR)]


@router.get("/{sink_id}", response_model=PolledOut)
async def poll(
    app: ApplicationOf,
    sink_id: PollerName,  # noqa: ARG001 - only the caller uses the name
    gateway: GatewayOf,
    limit: Limit = 50,
    iterator: MessageIterator = None,
    event_type: Annotated[str | None, Query(max_length=256)] = None,
    channel: LabelQuery = None,
    after: TimeQuery = None,
) -> Response:
    """Return the messages after the iterator, oldest first."""
    names, loc = [event_type] if event_type else [], ("query", "event_type")
    await check_types(gateway, app.id, names, loc)
    begin = first_of("msg", from_datetime(after)) if after is not None else _START
    filter_ = MessageFilter(event_types=(event_type,) if event_type else None, channel=channel)
    page = Page(limit, iterator or begin, ascending=True)
    return await _polled(gateway, app, filter_, page)


@router.get("/{sink_id}/consumer/{consumer_id}", response_model=PolledOut)
async def consumer_poll(
    app: ApplicationOf,
    sink_id: PollerName,
    consumer_id: PollerName,
    gateway: GatewayOf,
    principal: PrincipalOf,
    limit: Limit = 50,
    iterator: MessageIterator = None,
) -> Response:
    """Return the messages after the consumer's position. `iterator` moves the position first.

    To move it takes a key that may write messages.
    """
    name = f"{sink_id}/{consumer_id}"
    cursor = await gateway.database.get(PollCursor, name, app.id)
    stored = cursor.iterator if cursor else _START
    position = iterator or stored
    if position != stored:
        principal.require(MOVE)
        await _store_position(gateway, app, name, position)
    return await _polled(gateway, app, MessageFilter(), Page(limit, position, ascending=True))


@router.post("/{sink_id}/consumer/{consumer_id}/seek")
async def consumer_seek(
    app: ApplicationOf,
    sink_id: PollerName,
    consumer_id: PollerName,
    body: SeekIn,
    gateway: GatewayOf,
) -> SeekOut:
    """Move the consumer's position to a time."""
    position = first_of("msg", from_datetime(body.after))
    await _store_position(gateway, app, f"{sink_id}/{consumer_id}", position)
    return SeekOut(iterator=position)


async def _polled(
    gateway: Gateway, app: Application, filter_: MessageFilter, page: Page
) -> Response:
    # A message must not appear before an iterator that a caller already has. One process commits in
    # the order of ids; of several processes we wait for the slowest.
    filter_ = filter_._replace(before=gateway.cluster.complete_before())
    messages = await list_page(
        lambda page: gateway.database.messages(app.id, filter_, page), page, row_id
    )
    published = [message for message in messages.rows if not is_for_one(message.tags)]
    docs = [await message_doc(gateway, message, with_content=True) for message in published]
    return answer({"data": docs, "iterator": messages.iterator, "done": messages.done})


async def _store_position(gateway: Gateway, app: Application, name: str, position: str) -> None:
    now = gateway.clock.now()

    def moved(cursor: PollCursor | None) -> PollCursor:
        if cursor is not None:
            return msgspec.structs.replace(cursor, iterator=position)
        return PollCursor(
            id=gateway.ids.new("cur", now),
            scope=app.id,
            uid=name,
            created_at=now,
            updated_at=now,
            iterator=position,
        )

    await gateway.config_cache.change_or_add(PollCursor, app.id, name, moved)
