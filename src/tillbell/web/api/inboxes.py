"""Inboxes: URLs that keep every request as it came, for a first look and for test suites."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.configure.inbox_checks import (
    BODY_MAX,
    DELAY_MAX_MS,
    REQUESTS_MAX,
    RETENTION_DAYS_MAX,
)
from tillbell.configure.inbox_proof import ClaimedSender, compiled_sender, read_by
from tillbell.configure.sources import SourceChanges
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.inboxes import Inbox, InboxRequest, InboxTotals
from tillbell.receive.inbox_requests import OpenedRequest
from tillbell.receive.source_cache import CompiledSource
from tillbell.storage.ports.inboxes import InboxFilter
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.filters import instant
from tillbell.web.api.masked_callback import ReadingOut, reading_out
from tillbell.web.api.paging import ListPage, OrderedPageOf, in_memory_page, list_page, row_id
from tillbell.web.api.routes import GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import (
    Decides,
    Flag,
    In,
    Listed,
    Name,
    Out,
    Time,
    TrustText,
    Uid,
    optional_time,
)
from tillbell.web.api.sources import Config, SecretText, SourceOut, source_out
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.auth import Principal
from tillbell.web.edge.patterns import UID

WAIT_MAX_MS = 30_000
LISTED_BODY_MAX = 16_384  # bytes of a body that a list shows
BODY_HEADERS = {
    "content-disposition": 'attachment; filename="{}.bin"',
    "content-security-policy": "default-src 'none'; sandbox",
}
Scheme = Literal["standard-webhooks", "svix", "stripe", "hmac"]
_PROVIDER_OF = {"standard-webhooks": "standardwebhooks", "svix": "standardwebhooks"}

AnswerHeaders = Annotated[dict[str, str], Field(max_length=20)]


class InboxAnswerIn(In):
    """What an inbox answers. A member that is left out stays, or is as it is described."""

    status: Annotated[int, Field(strict=True, ge=200, le=599)] | None = Field(
        default=None, description="Status code; 200 at first."
    )
    delay_ms: Annotated[int, Field(strict=True, ge=0, le=DELAY_MAX_MS)] | None = Field(
        default=None,
        description=(
            "How long it waits before it answers, in milliseconds. If more than 20 answers of one "
            "inbox wait, others come at once, with the header `X-Inbox-Delay: skipped`."
        ),
    )
    headers: AnswerHeaders | None = Field(
        default=None,
        description=(
            "More headers: Access-Control-…, RateLimit…, Webhook-…, X-…, Allow, "
            "Content-Language, ETag, Last-Modified, Retry-After, Warning. No others may be set."
        ),
    )
    content_type: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="`text/plain; charset=utf-8` at first."
    )
    body: Annotated[str, Field(max_length=BODY_MAX)] | None = Field(
        default=None, description="Empty at first."
    )

    def fields(self) -> dict[str, Any]:
        """Return the named members as fields of the record."""
        named = self.model_dump(exclude_none=True)
        if "headers" in named:
            named["headers"] = tuple(named["headers"].items())
        return {f"answer_{name}": value for name, value in named.items()}


class InboxFields(In):
    """Members of every body about an inbox. A member that is left out is not the same as null."""

    answer: InboxAnswerIn | None = Field(
        default=None, description="What it answers to every request: 200 with no body at first."
    )
    requests_max: Annotated[int, Field(strict=True, ge=1, le=REQUESTS_MAX)] | None = Field(
        default=None,
        description=(
            "How many requests are stored, 200 at first. The oldest go for newer ones, also when "
            "their bodies have more than 64 MiB together."
        ),
    )
    retention_days: Annotated[int, Field(strict=True, ge=1, le=RETENTION_DAYS_MAX)] | None = Field(
        default=None, description="How long a request that comes from now on is stored; 7 at first."
    )
    expires_at: Time | None = Field(
        default=None, description="When the inbox is deleted with its requests; null: never."
    )

    def fields(self) -> dict[str, Any]:
        """Return the named members as fields of the record; what is left out stays."""
        fields: dict[str, Any] = self.answer.fields() if self.answer is not None else {}
        for name in ("requests_max", "retention_days"):
            if getattr(self, name) is not None:
                fields[name] = getattr(self, name)
        if "expires_at" in self.model_fields_set:
            fields["expires_at"] = instant(self.expires_at)
        return fields


class InboxIn(InboxFields):
    """A new inbox."""

    name: Name = Field(default="Inbox", description="A name for people.")
    app_id: Annotated[Name, Decides()] | None = Field(
        default=None,
        description=(
            "Id or uid of the application that it belongs to; null: to none, so that only who sees "
            "all applications sees it. A key of one application makes its own inboxes only."
        ),
    )


class InboxPatch(InboxFields):
    """Changes to an inbox. Of `answer` only the named members change."""

    name: Name | None = Field(default=None, description="A name for people.")


class InboxAnswerOut(Out):
    """What an inbox answers."""

    status: int = Field(description="The HTTP status code of the answer.")
    delay_ms: int = Field(description="How long it waits before it answers, in milliseconds.")
    headers: dict[str, str] = Field(description="Headers beside those that Tillbell sets.")
    content_type: str = Field(description="Media type of the body.")
    body: str = Field(description="The body as text; empty: it has none.")


class InboxOut(Out):
    """An inbox."""

    id: str
    name: str = Field(description="A name for people.")
    app_id: str | None = Field(description="The application that it belongs to; null: to none.")
    url: str = Field(
        description=(
            "Requests to this URL, and to every path below it, are stored, with any method. "
            "Whoever knows it can send to it, and can read nothing."
        )
    )
    answer: InboxAnswerOut = Field(description="What it answers to every request.")
    requests_max: int = Field(description="How many requests are stored; the oldest go first.")
    retention_days: int = Field(description="How long each request is stored.")
    expires_at: datetime | None = Field(description="When the inbox is deleted; null: never.")
    received: int = Field(description="Requests that have come, also those that are deleted.")
    dropped: int = Field(description="Of these: those that went to make room for newer ones.")
    version: int = Field(description="Raised by every change.")
    created_at: datetime
    updated_at: datetime


class InboxRequestOut(Out):
    """A request as it came."""

    id: str
    inbox_id: str = Field(description="The inbox to which it came.")
    number: int = Field(description="Counts the requests of the inbox from 1, without gaps.")
    received_at: datetime = Field(description="When it came (UTC).")
    method: str = Field(description="HTTP method of the request.")
    target: str = Field(description="Path and query as they were sent.")
    path: str = Field(description="What stands behind the inbox's URL: `/orders`, or nothing.")
    query: str = Field(description="The query as it was sent, without the question mark.")
    headers: list[list[str]] = Field(
        description="Name and value of each line, in the order and the spelling in which they came."
    )
    address: str = Field(description="Address of the client, as trusted proxies report it.")
    size: int = Field(description="Length of the body in bytes.")
    body: str | None = Field(
        description=(
            "The body as text; null if it is not UTF-8, or in a list if it has more than 16 KiB. "
            "`GET …/body` has the bytes."
        )
    )
    body_base64: str | None = Field(description="The body in base64 if it is not UTF-8.")


class HmacIn(In):
    """An HMAC over the body, or over a text that a template makes of the request."""

    header: Annotated[str, Field(max_length=128, description="The header that holds it.")]
    algorithm: Literal["sha256", "sha512", "sha384", "sha1"] = Field(
        default="sha256", description="The hash that is keyed."
    )
    output: Literal["hex", "base64", "base64url"] = Field(
        default="hex", description="How the signature is written."
    )
    key: Literal["utf8", "hex", "base64", "whsec"] = Field(
        default="utf8", description="How the secret is written."
    )
    prefix: Annotated[str, Field(max_length=64)] = Field(
        default="", description="What stands before it in the header: `sha256=`."
    )
    template: Annotated[str, Field(max_length=512)] = Field(
        default="{body}",
        description="What is signed, as docs/providers.md#custom says: `{timestamp}.{body}`.",
    )
    timestamp_header: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The header with the signed Unix second, if there is one."
    )


class VerifyIn(In):
    """By whom the request may have been sent: `scheme`, `provider` or `sourceId`."""

    scheme: Annotated[Scheme, Decides()] | None = Field(
        default=None, description="A way to sign, with `secret`."
    )
    secret: SecretText | None = Field(
        default=None, description="The secret of `scheme`. It is used once, and not stored."
    )
    hmac: HmacIn | None = Field(default=None, description="Where the signature of `hmac` stands.")
    provider: Annotated[Name, Decides()] | None = Field(
        default=None, description="A provider, with `secrets` and `config` as a source has them."
    )
    secrets: Annotated[list[SecretText], Field(max_length=5)] = Field(
        default_factory=list, description="Used once, and not stored."
    )
    config: Config = Field(default_factory=dict, description="Settings of the provider's adapter.")
    source_id: Annotated[Uid, Decides()] | None = Field(
        default=None, description="Id or uid of a source, by whose secrets it is verified."
    )


class VerifyOut(Out):
    """Whether a request is genuine."""

    genuine: bool = Field(description="Whether only who knows the secret can have sent it.")
    trust: TrustText | None = Field(description="How well it proves its sender; null: refused.")
    why: str = Field(description="Why, in words; it holds no secret and no expected signature.")
    verified_at: datetime = Field(description="The time by which signed times were judged.")
    reading: ReadingOut | None = Field(
        description="What a source would read in it; null where only a signature was verified."
    )


class PromoteIn(In):
    """The source that an inbox becomes."""

    app_id: Annotated[Name, Decides()] | None = Field(
        default=None, description="Its application, if the inbox belongs to none."
    )
    provider: Annotated[Name, Decides()] = Field(description="As `GET /provider` lists it.")
    name: Name | None = Field(default=None, description="A name for people; that of the inbox.")
    uid: Uid | None = Field(default=None, description="Your own name for the source.")
    secrets: Annotated[list[SecretText], Field(max_length=5)] = Field(
        default_factory=list, description="The current one first. They are never shown again."
    )
    config: Config = Field(default_factory=dict, description="Settings of the provider's adapter.")
    replay: Flag = Field(
        default=False,
        description=(
            "Whether the source receives what the inbox holds, in order, as if it had come there. "
            "Genuine callbacks are processed, and may move money."
        ),
    )


class PromoteOut(Out):
    """A new source, and what it made of the stored requests."""

    source: SourceOut = Field(description="The new source, with the URL for the provider.")
    callbacks: int = Field(description="Requests that the source received.")
    refused: int = Field(description="Of these: those that did not prove their sender.")
    skipped: int = Field(description="Requests of a method that the provider does not use.")
    why: str = Field(description="Why the last of the refused ones was refused; empty: none was.")


class ClearOut(Out):
    """What was deleted."""

    deleted: int = Field(description="How many requests were deleted.")


router = resource("/inbox", "Inbox")


async def the_inbox(
    inbox_id: Annotated[str, Path(description="The inbox: its id.", pattern=UID, max_length=64)],
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> Inbox:
    """Give the inbox of the path, if it exists for the key."""
    return find_inbox(gateway, principal, inbox_id)


InboxOf = Annotated[Inbox, Depends(the_inbox)]


def find_inbox(gateway: Gateway, principal: Principal, inbox_id: str) -> Inbox:
    """Return an inbox. `NotFound` if it does not exist, or not for this key."""
    inbox = gateway.inbox_cache.find(inbox_id, principal.key.app_id)
    if inbox is None:
        raise NotFound("There is no such inbox.")
    return inbox


async def the_request(
    request_id: Annotated[
        str, Path(description="The request, by its id.", pattern=UID, max_length=64)
    ],
    inbox: InboxOf,
    gateway: GatewayOf,
) -> OpenedRequest:
    """Give the request of the path, opened."""
    return await open_request_of(gateway, inbox, request_id)


RequestOf = Annotated[OpenedRequest, Depends(the_request)]


async def open_request_of(gateway: Gateway, inbox: Inbox, request_id: str) -> OpenedRequest:
    """Return a request of an inbox with its body. `NotFound` if it is not stored (any more)."""
    row = await gateway.database.inbox_request(inbox.id, request_id)
    if row is None:
        raise NotFound("There is no such request: it never came, or it was deleted.")
    return gateway.inbox_intake.opened(row)


# ── inboxes ──────────────────────────────────────────────────────────────────────────────────────


@router.post("", status_code=201)
async def create(body: InboxIn, gateway: GatewayOf, principal: PrincipalOf) -> InboxOut:
    """Make an inbox. The answer has its URL: what is sent there is kept from then on."""
    app_id = await _place(body.app_id, gateway, principal)
    fields = body.fields() | {"name": body.name}
    inbox = await gateway.inbox_settings.create(app_id, fields)
    return inbox_out(gateway, inbox, InboxTotals())


@router.get("")
async def list_(
    page: OrderedPageOf, gateway: GatewayOf, principal: PrincipalOf
) -> Listed[InboxOut]:
    """List inboxes, newest first."""
    inboxes = gateway.inbox_cache.of_scope(principal.key.app_id)
    cut = in_memory_page(inboxes, page, row_id)
    return cut.showing(await inboxes_out(gateway, cut.rows))


@router.get("/{inbox_id}")
async def get(inbox: InboxOf, gateway: GatewayOf) -> InboxOut:
    """Show an inbox."""
    (shown,) = await inboxes_out(gateway, [inbox])
    return shown


@router.patch("/{inbox_id}")
async def patch(inbox: InboxOf, body: InboxPatch, gateway: GatewayOf) -> InboxOut:
    """Change the named members of an inbox: what it answers, from the next request on."""
    fields = body.fields()
    if body.name is not None:
        fields["name"] = body.name
    changed = await gateway.inbox_settings.patch(inbox, fields)
    (shown,) = await inboxes_out(gateway, [changed])
    return shown


@router.delete("/{inbox_id}", status_code=204, response_model=None)
async def delete(inbox: InboxOf, gateway: GatewayOf) -> Response:
    """Delete an inbox with its requests. Its URL stops working."""
    await gateway.inbox_settings.remove(inbox)
    return Response(status_code=204)


# ── its requests ─────────────────────────────────────────────────────────────────────────────────


@router.get("/{inbox_id}/request")
async def list_requests(
    inbox: InboxOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    since: Annotated[Time | None, Query(description="Only those that came then or later.")] = None,
    wait_ms: Annotated[
        int,
        Query(
            ge=0,
            le=WAIT_MAX_MS,
            description=(
                "If there is none yet, wait for one, so many milliseconds at most. With "
                "`order=ascending` and the `iterator` of the answer before it waits for the next."
            ),
        ),
    ] = 0,
) -> Listed[InboxRequestOut]:
    """List the requests that came, newest first."""
    filter_ = InboxFilter(since=instant(since), body_max=LISTED_BODY_MAX)
    rows = await request_page(gateway, inbox, filter_, page)
    if not rows.rows and wait_ms:
        rows = await _awaited(gateway, inbox, filter_, page, wait_ms / 1000)
    return rows.showing([request_out(gateway.inbox_intake.opened(row)) for row in rows.rows])


async def request_page(
    gateway: Gateway, inbox: Inbox, filter_: InboxFilter, page: Page
) -> ListPage[InboxRequest]:
    """Return a page of the requests of an inbox."""
    database = gateway.database
    return await list_page(
        lambda page: database.inbox_requests(inbox.id, filter_, page), page, row_id
    )


async def _awaited(
    gateway: Gateway, inbox: Inbox, filter_: InboxFilter, page: Page, wait_s: float
) -> ListPage[InboxRequest]:
    """Return a page as soon as it has a row, or when the time is over."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + wait_s
    with gateway.inbox_news.watching(inbox.id) as watch:
        while True:
            rows = await request_page(gateway, inbox, filter_, page)
            remaining_s = ends_at - loop.time()
            if rows.rows or remaining_s <= 0 or watch.is_ended:
                return rows
            await watch.wait(remaining_s)


