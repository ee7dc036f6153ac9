"""The `data` of a Shoppex event: names in snake_case, times in Unix seconds."""

from __future__ import annotations

import re
from typing import Any

from tillbell.profiles.fields import Fields, as_number, line_total

# The platform's status of an order, by event.
_STATUSES = {
    "created": "PENDING",
    "paid": "COMPLETED",
    "cancelled": "VOIDED",
    "refunded": "REFUNDED",
    "disputed": "CUSTOMER_DISPUTE_ONGOING",
}
# By our own status, for events that imply none.
_BY_STATUS = {
    "pending": "PENDING",
    "created": "PENDING",
    "paid": "COMPLETED",
    "completed": "COMPLETED",
    "partially_refunded": "COMPLETED",
    "cancelled": "VOIDED",
    "expired": "VOIDED",
    "refunded": "REFUNDED",
    "disputed": "CUSTOMER_DISPUTE_ONGOING",
}
_TIMES = ("At", "Start", "End")  # endings of the names of times
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def order(part: str, fields: Fields) -> dict[str, Any]:
    """Return an order, with whole products if the part has them."""
    event, _, variant = part.removeprefix("order:").partition(":")
    currency = fields.text("currency")
    customer = fields.child("customer")
    body: dict[str, Any] = {
        "uniqid": fields.text("id"),
        "type": "PRODUCT",
        "status": _STATUSES.get(event) or _status(fields),
        "gateway": fields.text("gateway"),
        "total": as_number(fields.amount("amount", currency)),
        "currency": currency,
        "customer_email": customer.text("email"),
        "customer_name": customer.text("name"),
        "number": fields.text("number"),
        "reference": fields.text("reference"),
        "affiliate_id": fields.text("affiliateId"),
        "created_at": _seconds(fields, "createdAt"),
        "paid_at": _seconds(fields, "paidAt"),
        "metadata": fields.raw("metadata"),
    }
    if event == "cancelled":
        body["cancelled_at"] = _seconds(fields, "cancelledAt")
        body["cancel_reason"] = _cancel_reason(fields)
    if event in ("refunded", "partially_refunded"):
        body["refunded_at"] = _seconds(fields, "refundedAt")
        body["refunded_total"] = as_number(fields.amount("refundedAmount", currency))
    if variant:
        body["products"] = [_product(item, currency) for item in fields.children("items")]
    return body


def subscription(fields: Fields) -> dict[str, Any]:
    """Return a subscription: the platform's members, then all of ours unchanged."""
    currency = fields.text("currency")
    status = fields.text("status")
    head = {
        "uniqid": fields.text("id"),
        "type": "SUBSCRIPTION",
        "status": status.upper() if status else None,
        "gateway": fields.text("gateway"),
        "total": as_number(fields.amount("amount", currency)),
        "currency": currency,
        "customer_email": fields.child("customer").text("email") or fields.text("customerEmail"),
    }
    members = _members(fields)
    return head | {name: value for name, value in members.items() if name not in head}


def plain(fields: Fields) -> dict[str, Any]:
    """Return any other object: the platform's name for its id, then all our members."""
    return {"uniqid": fields.text("id")} | _members(fields)


def _members(fields: Fields) -> dict[str, Any]:
    """Return every member under its snake_case name; nested objects are unchanged."""
    return {_HUMP.sub("_", name).lower(): _value(fields, name) for name in fields.names()}


def _value(fields: Fields, name: str) -> Any:
    at = _seconds(fields, name) if name.endswith(_TIMES) else None
    return fields.raw(name) if at is None else at


def _product(item: Fields, order_currency: str | None) -> dict[str, Any]:
    """Return one line of an order: the product at the time of the order, quantity and price."""
    currency = item.text("currency") or order_currency
    return _members(item.child("product")) | {
        "uniqid": item.text("productId"),
        "title": item.text("productName"),
        "quantity": item.number("quantity"),
        "unit_price": as_number(item.amount("unitPrice", currency)),
        "total": as_number(line_total(item, currency)),
        "currency": currency,
        "is_bump": item.flag("isBumpProduct"),
    }


def _status(fields: Fields) -> str | None:
    own = fields.text("paymentStatus") or fields.text("status")
    return None if own is None else _BY_STATUS.get(own.lower(), own.upper())


def _cancel_reason(fields: Fields) -> str:
    """Return the platform's reason: `cancelled` or `expired`."""
    return "expired" if "expire" in (fields.text("cancelReason") or "").lower() else "cancelled"


def _seconds(fields: Fields, name: str) -> int | None:
    at = fields.instant(name)
    return None if at is None else int(at.timestamp())
