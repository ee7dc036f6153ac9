"""Endpoints of an application: their configuration, and their deliveries counted and resent.

Bodies have the members of both generations of the Svix API, and ours.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import Depends, Header, Response
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tillbell.app import Gateway
from tillbell.catalog import CATALOG
from tillbell.clock import DAY, HOUR, Micros, from_datetime, to_datetime
from tillbell.configure.endpoints import EndpointChanges
from tillbell.deliver.application_views import ApplicationView
from tillbell.deliver.publish import MessageDraft, PublishReceipt
from tillbell.deliver.resend import refuse_stopped
from tillbell.deliver.schemas import latest_schema
from tillbell.errors import Forbidden, Invalid, NotFound, Problem
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus
from tillbell.model.records import Application
from tillbell.profiles import PROFILES
from tillbell.rules.delivery.own_tags import EXAMPLE_TAG
from tillbell.rules.delivery.selectors import check_event_type
from tillbell.rules.filters.clauses import FilterList, ListFilter
from tillbell.statistics.plots import EndpointFigures
from tillbell.storage.ports.outbound import Page, Totals
from tillbell.web.api.endpoint_health import (
    EndpointHealthOut,
    endpoint_page,
    health_members,
    health_of,
    health_of_all,
)
from tillbell.web.api.filtered import FilterText, read_filter
from tillbell.web.api.filters import TimeQuery
from tillbell.web.api.paging import OrderedPageOf, list_page, row_id
from tillbell.web.api.rendering import MessageOut, answer, message_doc
from tillbell.web.api.routes import (
    ApplicationOf,
    EndpointId,
    EndpointOf,
    EndpointsOf,
    GatewayOf,
    PrincipalOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import (
    Decides,
    Flag,
    In,
    Label,
    Listed,
    Metadata,
    Name,
    Out,
    Rated,
    Text,
    Time,
    Uid,
    words,
)

T = TypeVar("T")

WEEK_S = 604_800
MONTH_S = 2_592_000


def _json_object(value: Any) -> Any:
    if value is not None and not isinstance(value, dict):
        text = "must be a JSON object such as {example}"
        raise PydanticCustomError("payload_filter", text, {"example": '{"amount": {"$gte": 100}}'})
    return value


Url = Annotated[str, Field(min_length=1, max_length=2048), Decides()]
EventTypes = Annotated[list[Name], Field(min_length=1, max_length=500), Decides()]
Channels = Annotated[list[Label], Field(min_length=1, max_length=10)]
PayloadFilterMembers = Annotated[dict[str, Any], BeforeValidator(_json_object), Decides()]
SecretText = Annotated[str, Field(min_length=1, max_length=512), Decides()]
Headers = Annotated[dict[str, str], Decides()]
SelectedType = Annotated[Name, Decides()]
ProfileName = Annotated[Name, words(*PROFILES)]

VERSION_MAX = 65_535
EXAMPLES_MAX = 1_000  # of one schema
PING = "svix.ping"  # an event type that Svix's SDKs and portals send as an example

# Members that are stored without change, under the same name.
_UNCHANGED = frozenset(
    {"uid", "url", "version", "success", "ordering", "max_concurrency", "header_names"}
)


class EndpointFields(Rated):
    """Members of every endpoint body. A member that is left out is not the same as null."""

    description: Text | None = Field(
        default=None, description="For people: whose endpoint it is and what for."
    )
    uid: Uid | None = None
    disabled: Flag | None = Field(
        default=None, description="True: nothing is sent, and new messages make no deliveries."
    )
    event_types: EventTypes | None = Field(
        default=None, description="Selectors such as `order.paid` or `order.*`; null: every type."
    )
    filter_types: EventTypes | None = Field(default=None, description="Older name of `eventTypes`.")
    channels: Channels | None = Field(default=None, description="null: every channel.")
    filter: PayloadFilterMembers | None = Field(
        default=None,
        description=(
            'Conditions on the payload: `{"currency": "EUR", "amount": {"$gte": 100}}`; null or '
            "`{}`: every payload."
        ),
    )
    metadata: Metadata | None = None
    profile: ProfileName | None = Field(
        default=None,
        description="The format, e.g. `standard`. Default: `TILLBELL_DEFAULT_PROFILE`.",
    )
    retry_schedule: (
        Annotated[list[Annotated[int, Field(strict=True, ge=0, le=MONTH_S)]], Field(max_length=50)]
        | None
    ) = Field(default=None, description="Seconds before attempt 2, 3, …; null: the profile's.")
    timeout: Annotated[int, Field(strict=True, ge=1, le=60)] | None = Field(
        default=None, description="Seconds that an attempt may take; null: the profile's."
    )
    success: Literal["2xx", "200"] | None = Field(
        default=None,
        description=(
            "Which answers accept a message: any 2xx, or only 200; null: the profile's rule."
        ),
    )
    ordering: Literal["fifo"] | None = Field(
        default=None,
        description=(
            "`fifo`: messages with the same order key are delivered one after another; "
            "null: any order."
        ),
    )
    max_concurrency: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = Field(
        default=None, description="Most attempts at the same time; null: the server's setting."
    )
    header_names: dict[str, str] | None = Field(
        default=None, description="Header name of the profile → header name for this endpoint."
    )
    text_template: Annotated[str, Field(max_length=4_000), Decides()] | None = Field(
        default=None,
        description=(
            "Profiles `slack`, `discord`, `teams`: what it says, as in `Order {{ data.number }}`; "
            "null: the profile's words."
        ),
    )
    handshake: Flag | None = Field(
        default=None,
        description="Profile `cloudevents`: ask the receiver by OPTIONS before it is saved.",
    )
    version: Annotated[int, Field(strict=True, ge=1, le=VERSION_MAX)] | None = Field(
        default=1, description="Your own number. It is kept and has no effect."
    )

    def changes(self) -> EndpointChanges:
        """Return the named members as fields of the record: null clears, what is left out stays."""
        named = self.model_fields_set
        fields: dict[str, Any] = {name: getattr(self, name) for name in named & _UNCHANGED}
        if "version" in fields:
            fields["declared_version"] = fields.pop("version") or 1
        if "description" in named:
            fields["description"] = self.description or ""
        if "metadata" in named:
            fields["metadata"] = self.metadata or {}
        if "text_template" in named:
            fields["text_template"] = self.text_template or None
        if "timeout" in named:
            fields["timeout_s"] = self.timeout
        if self.names_rate:
            fields["throttle_rate"] = self.rate
        if self.profile is not None:
            fields["profile"] = self.profile
        if self.handshake is not None:
            fields["handshake"] = self.handshake
        return EndpointChanges(
            fields | self._list_fields() | _status_fields(self.disabled), self._selectors_member()
        )

    def _list_fields(self) -> dict[str, Any]:
        named = self.model_fields_set
        fields: dict[str, Any] = {}
        if named & {"event_types", "filter_types"}:
            fields["selectors"] = _tuple(self.event_types or self.filter_types)
        if "channels" in named:
            fields["channels"] = _tuple(self.channels)
        if "filter" in named:
            fields["payload_filter"] = self.filter or None
        if "retry_schedule" in named:
            fields["retry_schedule"] = _tuple(self.retry_schedule)
        return fields

    def _selectors_member(self) -> str | None:
        if self.event_types:
            return "eventTypes"
        return "filterTypes" if self.filter_types else None


def _list(values: tuple[T, ...] | None) -> list[T] | None:
    return list(values) if values is not None else None


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return tuple(values) if values is not None else None


def _status_fields(disabled: bool | None) -> dict[str, Any]:  # noqa: FBT001 - as in the body
    if disabled is None:
        return {}
    if disabled:
        return {"status": EndpointStatus.DISABLED, "status_reason": "owner"}
    return {"status": EndpointStatus.ACTIVE, "status_reason": None}


class EndpointUpsertIn(EndpointFields):
    """A whole endpoint. If it exists, its secret, headers and profile stay as they are."""

    url: Url = Field(description="Where messages are sent: `https://…`.")


class EndpointIn(EndpointUpsertIn):
    """A new endpoint."""

    secret: SecretText | None = Field(
        default=None,
        description="Made for you if you leave it out, as `TILLBELL_DEFAULT_SIGNATURE` says; but "
        "profiles that send their secret (`zenofy`, `mozarto`, `mozarto-legacy`) have none then.",
    )
    headers: Headers | None = Field(
        default=None, description="Custom headers that every request to it has."
    )

    def changes(self) -> EndpointChanges:
        """Return the fields of the record, with its secret and headers."""
        return super().changes()._replace(secret=self.secret, headers=self.headers)


class EndpointPatch(EndpointFields):
    """Changes to an endpoint. Members left out stay as they are; null clears."""

    url: Url = ""


class EndpointOut(EndpointHealthOut):
    """An endpoint: where a subscriber wants messages, and how."""

    id: str
    app_id: str
    uid: str | None
    url: str = Field(description="Where messages are sent.")
    description: str = Field(description="For people: whose endpoint it is and what for.")
    disabled: bool = Field(
        description="Whether nothing is sent to it. True if `status` is not `active`."
    )
    status: EndpointStatus = Field(description="Whether messages are sent to it.")
    status_reason: Annotated[str, words("owner", "gone", "failing", "deleted")] | None = Field(
        description="Why it is not active: switched off, a 410, days of failures, deleted."
    )
    event_types: list[str] | None = Field(
        description="Event types that it receives; null: every type."
    )
    filter_types: list[str] | None = Field(
        description="Older name of `eventTypes`, with the same value."
    )
    channels: list[str] | None = Field(
        description="Channels that it receives; null: every channel."
    )
    product_id: str | None = Field(
        description="The product whose webhook it is; `*`: of those without one; null: of none."
    )
    source_id: str | None = Field(description="The source whose webhook it is; null: of none.")
    filter: dict[str, Any] | None = Field(
        description="Conditions on the payload of a message; null: every payload."
    )
    throttle_rate: int | None = Field(
        description="Messages a second that are sent at most; null: no limit."
    )
    rate_limit: int | None = Field(description="Older name of `throttleRate`, with the same value.")
    metadata: dict[str, str]
    profile: ProfileName = Field(description="Format of its requests.")
    retry_schedule: list[int] | None = Field(
        description="Seconds before attempt 2, 3, …; null: the profile's."
    )
    timeout: int | None = Field(
        description="Seconds that an attempt may take; null: the profile's."
    )
    success: Annotated[str, words("2xx", "200")] | None = Field(
        description="Which answers accept a message; null: the profile's rule."
    )
    ordering: Annotated[str, words("fifo")] | None = Field(
        description="`fifo`: messages with the same order key are delivered one after another."
    )
    max_concurrency: int | None = Field(
        description="Most attempts at the same time; null: the server's setting."
    )
    header_names: dict[str, str] | None = Field(
        description=(
            "Header name of the profile → header name for this endpoint; null: the profile's names."
        ),
    )
    text_template: str | None = Field(
        description="What it says of a message, if its owner wrote that; null: the profile's words."
    )
    handshake: bool = Field(
        description="Whether the receiver was asked by OPTIONS before it was saved."
    )
    notes: list[str] = Field(description="What its owner should know, such as a missing secret.")
    version: int = Field(description="Your own number, without effect.")
    revision: int = Field(description="Raised by every change.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(
        cls,
        endpoint: Endpoint,
        health: EndpointHealth | None,
        figures: EndpointFigures,
        now: Micros,
    ) -> EndpointOut:
        """Return an endpoint in the shape that callers see."""
        return cls(
            **health_members(health, figures, now),
            id=endpoint.id,
            app_id=endpoint.scope,
            uid=endpoint.uid,
            url=endpoint.url,
            description=endpoint.description,
            disabled=endpoint.status is not EndpointStatus.ACTIVE,
            status=endpoint.status,
            status_reason=endpoint.status_reason,
            **_wanted_members(endpoint),
            throttle_rate=endpoint.throttle_rate,
            rate_limit=endpoint.throttle_rate,
            metadata=endpoint.metadata,
            profile=endpoint.profile,
            retry_schedule=_list(endpoint.retry_schedule),
            timeout=endpoint.timeout_s,
            success=endpoint.success,
            ordering=endpoint.ordering,
            max_concurrency=endpoint.max_concurrency,
            header_names=endpoint.header_names,
            text_template=endpoint.text_template,
            handshake=endpoint.handshake,
            notes=_notes(endpoint),
            version=endpoint.declared_version,
            revision=endpoint.version,
            created_at=to_datetime(endpoint.created_at),
            updated_at=to_datetime(endpoint.updated_at),
        )


def _wanted_members(endpoint: Endpoint) -> dict[str, Any]:
    """Return what an endpoint asks for."""
    return {
        "event_types": _list(endpoint.selectors),
        "filter_types": _list(endpoint.selectors),
        "channels": _list(endpoint.channels),
        "filter": endpoint.payload_filter,
        "product_id": endpoint.product_id,
        "source_id": endpoint.source_id,
    }


def _notes(endpoint: Endpoint) -> list[str]:
    """Return what an owner may have overlooked."""
    profile = PROFILES.get(endpoint.profile)
    if profile is None or profile.makes_secret or profile.is_chat or endpoint.secrets:
        return []
    text = (
        f"It has no secret, so messages of profile {endpoint.profile} leave without proof of their "
        "sender. Set one: POST …/secret/rotate with `key`."
    )
    return [text]


class HeadersIn(In):
    """All custom headers of an endpoint."""

    headers: Headers = Field(
        description="Header name → value. These replace all that were set before."
    )


class HeadersPatchIn(In):
    """Headers to set and to delete."""

    headers: dict[str, str | None] = Field(
        default_factory=dict,
        description="Header name → value: set these, delete those that are null, keep the others.",
    )
    delete_headers: list[str] | None = Field(
        default=None, description="Names of headers to delete."
    )


class HeadersOut(Out):
    """Custom headers. `sensitive` names those whose values are secret and not shown."""

    headers: Headers = Field(description="Header name → value, without sensitive ones.")
    sensitive: list[str] = Field(description="Names of the headers whose value is not shown.")


class SecretOut(Out):
    """The signing secret in use; "" if the endpoint has none."""

    key: str = Field(description='The secret, e.g. `whsec_…`; "" if the endpoint has none.')


class RotateIn(In):
    """A new signing secret."""

    key: SecretText | None = Field(default=None, description="Made for you if you leave it out.")
    grace_period_seconds: Annotated[int, Field(strict=True, ge=0, le=WEEK_S)] | None = Field(
        default=None, description="How long the old secret signs too; default: a day."
    )


class StatsOut(EndpointHealthOut):
    """Deliveries of an endpoint by status, and its health. Each delivery is counted once."""

    success: int = Field(description="Deliveries that were accepted.")
    pending: int = Field(
        description="Deliveries that wait: for their first attempt, or after failed ones."
    )
    sending: int = Field(description="Deliveries of which an attempt is under way.")
    fail: int = Field(description="Deliveries without an attempt left: none of them was accepted.")
    canceled: int = Field(description="Deliveries that were discarded.")


class AttemptStatsOut(Out):
    """Deliveries of an endpoint that have ended. The name is that of Svix; it counts deliveries."""

    success: int = Field(description="Deliveries that were accepted.")
    fail: int = Field(
        description="Deliveries without an attempt left. One that will be retried is not counted."
    )
    canceled: int = Field(description="Deliveries that were discarded.")


class ExampleIn(In):
    """An example message to send."""

    event_type: SelectedType
    payload: dict[str, object] | None = Field(
        default=None, description="Default: the sample of the event type."
    )
    example_index: Annotated[int, Field(strict=True, ge=0, lt=EXAMPLES_MAX)] = Field(
        default=0, description="Which of the examples in the type's schema to send; the first is 0."
    )


# Svix's SDKs name themselves: `svix-libs/2.6.0/java`. Older ones read a secret as an error.
_SDK_VERSION = re.compile(r"svix-libs/(\d{1,6})\.(\d{1,6})")
_FIRST_WITH_SECRET = (2, 7)
ALSO_NOTHING: dict[int | str, Any] = {204: {"description": "The same, to SDKs of Svix below 2.7."}}
UserAgent = Annotated[str, Header(include_in_schema=False)]

router = resource("/app/{app_id}/endpoint", "Endpoint")


STATS_DAYS = 28


async def hidden_types(gateway: GatewayOf, principal: PrincipalOf) -> frozenset[str]:
    """Return the names of event types that do not exist for a portal token."""
    types = gateway.config_cache.registered_event_types()
    return frozenset(t.uid or t.id for t in types if not principal.may_see_type(t))


HiddenTypes = Annotated[frozenset[str], Depends(hidden_types)]


@router.get("")
async def list_(
    app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf, text: FilterText = None
) -> Listed[EndpointOut]:
    """List an application's endpoints."""
    if text is None:
        return await endpoint_list(gateway, app.id, page)
    filter_ = await read_filter(gateway, app.id, FilterList.ENDPOINT, text)
    return await filtered_endpoints(gateway, app.id, filter_, page)


