"""Attempts: when each was made and how it ended; and sending a message again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, NamedTuple

from fastapi import Depends, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import iso
from tillbell.deliver.fanout import carrying
from tillbell.deliver.publish import MessageDraft, PublishReceipt
from tillbell.deliver.resend import refuse_stopped
from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.ids import attempt_cursor, read_attempt_cursor
from tillbell.model.messages import FAILURES, Attempt, Result
from tillbell.model.phases import phases_of
from tillbell.rules.delivery.headers import is_secret_header
from tillbell.rules.delivery.own_tags import edited_tags
from tillbell.rules.delivery.raw_payload import is_json_object
from tillbell.rules.filters.clauses import FilterList, ListFilter, one_of
from tillbell.storage.ports.as_clauses import with_result, with_started
from tillbell.storage.ports.outbound import AttemptFilter, MessageFilter, Page
from tillbell.web.api.endpoints import view_of_one
from tillbell.web.api.filtered import FilterText, read_filter, search_limit, search_page
from tillbell.web.api.filters import MessageFilterOf, WithContent, codes_of
from tillbell.web.api.messages import MessageOf
from tillbell.web.api.paging import ListPage, PageOf, list_page
from tillbell.web.api.rendering import (
    Doc,
    MessageOut,
    answer,
    delivery_status,
    message_doc,
    states_of,
    trigger_type,
)
from tillbell.web.api.routes import ApplicationOf, AttemptId, EndpointOf, GatewayOf, resource
from tillbell.web.api.shapes import (
    Decides,
    In,
    Listed,
    Out,
    Status,
    StatusCodeClass,
    StatusText,
    TriggerType,
    words,
)

PAYLOAD_MAX = 1_048_576  # characters that a person can edit


class EndpointMessageOut(MessageOut):
    """A message with its status at one endpoint."""

    status: Status
    status_text: StatusText
    next_attempt: datetime | None


class PhasesOut(Out):
    """Where the time of an attempt went, in milliseconds; null: it had no such phase."""

    wait: float = Field(description="For its turn, before it began: no part of its duration.")
    name: float | None = Field(description="Look-up of the host's name.")
    connect: float | None = Field(
        description="TCP, with the wait for a free connection; null: one was open already."
    )
    tls: float | None = Field(
        description="From the connection to the end of the TLS handshake; null: there was none."
    )
    first_byte: float | None = Field(
        description="From the request to the first byte of the answer; null: it was not sent."
    )
    read: float | None = Field(description="Reading of the answer to its end.")


class AttemptOut(Out):
    """One try to send a message."""

    id: str
    app_id: str
    msg_id: str
    endpoint_id: str
    delivery_id: str = Field(description="The delivery that this attempt belongs to.")
    url: str = Field(description="The address that was called.")
    number: int = Field(description="Counts the attempts of its delivery from 1.")
    status: Status
    status_text: StatusText
    trigger_type: TriggerType
    response: str = Field(
        description="First 16 KiB of the receiver's answer, as text; empty without content."
    )
    response_status_code: int = Field(
        description="Status that the receiver answered; 0: there was no answer."
    )
    response_duration_ms: int = Field(description="Milliseconds from connecting to the answer.")
    phases: PhasesOut | None = Field(
        description="Where the time went; null: nothing was sent, or it was not measured."
    )
    result: Result = Field(description="How it ended.")
    error: Annotated[str, words("", *FAILURES)] = Field(
        description='What failed, as a word for programs; "": it was answered.'
    )
    request_headers: dict[str, str] = Field(
        description="Headers that were sent, those that never differ left out; `***`: a secret."
    )
    response_headers: dict[str, str] = Field(
        description="Headers of the answer, of its first KiB; `***`: a secret."
    )
    detail: str = Field(
        description="One line for a person about what went wrong; empty if it was accepted."
    )
    timestamp: datetime = Field(description="When it began (UTC).")
    msg: MessageOut | None = Field(description="The message, with `with_msg=true`; else null.")


class AttemptDetailOut(AttemptOut):
    """One try to send a message, with the body that was sent."""

    request_body: str | None = Field(
        description="The body as it was sent, as text; null: it is deleted."
    )


class AttemptQuery(NamedTuple):
    """What attempts are filtered by, besides their messages."""

    status: Status | None
    status_code_class: StatusCodeClass | None


async def attempt_query(
    status: Annotated[Status | None, Query()] = None,
    status_code_class: Annotated[StatusCodeClass | None, Query()] = None,
) -> AttemptQuery:
    """Read a filter over attempts from the query."""
    return AttemptQuery(status, status_code_class)


AttemptQueryOf = Annotated[AttemptQuery, Depends(attempt_query)]


async def the_attempt(attempt_id: AttemptId, message: MessageOf, gateway: GatewayOf) -> Attempt:
    """Give the attempt of the path."""
    attempt = await gateway.database.attempt(message.app_id, attempt_id)
    if attempt is None or attempt.message_id != message.id:
        raise NotFound("There is no such attempt.")
    return attempt


AttemptOf = Annotated[Attempt, Depends(the_attempt)]


router = resource("/app/{app_id}", "Message Attempt")


async def _with_known_statuses(
    expanded_statuses: Annotated[
        bool | None,
        Query(description="The SDKs of Svix send it. Every status is shown, whatever it says."),
    ] = None,
) -> None:
    """Take a parameter that changes nothing here."""
    del expanded_statuses


KNOWN = [Depends(_with_known_statuses)]
ATTEMPTS = Listed[AttemptOut]


@router.get("/attempt/endpoint/{endpoint_id}", dependencies=KNOWN, response_model=ATTEMPTS)
async def list_by_endpoint(
    endpoint: EndpointOf,
    page: PageOf,
    filter_: MessageFilterOf,
    query: AttemptQueryOf,
    gateway: GatewayOf,
    text: FilterText = None,
    with_content: WithContent = True,
    with_msg: Annotated[bool, Query()] = False,
) -> Response:
    """List an endpoint's attempts by their start: the latest attempt is first."""
    if text is None:
        selection = _filter(filter_, query)._replace(endpoint_id=endpoint.id)
        attempts = await _attempts(gateway, endpoint.scope, selection, query, page)
    else:
        listed = await read_filter(gateway, endpoint.scope, FilterList.ATTEMPT, text)
        listed = _with_members(listed, filter_, query).and_(one_of("endpoint", endpoint.id))
        attempts = await attempt_page(gateway, endpoint.scope, listed, page)
    messages = await _messages(gateway, endpoint.scope, attempts.rows) if with_msg else {}
    docs = [
        attempt_doc(attempt, with_content=with_content, msg=messages.get(attempt.message_id))
        for attempt in attempts.rows
    ]
    return answer(attempts.document(docs))


