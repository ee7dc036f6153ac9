"""Orders of an application, as the shop and its payments make them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import Field

from tillbell.model.shop import Order
from tillbell.web.api.amounts import AmountText
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import Decides, Flag, In, Listed, Out, Time
from tillbell.web.api.shop_records import (
    AddressIn,
    BuyerIn,
    Currency,
    ListedRecordsOf,
    Members,
    PlatformTime,
    RecordId,
    RecordUid,
    ShortText,
    TimelineEntry,
    answer_list,
    news_of,
    present,
    shown,
    timeline_of_order,
    with_exact_amounts,
    with_exact_lines,
)

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

    @classmethod
    def of(cls, order: Order) -> OrderOut:
        """Return an order in the shape that callers see."""
        return OrderOut.model_validate(shown(order))


class OrderDetailOut(OrderOut):
    """An order with what happened to it."""

    timeline: list[TimelineEntry] = Field(description="What happened, the oldest first.")


router = resource("/app/{app_id}/order", "Order")


@router.get("")
async def list_(
    app: ApplicationOf, wanted: ListedRecordsOf, gateway: GatewayOf
) -> Listed[OrderOut]:
    """List orders by their last change, the latest first."""
    return await answer_list(gateway, Order, app.id, wanted, OrderOut.of)


@router.get("/{order_id}")
async def get(app: ApplicationOf, order_id: RecordId, gateway: GatewayOf) -> OrderDetailOut:
    """Show an order with what happened to it."""
    record = await present(gateway, Order, app.id, order_id)
    members = OrderOut.of(record).model_dump()
    return OrderDetailOut(**members, timeline=await timeline_of_order(gateway, record))


@router.put("/{order_uid}", responses=also_answers(201, OrderOut, "Created."))
async def upsert(
    app: ApplicationOf,
    order_uid: RecordUid,
    body: OrderIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
    response: Response,
) -> OrderOut:
    """Replace an order, or create it (201). What changes nothing publishes nothing."""
    news = news_of(body)
    news = news._replace(data=_checked(dict(news.data)))
    put = await gateway.shop_records.put(app.id, Order, order_uid, news, principal.key.id)
    response.status_code = 201 if put.is_new else 200
    return OrderOut.of(put.record)


@router.patch("/{order_id}")
async def patch(
    app: ApplicationOf,
    order_id: RecordId,
    body: OrderPatch,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> OrderOut:
    """Change the named members of an order; null removes one."""
    news = news_of(body)
    record = await present(gateway, Order, app.id, order_id)
    checked = _checked({**record.data, **news.data})
    news = news._replace(data={name: checked[name] for name in news.data})
    patched = await gateway.shop_records.patch(
        app.id, Order, record.uid or record.id, news, principal.key.id
    )
    return OrderOut.of(patched)


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Return an order whose amounts are exact."""
    return with_exact_lines(with_exact_amounts(data, ("amount", "refundedAmount")))
