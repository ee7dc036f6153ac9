"""Message creation, the hot route: `POST /api/v1/app/{app}/msg`, in front of the framework.

The body is decoded once, into a struct whose payload stays raw bytes. Exactly these bytes are
stored, signed and sent. The answer is 202, after the commit.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from tillbell.app import Gateway
from tillbell.clock import DAY, HOUR, MINUTE, Micros, from_datetime, iso
from tillbell.deliver.application_views import ApplicationView
from tillbell.deliver.publish import (
    MakeIdempotencyUse,
    MessageDraft,
    PublishReceipt,
    Submission,
)
from tillbell.errors import (
    ConflictError,
    Invalid,
    Malformed,
    NotFound,
    Problem,
)
from tillbell.model.messages import Message
from tillbell.rules.delivery import payload as rules
from tillbell.rules.delivery.own_tags import check_own_tags
from tillbell.rules.delivery.raw_payload import RawPayload, is_json_object, read_raw_payload
from tillbell.rules.delivery.selectors import (
    MESSAGE_CHANNELS_MAX,
    REGISTER,
    check_event_type,
    check_labels,
)
from tillbell.rules.nearest import hint, nearest
from tillbell.storage.ports.outbound import IdempotencyUse
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.asgi_types import HttpAnswer, Scope, header
from tillbell.web.edge.auth import ApiRequest, Principal
from tillbell.web.edge.idempotency import fingerprint_of, idempotency_name
from tillbell.web.edge.paths import APPLICATION, BASE, ROUTE
from tillbell.web.edge.strict_json import check_near_json, not_json

PREFIX = f"{BASE}/app/"
SUFFIX = "/msg"
PATTERN = f"{PREFIX}{{app_id}}{SUFFIX}"
TAGS_MAX = 10
_SEARCHED = 32  # bytes
_QUERY = ("with_content",)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_TIME_RULE = "must be an RFC 3339 time with its zone, like 2026-03-01T12:00:00Z"
AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
_JSON = (b"content-type", b"application/json")
CREATE = ACCESS["message.create"]


class ApplicationDraft(msgspec.Struct, forbid_unknown_fields=True):
    """The application to create beside the message, if it does not exist."""

    name: str
    uid: str | None = None
    rateLimit: int | None = None  # noqa: N815 - the wire's name
    throttleRate: int | None = None  # noqa: N815 - the wire's name
    metadata: dict[str, str] | None = None
    checkSchemas: bool = False  # noqa: N815 - the wire's name
    orderReference: str = "orderId"  # noqa: N815 - the wire's name


class MessageCreateBody(msgspec.Struct, forbid_unknown_fields=True):
    """The request body; names are the wire's. `MessageIn` is its description for OpenAPI."""

    eventType: str  # noqa: N815
    payload: msgspec.Raw
    eventId: str | None = None  # noqa: N815
    channels: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    deliverAt: str | None = None  # noqa: N815
    orderKey: str | None = None  # noqa: N815
    payloadRetentionPeriod: int | None = None  # noqa: N815 - days
    payloadRetentionHours: int | None = None  # noqa: N815
    application: ApplicationDraft | None = None
    transformationsParams: Any = None  # noqa: N815 - raw payload (rules/delivery/raw_payload.py)

    @property
    def given(self) -> int:
        """How many of the usual members it has: each of them has a colon in the body."""
        return (
            2 + (self.eventId is not None) + (self.channels is not None) + (self.tags is not None)
        )

    @property
    def has_retention(self) -> bool:
        """Whether it says how long its payload is kept."""
        return self.payloadRetentionPeriod is not None or self.payloadRetentionHours is not None


_MEMBERS = tuple(b'"%s"' % name.encode() for name in MessageCreateBody.__struct_fields__)


class _LenientBody(MessageCreateBody, forbid_unknown_fields=False):
    """The same with members that are not known."""


_decode = msgspec.json.Decoder(MessageCreateBody).decode
_encode = msgspec.json.encode


