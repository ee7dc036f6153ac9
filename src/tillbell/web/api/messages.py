"""Messages that were published. A message is created by web/edge/publish_route.py."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.errors import NotFound
from tillbell.ids import made_at
from tillbell.model.endpoints import Endpoint, EndpointStatus
from tillbell.model.messages import Delivery, Message
from tillbell.rules.delivery.payload import RETENTION_DAYS_MAX, RETENTION_HOURS_MAX
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.storage.ports.as_clauses import with_message
from tillbell.storage.ports.outbound import AttemptFilter, DeliveryRow, Page
from tillbell.web.api.applications import ApplicationIn
from tillbell.web.api.endpoints import EndpointOut, shown_endpoint
from tillbell.web.api.filtered import FilterText, read_filter, search_limit, search_page
from tillbell.web.api.filters import MessageFilterOf, WithContent
from tillbell.web.api.paging import (
    AscendingPageOf,
    ListPage,
    PageOf,
    in_memory_page,
    list_page,
    row_id,
)
from tillbell.web.api.rendering import Doc, MessageOut, answer, delivery_status, message_doc
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    MessageId,
    resource,
)
from tillbell.web.api.shapes import (
    Decides,
    In,
    Label,
    Listed,
    Name,
    Out,
    Status,
    StatusText,
    Time,
)
from tillbell.web.api.tasks import TaskOut
from tillbell.web.edge.patterns import EVENT_TYPE

RetentionDays = Annotated[int, Field(strict=True, ge=1, le=RETENTION_DAYS_MAX)]
RetentionHours = Annotated[int, Field(strict=True, ge=1, le=RETENTION_HOURS_MAX)]


class TransformationsParamsIn(In):
    """Parameters of the payload, as Svix's SDKs send them. Other members have no effect."""

    raw_payload: str | None = Field(
        default=None, description="A text that subscribers get in place of `payload`, as it is."
    )
    headers: dict[str, Any] | None = Field(
        default=None,
        description="`content-type` is that of the requests; `application/json` if it is left out.",
    )


class MessageIn(In):
    """A message to publish. Its payload is stored and sent byte for byte."""

    # For the OpenAPI document; `MessageCreateBody` decodes it. A test compares the two.
    event_type: Annotated[str, Field(pattern=EVENT_TYPE, min_length=1, max_length=256)] = Field(
        description="What kind of fact it is, e.g. `order.paid`."
    )
    payload: dict[str, Any] = Field(
        description="What subscribers get, a JSON object. It is stored and sent byte for byte."
    )
    event_id: Name | None = Field(
        default=None, description="Your own id. Using it twice is refused with 409."
    )
    channels: list[Label] | None = Field(default=None, max_length=5)
    tags: list[Label] | None = Field(default=None, max_length=10)
    deliver_at: Time | None = Field(default=None, description="Within the next 24 hours.")
    order_key: Name | None = Field(
        default=None, description="For endpoints with `ordering`: one at a time for each key."
    )
    payload_retention_period: RetentionDays | None = Field(
        default=None, description="Days after which its payload is deleted."
    )
    payload_retention_hours: RetentionHours | None = Field(
        default=None, description="The same in hours; of the two, this one is used."
    )
    application: ApplicationIn | None = Field(
        default=None, description="Created first, if the application of the path does not exist."
    )
    transformations_params: TransformationsParamsIn | None = Field(
        default=None, description="A raw payload and its content type."
    )


class PublishedOut(MessageOut):
    """A message that has just been published."""

    deliveries: int = Field(description="How many deliveries it has.")


class PrecheckIn(In):
    """A message that is not published yet."""

    event_type: Name
    channels: list[Label] | None = Field(default=None, max_length=5)


class PrecheckOut(Out):
    """Whether any endpoint would receive it."""

    active: bool = Field(description="Whether an active endpoint would receive such a message.")


class BulkExpungeIn(In):
    """Messages whose payload is deleted."""

    ids: Annotated[list[Name], Decides()] = Field(
        default_factory=list, max_length=100, description="Ids or event ids of messages."
    )


class BulkExpungeOut(Out):
    """The result for each id: `expunged`, or `not-found` if there is no such payload any more."""

    results: dict[str, Literal["expunged", "not-found"]] = Field(
        description="What became of each id."
    )


class MessageEndpointOut(EndpointOut):
    """An endpoint with the status of one message there."""

    status: Status  # type: ignore[assignment]  # Svix's name for the message's status
    status_text: StatusText
    next_attempt: datetime | None


router = resource("/app/{app_id}/msg", "Message")


async def the_message(msg_id: MessageId, app: ApplicationOf, gateway: GatewayOf) -> Message:
    """Give the message of the path."""
    message = await gateway.database.message(app.id, msg_id)
    if message is None:
        raise NotFound("There is no such message.")
    return message


MessageOf = Annotated[Message, Depends(the_message)]