@router.post("", status_code=201)
async def create(
    app: ApplicationOf,
    body: EndpointIn,
    endpoints: EndpointsOf,
    gateway: GatewayOf,
    hidden: HiddenTypes,
) -> EndpointOut:
    """Add an endpoint."""
    changes = body.changes()._replace(hidden_types=hidden)
    return await shown_endpoint(gateway, await endpoints.create(app.id, changes))


@router.get("/{endpoint_id}")
async def get(endpoint: EndpointOf, gateway: GatewayOf) -> EndpointOut:
    """Show an endpoint with its health."""
    return await shown_endpoint(gateway, endpoint)


@router.put("/{endpoint_id}", responses=also_answers(201, EndpointOut, "Created."))
async def upsert(
    app: ApplicationOf,
    endpoint_id: EndpointId,
    body: EndpointUpsertIn,
    endpoints: EndpointsOf,
    gateway: GatewayOf,
    response: Response,
    hidden: HiddenTypes,
) -> EndpointOut:
    """Replace an endpoint, or create it (201) if none has this uid."""
    changes = body.changes()._replace(hidden_types=hidden)
    changed = await endpoints.upsert(app.id, endpoint_id, changes)
    response.status_code = 201 if changed.before is None else 200
    return await shown_endpoint(gateway, changed.record)