def is_message_create(scope: Scope) -> bool:
    """Tell whether a request is for this route."""
    path: str = scope["path"]
    return (
        path.endswith(SUFFIX)
        and scope["method"] == "POST"
        and path.startswith(PREFIX)
        and "/" not in path[len(PREFIX) : -len(SUFFIX)]
    )


class MessageRequest(NamedTuple):
    """What a request to create a message says."""

    application: str  # id or uid
    query: bytes
    idempotency_key: bytes | None
    body: bytes


class _Prepared(NamedTuple):
    """A request that is valid, with what is published."""

    draft: MessageDraft
    shown: bytes  # the payload in the answer
    make_use: MakeIdempotencyUse | None


class PendingMessage(NamedTuple):
    """A message on its way into the store, and what asked for it."""

    submission: Submission
    app_id: str
    request: MessageRequest
    shown: bytes


class MessageCreate:
    """The route. One instance serves all requests."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, request: ApiRequest) -> HttpAnswer:
        """Return the answer to a request whose key is valid."""
        scope, principal = request.scope, request.principal
        scope[ROUTE] = PATTERN
        principal.require(CREATE)
        asked = MessageRequest(
            scope["path"][len(PREFIX) : -len(SUFFIX)],
            scope["query_string"],
            header(scope, b"idempotency-key"),
            request.body,
        )
        message = decode(asked.body)
        view = await self._view(asked.application, message, principal)
        scope[APPLICATION] = view.application.id
        draft, shown, make_use = self._prepared(asked, message, view, principal)
        published = await self._gateway.publisher.publish_for(view, draft, make_use)
        return _answer(published, shown, asked)

    def begin(self, request: MessageRequest, principal: Principal) -> PendingMessage | None:
        """Hand a message to the store at once; None if something must be waited for before.

        Raises what `__call__` raises.
        """
        principal.require(CREATE)
        view = self._gateway.config_cache.cached_view(request.application)
        if view is None or view.application.check_schemas:
            return None
        app_id = view.application.id
        if not principal.may_see(app_id):
            return None
        message = decode(request.body)
        draft, shown, make_use = self._prepared(request, message, view, principal)
        submission = self._gateway.publisher.submit(view, draft, make_use)
        return PendingMessage(submission, app_id, request, shown)

    def conclude(self, pending: PendingMessage) -> HttpAnswer:
        """Return the answer to a request whose message has been written, or was not."""
        return _answer(pending.submission.conclude(), pending.shown, pending.request)

    def _prepared(
        self,
        request: MessageRequest,
        message: MessageCreateBody,
        view: ApplicationView,
        principal: Principal,
    ) -> _Prepared:
        self._refuse_near_miss(message.eventType)
        draft = make_draft(message, self._gateway.clock.now())
        with_content = _with_content(request.query)
        shown = shown_payload(draft.payload, draft.content_type) if with_content else b"{}"
        make_use = None
        if request.idempotency_key is not None:
            make_use = _make_use(request, view.application.id, principal, shown)
        return _Prepared(draft, shown, make_use)

    async def _view(
        self, id_or_uid: str, message: MessageCreateBody, principal: Principal
    ) -> ApplicationView:
        cache = self._gateway.config_cache
        view = cache.cached_view(id_or_uid) or await cache.view(id_or_uid)
        if view is None and message.application is not None:
            await self._create_application(id_or_uid, message.application, principal)
            view = await cache.view(id_or_uid)
        if view is None or not principal.may_see(view.application.id):
            raise NotFound("There is no such application.")
        return view

    def _refuse_near_miss(self, event_type: str) -> None:
        """Raise `Invalid` for a type that nobody registered and that is nearly a known one."""
        near = self._gateway.config_cache.near_type(event_type)
        if near is not None:
            text = f"is not registered{hint(near)} {REGISTER}"
            raise Invalid(Problem(("body", "eventType"), text, "near_event_type"))

    async def _create_application(
        self, id_or_uid: str, draft: ApplicationDraft, principal: Principal
    ) -> None:
        from tillbell.web.api.applications import (
            get_or_create_application,  # its shapes load slowly
        )

        fields = msgspec.to_builtins(draft)
        await get_or_create_application(self._gateway, id_or_uid, fields, principal)


def _make_use(
    request: MessageRequest, app_id: str, principal: Principal, shown: bytes
) -> MakeIdempotencyUse:
    """Return what makes the use of the request's idempotency key."""
    assert request.idempotency_key is not None
    name = idempotency_name(principal, f"{PREFIX}{app_id}{SUFFIX}", request.idempotency_key)
    fingerprint = fingerprint_of(request.query, request.body)

    def make_use(message: Message, deliveries: int) -> IdempotencyUse:
        return IdempotencyUse(name, fingerprint, write(message, shown, deliveries))

    return make_use