@router.delete("/{inbox_id}/request")
async def clear(inbox: InboxOf, gateway: GatewayOf) -> ClearOut:
    """Delete all requests of an inbox. Its URL and its answer stay."""
    return ClearOut(deleted=await gateway.database.clear_inbox(inbox.id))


@router.get("/{inbox_id}/request/{request_id}")
async def get_request(request: RequestOf) -> InboxRequestOut:
    """Show a request with its whole body."""
    return request_out(request)


@router.get(
    "/{inbox_id}/request/{request_id}/body",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes as they came.",
            "content": {
                "application/octet-stream": {"schema": {"type": "string"}, "example": "id=1001"}
            },
        }
    },
)
async def get_body(request: RequestOf) -> Response:
    """Return the body of a request, byte for byte, as a file."""
    return body_response(request)


def body_response(request: OpenedRequest) -> Response:
    """Return a body as a file that no browser shows or runs."""
    headers = {name: value.format(request.row.id) for name, value in BODY_HEADERS.items()}
    return Response(request.body, headers=headers, media_type="application/octet-stream")


@router.post("/{inbox_id}/request/{request_id}/verify")
async def verify(
    inbox: InboxOf, request: RequestOf, body: VerifyIn, gateway: GatewayOf, principal: PrincipalOf
) -> VerifyOut:
    """Tell whether a request is genuine: signed by a scheme, a provider or a source of yours.

    Signed times are judged by the time at which it came. Nothing is stored, and nothing follows.
    """
    compiled = await _sender(gateway, inbox, body, principal)
    incoming = request.incoming(origin_of(gateway))
    reading = await read_by(compiled, incoming, only_verify=body.scheme is not None)
    return VerifyOut(
        genuine=reading.is_proven,
        trust=reading.trust.word if reading.trust is not None else None,
        why=reading.verdict_why,
        verified_at=to_datetime(request.row.received_at),
        reading=reading_out(reading) if body.scheme is None else None,
    )


