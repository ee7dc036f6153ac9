"""Why a message has not arrived: at one endpoint, at all of them, or that of a transaction."""

from __future__ import annotations

from datetime import datetime

from fastapi import Response
from pydantic import Field

from tillbell.clock import iso
from tillbell.deliver.fates import FilterCheck
from tillbell.errors import NotFound
from tillbell.model.messages import Message
from tillbell.process.transaction_story import TransactionStory, transaction_story
from tillbell.rules.delivery.endpoint_standing import EndpointCode, endpoint_standing
from tillbell.rules.delivery.fate import Fate, FateCode
from tillbell.rules.payments.standing import StandingCode
from tillbell.rules.payments.story import StepKind, StoryStep
from tillbell.web.api.endpoint_health import health_of
from tillbell.web.api.messages import MessageOf
from tillbell.web.api.rendering import Doc, FateOut, answer, fate_doc, iso_or_none
from tillbell.web.api.routes import EndpointId, EndpointOf, GatewayOf, resource
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


class FilterCheckOut(Out):
    """Whether an endpoint, as it is set now, takes a message."""

    event_type: bool = Field(description="Whether it takes the event type.")
    channel: bool = Field(description="Whether it takes one of the channels of the message.")
    profile: bool = Field(description="Whether its profile has a format for the event type.")
    payload: bool = Field(description="Whether the payload meets its `filter`, or it has none.")
    payload_text: str | None = Field(
        description="The first condition that the payload does not meet, in words; null: it does."
    )


class FateAtEndpointOut(FateOut):
    """The fate of a message at an endpoint, and whether the endpoint would take it now."""

    takes: FilterCheckOut | None = Field(
        description="What the filters of the endpoint say of it now; null: it is deleted."
    )


class EndpointStandingOut(Out):
    """How an endpoint stands, why, and what to do."""

    code: EndpointCode = Field(description="How it stands, for programs.")
    text: str = Field(description="What is true of it and what to do, for a person.")
    since: datetime | None = Field(description="Since when that is so (UTC), if it is known.")
    next_at: datetime | None = Field(
        description="When the next probe is sent (UTC); null: its breaker is closed."
    )


class StandingOut(Out):
    """What is true of a transaction, what is missing, and what to do."""

    code: StandingCode = Field(description="What is true of it.")
    text: str = Field(description="What is true, and what to do, in words.")
    missing: list[str] = Field(description="What is not known, or has not come yet, in words.")
    next_at: datetime | None = Field(
        description="When its provider is asked next (UTC); null: it is not asked by itself."
    )


class StoryStepOut(Out):
    """One step of the story of a transaction: who told us what, and what became of it."""

    at: datetime = Field(description="When it happened (UTC).")
    kind: StepKind = Field(description="What it is.")
    title: str = Field(description="Who did or said what, in words.")
    text: str = Field(description="How it was believed, and why.")
    word: str | None = Field(
        description="The status, outcome or state that it led to; null: to none."
    )
    changed: bool = Field(description="Whether it changed something; else it was only heard.")
    callback_id: str | None
    msg_id: str | None = Field(description="The message that was published; null: none.")
    transaction_id: str | None = Field(description="The linked transaction; null: none.")
    conflict_id: str | None = Field(description="The conflict that it is about; null: none.")


class TransactionFateOut(FateOut):
    """The fate of the message of a transaction's latest step, and the story of the transaction."""

    standing: StandingOut = Field(description="What is true of it, and what is missing.")
    steps: list[StoryStepOut] = Field(
        description="What happened, oldest first, with the latest 250 callbacks at most."
    )

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
    FateCode.HELD,
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
    response_model=FateAtEndpointOut,
)
async def endpoint(message: MessageOf, endpoint_id: EndpointId, gateway: GatewayOf) -> Response:
    """Tell why a message has not reached an endpoint, or that it has, in a code and in words."""
    known = await gateway.config_cache.endpoint(message.app_id, endpoint_id)
    if known is None:
        fates = await gateway.fates.of_message(message)
        if endpoint_id not in fates:
            raise NotFound("There is no such endpoint.")
        return answer({**fate_doc(fates[endpoint_id]), "takes": None})
    fate = await gateway.fates.of(message, known.id)
    check = await gateway.fates.filter_check(message, known.id)
    return answer({**fate_doc(fate), "takes": _check_doc(check)})


@router.get("/endpoint/{endpoint_id}/why", response_model=EndpointStandingOut)
async def standing(endpoint: EndpointOf, gateway: GatewayOf) -> Response:
    """Tell how an endpoint stands: healthy, failing, stopped, paused or disabled, and why."""
    health = await health_of(gateway, endpoint)
    shown = endpoint_standing(endpoint, health, gateway.clock.now())
    return answer(
        {
            "code": shown.code,
            "text": shown.text,
            "since": iso_or_none(shown.since),
            "nextAt": iso_or_none(shown.next_at),
        }
    )


def _check_doc(check: FilterCheck | None) -> Doc | None:
    if check is None:
        return None
    return {
        "eventType": check.event_type,
        "channel": check.channel,
        "profile": check.profile,
        "payload": check.payload,
        "payloadText": check.payload_text,
    }


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
    """Tell who said what about a transaction, what was believed and why, and what is missing.

    `code`, `text` and `data` tell whether the message of its latest step has arrived.
    """
    story = await transaction_story(gateway.database, gateway.source_cache.name, transaction)
    message_id = str(story.transitions[-1].details.get("messageId", ""))
    latest = await gateway.database.message(transaction.app_id, message_id)
    fates = await gateway.fates.of_message(latest) if latest is not None else {}
    return answer({**_transaction_doc(latest, fates), **_story_doc(story)})


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


def _story_doc(story: TransactionStory) -> Doc:
    standing = story.standing
    return {
        "standing": {
            "code": standing.code,
            "text": standing.text,
            "missing": list(standing.missing),
            "nextAt": iso_or_none(standing.next_at),
        },
        "steps": [_step_doc(step) for step in story.steps],
    }


def _step_doc(step: StoryStep) -> Doc:
    return {
        "at": iso(step.at),
        "kind": step.kind,
        "title": step.title,
        "text": step.text,
        "word": step.word or None,
        "changed": step.is_change,
        "callbackId": step.callback_id,
        "msgId": step.message_id,
        "transactionId": step.transaction_id,
        "conflictId": step.conflict_id,
    }


def _docs(fates: dict[str, Fate]) -> list[Doc]:
    return [{"endpointId": id_, **fate_doc(fate)} for id_, fate in fates.items()]
