"""Zenofy: one flat order, told apart by `event`.

The platform's contract: a POST to one URL for every kind of event when an order becomes
paid, refunded or cancelled. `event` is `order_paid`, `order_refunded` or `order_cancelled`,
and `status` mirrors the order (`PAID`, `REFUNDED`, `CANCELLED`). Every documented key is
always present; what is not known is null. Amounts are JSON numbers with the currency's
digits (`49.00`), times are ISO 8601 with their offset. A refund keeps the amount, gateway,
reference and time of the payment. If a secret was set, `X-Webhook-Secret` carries that very
value; otherwise the header is absent. Success is any 2xx.

Partial refunds are not sent: the platform has no word for them, and `order_refunded` would
claim more than happened (T25).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.dialect import SharedSecretDialect, webhook_headers
from tillbell.profiles.fields import Fields, as_number

_EVENTS = {
    "order.paid": ("order_paid", "PAID"),
    "order.refunded": ("order_refunded", "REFUNDED"),
    "order.cancelled": ("order_cancelled", "CANCELLED"),
}
_STATUSES = dict(_EVENTS.values())


class Zenofy(SharedSecretDialect):
    """Orders that became paid, refunded or cancelled."""

    name = "zenofy"

    def parts(self, event_type: str, selectors: Sequence[str] | None) -> tuple[str, ...]:
        """Send the three events that the platform knows."""
        del selectors
        known = _EVENTS.get(event_type)
        return (known[0],) if known else ()

    def render(self, part: str, message: MessageContext) -> bytes:
        """Write the order."""
        order = Fields.of_payload(message.payload)
        return msgspec.json.encode({"event": part, **_order(order, _STATUSES[part])})

    def headers(self, sending: AttemptContext) -> list[tuple[str, str]]:
        """Write the secret, when there is one, and the webhook headers."""
        headers = webhook_headers(sending, sending.secrets, sending.message_id)
        if sending.secrets:
            headers.append(("X-Webhook-Secret", sending.secrets[0]))
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
        "totalPrice": as_number(item.amount("totalPrice", currency)),
        "currency": currency,
        "isBumpProduct": item.flag("isBumpProduct"),
    }


def _time(at: datetime | None) -> str | None:
    """Write a time as the platform does: numeric offset, no fraction of a second."""
    return None if at is None else at.isoformat(timespec="seconds")