@router.patch("/{endpoint_id}")
async def patch(
    endpoint: EndpointOf,
    body: EndpointPatch,
    endpoints: EndpointsOf,
    gateway: GatewayOf,
    hidden: HiddenTypes,
) -> EndpointOut:
    """Change the named members of an endpoint. `disabled: false` also ends a pause."""
    changes = body.changes()._replace(hidden_types=hidden)
    changed = await endpoints.patch(endpoint.scope, endpoint.id, changes)
    return await shown_endpoint(gateway, changed)


@router.delete("/{endpoint_id}", status_code=204, response_model=None)
async def delete(endpoint: EndpointOf, endpoints: EndpointsOf) -> Response:
    """Delete an endpoint. Its waiting deliveries are discarded."""
    await endpoints.remove(endpoint.scope, endpoint.id)
    return Response(status_code=204)


@router.get("/{endpoint_id}/headers")
async def get_headers(endpoint: EndpointOf, endpoints: EndpointsOf) -> HeadersOut:
    """Show the custom headers. Values of sensitive headers are left out."""
    return shown_headers(endpoint, endpoints.opened_headers(endpoint))


@router.put("/{endpoint_id}/headers", status_code=204, response_model=None)
async def set_headers(endpoint: EndpointOf, body: HeadersIn, endpoints: EndpointsOf) -> Response:
    """Replace the custom headers."""
    await endpoints.set_headers(endpoint.scope, endpoint.id, body.headers)
    return Response(status_code=204)


