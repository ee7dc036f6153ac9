"""Why a message has not arrived: at one endpoint, at all of them, or that of a transaction."""

from __future__ import annotations

from fastapi import Response
from pydantic import Field

from tillbell.errors import NotFound
from tillbell.model.messages import Message
from tillbell.rules.delivery.fate import Fate, FateCode
from tillbell.web.api.messages import MessageOf
from tillbell.web.api.rendering import Doc, FateOut, answer, fate_doc
from tillbell.web.api.routes import EndpointId, GatewayOf, resource
from tillbell.web.api.shapes import Out
from tillbell.web.api.transactions import TransactionOf


class EndpointFateOut(FateOut):
    """The fate of a message at one endpoint."""

    endpoint_id: str = Field(description="The endpoint; it may be deleted by now.")


class MessageFateOut(Out):
    """The fate of a message at every endpoint of its application."""

    msg_id: str
    event_type: str
    data: list[EndpointFateOut] = Field(description="One entry for each endpoint.")


class TransactionFateOut(FateOut):
    """The fate of the message of a transaction's latest step, at the most urgent endpoint."""

    msg_id: str | None = Field(description="null: the message is no longer kept.")
    event_type: str | None = Field(description="Its event type; null: it is no longer kept.")
    data: list[EndpointFateOut] = Field(description="One entry for each endpoint.")


router = resource("/app/{app_id}", "Why")

# Of several endpoints, the first of these is told.
_URGENCY = (
    FateCode.FAILED,
    FateCode.PAYLOAD_EXPIRED,
    FateCode.ENDPOINT_PAUSED,
    FateCode.CIRCUIT_OPEN,
    FateCode.ORDERED_BEHIND,
    FateCode.RETRYING,
    FateCode.RATE_LIMITED,
    FateCode.DELIVERED,
    FateCode.ENDPOINT_DISABLED,
    FateCode.CREATED_LATER,
    FateCode.FILTERED_CHANNEL,
    FateCode.FILTERED_PAYLOAD,
    FateCode.FILTERED_TYPE,
    FateCode.DELETED,
)
_NO_ENDPOINT = Fate(
    FateCode.FILTERED_TYPE, "The application has no endpoint. Add one, then resend."
)
_GONE = Fate(FateCode.PAYLOAD_EXPIRED, "The message of its latest step is no longer kept.")


@router.get(
    "/msg/{msg_id}/endpoint/{endpoint_id}/why",
    response_model=FateOut,
)
async def endpoint(message: MessageOf, endpoint_id: EndpointId, gateway: GatewayOf) -> Response:
    """Tell why a message has not reached an endpoint, or that it has, in a code and in words."""
    known = await gateway.config_cache.endpoint(message.app_id, endpoint_id)
    if known is None:
        fates = await gateway.fates.of_message(message)
        if endpoint_id not in fates:
            raise NotFound("There is no such endpoint.")
        return answer(fate_doc(fates[endpoint_id]))
    return answer(fate_doc(await gateway.fates.of(message, known.id)))


@router.get("/msg/{msg_id}/why", response_model=MessageFateOut)
async def message(message: MessageOf, gateway: GatewayOf) -> Response:
    """Tell of every endpoint why a message has not reached it, or that it has."""
    fates = await gateway.fates.of_message(message)
    return answer({"msgId": message.id, "eventType": message.event_type, "data": _docs(fates)})


@router.get(
    "/transaction/{transaction_id}/why",
    response_model=TransactionFateOut,
)
async def transaction(transaction: TransactionOf, gateway: GatewayOf) -> Response:
    """Tell why the message of a transaction's latest step has not arrived, or that it has."""
    transitions = await gateway.database.transitions(transaction.app_id, transaction.id)
    message_id = str(transitions[-1].details.get("messageId", ""))
    latest = await gateway.database.message(transaction.app_id, message_id)
    fates = await gateway.fates.of_message(latest) if latest is not None else {}
    return answer(_transaction_doc(latest, fates))


def _transaction_doc(message: Message | None, fates: dict[str, Fate]) -> Doc:
    most_urgent = min(
        fates.values(),
        key=lambda fate: _URGENCY.index(fate.code),
        default=_GONE if message is None else _NO_ENDPOINT,
    )
    return {
        **fate_doc(most_urgent),
        "msgId": message.id if message is not None else None,
        "eventType": message.event_type if message is not None else None,
        "data": _docs(fates),
    }


def _docs(fates: dict[str, Fate]) -> list[Doc]:
    return [{"endpointId": id_, **fate_doc(fate)} for id_, fate in fates.items()]
