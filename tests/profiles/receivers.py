"""Receivers written from each platform's own document and nothing else.

They stand for the programs that merchants already run. None uses code of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any


def shoppex(body: bytes, headers: Mapping[str, str], secret: str) -> tuple[int, str]:
    """Verify the SHA-512 of the raw body, then look at `event` and `data`."""
    expected = hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()
    if not hmac.compare_digest(headers["X-Shoppex-Signature"], expected):
        return 401, "Invalid signature"
    message = json.loads(body)
    assert type(message["created_at"]) is int
    assert headers["X-Shoppex-Event"] == message["event"]
    assert headers["X-Shoppex-Delivery"]
    data = message["data"]
    for key in ("uniqid", "type", "status", "gateway", "total", "currency", "customer_email"):
        assert key in data
    if message["event"] == "order:paid":
        return 200, f"fulfil {data['uniqid']}"
    return 200, "OK"


ZENOFY_KEYS = {
    "event", "orderId", "status", "totalAmount", "currency", "paymentGateway", "paymentReference",
    "createdAt", "paidAt", "affiliateId", "customer", "items",
}  # fmt: skip


def zenofy(body: bytes, headers: Mapping[str, str], secret: str) -> tuple[int, str]:
    """Compare the header, then read the order with its exact amounts and offsets."""
    if headers.get("X-Webhook-Secret") != secret:
        return 401, ""
    order = json.loads(body, parse_float=Decimal)
    assert set(order) == ZENOFY_KEYS
    assert set(order["customer"]) == {"name", "email", "phoneNumber"}
    assert datetime.fromisoformat(order["createdAt"]).utcoffset() is not None
    assert order["totalAmount"] == sum(item["totalPrice"] for item in order["items"])
    assert str(order["totalAmount"])[-3] == "."
    return 200, f"{order['event']} {order['status']} {order['orderId']}"


def mozarto(body: bytes, headers: Mapping[str, str], password: str) -> tuple[int, str]:
    """Compare the bare password, then act on `transaction_status` only."""
    if headers.get("Authorization") != password:
        return 401, ""
    transaction: dict[str, Any] = json.loads(body)
    for key in ("transaction_id", "user_id", "status", "transaction_status", "message", "amount"):
        assert isinstance(transaction[key], str)
    assert transaction["message"]
    assert isinstance(transaction["merchantReference"], str)
    if transaction["transaction_status"] == "Approved":
        return 200, f"credit {transaction['user_id']} {Decimal(transaction['amount'])}"
    return 200, "wait"


def mozarto_legacy(body: bytes, headers: Mapping[str, str], token: str) -> tuple[int, str]:
    """Compare the bearer token, then look at `confirmed`."""
    if headers.get("Authorization") != f"Bearer {token}":
        return 401, ""
    transaction = json.loads(body)
    assert set(transaction) == {
        "transaction_id", "user_id", "status", "currency", "confirmed", "invoice_currency",
    }  # fmt: skip
    return 200, f"credit {transaction['user_id']}" if transaction["confirmed"] else "wait"