@router.get(
    "/msg/{msg_id}/attempt",
    dependencies=KNOWN,
    response_model=ATTEMPTS,
    name="list-by-msg-old",
    description="List a message's attempts, newest first: the older path.",
    deprecated=True,
)
@router.get("/attempt/msg/{msg_id}", dependencies=KNOWN, response_model=ATTEMPTS)
async def list_by_msg(
    message: MessageOf,
    page: PageOf,
    filter_: MessageFilterOf,
    query: AttemptQueryOf,
    gateway: GatewayOf,
    endpoint_id: Annotated[str | None, Query(max_length=256)] = None,
    text: FilterText = None,
    with_content: WithContent = True,
) -> Response:
    """List a message's attempts by their start: the latest attempt is first."""
    selection = _filter(filter_, query)._replace(message_id=message.id)
    if endpoint_id is not None:
        endpoint = await gateway.config_cache.endpoint(message.app_id, endpoint_id)
        if endpoint is None:
            raise NotFound("There is no such endpoint.")
        selection = selection._replace(endpoint_id=endpoint.id)
    if text is None:
        attempts = await _attempts(gateway, message.app_id, selection, query, page)
    else:
        listed = await read_filter(gateway, message.app_id, FilterList.ATTEMPT, text)
        listed = _with_members(listed, filter_, query).and_(one_of("message", message.id))
        if selection.endpoint_id is not None:
            listed = listed.and_(one_of("endpoint", selection.endpoint_id))
        attempts = await attempt_page(gateway, message.app_id, listed, page)
    docs = [attempt_doc(attempt, with_content=with_content) for attempt in attempts.rows]
    return answer(attempts.document(docs))


@router.get(
    "/msg/{msg_id}/endpoint/{endpoint_id}/attempt",
    dependencies=KNOWN,
    response_model=ATTEMPTS,
    name="list-for-endpoint-old",
    deprecated=True,
)
async def list_for_endpoint(
    message: MessageOf,
    endpoint: EndpointOf,
    page: PageOf,
    filter_: MessageFilterOf,
    query: AttemptQueryOf,
    gateway: GatewayOf,
    text: FilterText = None,
    with_content: WithContent = True,
) -> Response:
    """List a message's attempts at an endpoint, newest first."""
    return await list_by_msg(
        message, page, filter_, query, gateway, endpoint.id, text, with_content=with_content
    )


