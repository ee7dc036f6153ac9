"""Deliveries: the duty to bring one message to one endpoint. Svix has no such resource."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import iso
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import DeliveryState, Message
from tillbell.model.records import Application
from tillbell.rules.delivery.fate import Fate
from tillbell.rules.filters.clauses import Clause, FilterList, ListFilter, one_of
from tillbell.storage.ports.as_clauses import with_message
from tillbell.storage.ports.outbound import DeliveryRow, MessageFilter, Page, StateFilter
from tillbell.web.api.filtered import FilterText, read_filter, search_limit, search_page
from tillbell.web.api.filters import MessageFilterOf
from tillbell.web.api.messages import the_message
from tillbell.web.api.paging import ListPage, PageOf, in_memory_page, list_page
from tillbell.web.api.rendering import (
    Doc,
    FateOut,
    answer,
    delivery_status,
    fate_doc,
    trigger_type,
)
from tillbell.web.api.routes import ApplicationOf, GatewayOf, resource, the_endpoint
from tillbell.web.api.shapes import Listed, Out, Status, StatusText, TriggerType
from tillbell.web.edge.patterns import UID


class DeliveryOut(Out):
    """The duty to bring one message to one endpoint."""

    id: str
    app_id: str
    msg_id: str
    endpoint_id: str
    event_type: str
    event_id: str | None
    state: DeliveryState = Field(
        description="How it stands, in our words: `waiting`, `sending`, or how it ended."
    )
    status: Status
    status_text: StatusText
    attempts: int = Field(description="How many attempts have begun.")
    next_attempt: datetime | None = Field(description="Older name of `nextAttemptAt`.")
    next_attempt_at: datetime | None = Field(
        description="When the next attempt is made; null: none, or it is not known."
    )
    waiting_for: FateOut | None = Field(description="What it waits for; null: it does not wait.")
    trigger_type: TriggerType
    created_at: datetime = Field(
        description="When the delivery was made (UTC); later than the message if it was replayed."
    )
    timestamp: datetime = Field(description="When the message was published.")


router = resource("/app/{app_id}/delivery", "Delivery")


StatesQuery = Annotated[list[DeliveryState] | None, Query(alias="state", max_length=5)]
States = tuple[DeliveryState, ...] | None
NameQuery = Annotated[str | None, Query(max_length=256)]


@router.get("", response_model=Listed[DeliveryOut])
async def list_(
    app: ApplicationOf,
    page: PageOf,
    filter_: MessageFilterOf,
    gateway: GatewayOf,
    endpoint_id: NameQuery = None,
    msg_id: NameQuery = None,
    states: StatesQuery = None,
    text: FilterText = None,
) -> Response:
    """List the deliveries of an endpoint or of a message: one of the two must be named.

    With `filter` neither need be named: it lists the deliveries of the application.
    """
    if text is not None:
        listed = await read_filter(gateway, app.id, FilterList.DELIVERY, text)
        listed = with_message(listed, filter_)
        named = await _named_clauses(gateway, app, endpoint_id, msg_id, states)
        rows = await delivery_page(gateway, app.id, listed.and_(*named), page)
        return answer(rows.document(await delivery_docs(gateway, rows.rows)))
    if (endpoint_id is None) == (msg_id is None):
        problem = "name either endpoint_id or msg_id"
        raise Invalid(Problem(("query", "endpoint_id"), problem, "missing"))
    chosen = tuple(states) if states else None
    if msg_id is not None:
        message = await the_message(msg_id, app, gateway)
        rows = await _of_message(gateway, message, chosen, page)
    else:
        assert endpoint_id is not None
        endpoint = await the_endpoint(endpoint_id, app, gateway)
        rows = await _of_endpoint(gateway, endpoint, filter_, chosen, page)
    return answer(rows.document(await delivery_docs(gateway, rows.rows)))


@router.get("/{delivery_id}", response_model=DeliveryOut)
async def get(
    app: ApplicationOf,
    delivery_id: Annotated[str, Path(pattern=UID, max_length=256)],
    gateway: GatewayOf,
) -> Response:
    """Show a delivery."""
    row = await gateway.database.delivery(app.id, delivery_id)
    if row is None:
        raise NotFound("There is no such delivery.")
    (doc,) = await delivery_docs(gateway, [row])
    return answer(doc)


@router.post("/{delivery_id}/cancel", response_model=DeliveryOut)
async def cancel(
    app: ApplicationOf,
    delivery_id: Annotated[str, Path(pattern=UID, max_length=256)],
    gateway: GatewayOf,
) -> Response:
    """End a delivery that waits: no further attempt is made. A resend begins it again.

    409 `delivery_in_progress` if it is being sent, `delivery_ended` if it has ended already.
    """
    await gateway.delivery_resender.cancel(app.id, delivery_id)
    return await get(app, delivery_id, gateway)


async def _named_clauses(
    gateway: Gateway,
    app: Application,
    endpoint_id: str | None,
    msg_id: str | None,
    states: list[DeliveryState] | None,
) -> list[Clause]:
    clauses = []
    if msg_id is not None:
        clauses.append(one_of("message", (await the_message(msg_id, app, gateway)).id))
    if endpoint_id is not None:
        clauses.append(one_of("endpoint", (await the_endpoint(endpoint_id, app, gateway)).id))
    if states:
        clauses.append(one_of("status", *states))
    return clauses


async def delivery_page(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> ListPage[DeliveryRow]:
    """Return a page of the deliveries of an application; None: of all."""
    history = gateway.database.history
    return await search_page(
        lambda page, size: history.filtered_deliveries(scope, filter_, page, size),
        page,
        _id_of,
        search_limit(filter_),
    )


async def _of_message(
    gateway: Gateway, message: Message, states: States, page: Page
) -> ListPage[DeliveryRow]:
    deliveries = await gateway.database.deliveries_of_message(message.app_id, message.id)
    rows = [
        DeliveryRow(delivery, message)
        for delivery in deliveries
        if states is None or delivery.state in states
    ]
    return in_memory_page(rows, page, _id_of)


async def _of_endpoint(
    gateway: Gateway, endpoint: Endpoint, filter_: MessageFilter, states: States, page: Page
) -> ListPage[DeliveryRow]:
    return await list_page(
        lambda page: gateway.database.history.deliveries_of_endpoint(
            endpoint.scope, endpoint.id, filter_, StateFilter(states), page
        ),
        page,
        _id_of,
    )


def _id_of(row: DeliveryRow) -> str:
    return row.delivery.id


async def delivery_docs(gateway: Gateway, rows: Sequence[DeliveryRow]) -> list[Doc]:
    """Return deliveries by the names of `DeliveryOut`."""
    fates = await gateway.fates.of_open(rows)
    return [_delivery_doc(row, fates.get(row.delivery.id)) for row in rows]


def _delivery_doc(row: DeliveryRow, fate: Fate | None) -> Doc:
    delivery, message = row
    status = delivery_status(delivery, fate)
    return {
        "id": delivery.id,
        "appId": delivery.app_id,
        "msgId": delivery.message_id,
        "endpointId": delivery.endpoint_id,
        "eventType": message.event_type,
        "eventId": message.event_id,
        "state": delivery.state.value,
        **status,
        "nextAttemptAt": status["nextAttempt"],
        "waitingFor": fate_doc(fate) if fate is not None else None,
        "attempts": delivery.attempts,
        "triggerType": trigger_type(delivery.trigger),
        "createdAt": iso(delivery.created_at),
        "timestamp": iso(message.created_at),
    }