def _answer(
    published: PublishReceipt | IdempotencyUse, shown: bytes, request: MessageRequest
) -> HttpAnswer:
    """Return the answer; that of the first request if its idempotency key was used before."""
    if isinstance(published, PublishReceipt):
        return HttpAnswer(202, [_JSON], write(published.message, shown, published.deliveries))
    if published.fingerprint != fingerprint_of(request.query, request.body):
        raise ConflictError(
            "This Idempotency-Key was used with another body or query. Use a new key for a new "
            "message.",
            code="idempotency_key_reused",
        )
    replayed = (b"idempotent-replayed", b"true")
    return HttpAnswer(202, [_JSON, replayed], published.answer)


def decode(body: bytes) -> MessageCreateBody:
    """Decode a request body. `Malformed` if it is not JSON, `Invalid` if it breaks a rule."""
    try:
        if not body.isascii():
            body.decode("utf-8")
        message = _decode(body)
    except UnicodeDecodeError as error:
        raise Malformed("The body is not UTF-8.", code="not_utf8") from error
    except msgspec.ValidationError as error:
        message = _decoded_again(body, error)
    except (msgspec.DecodeError, RecursionError) as error:
        check_near_json(body)
        raise not_json(body, error) from error
    payload = bytes(message.payload)
    around = _around(body, payload)  # a payload may have members of these names
    if around.count(b":") != message.given and _may_be_twice(message, around):
        _check_twice(body)
    if rules.too_deep(payload):
        raise Invalid(
            Problem(("body", "payload"), f"nests deeper than {rules.DEPTH_MAX} levels", "too_deep")
        )
    if b"\\u0000" in body and _has_nul(message):
        raise Malformed("The body has a NUL character (\\u0000).", code="nul_character")
    problems = list(_check(message, payload))
    if problems:
        raise Invalid(*problems)
    return message


def _around(body: bytes, payload: bytes) -> bytes:
    """Return a body without its payload.

    A search for all of a long payload costs more than the rest of the checks together, and the
    first bytes are mostly found where it begins.
    """
    at = body.find(payload[:_SEARCHED])
    if not body.startswith(payload, at):
        return body.replace(payload, b"", 1)
    return body[:at] + body[at + len(payload) :]