@router.post("/{inbox_id}/promote", status_code=201)
async def promote(
    inbox: InboxOf, body: PromoteIn, gateway: GatewayOf, principal: PrincipalOf
) -> PromoteOut:
    """Make a source of a provider for what comes to an inbox, and answer the source's URL.

    It needs the right to make sources too. The inbox stays, and its URL goes on to keep requests.
    """
    principal.require(ACCESS["source.create"])
    app_id = await _application_of(inbox, body.app_id, gateway, principal)
    fields: dict[str, Any] = {"name": body.name or inbox.name, "uid": body.uid}
    compiled = await gateway.source_settings.create(
        app_id, body.provider, body.secrets, SourceChanges(fields, body.config)
    )
    source = await source_out(gateway, compiled)
    if not body.replay:
        return PromoteOut(source=source, callbacks=0, refused=0, skipped=0, why="")
    report = await gateway.inbox_replay.replay(inbox, compiled, origin_of(gateway))
    return PromoteOut(source=source, **report._asdict())


# ── shapes and look-ups ──────────────────────────────────────────────────────────────────────────


def origin_of(gateway: Gateway) -> str:
    """Return what stands before the target in the URL that a sender has."""
    return gateway.settings.public_url or gateway.settings.local_url


async def inboxes_out(gateway: Gateway, inboxes: list[Inbox]) -> list[InboxOut]:
    """Return inboxes in the shape that callers see."""
    totals = await gateway.database.inbox_totals([inbox.id for inbox in inboxes])
    return [
        inbox_out(gateway, inbox, counts) for inbox, counts in zip(inboxes, totals, strict=True)
    ]