@router.patch("/{endpoint_id}/headers", status_code=204, response_model=None)
async def patch_headers(
    endpoint: EndpointOf, body: HeadersPatchIn, endpoints: EndpointsOf
) -> Response:
    """Set some custom headers and delete others."""
    named = {name: value for name, value in body.headers.items() if value is not None}
    deleted = [*(body.headers.keys() - named.keys()), *(body.delete_headers or ())]
    await endpoints.patch_headers(endpoint.scope, endpoint.id, named, deleted)
    return Response(status_code=204)


@router.get("/{endpoint_id}/secret")
async def get_secret(endpoint: EndpointOf, endpoints: EndpointsOf, gateway: GatewayOf) -> SecretOut:
    """Show the signing secret."""
    await gateway.config_cache.note_secret_read(endpoint)
    return SecretOut(key=endpoints.shown_secret(endpoint))


@router.post(
    "/{endpoint_id}/secret/rotate",
    response_model=SecretOut,
    responses=ALSO_NOTHING,
)
async def rotate_secret(
    endpoint: EndpointOf,
    endpoints: EndpointsOf,
    body: RotateIn | None = None,
    user_agent: UserAgent = "",
) -> Response:
    """Use a new signing secret. The old one signs too, for a day or the grace period."""
    body = body or RotateIn()
    secret = await endpoints.rotate(
        endpoint.scope, endpoint.id, body.key, body.grace_period_seconds
    )
    return rotated_answer(secret, user_agent)