def _may_be_twice(message: MessageCreateBody, around: bytes) -> bool:
    """Tell whether a member may be there twice: under one name, or with an escape in the other."""
    has_objects = message.application is not None or message.transformationsParams is not None
    return has_objects or b"\\" in around or any(around.count(name) > 1 for name in _MEMBERS)


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, in their order."""


def _check_twice(body: bytes) -> None:
    """Refuse a member of the message that is there twice: parsers differ in which one they take.

    Members inside the payload are left as they are.
    """
    try:
        twice = _twice(json.loads(body, object_pairs_hook=_Members))
    except RecursionError as error:
        raise not_json(body, error) from error
    if twice:
        text = f"the member {twice[-1]!a} is there twice"
        raise Invalid(Problem(("body", *twice), text, "duplicate_member"))


def _twice(value: Any) -> tuple[str, ...]:
    """Return the place of a member that is there twice, outside of a payload; () if none is."""
    if not isinstance(value, _Members):
        return ()
    names: set[str] = set()
    for name, member in value:
        if name in names:
            return (name,)
        names.add(name)
        inner = _twice(member) if name != "payload" else ()
        if inner:
            return (name, *inner)
    return ()


def _with_content(query: bytes) -> bool:
    """Read the only parameter of the route."""
    if not query:
        return True
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    problems = [
        Problem(
            ("query", name), f"unknown parameter{hint(nearest(name, _QUERY))}", "unknown_parameter"
        )
        for name in values
        if name not in _QUERY
    ]
    if problems:
        raise Invalid(*problems)
    text = values["with_content"][-1].lower()
    if text not in _FLAGS:
        problem = Problem(("query", "with_content"), "must be true or false", "bool_parsing")
        raise Invalid(problem)
    return _FLAGS[text]


def _decoded_again(body: bytes, error: msgspec.ValidationError) -> MessageCreateBody:
    """Decode a body without members that are unknown and null; they say nothing.

    `Invalid` with unknown members by their place, else for the reason of `error`.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Invalid(_problem(str(error))) from error
    unknown = [name for name in document if name not in MessageCreateBody.__struct_fields__]
    problems = [_unknown(name) for name in unknown if document[name] is not None]
    if not problems and unknown:
        try:
            return msgspec.json.decode(body, type=_LenientBody)
        except msgspec.ValidationError as next_error:
            error = next_error  # the reason beside the members that say nothing
    raise Invalid(*(problems or [_problem(str(error))])) from error


def _unknown(name: str) -> Problem:
    text = f"unknown member{hint(nearest(name, MessageCreateBody.__struct_fields__))}"
    return Problem(("body", name), text, "unknown_member")


def _problem(text: str) -> Problem:
    """Turn msgspec's "… - at `$.payload`" into a place and a message."""
    message, _, path = text.partition(" - at `$")
    names = [part for part in path.rstrip("`").replace("[", ".[").split(".") if part]
    if not path and "required field" in text:
        return Problem(("body", text.split("`")[1]), "field required", "missing")
    if message.startswith("Object contains unknown field"):
        return Problem(("body", *names, message.split("`")[1]), "unknown member", "unknown_member")
    return Problem(("body", *names), message, "type_error")


def _check(message: MessageCreateBody, payload: bytes) -> list[Problem]:
    problems = []
    if (wrong := check_event_type(message.eventType)) is not None:
        problems.append(Problem(("body", "eventType"), wrong, "event_type"))
    if not payload.startswith(b"{"):
        problems.append(Problem(("body", "payload"), "must be a JSON object", "type_error"))
    elif len(payload) > rules.KEY_MAX and _longest(payload) > rules.KEY_MAX:
        text = f"has a member name of more than {rules.KEY_MAX} characters"
        problems.append(Problem(("body", "payload"), text, "key_too_long"))
    if message.eventId is not None:
        problems += _check_key("eventId", message.eventId, rules.EVENT_ID_MAX)
    if message.orderKey is not None:
        problems += _check_key("orderKey", message.orderKey, rules.ORDER_KEY_MAX)
    if message.application is not None or message.has_retention:
        problems += _check_numbers(message)
    if message.channels:
        problems += check_labels(
            message.channels, ("body", "channels"), at_most=MESSAGE_CHANNELS_MAX
        )
    if message.tags:
        problems += check_labels(message.tags, ("body", "tags"), at_most=TAGS_MAX)
        if (wrong := check_own_tags(message.tags)) is not None:
            problems.append(Problem(("body", "tags"), wrong, "reserved"))
    return problems


def _check_key(name: str, value: str, limit: int) -> list[Problem]:
    if not 0 < len(value) <= limit:
        return [Problem(("body", name), f"1 to {limit} characters", "length")]
    return [] if value.strip() else [Problem(("body", name), "must not be blank", "blank")]


