"""Subscriptions of an application."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from tillbell.model.shop import Subscription
from tillbell.web.api.amounts import AmountText
from tillbell.web.api.shapes import In, Listed, Out, Time
from tillbell.web.api.shop_records import (
    BuyerIn,
    Currency,
    Members,
    PlatformTime,
    ShortText,
    TimelineEntry,
    timeline_of,
    with_exact_amounts,
)
from tillbell.web.api.shop_routes import Shapes, Words, document_resource, shop_router

SubscriptionStatus = Literal["created", "trialing", "active", "suspended", "expired", "cancelled"]
Interval = Literal["day", "week", "month", "year"]
IntervalCount = Annotated[int, Field(strict=True, ge=1, le=1_000)]


class SubscriptionMembers(In):
    """What the shop says of a subscription."""

    status: SubscriptionStatus | None = Field(
        default=None, description="Where it stands; `created` if left out."
    )
    plan: ShortText | None = Field(default=None, description="What was subscribed to.")
    amount: AmountText | None = Field(default=None, description="Per period.")
    currency: Currency | None = None
    interval: Interval | None = Field(default=None, description="Length of a period.")
    interval_count: IntervalCount | None = Field(default=None, description="How many of them.")
    current_period_start: Time | None = Field(default=None, description="Paid from.")
    current_period_end: Time | None = Field(default=None, description="Paid until.")
    trial_end: Time | None = Field(default=None, description="End of the free time.")
    cancelled_at: Time | None = Field(default=None, description="When it was cancelled.")
    effective_at: Time | None = Field(default=None, description="When the cancellation counts.")
    reason: ShortText | None = Field(default=None, description="Why it changed so.")
    order_id: ShortText | None = Field(
        default=None, description="The order that began or renewed it."
    )
    transaction_id: ShortText | None = Field(default=None, description="The payment.")
    customer: BuyerIn | None = Field(default=None, description="Who subscribed.")
    created_at: Time | None = Field(default=None, description="When it began.")
    metadata: Members | None = None
    updated_at: PlatformTime | None = None


class SubscriptionIn(SubscriptionMembers):
    """A subscription to create or replace."""

    amount: AmountText
    currency: Currency


class SubscriptionPatch(SubscriptionMembers):
    """Changes to a subscription. Members left out stay as they are; null removes."""


class SubscriptionOut(Out):
    """A subscription."""

    id: str
    uid: str | None
    status: str = Field(default="pending", description="Where it stands.")
    plan: str | None = Field(default=None, description="What was subscribed to.")
    amount: str | None = Field(default=None, description="Per period, in whole units.")
    currency: str | None = Field(default=None, description="Code of its currency or coin.")
    interval: str | None = Field(default=None, description="Length of a period.")
    interval_count: int | None = Field(default=None, description="How many of them.")
    current_period_start: str | None = Field(default=None, description="Paid from.")
    current_period_end: str | None = Field(default=None, description="Paid until.")
    trial_end: str | None = Field(default=None, description="End of the free time.")
    cancelled_at: str | None = Field(default=None, description="When it was cancelled.")
    effective_at: str | None = Field(default=None, description="When the cancellation counts.")
    reason: str | None = Field(default=None, description="Why it changed so.")
    order_id: str | None = Field(default=None, description="The order that began or renewed it.")
    transaction_id: str | None = Field(default=None, description="The payment.")
    customer: dict[str, Any] | None = Field(default=None, description="Who subscribed.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="What the shop keeps with it."
    )
    version: int
    source_id: str | None
    created_at: datetime
    updated_at: datetime


class SubscriptionDetailOut(SubscriptionOut):
    """A subscription with what happened to it."""

    timeline: list[TimelineEntry] = Field(description="What happened, the oldest first.")


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Return a subscription with a status, whose amount is exact."""
    checked = with_exact_amounts(data, ("amount",))
    return checked | {"status": checked.get("status") or "created"}


RESOURCE = document_resource(
    Subscription,
    Words("subscription", "a subscription", "subscriptions"),
    Shapes(
        SubscriptionIn,
        SubscriptionPatch,
        SubscriptionOut,
        Listed[SubscriptionOut],
        SubscriptionDetailOut,
    ),
    _checked,
    timeline_of,
)
router = shop_router(RESOURCE)