@router.get(
    "/endpoint/{endpoint_id}/msg",
    dependencies=KNOWN,
    response_model=Listed[EndpointMessageOut],
)
async def list_attempted_messages(
    endpoint: EndpointOf,
    page: PageOf,
    filter_: MessageFilterOf,
    gateway: GatewayOf,
    status: Annotated[Status | None, Query()] = None,
    with_content: WithContent = True,
) -> Response:
    """List the messages for an endpoint, and the status of each there."""
    states = states_of(status)
    deliveries = await list_page(
        lambda page: gateway.database.history.deliveries_of_endpoint(
            endpoint.scope, endpoint.id, filter_, states, page
        ),
        page,
        lambda row: row.delivery.id,
    )
    fates = await gateway.fates.of_open(deliveries.rows)
    docs = [
        await message_doc(gateway, row.message, with_content=with_content)
        | delivery_status(row.delivery, fates.get(row.delivery.id))
        for row in deliveries.rows
    ]
    return answer(deliveries.document(docs))


@router.get(
    "/msg/{msg_id}/attempt/{attempt_id}", dependencies=KNOWN, response_model=AttemptDetailOut
)
async def get(attempt: AttemptOf, gateway: GatewayOf) -> Response:
    """Show an attempt with what was sent and the answer of the receiver."""
    row = await gateway.database.delivery(attempt.app_id, attempt.delivery_id)
    body = None
    if row is not None:
        variant = row.delivery.variant
        body = await gateway.database.body(attempt.app_id, attempt.message_id, variant)
    text = body.decode("utf-8", "replace") if body is not None else None
    return answer(attempt_doc(attempt, with_content=True) | {"requestBody": text})


@router.delete(
    "/msg/{msg_id}/attempt/{attempt_id}/content",
    status_code=204,
    response_model=None,
)
async def expunge_content(attempt: AttemptOf, gateway: GatewayOf) -> Response:
    """Delete the stored answer of the receiver to an attempt."""
    await gateway.database.expunge_attempt(attempt.app_id, attempt.id)
    return Response(status_code=204)


@router.post(
    "/msg/{msg_id}/endpoint/{endpoint_id}/resend",
    status_code=202,
    response_model=dict[str, str],
    responses={201: {"model": dict[str, str], "description": "It is sent for the first time."}},
)
async def resend(message: MessageOf, endpoint: EndpointOf, gateway: GatewayOf) -> Response:
    """Send a message to an endpoint again (202), or for the first time (201).

    It is sent whatever event types and channels the endpoint asks for. 409 if the endpoint is
    disabled or paused, or `filtered_payload` if its `filter` leaves the payload out;
    400 `missing_payload` if the payload was deleted.
    """
    is_first = await gateway.delivery_resender.resend(message.app_id, message.id, endpoint.id)
    return answer({}, 201 if is_first else 202)


class EditedIn(In):
    """A payload that a person has changed."""

    payload: Annotated[str, Field(min_length=1, max_length=PAYLOAD_MAX), Decides()] = Field(
        description="The new payload as text, byte for byte as it is sent."
    )


@router.post(
    "/msg/{msg_id}/endpoint/{endpoint_id}/send-edited",
    status_code=202,
    response_model=None,
    responses={202: {"model": MessageOut}},
)
async def send_edited(
    app: ApplicationOf, message: MessageOf, endpoint: EndpointOf, body: EditedIn, gateway: GatewayOf
) -> Response:
    """Send a message with another payload to one endpoint alone, whatever its filters say.

    It is a message of its own, with the event type, channels and order key of the first. Its tags
    `tillbell-edited` and `tillbell-edited:<id>` say where it comes from, and no poller reads it.
    409 `not_in_profile` if the endpoint's profile has no such event, or cannot carry the payload.
    """
    refuse_stopped(endpoint)
    payload = body.payload.encode()
    if message.content_type is None and not is_json_object(payload):
        raise Invalid(Problem(("body", "payload"), "must be a JSON object", "json"))
    view = await view_of_one(gateway, app, endpoint)
    if not carrying(view.routes(message.event_type, message.channels), message, payload):
        raise ConflictError(
            f"The profile {endpoint.profile} has no event for {message.event_type}, or cannot "
            "carry this payload.",
            code="not_in_profile",
        )
    draft = MessageDraft(
        message.event_type,
        payload,
        channels=message.channels,
        tags=edited_tags(message.id),
        order_key=message.order_key,
        content_type=message.content_type,
    )
    published = await gateway.publisher.publish_for(view, draft)
    assert isinstance(published, PublishReceipt)
    return answer(await message_doc(gateway, published.message, with_content=True), 202)


def _with_members(filter_: ListFilter, messages: MessageFilter, query: AttemptQuery) -> ListFilter:
    is_accepted = None if query.status is None else query.status is Status.SUCCESS
    codes = codes_of(query.status_code_class)
    return with_result(with_started(filter_, messages), is_accepted=is_accepted, codes=codes)