def _has_nul(message: MessageCreateBody) -> bool:
    """Tell whether there is a NUL outside the payload, which stays as it was written."""
    texts = [message.eventId or "", message.orderKey or ""]
    if (application := message.application) is not None:
        metadata = application.metadata or {}
        texts += [application.name, application.uid or "", *metadata, *metadata.values()]
    return any("\0" in text for text in texts)


def _check_numbers(message: MessageCreateBody) -> list[Problem]:
    application = message.application or ApplicationDraft("")
    rate_max = rules.THROTTLE_RATE_MAX
    return [
        Problem(("body", *place.split(".")), f"must be 1 to {limit}", "range")
        for place, value, limit in (
            ("payloadRetentionPeriod", message.payloadRetentionPeriod, rules.RETENTION_DAYS_MAX),
            ("payloadRetentionHours", message.payloadRetentionHours, rules.RETENTION_HOURS_MAX),
            ("application.rateLimit", application.rateLimit, rate_max),
            ("application.throttleRate", application.throttleRate, rate_max),
        )
        if value is not None and not 1 <= value <= limit
    ]


def _longest(payload: bytes) -> int:
    try:
        return rules.longest_key(msgspec.json.decode(payload))
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"The payload is not JSON that can be stored: {error}") from error


def make_draft(message: MessageCreateBody, now: Micros) -> MessageDraft:
    """Make the publisher's draft of a request body. `Invalid` if `deliverAt` is not possible."""
    payload = bytes(message.payload)
    raw = RawPayload(payload, None)
    if message.transformationsParams is not None:
        raw = read_raw_payload(message.transformationsParams, payload)
    return MessageDraft(
        message.eventType,
        raw.body,
        message.eventId,
        message.channels or (),
        message.tags or (),
        None if message.deliverAt is None else _deliver_at(message.deliverAt, now),
        message.orderKey,
        _expires_at(message, now),
        raw.content_type,
    )


def _deliver_at(text: str, now: Micros) -> Micros:
    try:
        at = from_datetime(msgspec.convert(text, AwareTime))
    except msgspec.ValidationError as error:
        raise Invalid(Problem(("body", "deliverAt"), _TIME_RULE, "datetime")) from error
    if not now < at <= now + DAY + MINUTE:
        raise Invalid(
            Problem(("body", "deliverAt"), "must be within the next 24 hours", "deliver_at")
        )
    return at


def _expires_at(message: MessageCreateBody, now: Micros) -> Micros | None:
    if message.payloadRetentionHours is not None:
        return now + message.payloadRetentionHours * HOUR
    if message.payloadRetentionPeriod is not None:
        return now + message.payloadRetentionPeriod * DAY
    return None


def shown_payload(payload: bytes, content_type: str | None) -> bytes:
    """Return a payload as JSON: what is no JSON object is shown as `{"rawPayload": "…"}`."""
    if content_type is None or is_json_object(payload):
        return payload
    return _encode({"rawPayload": payload.decode()})


def write(message: Message, payload: bytes, deliveries: int) -> bytes:
    """Write the body of the answer: the message as stored, its payload byte for byte."""
    due = iso(message.deliver_at) if message.deliver_at is not None else None
    return (
        b'{"id":"%b","eventType":%b,"eventId":%b,"channels":%b,"tags":%b,"timestamp":"%b",'
        b'"deliverAt":%b,"contentType":%b,"deliveries":%d,"payload":%b}'
        % (
            message.id.encode(),
            _encode(message.event_type),
            _encoded(message.event_id),
            _encoded(message.channels or None),
            _encoded(message.tags or None),
            iso(message.created_at).encode(),
            _encoded(due),
            _encoded(message.content_type),
            deliveries,
            payload,
        )
    )


def _encoded(value: str | tuple[str, ...] | None) -> bytes:
    return b"null" if value is None else _encode(value)
