"""Subscriptions, and one subscription with its periods."""

from __future__ import annotations

from starlette.responses import Response

from tillbell.clock import iso
from tillbell.model.shop import Subscription
from tillbell.rules.filters.clauses import FilterList
from tillbell.web.api.shop_records import timeline_of
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.shop_lists import (
    ShopList,
    facts_of,
    list_handler,
    metadata_of,
    part_of,
    record_of,
    steps_of,
    text_of,
)

_PLACE = "/subscriptions"
_EXAMPLE = (
    '{"status": "active", "plan": "Monthly box", "amount": "29.99", "currency": "EUR",\n'
    '       "interval": "month", "customer": {"id": "cus-1"}}'
)
_FACTS = {
    "plan": "Plan",
    "currentPeriodStart": "Paid from",
    "currentPeriodEnd": "Paid until",
    "trialEnd": "Trial ends",
    "cancelledAt": "Cancelled",
    "effectiveAt": "That counts from",
    "reason": "Reason",
    "createdAt": "Began",
}
_COLUMNS = (
    "time",
    "id",
    "uid",
    "status",
    "plan",
    "amount",
    "currency",
    "interval",
    "customer",
    "currentPeriodEnd",
)


async def show(visit: Visit) -> Response:
    """Show a subscription."""
    subscription = await record_of(visit, Subscription, "subscription")
    data, buyer = subscription.data, part_of(subscription.data, "customer")
    entries = await timeline_of(visit.gateway, subscription)
    return visit.show(
        "subscription.html",
        subscription=subscription,
        app_name=visit.names_of(subscription.scope)[0],
        name=text_of(data, "plan") or subscription.uid or subscription.id,
        status=text_of(data, "status") or "created",
        amount=text_of(data, "amount"),
        currency=text_of(data, "currency"),
        period=period_of(subscription),
        order_id=text_of(data, "orderId"),
        transaction_id=text_of(data, "transactionId"),
        customer={name: text_of(buyer, name) for name in ("id", "name", "email", "phoneNumber")},
        facts=facts_of(data, _FACTS),
        metadata=metadata_of(data),
        steps=await steps_of(visit, subscription.scope, entries),
    )


def period_of(subscription: Subscription) -> str:
    """Say how often a subscription is paid.

    >>> period_of(Subscription(id="sub_1", scope="app_1", data={"interval": "month"}))
    'every month'
    """
    interval = text_of(subscription.data, "interval")
    count = text_of(subscription.data, "intervalCount")
    if not interval:
        return ""
    return f"every {interval}" if count in ("", "1") else f"every {count} {interval}s"


def _cells(subscription: Subscription) -> list[object]:
    data = subscription.data
    return [
        iso(subscription.updated_at),
        subscription.id,
        subscription.uid,
        *(data.get(name) for name in ("status", "plan", "amount", "currency", "interval")),
        part_of(data, "customer").get("id"),
        data.get("currentPeriodEnd"),
    ]


SUBSCRIPTIONS = ShopList(
    FilterList.SUBSCRIPTION, Subscription, "subscriptions.html", _COLUMNS, _cells, _EXAMPLE
)
PAGES = (
    SitePage(_PLACE, list_handler(SUBSCRIPTIONS), _PLACE),
    SitePage("/subscriptions/{subscription}", show, _PLACE),
)