def inbox_out(gateway: Gateway, inbox: Inbox, totals: InboxTotals) -> InboxOut:
    """Return an inbox in the shape that callers see."""
    return InboxOut(
        id=inbox.id,
        name=inbox.name,
        app_id=inbox.scope or None,
        url=origin_of(gateway) + gateway.inbox_cache.path(inbox),
        answer=InboxAnswerOut(
            status=inbox.answer_status,
            delay_ms=inbox.answer_delay_ms,
            headers=dict(inbox.answer_headers),
            content_type=inbox.answer_content_type,
            body=inbox.answer_body,
        ),
        requests_max=inbox.requests_max,
        retention_days=inbox.retention_days,
        expires_at=optional_time(inbox.expires_at),
        received=totals.received,
        dropped=totals.dropped,
        version=inbox.version,
        created_at=to_datetime(inbox.created_at),
        updated_at=to_datetime(inbox.updated_at),
    )


def request_out(request: OpenedRequest) -> InboxRequestOut:
    """Return a request in the shape that callers see."""
    row, head, body = request
    text, encoded = _texts(body)
    return InboxRequestOut(
        id=row.id,
        inbox_id=row.inbox_id,
        number=row.number,
        received_at=to_datetime(row.received_at),
        method=row.method,
        target=head.target.decode("latin-1"),
        path=head.path,
        query=head.query,
        headers=[[name.decode("latin-1"), value.decode("latin-1")] for name, value in head.headers],
        address=head.address,
        size=row.size,
        body=text,
        body_base64=encoded,
    )


