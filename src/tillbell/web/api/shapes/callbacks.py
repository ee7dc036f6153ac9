"""Shapes of callbacks: the log of what came in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from tillbell.model.callbacks import Outcome
from tillbell.web.api.shapes.base import Flag, In, Name, Out
from tillbell.web.api.shapes.sources import ReadingOut


class CallbackOut(Out):
    """One request from a provider, and what became of it."""

    id: str
    source_id: str
    provider: str
    received_at: datetime
    method: str
    size: int = Field(description="Bytes of its body.")
    verdict: str = Field(description="accepted or refused.")
    verdict_why: str
    trust: str | None
    outcome: Outcome | None = Field(description="null: it is not processed yet.")
    why: str = Field(description="Of the outcome.")
    duplicate_of: str | None
    transaction_id: str | None
    message_ids: list[str]
    processed_at: datetime | None
    retry_at: datetime | None = Field(description="When it is looked at again.")
    dedupe_key: str | None
    hops: int = Field(description="Gateways like this one that it has come through.")


class RequestOut(Out):
    """A request as it came; secrets and card numbers are masked."""

    method: str
    target: str
    headers: list[list[str]] = Field(description="Name and value, in the order they came.")
    peer: str
    body: str | None
    body_note: str | None = Field(description="Why the body is not shown.")


class LinkedDeliveryOut(Out):
    """A delivery that a callback led to."""

    id: str
    message_id: str
    endpoint_id: str
    state: str


class CallbackDetailOut(CallbackOut):
    """A callback with its request and what it led to."""

    request: RequestOut | None
    request_note: str | None = Field(description="Why there is no request any more.")
    deliveries: list[LinkedDeliveryOut]


class ReplayIn(In):
    """How one callback is replayed."""

    dry_run: Flag = False


class ReplayManyIn(ReplayIn):
    """Which callbacks are replayed. What is left out does not restrict."""

    source_id: Name | None = None
    provider: Name | None = None
    outcomes: list[Outcome] | None = None
    verdict: str | None = Field(default=None, pattern="^(accepted|refused)$")
    transaction_id: Name | None = None
    since: datetime | None = None
    until: datetime | None = None


class DifferenceOut(Out):
    """What would be otherwise."""

    name: str
    before: Any
    after: Any


class PreviewOut(Out):
    """A callback, and how it reads now."""

    callback_id: str
    possible: bool = Field(description="Whether a replay would process it.")
    why: str = Field(description="Why not.")
    reading: ReadingOut | None
    differences: list[DifferenceOut]


class ReplayOut(Out):
    """What a replay of one callback did, or would do."""

    dry_run: bool
    callback: CallbackOut | None = Field(description="The one that is processed now.")
    preview: PreviewOut | None = Field(description="Of a dry run.")
    why: str = Field(description="Why nothing is processed.")


class ReplayManyOut(Out):
    """A task that replays, or the first of what it would do."""

    dry_run: bool
    task_id: str | None
    previews: list[PreviewOut]
    done: bool = Field(description="Whether the previews are all there are.")
