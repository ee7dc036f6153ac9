"""Shapes of endpoints. Svix's members of both generations, and ours."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.configure.endpoints import EndpointChanges
from tillbell.model.endpoints import Endpoint, EndpointStatus
from tillbell.web.api.shapes.base import (
    Flag,
    In,
    Label,
    Metadata,
    Name,
    Out,
    Rated,
    Status,
    Text,
    Uid,
    Window,
)

WEEK_S = 604_800
MONTH_S = 2_592_000

Url = Annotated[str, Field(min_length=1, max_length=2048)]
EventTypes = Annotated[list[Name], Field(min_length=1, max_length=500)]
Channels = Annotated[list[Label], Field(min_length=1, max_length=10)]
SecretText = Annotated[str, Field(min_length=1, max_length=512)]
Headers = dict[str, str]


_AS_THEY_ARE = frozenset({"uid", "url", "success", "ordering", "max_concurrency", "header_names"})


class EndpointFields(Rated):
    """What an endpoint body may say. Members left out are told from null."""

    description: Text | None = None
    uid: Uid | None = None
    disabled: Flag | None = None
    event_types: EventTypes | None = Field(
        default=None, description="Selectors such as `order.paid` or `order.*`; null: every type."
    )
    filter_types: EventTypes | None = Field(default=None, description="Older name of `eventTypes`.")
    channels: Channels | None = Field(default=None, description="null: every channel.")
    metadata: Metadata | None = None
    profile: Name | None = Field(default=None, description="The dialect, e.g. `standard`.")
    retry_schedule: (
        Annotated[list[Annotated[int, Field(strict=True, ge=0, le=MONTH_S)]], Field(max_length=50)]
        | None
    ) = Field(default=None, description="Seconds before attempt 2, 3, …; null: the profile's.")
    timeout: Annotated[int, Field(strict=True, ge=1, le=60)] | None = Field(
        default=None, description="Seconds."
    )
    success: Literal["2xx", "200"] | None = None
    ordering: Literal["fifo"] | None = None
    max_concurrency: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    header_names: dict[str, str] | None = Field(
        default=None, description="Profile's header name → this endpoint's."
    )
    handshake: Flag | None = Field(
        default=None,
        description="Profile `cloudevents`: ask the receiver with OPTIONS before saving.",
    )

    def changes(self) -> EndpointChanges:
        """Return what it names as fields of the record: null clears, what is left out stays."""
        named = self.model_fields_set
        fields: dict[str, Any] = {name: getattr(self, name) for name in named & _AS_THEY_ARE}
        if "description" in named:
            fields["description"] = self.description or ""
        if "metadata" in named:
            fields["metadata"] = self.metadata or {}
        if "timeout" in named:
            fields["timeout_s"] = self.timeout
        if self.gives_rate:
            fields["throttle_rate"] = self.rate
        if self.profile is not None:
            fields["profile"] = self.profile
        if self.handshake is not None:
            fields["handshake"] = self.handshake
        return EndpointChanges(
            fields | self._lists() | _status(self.disabled), self._selectors_named()
        )

    def _lists(self) -> dict[str, Any]:
        named = self.model_fields_set
        fields: dict[str, Any] = {}
        if named & {"event_types", "filter_types"}:
            fields["selectors"] = _tuple(self.event_types or self.filter_types)
        if "channels" in named:
            fields["channels"] = _tuple(self.channels)
        if "retry_schedule" in named:
            fields["retry_schedule"] = _tuple(self.retry_schedule)
        return fields

    def _selectors_named(self) -> str | None:
        if self.event_types:
            return "eventTypes"
        return "filterTypes" if self.filter_types else None


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return tuple(values) if values is not None else None


def _status(disabled: bool | None) -> dict[str, Any]:  # noqa: FBT001 - the wire's own flag
    if disabled is None:
        return {}
    if disabled:
        return {"status": EndpointStatus.DISABLED, "status_reason": "owner"}
    return {"status": EndpointStatus.ACTIVE, "status_reason": None}


class EndpointUpsertIn(EndpointFields):
    """A whole endpoint. Secret, headers and profile stay as they are if it exists."""

    url: Url


class EndpointIn(EndpointUpsertIn):
    """A new endpoint."""

    secret: SecretText | None = Field(default=None, description="Made for you if you leave it out.")
    headers: Headers | None = None

    def changes(self) -> EndpointChanges:
        """Return it as fields of the record, with its secret and headers."""
        return super().changes()._replace(secret=self.secret, headers=self.headers)


class EndpointPatch(EndpointFields):
    """What is to change; members left out stay, null clears."""

    url: Url = ""


class EndpointOut(Out):
    """An endpoint."""

    id: str
    uid: str | None
    url: str
    description: str
    disabled: bool
    status: EndpointStatus
    status_reason: str | None
    event_types: list[str] | None
    filter_types: list[str] | None
    channels: list[str] | None
    throttle_rate: int | None
    rate_limit: int | None
    metadata: dict[str, str]
    profile: str
    retry_schedule: list[int] | None
    timeout: int | None
    success: str | None
    ordering: str | None
    max_concurrency: int | None
    header_names: dict[str, str] | None
    handshake: bool
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> EndpointOut:
        """Show an endpoint."""
        selectors = list(endpoint.selectors) if endpoint.selectors is not None else None
        schedule = endpoint.retry_schedule
        return cls(
            id=endpoint.id,
            uid=endpoint.uid,
            url=endpoint.url,
            description=endpoint.description,
            disabled=endpoint.status is not EndpointStatus.ACTIVE,
            status=endpoint.status,
            status_reason=endpoint.status_reason,
            event_types=selectors,
            filter_types=selectors,
            channels=list(endpoint.channels) if endpoint.channels is not None else None,
            throttle_rate=endpoint.throttle_rate,
            rate_limit=endpoint.throttle_rate,
            metadata=endpoint.metadata,
            profile=endpoint.profile,
            retry_schedule=list(schedule) if schedule is not None else None,
            timeout=endpoint.timeout_s,
            success=endpoint.success,
            ordering=endpoint.ordering,
            max_concurrency=endpoint.max_concurrency,
            header_names=endpoint.header_names,
            handshake=endpoint.handshake,
            version=endpoint.version,
            created_at=to_datetime(endpoint.created_at),
            updated_at=to_datetime(endpoint.updated_at),
        )


class MessageEndpointOut(EndpointOut):
    """An endpoint as it stands with one message."""

    status: Status  # type: ignore[assignment]  # Svix's name for the message's status
    status_text: str
    next_attempt: datetime | None


class HeadersIn(In):
    """All custom headers."""

    headers: Headers


class HeadersPatchIn(In):
    """Headers to set and to delete."""

    headers: Headers = Field(default_factory=dict)
    delete_headers: list[str] | None = None


class HeadersOut(Out):
    """Custom headers; of those in `sensitive` the value is not shown."""

    headers: Headers
    sensitive: list[str]


class SecretOut(Out):
    """The signing secret in use; "" when the endpoint has none."""

    key: str


class RotateIn(In):
    """A new signing secret."""

    key: SecretText | None = Field(default=None, description="Made for you if you leave it out.")
    grace_period_seconds: Annotated[int, Field(strict=True, ge=0, le=WEEK_S)] | None = Field(
        default=None, description="How long the old one goes on signing too."
    )


class StatsOut(Out):
    """Deliveries of an endpoint by where they stand."""

    success: int
    pending: int
    sending: int
    fail: int
    canceled: int


class AttemptStatsOut(Out):
    """Deliveries of an endpoint that have ended, by how."""

    success: int
    fail: int
    canceled: int


class ExampleIn(In):
    """An example to send."""

    event_type: Name
    payload: dict[str, object] | None = Field(
        default=None, description="Default: the type's sample."
    )
    example_index: Annotated[int, Field(strict=True, ge=0)] = 0


class BulkReplayIn(Window):
    """Which deliveries to send again."""

    event_types: EventTypes | None = None
    channel: Label | None = None
    tag: Label | None = None
    status: Status | None = None
    status_code_class: int | None = Field(
        default=None, description="200, 300, …; 0: no answer came."
    )


class TaskOut(Out):
    """Work in the background."""

    id: str
    status: str
    task: str
    data: dict[str, object]
    updated_at: datetime
