"""What `data` of a Shoppex event says, in the catalogue's shapes.

The mirror image of what the outbound profile writes: `uniqid` is the id, names are in
snake_case, `products` are lines of the order with the whole product in each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tillbell.clock import Micros, iso
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.order_fields import amount, count, currency, known, moment, parts
from tillbell.providers.kit.reading import object_member, plain_json, text

# The platform's words for the state of an order. A partly paid one is not paid.
STATES: Mapping[str, str] = {
    "PENDING": "pending",
    "WAITING_FOR_CONFIRMATIONS": "pending",
    "PARTIAL": "pending",
    "COMPLETED": "paid",
    "VOIDED": "cancelled",
    "REFUNDED": "refunded",
    "CUSTOMER_DISPUTE_ONGOING": "disputed",
}
# Of its payment, as a look-up tells them.
STATUSES: Mapping[str, TransactionStatus] = {
    "PENDING": TransactionStatus.PENDING,
    "WAITING_FOR_CONFIRMATIONS": TransactionStatus.PENDING,
    "PARTIAL": TransactionStatus.PENDING,
    "COMPLETED": TransactionStatus.APPROVED,
    "VOIDED": TransactionStatus.CANCELLED,
}
# Members that have another name or form with us, so they are not taken over as they are.
_RENAMED = frozenset({"uniqid", "id", "type", "status", "total", "customer_email", "customer_name"})
_MONEY = frozenset({"price", "amount", "unit_price"})
_TIMES = ("_at", "_start", "_end")
_UNDERSCORE = re.compile(r"_([a-z0-9])")


def order(found: dict[str, Any], state: str, at: Micros | None) -> dict[str, Any]:
    """Return an order; its time of payment is the event's, where it tells none of its own."""
    code = currency(found)
    told_at = None if at is None else iso(at)
    return known(
        {
            "id": text(found, "uniqid"),
            "number": text(found, "number"),
            "status": state,
            "paymentStatus": state,
            "amount": amount(found, "total", code),
            "currency": code,
            "gateway": text(found, "gateway"),
            "reference": text(found, "reference"),
            "createdAt": moment(found, "created_at"),
            "paidAt": moment(found, "paid_at") or (told_at if state == "paid" else None),
            "cancelledAt": moment(found, "cancelled_at")
            or (told_at if state == "cancelled" else None),
            "cancelReason": text(found, "cancel_reason"),
            "refundedAt": moment(found, "refunded_at"),
            "refundedAmount": amount(found, "refunded_total", code),
            "affiliateId": text(found, "affiliate_id"),
            "customer": _customer(found),
            "items": [_item(product, code) for product in parts(found, "products")],
            "metadata": plain_json(object_member(found, "metadata")),
        }
    )


def subscription(found: dict[str, Any]) -> dict[str, Any]:
    """Return a subscription."""
    status = text(found, "status")
    head = {
        "status": None if status is None else status.lower(),
        "amount": amount(found, "total", currency(found)),
        "customer": _customer(found),
    }
    return known(members(found) | known(head))


def members(found: dict[str, Any]) -> dict[str, Any]:
    """Return an object of the platform with our names: `stock_left` is `stockLeft`."""
    code = currency(found)
    taken = {
        _UNDERSCORE.sub(lambda letter: letter[1].upper(), name): _value(found, name, code)
        for name in found
        if name not in _RENAMED
    }
    return known({"id": text(found, "uniqid") or text(found, "id"), **taken})


def _value(found: dict[str, Any], name: str, code: str | None) -> Any:
    if name in _MONEY:
        return amount(found, name, code)
    if name.endswith(_TIMES):
        return moment(found, name) or plain_json(found[name])
    return plain_json(found[name])


def _item(found: dict[str, Any], order_currency: str | None) -> dict[str, Any]:
    code = currency(found) or order_currency
    return known(
        {
            "productId": text(found, "uniqid"),
            "productName": text(found, "title") or text(found, "name"),
            "quantity": count(found, "quantity"),
            "unitPrice": amount(found, "unit_price", code),
            "totalPrice": amount(found, "total", code),
            "currency": code,
            "isBumpProduct": found.get("is_bump") is True,
            "product": _product(found, code),
        }
    )


def _product(found: dict[str, Any], code: str | None) -> dict[str, Any]:
    return known(
        {
            "id": text(found, "uniqid"),
            "name": text(found, "name") or text(found, "title"),
            "description": text(found, "description"),
            "price": amount(found, "price", code),
            "currency": code,
            "sku": text(found, "sku"),
            "stock": count(found, "stock"),
            "imageUrl": text(found, "image_url"),
            "metadata": plain_json(object_member(found, "metadata")),
        }
    )


def _customer(found: dict[str, Any]) -> dict[str, Any]:
    return known({"name": text(found, "customer_name"), "email": text(found, "customer_email")})