def rotated_answer(secret: str, user_agent: str) -> Response:
    """Answer a rotation with the secret; with nothing (204) to SDKs of Svix that expect that."""
    version = _SDK_VERSION.match(user_agent)
    if version is not None and (int(version[1]), int(version[2])) < _FIRST_WITH_SECRET:
        return Response(status_code=204)
    return answer({"key": secret})


async def shown_endpoint(gateway: Gateway, endpoint: Endpoint) -> EndpointOut:
    """Return an endpoint in the shape that callers see, with its health."""
    health = await health_of(gateway, endpoint)
    figures = await gateway.plots.endpoint(endpoint)
    return EndpointOut.of(endpoint, health, figures, gateway.clock.now())


async def endpoint_list(gateway: Gateway, scope: str, page: Page) -> Listed[EndpointOut]:
    """Return a page of the endpoints of a scope, each with its health."""

    async def fetch(page: Page) -> list[Endpoint]:
        return await gateway.database.list(Endpoint, scope, page)

    endpoints = await list_page(fetch, page, row_id)
    healths, figures = await asyncio.gather(
        health_of_all(gateway, endpoints.rows), gateway.plots.of_endpoints(endpoints.rows)
    )
    now = gateway.clock.now()
    return endpoints.showing(
        [EndpointOut.of(row, healths[row.id], figures[row.id], now) for row in endpoints.rows]
    )