def _texts(body: bytes | None) -> tuple[str | None, str | None]:
    """Return a body as text, or in base64 if it is none."""
    if body is None:
        return None, None
    try:
        return body.decode("utf-8"), None
    except UnicodeDecodeError:
        return None, base64.b64encode(body).decode()


async def _place(named: str | None, gateway: Gateway, principal: Principal) -> str:
    """Return the application of a new inbox; "": none. A bound key has no choice."""
    own = principal.key.app_id
    if named is None:
        return own or ""
    application = await gateway.config_cache.application(named)
    if application is None or not principal.may_see(application.id):
        raise Invalid(Problem(("body", "appId"), "there is no such application", "app_id"))
    return application.id


async def _application_of(
    inbox: Inbox, named: str | None, gateway: Gateway, principal: Principal
) -> str:
    """Return the application of a source that an inbox becomes. `Invalid` if it is not clear."""
    app_id = await _place(named, gateway, principal) if named is not None else inbox.scope
    if not app_id:
        text = "the inbox belongs to no application; say to which the source is to belong"
        raise Invalid(Problem(("body", "appId"), text, "missing"))
    if inbox.scope not in ("", app_id):
        text = "the inbox belongs to another application; leave this out"
        raise Invalid(Problem(("body", "appId"), text, "app_id"))
    return app_id