@router.get("", response_model=Listed[MessageOut])
async def list_(
    app: ApplicationOf,
    page: PageOf,
    filter_: MessageFilterOf,
    gateway: GatewayOf,
    text: FilterText = None,
    with_content: WithContent = True,
) -> Response:
    """List messages, newest first."""
    if text is None:
        messages = await list_page(
            lambda page: gateway.database.history.messages(app.id, filter_, page), page, row_id
        )
    else:
        listed = await read_filter(gateway, app.id, FilterList.MESSAGE, text)
        messages = await message_page(gateway, app.id, with_message(listed, filter_), page)
    docs = [
        await message_doc(gateway, message, with_content=with_content) for message in messages.rows
    ]
    return answer(messages.document(docs))


async def message_page(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> ListPage[Message]:
    """Return a page of the messages of an application that fit a filter; None: of all."""
    history = gateway.database.history
    return await search_page(
        lambda page, size: history.filtered_messages(scope, filter_, page, size),
        page,
        row_id,
        search_limit(filter_),
    )


@router.post("/precheck/active")
async def precheck(app: ApplicationOf, body: PrecheckIn, gateway: GatewayOf) -> PrecheckOut:
    """Tell whether any endpoint would receive such a message."""
    view = await gateway.config_cache.view(app.id)
    routes = view.routes(body.event_type, tuple(body.channels or ())) if view else ()
    return PrecheckOut(active=any(route.compiled.is_active for route in routes))


@router.post("/bulk-expunge")
async def bulk_expunge(
    app: ApplicationOf, body: BulkExpungeIn, gateway: GatewayOf
) -> BulkExpungeOut:
    """Delete the payloads of some messages. One that is deleted already is `not-found`."""
    results: dict[str, Literal["expunged", "not-found"]] = {}
    for id_ in dict.fromkeys(body.ids):
        is_expunged = await _expunge(gateway, app.id, id_)
        results[id_] = "expunged" if is_expunged else "not-found"
    return BulkExpungeOut(results=results)


@router.post("/expunge-all-contents", status_code=202)
async def expunge_all_contents(app: ApplicationOf, gateway: GatewayOf) -> TaskOut:
    """Delete the payloads of all messages published until now, in the background."""
    return TaskOut.of(await gateway.expunger.expunge_all(app.id))


@router.get("/{msg_id}", response_model=MessageOut)
async def get(
    message: MessageOf,
    gateway: GatewayOf,
    with_content: WithContent = True,
) -> Response:
    """Show a message. Its payload is as it was published."""
    return answer(await message_doc(gateway, message, with_content=with_content))


@router.delete("/{msg_id}/content", status_code=204, response_model=None)
async def expunge_content(message: MessageOf, gateway: GatewayOf) -> Response:
    """Delete a message's payload. It cannot be sent again after that."""
    await gateway.database.expunge(message.app_id, message.id)
    return Response(status_code=204)


@router.get("/{msg_id}/endpoint", response_model=Listed[MessageEndpointOut])
async def list_attempted_destinations(
    message: MessageOf, page: AscendingPageOf, gateway: GatewayOf
) -> Response:
    """List the endpoints of a message, oldest first, and its status at each.

    Of one that was deleted only the id and the URL of the last attempt are known.
    """
    deliveries = await gateway.database.deliveries_of_message(message.app_id, message.id)
    fates = await gateway.fates.of_open(DeliveryRow(each, message) for each in deliveries)
    docs = {}
    for delivery in deliveries:
        endpoint = await gateway.config_cache.endpoint(message.app_id, delivery.endpoint_id)
        if endpoint is None:
            endpoint = await _deleted_endpoint(gateway, delivery)
        docs[endpoint.id] = await _endpoint_doc(gateway, endpoint) | delivery_status(
            delivery, fates.get(delivery.id)
        )
    endpoints = in_memory_page(list(docs.values()), page, lambda doc: str(doc["id"]))
    return answer(endpoints.document(endpoints.rows))


async def _deleted_endpoint(gateway: Gateway, delivery: Delivery) -> Endpoint:
    """Return what is still known of an endpoint that was deleted."""
    of_delivery = AttemptFilter(message_id=delivery.message_id, endpoint_id=delivery.endpoint_id)
    attempts = await gateway.database.history.attempts(delivery.app_id, of_delivery, Page(limit=1))
    created_at = made_at(delivery.endpoint_id)
    return Endpoint(
        id=delivery.endpoint_id,
        url=attempts[0].url if attempts else "",
        status=EndpointStatus.DISABLED,
        status_reason="deleted",
        created_at=created_at,
        updated_at=created_at,
    )


async def _endpoint_doc(gateway: Gateway, endpoint: Endpoint) -> Doc:
    shown = await shown_endpoint(gateway, endpoint)
    document: Doc = msgspec.json.decode(shown.model_dump_json(by_alias=True))
    return document


async def _expunge(gateway: Gateway, app_id: str, id_: str) -> bool:
    """Delete the payload of a message; False if there is none, or no longer."""
    message = await gateway.database.message(app_id, id_)
    if message is None or await gateway.database.body(app_id, message.id) is None:
        return False
    return await gateway.database.expunge(app_id, message.id)