async def filtered_endpoints(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> Listed[EndpointOut]:
    """Return a page of the endpoints of a scope that fit a filter; None: of every scope."""
    now = gateway.clock.now()
    rows = await endpoint_page(gateway, scope, filter_, page)
    figures = await gateway.plots.of_endpoints([row.endpoint for row in rows.rows])
    return rows.showing([EndpointOut.of(*row, figures[row.endpoint.id], now) for row in rows.rows])


def shown_headers(endpoint: Endpoint, opened: dict[str, str]) -> HeadersOut:
    """Return the custom headers in the shape that callers see: no value of a sensitive one.

    `opened` are all headers with their decrypted values.
    """
    sensitive = set(endpoint.secret_headers)
    plain = {name: value for name, value in opened.items() if name not in sensitive}
    return HeadersOut(headers=plain, sensitive=sorted(sensitive))


# ── deliveries of an endpoint ────────────────────────────────────────────────────────────────────


@router.get("/{endpoint_id}/stats")
async def stats(
    endpoint: EndpointOf, gateway: GatewayOf, since: TimeQuery = None, until: TimeQuery = None
) -> StatsOut:
    """Count the endpoint's deliveries of a time range (default: 28 days) by status.

    `fail` does not say whether it fails now: `failingSince` and `lastFailure` do.
    The range is that of the messages, to the millisecond. Those that wait for a retry are pending.
    """
    totals = await _totals(endpoint, gateway, since, until)
    health = await health_of(gateway, endpoint)
    figures = await gateway.plots.endpoint(endpoint)
    return StatsOut(
        **health_members(health, figures, gateway.clock.now()),
        success=totals.succeeded,
        pending=totals.waiting,
        sending=totals.sending,
        fail=totals.failed,
        canceled=totals.discarded,
    )


@router.get("/{endpoint_id}/attempt-stats")
async def attempt_stats(
    endpoint: EndpointOf, gateway: GatewayOf, since: TimeQuery = None, until: TimeQuery = None
) -> AttemptStatsOut:
    """Count the endpoint's deliveries of a time range (default: 28 days) that have ended.

    Deliveries, not attempts: one that failed and will be retried is not counted yet.
    """
    totals = await _totals(endpoint, gateway, since, until)
    return AttemptStatsOut(success=totals.succeeded, fail=totals.failed, canceled=totals.discarded)


async def _totals(
    endpoint: Endpoint, gateway: Gateway, since: Time | None, until: Time | None
) -> Totals:
    # What is not named is a whole hour: that needs no counting of rows.
    end = from_datetime(until) if until is not None else gateway.clock.now() // HOUR * HOUR + HOUR
    start = from_datetime(since) if since is not None else (end - STATS_DAYS * DAY) // HOUR * HOUR
    if end < start:
        raise Invalid(Problem(("query", "until"), "must not be earlier than since", "span"))
    return await gateway.database.history.totals(endpoint.scope, endpoint.id, start, end)


@router.post(
    "/{endpoint_id}/send-example",
    status_code=202,
    response_model=None,
    responses={202: {"model": MessageOut}},
)
async def send_example(
    app: ApplicationOf,
    endpoint: EndpointOf,
    body: ExampleIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
    hidden: HiddenTypes,
) -> Response:
    """Send a sample of an event type to this endpoint only, whatever its filters say.

    It has the tag `tillbell-example` and the header `Tillbell-Example: true`, and no poller reads
    it: nothing has happened. A portal token sends the type's own sample, not a payload.
    """
    if principal.is_portal and body.payload is not None:
        raise Forbidden("A portal token sends the sample of a type; leave `payload` out.")
    if (problem := check_event_type(body.event_type)) is not None:
        raise Invalid(Problem(("body", "eventType"), problem, "event_type"))
    refuse_stopped(endpoint)
    payload = example_payload(gateway, body, hidden)
    view = await view_of_one(gateway, app, endpoint)
    draft = MessageDraft(body.event_type, msgspec.json.encode(payload), tags=(EXAMPLE_TAG,))
    published = await gateway.publisher.publish_for(view, draft)
    assert isinstance(published, PublishReceipt)
    return answer(await message_doc(gateway, published.message, with_content=True), 202)


async def view_of_one(gateway: Gateway, app: Application, endpoint: Endpoint) -> ApplicationView:
    """Return a view of the application with only this endpoint, which takes every message."""
    compiled = await gateway.config_cache.compiled_endpoint(app.id, endpoint.id)
    if compiled is None:
        raise NotFound("There is no such endpoint.")
    view = ApplicationView(app)
    view.put_endpoint(endpoint.id, compiled.unrestricted())
    return view


def example_payload(gateway: Gateway, body: ExampleIn, hidden: frozenset[str]) -> Any:
    """Return what is sent as an example. `Invalid` if there is no sample of the type."""
    if body.payload is not None:
        return body.payload
    if body.event_type in hidden:
        raise _no_sample()
    event_type = gateway.config_cache.cached_event_type(body.event_type)
    examples = schema_examples(event_type.schemas) if event_type else []
    if body.example_index < len(examples):
        return examples[body.example_index]
    if body.event_type == PING:
        return {"success": True}
    if body.event_type in CATALOG:
        return CATALOG[body.event_type].sample
    raise _no_sample()


def _no_sample() -> Invalid:
    message = "there is no sample of this type; send `payload`, or put `examples` into its schema"
    return Invalid(Problem(("body", "eventType"), message, "no_sample"))


def schema_examples(schemas: dict[str, Any] | None) -> list[Any]:
    """Return the examples in the latest version of an event type's schema."""
    if not schemas:
        return []
    latest = latest_schema(schemas)
    examples = latest.get("examples") if isinstance(latest, dict) else None
    if not isinstance(examples, list):
        return []
    return [example for example in examples if isinstance(example, dict)]
