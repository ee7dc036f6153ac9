"""What an order of Shopify says, in the catalogue's shape.

Amounts are text in the shop's currency, times ISO text with offset. What an app may not see of a
customer is null there and left out here. Source: shopify.dev, REST Admin API, Order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.providers.kit.order_fields import amount, count, currency, known, moment, parts
from tillbell.providers.kit.reading import object_member, plain_json, text

# The platform's words for the money of an order. A partly paid one is not paid.
STATES: Mapping[str, str] = {
    "pending": "pending",
    "authorized": "pending",
    "partially_paid": "pending",
    "paid": "paid",
    "partially_refunded": "partially_refunded",
    "refunded": "refunded",
    "voided": "cancelled",
}


def order(found: dict[str, Any], state: str, paid_at: str | None) -> dict[str, Any]:
    """Return an order. It may be cancelled while its money is not given back."""
    code = currency(found)
    cancelled_at = moment(found, "cancelled_at")
    is_cancelled = cancelled_at is not None and state in ("pending", "paid")
    return known(
        {
            "id": text(found, "id"),
            "number": text(found, "name"),
            "status": "cancelled" if is_cancelled else state,
            "paymentStatus": state,
            "amount": amount(found, "total_price", code),
            "currency": code,
            "gateway": gateway(found),
            "createdAt": moment(found, "created_at"),
            "paidAt": paid_at,
            "cancelledAt": cancelled_at,
            "cancelReason": text(found, "cancel_reason"),
            "customer": _customer(found),
            "shippingAddress": _address(object_member(found, "shipping_address")),
            "items": [_item(line, code) for line in parts(found, "line_items")],
            "metadata": _attributes(found),
        }
    )


def gateway(found: dict[str, Any]) -> str | None:
    """Return how an order was paid; of several ways the first."""
    names = found.get("payment_gateway_names")
    return text({"": names[0]}, "") if isinstance(names, list) and names else None


def _customer(found: dict[str, Any]) -> dict[str, Any]:
    who = object_member(found, "customer")
    names = (text(who, "first_name"), text(who, "last_name"))
    return known(
        {
            "id": text(who, "id"),
            "name": " ".join(name for name in names if name) or None,
            "email": text(found, "email") or text(who, "email"),
            "phoneNumber": text(found, "phone") or text(who, "phone"),
        }
    )


def _address(found: dict[str, Any]) -> dict[str, Any]:
    return known(
        {
            "line1": text(found, "address1"),
            "line2": text(found, "address2"),
            "city": text(found, "city"),
            "postalCode": text(found, "zip"),
            "region": text(found, "province"),
            "country": text(found, "country_code"),
        }
    )


def _item(line: dict[str, Any], code: str | None) -> dict[str, Any]:
    name, price = text(line, "title") or text(line, "name"), amount(line, "price", code)
    product = {"id": text(line, "product_id"), "name": name, "price": price, "currency": code}
    return known(
        {
            "productId": text(line, "product_id"),
            "productName": name,
            "quantity": count(line, "quantity"),
            "unitPrice": price,
            "currency": code,
            "product": known({**product, "sku": text(line, "sku")}) if product["id"] else None,
        }
    )


def _attributes(found: dict[str, Any]) -> dict[str, Any]:
    pairs = parts(found, "note_attributes")
    return {name: plain_json(one.get("value")) for one in pairs if (name := text(one, "name"))}
