"""Shapes of messages. Answers that hold a payload are spliced from bytes (`rendering.py`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from tillbell.web.api.shapes.applications import ApplicationIn
from tillbell.web.api.shapes.base import In, Label, Name, Out, Status


class MessageIn(In):
    """A message to publish. The payload is kept and sent byte for byte."""

    event_type: Name
    payload: dict[str, Any]
    event_id: Name | None = Field(default=None, description="Your own id; a second use is a 409.")
    channels: list[Label] | None = Field(default=None, max_length=5)
    tags: list[Label] | None = Field(default=None, max_length=10)
    deliver_at: datetime | None = Field(default=None, description="Within the next 24 hours.")
    order_key: Name | None = Field(
        default=None, description="For endpoints with `ordering`: one at a time for each key."
    )
    payload_retention_period: int | None = Field(default=None, description="Days.")
    payload_retention_hours: int | None = None
    application: ApplicationIn | None = Field(
        default=None, description="Created first, if the application of the path does not exist."
    )


class MessageOut(Out):
    """A message."""

    id: str
    event_type: str
    event_id: str | None
    channels: list[str] | None
    tags: list[str] | None
    timestamp: datetime
    deliver_at: datetime | None
    payload: dict[str, Any] = Field(description="`{}` without content, `{'expired': true}` after.")


class PublishedOut(MessageOut):
    """A message just published."""

    deliveries: int = Field(description="How many deliveries it made.")


class PrecheckIn(In):
    """A message that may be published."""

    event_type: Name
    channels: list[Label] | None = Field(default=None, max_length=5)


class PrecheckOut(Out):
    """Whether anybody would get it."""

    active: bool


class BulkExpungeIn(In):
    """Messages whose payload is to be deleted."""

    ids: list[Name] = Field(default_factory=list, max_length=100)


class BulkExpungeOut(Out):
    """What became of each: `expunged` or `not-found`."""

    results: dict[str, str]


class PolledOut(Out):
    """Messages since the iterator, oldest first."""

    data: list[MessageOut]
    iterator: str
    done: bool


class SeekIn(In):
    """Where a consumer is to go on."""

    after: datetime


class SeekOut(Out):
    """The consumer's new iterator."""

    iterator: str


class EndpointMessageOut(MessageOut):
    """A message as it stands at one endpoint."""

    status: Status
    status_text: str
    next_attempt: datetime | None


class AttemptOut(Out):
    """One try to send a message."""

    id: str
    msg_id: str
    endpoint_id: str
    delivery_id: str
    url: str
    number: int
    status: Status
    status_text: str
    trigger_type: int = Field(description="0: by the schedule, 1: by hand.")
    response: str
    response_status_code: int
    response_duration_ms: int
    result: str
    error: str
    detail: str
    timestamp: datetime
    msg: MessageOut | None


class DeliveryOut(Out):
    """The duty to bring one message to one endpoint."""

    id: str
    msg_id: str
    endpoint_id: str
    event_type: str
    event_id: str | None
    state: str
    status: Status
    status_text: str
    attempts: int
    next_attempt: datetime | None
    trigger_type: int
    created_at: datetime
    timestamp: datetime = Field(description="When the message was published.")