async def _sender(
    gateway: Gateway, inbox: Inbox, body: VerifyIn, principal: Principal
) -> CompiledSource:
    """Return who may have sent a request. `Invalid` unless exactly one way is named."""
    ways = (body.scheme, body.provider, body.source_id)
    if sum(way is not None for way in ways) != 1:
        text = "name one of scheme, provider and sourceId"
        raise Invalid(Problem(("body",), text, "missing"))
    if body.source_id is not None:
        return _source(gateway, inbox, body.source_id, principal)
    providers = gateway.source_cache.providers
    if body.provider is not None:
        return compiled_sender(ClaimedSender(body.provider, body.secrets, body.config), providers)
    try:
        return compiled_sender(_by_scheme(body), providers)
    except Invalid as error:
        raise Invalid(*(_of_scheme(problem) for problem in error.problems)) from error


def _source(gateway: Gateway, inbox: Inbox, name: str, principal: Principal) -> CompiledSource:
    principal.require(ACCESS["source.get"])
    sources = gateway.source_cache.of_scope(inbox.scope or None)
    compiled = next((c for c in sources if name in (c.source.id, c.source.uid)), None)
    if compiled is None or not principal.may_see(compiled.source.scope):
        raise Invalid(Problem(("body", "sourceId"), "there is no such source", "unknown_source"))
    if compiled.problem:
        raise Invalid(Problem(("body", "sourceId"), compiled.problem, "source"))
    return compiled


def _by_scheme(body: VerifyIn) -> ClaimedSender:
    assert body.scheme is not None
    if body.secret is None:
        raise Invalid(Problem(("body", "secret"), "is needed for a scheme", "missing"))
    if body.scheme != "hmac":
        return ClaimedSender(_PROVIDER_OF.get(body.scheme, body.scheme), [body.secret])
    if body.hmac is None:
        text = "is needed: at least the header that holds the signature"
        raise Invalid(Problem(("body", "hmac"), text, "missing"))
    members = body.hmac.model_dump(exclude={"header", "timestamp_header"})
    check: dict[str, Any] = {"check": "hmac", "at": f"header:{body.hmac.header}", **members}
    if body.hmac.timestamp_header is not None:
        check["timestamp"] = {"at": f"header:{body.hmac.timestamp_header}"}
    return ClaimedSender("custom", [body.secret], {"checks": [check]})


def _of_scheme(problem: Problem) -> Problem:
    """Return a problem of a source as one of a scheme: where the caller has written it."""
    where: dict[str, str] = {"secrets": "secret", "config": "hmac"}
    member = str(problem.loc[1]) if len(problem.loc) > 1 else ""
    if member not in where:
        return problem
    name = str(problem.loc[-1]) if member == "config" and len(problem.loc) > 2 else ""
    loc = ("body", where[member], *([name] if name else []))
    return Problem(loc, problem.msg, problem.type)