async def attempt_page(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> ListPage[Attempt]:
    """Return a page of the attempts of an application (None: of all) by their start."""
    page = await _placed(gateway, scope, page)
    history = gateway.database.history
    return await search_page(
        lambda page, size: history.filtered_attempts(scope, filter_, page, size),
        page,
        place,
        search_limit(filter_),
    )


def place(attempt: Attempt) -> str:
    """Return where an attempt stands in a list by time."""
    return attempt_cursor(attempt.id, attempt.started_at)


def _filter(messages: MessageFilter, query: AttemptQuery) -> AttemptFilter:
    succeeded = {None: None, Status.SUCCESS: True}.get(query.status, False)
    return AttemptFilter(
        succeeded=succeeded,
        status_codes=codes_of(query.status_code_class),
        event_types=messages.event_types,
        channel=messages.channel,
        tag=messages.tag,
        before=messages.before,
        after=messages.after,
    )


async def _attempts(
    gateway: Gateway, app_id: str, selection: AttemptFilter, query: AttemptQuery, page: Page
) -> ListPage[Attempt]:
    """Fetch one page of attempts.

    An attempt is stored when it has ended, with success or not: other statuses have none.
    """

    async def fetch(page: Page) -> list[Attempt]:
        if query.status not in (None, Status.SUCCESS, Status.FAIL):
            return []
        return await gateway.database.history.attempts(app_id, selection, page)

    return await list_page(fetch, await _placed(gateway, app_id, page), place)


async def _placed(gateway: Gateway, scope: str | None, page: Page) -> Page:
    """Return a page whose iterator is a place in a list by time.

    An attempt's id means its place: clients of Svix make iterators of ids. `Invalid` for another.
    """
    if page.iterator is None:
        return page
    with suppress(ValueError):
        read_attempt_cursor(page.iterator)
        return page
    by_id = ListFilter((one_of("id", page.iterator),))
    named = await gateway.database.filtered_attempts(scope, by_id, Page(limit=1), 1)
    if not named.rows:
        problem = "is not of this list; pass `iterator` or `prevIterator` of one of its pages"
        raise Invalid(Problem(("query", "iterator"), problem, "iterator"))
    return page._replace(iterator=place(named.rows[0]))


async def _messages(gateway: Gateway, app_id: str, attempts: Sequence[Attempt]) -> dict[str, Doc]:
    """Return the messages of these attempts as JSON, by id."""
    docs: dict[str, Doc] = {}
    for id_ in {attempt.message_id for attempt in attempts}:
        message = await gateway.database.message(app_id, id_)
        if message is not None:
            docs[id_] = await message_doc(gateway, message, with_content=True)
    return docs


def _answer_lines(attempt: Attempt) -> str:
    """Return the header lines of the answer, as far as they were kept."""
    head, _, _ = attempt.answer_head.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[2].decode("latin-1")


def header_lines(text: str) -> dict[str, str]:
    """Return header lines by name, without the values of secret ones; a repeated one is joined."""
    headers: dict[str, str] = {}
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            continue
        shown = "***" if is_secret_header(name) else value.strip()
        headers[name] = f"{headers[name]}, {shown}" if name in headers else shown
    return headers


def _phases_doc(attempt: Attempt) -> Doc | None:
    """Return where the time of an attempt went, by the names of `PhasesOut`."""
    phases = phases_of(attempt)
    if phases is None:
        return None
    names = ("name", "connect", "tls", "firstByte", "read")
    took = (phases.name, phases.connect, phases.tls, phases.first, phases.read)
    milliseconds = {
        name: micros / 1000 if micros else None for name, micros in zip(names, took, strict=True)
    }
    return {"wait": phases.wait / 1000, **milliseconds}


def attempt_doc(attempt: Attempt, *, with_content: bool, msg: Doc | None = None) -> Doc:
    """Return an attempt by the names of `AttemptOut`; with its answer if `with_content`."""
    status = Status.SUCCESS if attempt.result is Result.ACCEPTED else Status.FAIL
    return {
        "id": attempt.id,
        "appId": attempt.app_id,
        "msgId": attempt.message_id,
        "endpointId": attempt.endpoint_id,
        "deliveryId": attempt.delivery_id,
        "url": attempt.url,
        "number": attempt.number,
        "status": status,
        "statusText": status.name.lower(),
        "triggerType": trigger_type(attempt.trigger),
        "response": attempt.response.decode("utf-8", "replace") if with_content else "",
        "responseStatusCode": attempt.status_code,
        "responseDurationMs": attempt.duration_us // 1000,
        "phases": _phases_doc(attempt),
        "result": attempt.result.value,
        "error": attempt.error,
        "requestHeaders": header_lines(attempt.sent_headers),
        "responseHeaders": header_lines(_answer_lines(attempt)) if with_content else {},
        "detail": attempt.detail,
        "timestamp": iso(attempt.started_at),
        "msg": msg,
    }
