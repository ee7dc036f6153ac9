"""Orders of an application, as the shop and its payments make them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from tillbell.model.shop import Order
from tillbell.web.api.amounts import AmountText
from tillbell.web.api.shapes import Decides, Flag, In, Listed, Out, Time
from tillbell.web.api.shop_records import (
    AddressIn,
    BuyerIn,
    Currency,
    Members,
    PlatformTime,
    ShortText,
    TimelineEntry,
    timeline_of_order,
    with_exact_amounts,
    with_exact_lines,
)
from tillbell.web.api.shop_routes import Shapes, Words, document_resource, shop_router

OrderStatus = Literal["pending", "paid", "cancelled", "refunded", "partially_refunded", "disputed"]
PaymentStatus = Literal[
    "pending",
    "underpaid",
    "paid",
    "overpaid",
    "cancelled",
    "partially_refunded",
    "refunded",
    "disputed",
]


class LineIn(In):
    """One line of an order."""

    product_id: Annotated[ShortText, Decides()] | None = Field(
        default=None, description="Your id of the product."
    )
    product_name: ShortText | None = Field(default=None, description="Its name when ordered.")
    quantity: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] = Field(
        default=1, description="How many."
    )
    unit_price: AmountText | None = Field(default=None, description="Price of one.")
    total_price: AmountText | None = Field(default=None, description="Price of all.")
    currency: Currency | None = Field(default=None, description="The order's, if left out.")
    is_bump_product: Flag = Field(default=False, description="Added by an offer at the checkout.")


class OrderMembers(In):
    """What the shop says of an order."""

    number: ShortText | None = Field(default=None, description="What the customer sees.")
    status: OrderStatus | None = Field(
        default=None, description="Where the order stands; `pending` if left out."
    )
    payment_status: PaymentStatus | None = Field(
        default=None, description="How it is paid; computed as soon as a transaction has paid."
    )
    amount: AmountText | None = None
    currency: Currency | None = None
    gateway: ShortText | None = Field(default=None, description="How it was paid.")
    reference: ShortText | None = Field(
        default=None, description="The gateway's reference of the payment."
    )
    created_at: Time | None = Field(default=None, description="When it was placed.")
    paid_at: Time | None = Field(default=None, description="When it was paid.")
    cancelled_at: Time | None = Field(default=None, description="When it was cancelled.")
    cancel_reason: ShortText | None = Field(default=None, description="Why it was cancelled.")
    refunded_at: Time | None = Field(default=None, description="When money was last given back.")
    refunded_amount: AmountText | None = Field(
        default=None, description="All money given back so far."
    )
    affiliate_id: ShortText | None = Field(default=None, description="Who sent the customer.")
    customer: BuyerIn | None = Field(default=None, description="Who bought.")
    shipping_address: AddressIn | None = Field(default=None, description="Where it goes.")
    items: list[LineIn] | None = Field(
        default=None, description="What was bought; at most 1,000 lines."
    )
    metadata: Members | None = None
    updated_at: PlatformTime | None = None


class OrderIn(OrderMembers):
    """An order to create or replace."""

    amount: AmountText
    currency: Currency


class OrderPatch(OrderMembers):
    """Changes to an order. Members left out stay as they are; null removes."""


class OrderOut(Out):
    """An order."""

    id: str
    uid: str | None
    number: str | None = Field(default=None, description="What the customer sees.")
    status: str = Field(default="pending", description="Where the order stands.")
    payment_status: str | None = Field(
        default=None, description="Computed from its transactions, as soon as one has paid."
    )
    amount: str | None = Field(default=None, description="Total, in whole units.")
    currency: str | None = Field(default=None, description="Code of its currency or coin.")
    paid_amount: str | None = Field(
        default=None, description="What its transactions have credited."
    )
    gateway: str | None = Field(default=None, description="How it was paid.")
    reference: str | None = Field(
        default=None, description="The gateway's reference of the payment."
    )
    paid_at: str | None = Field(default=None, description="When it was paid.")
    cancelled_at: str | None = Field(default=None, description="When it was cancelled.")
    cancel_reason: str | None = Field(default=None, description="Why it was cancelled.")
    refunded_at: str | None = Field(default=None, description="When money was last given back.")
    refunded_amount: str | None = Field(default=None, description="All money given back so far.")
    affiliate_id: str | None = Field(default=None, description="Who sent the customer.")
    customer: dict[str, Any] | None = Field(default=None, description="Who bought.")
    shipping_address: dict[str, Any] | None = Field(default=None, description="Where it goes.")
    items: list[dict[str, Any]] | None = Field(default=None, description="What was bought.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="What the shop keeps with it."
    )
    version: int
    source_id: str | None
    created_at: datetime
    updated_at: datetime


class OrderDetailOut(OrderOut):
    """An order with what happened to it."""

    timeline: list[TimelineEntry] = Field(description="What happened, the oldest first.")


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Return an order whose amounts are exact."""
    return with_exact_lines(with_exact_amounts(data, ("amount", "refundedAmount")))


RESOURCE = document_resource(
    Order,
    Words("order", "an order", "orders"),
    Shapes(OrderIn, OrderPatch, OrderOut, Listed[OrderOut], OrderDetailOut),
    _checked,
    timeline_of_order,
)
router = shop_router(RESOURCE)
