"""Zenofy: one flat order; `event` says what happened.

The platform's contract: a POST to one URL for every kind of event when an order becomes
paid, refunded or cancelled. `event` is `order_paid`, `order_refunded` or `order_cancelled`,
and `status` mirrors the order (`PAID`, `REFUNDED`, `CANCELLED`). Every documented key is
always present; unknown values are null. A line without `totalPrice` costs its price times
its quantity. Amounts are JSON numbers with the currency's digits (`49.00`), times are ISO
8601 with their offset. A refund keeps the amount, gateway, reference and time of the payment.
If a secret was set, `X-Webhook-Secret` holds it; otherwise the header is absent. Success is
any 2xx.

A payload that is no JSON object is not sent: the order is made of its members.

Partial refunds are not sent: the platform has no event for them, and `order_refunded` would
mean a full refund.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec

from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.defaults import SharedSecretProfile, webhook_headers
from tillbell.profiles.fields import Fields, as_number, line_total

_EVENTS = {
    "order.paid": ("order_paid", "PAID"),
    "order.refunded": ("order_refunded", "REFUNDED"),
    "order.cancelled": ("order_cancelled", "CANCELLED"),
}
_STATUSES = dict(_EVENTS.values())


class Zenofy(SharedSecretProfile):
    """Orders that became paid, refunded or cancelled."""

    name = "zenofy"

    def parts(self, event_type: str, selectors: Collection[str] | None) -> tuple[str, ...]:
        """Return the platform's event, if it has one."""
        del selectors
        known = _EVENTS.get(event_type)
        return (known[0],) if known else ()

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the order."""
        order = Fields.of_payload(message.payload)
        return msgspec.json.encode({"event": part, **_order(order, _STATUSES[part])})

    def headers(self, attempt: AttemptContext) -> list[tuple[str, str]]:
        """Return the webhook headers and the secret, if there is one."""
        headers = webhook_headers(attempt, attempt.secrets, attempt.message_id)
        if attempt.secrets:
            headers.append(("X-Webhook-Secret", attempt.secrets[0]))
        return headers


def _order(order: Fields, status: str) -> dict[str, Any]:
    currency = order.text("currency")
    customer = order.child("customer")
    return {
        "orderId": order.text("id"),
        "status": status,
        "totalAmount": as_number(order.amount("amount", currency)),
        "currency": currency,
        "paymentGateway": order.text("gateway"),
        "paymentReference": order.text("reference"),
        "createdAt": _time(order.instant("createdAt")),
        "paidAt": _time(order.instant("paidAt")),
        "affiliateId": order.text("affiliateId"),
        "customer": {name: customer.text(name) for name in ("name", "email", "phoneNumber")},
        "items": [_item(item, currency) for item in order.children("items")],
    }


def _item(item: Fields, order_currency: str | None) -> dict[str, Any]:
    currency = item.text("currency") or order_currency
    return {
        "productId": item.text("productId"),
        "productName": item.text("productName"),
        "quantity": item.number("quantity"),
        "unitPrice": as_number(item.amount("unitPrice", currency)),
        "totalPrice": as_number(line_total(item, currency)),
        "currency": currency,
        "isBumpProduct": item.flag("isBumpProduct"),
    }


def _time(at: datetime | None) -> str | None:
    """Return a time as ISO 8601 with numeric offset and without fractions of a second."""
    return None if at is None else at.isoformat(timespec="seconds")
