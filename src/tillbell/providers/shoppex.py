"""Shoppex: orders and subscriptions of a shop, `{"event", "data", "created_at"}`.

`X-Shoppex-Signature` is the lower-case hex HMAC-SHA512 of the body. The headers with the event's
name and the delivery's id are not covered by it, so both are taken from the body instead: an
order is paid once and cancelled once, whatever the ids are (and whether the event comes with whole
products, `:product`, or without).

Sent again after 5 min, 30 min, 2 h and 24 h; 2xx within 30 s. Times are Unix seconds, in newer
events also ISO text. `data` mirrors what the outbound profile `shoppex` writes: `uniqid` is the
id, names are in snake_case, `products` are lines of the order with the whole product in each.
Source: the platform's page *Webhooks*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.catalog import KNOWN
from tillbell.clock import Micros, iso
from tillbell.model.callbacks import (
    ForwardNotice,
    NoteNotice,
    Notice,
    OrderNotice,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SecretRule,
    SimulationCase,
    SourceSetup,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.order_fields import (
    amount,
    count,
    currency,
    known,
    moment,
    parts,
    sum_of,
)
from tillbell.providers.kit.proof import digest, secret_problem
from tillbell.providers.kit.reading import (
    json_object,
    object_member,
    plain_json,
    present_values,
    required_text,
    text,
    unix_seconds,
)
from tillbell.providers.kit.reference import merchant_reference
from tillbell.providers.kit.requests import json_body, usual

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
# The same words for the payment, as a look-up returns them.
STATUSES: Mapping[str, TransactionStatus] = {
    "PENDING": TransactionStatus.PENDING,
    "WAITING_FOR_CONFIRMATIONS": TransactionStatus.PENDING,
    "PARTIAL": TransactionStatus.PENDING,
    "COMPLETED": TransactionStatus.APPROVED,
    "VOIDED": TransactionStatus.CANCELLED,
}
# Members that have another name or form in our catalogue.
_RENAMED = frozenset({"uniqid", "id", "type", "status", "total", "customer_email", "customer_name"})
_MONEY = frozenset({"price", "amount", "unit_price"})
_TIMES = ("_at", "_start", "_end")
_UNDERSCORE = re.compile(r"_([a-z0-9])")
PRODUCT = ":product"
_PROOF = BodyMac("x-shoppex-signature", "sha512")
_PASSED_ON = ("subscription.", "product.")


class OrderMeaning(NamedTuple):
    """What an event says about an order."""

    state: str | None  # of our order; None: as the member `status` says
    status: TransactionStatus | None = None  # of its transaction; None: says nothing about it


EVENTS: Mapping[str, OrderMeaning] = {
    "order:created": OrderMeaning("pending"),
    "order:updated": OrderMeaning(None),
    "order:partial": OrderMeaning("pending"),
    "order:manual_payment_pending": OrderMeaning("pending"),
    "order:paid": OrderMeaning("paid", TransactionStatus.APPROVED),
    "order:cancelled": OrderMeaning("cancelled", TransactionStatus.CANCELLED),
    "order:refunded": OrderMeaning("refunded"),
    "order:partially_refunded": OrderMeaning("partially_refunded"),
    "order:disputed": OrderMeaning("disputed"),
}
REFERENCE = ProviderSetting(
    "reference",
    "The field of the order that holds your own reference.",
    choices=("uniqid", "number"),
    default="uniqid",
)
_UNPAID = frozenset({"pending"})


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event."""
    body = json_object(incoming.body)
    written = required_text(body, "event")
    event, data = written.removesuffix(PRODUCT), object_member(body, "data")
    at = unix_seconds(body.get("created_at"))
    order_id = text(data, "uniqid")
    meaning = EVENTS.get(event)
    if meaning is None and event.startswith("order:") and order_id is not None:
        return ParsedNotices(
            _unknown(event, "is not in the table", data, at, setup), _key(incoming)
        )
    if meaning is None:
        name, happened_at = event.replace(":", "."), at or incoming.received_at
        return ParsedNotices((_beside_orders(name, data, happened_at),), _key(incoming))
    if order_id is None:
        return ParsedNotices((NoteNotice(f"{written[:100]} names no order."),), _key(incoming))
    once = f"{event}|{order_id}" if meaning.status is not None else _key(incoming)
    return ParsedNotices(tuple(_of_order(event, meaning, data, at, setup)), once)


def _key(incoming: Incoming) -> str:
    """Return the hash of the body: no unsigned id may make an event look new."""
    return f"sha256:{digest('sha256', incoming.body).hex()}"


def _of_order(
    event: str,
    meaning: OrderMeaning,
    data: dict[str, Any],
    at: Micros | None,
    setup: SourceSetup,
) -> list[Notice]:
    word = text(data, "status")
    state = meaning.state or STATES.get((word or "").upper())
    if state is None:
        why = f"has the status {(word or '')[:50]!r}, which is not in the table"
        return list(_unknown(event, why, data, at, setup))
    name = event.replace(":", ".")
    notice = OrderNotice(
        name if name in KNOWN else "order.updated",
        _order_data(data, state, at),
        moves_money=state not in _UNPAID,
        occurred_at=at,
    )
    if meaning.status is None:
        return [notice]
    return [notice, _transaction(event, meaning.status, data, at, setup)]


def _unknown(
    event: str, why: str, order: dict[str, Any], at: Micros | None, setup: SourceSetup
) -> tuple[Notice, ...]:
    """Return a notice that moves nothing, but shows that the order has news of no known meaning."""
    note = NoteNotice(f"{event[:100]} {why}.")
    return (_transaction(event, None, order, at, setup), note)


def _transaction(
    event: str,
    status: TransactionStatus | None,
    order: dict[str, Any],
    at: Micros | None,
    setup: SourceSetup,
) -> TransactionNotice:
    is_cancelled = status is TransactionStatus.CANCELLED
    reference = text(order, "reference")
    return TransactionNotice(
        references=References(
            merchant_reference(order, setup, REFERENCE), present_values(reference)
        ),
        raw_status=text(order, "status") or event,
        status=status,
        reason=text(order, "cancel_reason") if is_cancelled else None,
        amount=sum_of(order, "total"),
        psp_reference=reference,
        occurred_at=at,
        is_optional=True,
        details=known({"gateway": text(order, "gateway")}),
    )


def _beside_orders(name: str, data: dict[str, Any], at: Micros) -> ForwardNotice | NoteNotice:
    """Pass on an event that the catalogue has a type for, in its shape."""
    if name not in KNOWN or not name.startswith(_PASSED_ON):
        return NoteNotice(f"{name[:100]} is only noted.")
    read = _subscription if name.startswith("subscription.") else _members
    return ForwardNotice(name, json_body({"type": name, "timestamp": iso(at), "data": read(data)}))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as the platform sends it."""
    event = str(case.fields.get("event", ""))
    headers = {"x-shoppex-event": event, "x-shoppex-delivery": case.id}
    return _PROOF.sign(case, setup, url, headers)


# ── what `data` says, in the catalogue's shapes ───────────────────────────────────────────────────


def _order_data(order: dict[str, Any], state: str, at: Micros | None) -> dict[str, Any]:
    """Return the order. Without a time of payment of its own, the event's time is taken."""
    code = currency(order)
    told_at = None if at is None else iso(at)
    return known(
        {
            "id": text(order, "uniqid"),
            "number": text(order, "number"),
            "status": state,
            "paymentStatus": state,
            "amount": amount(order, "total", code),
            "currency": code,
            "gateway": text(order, "gateway"),
            "reference": text(order, "reference"),
            "createdAt": moment(order, "created_at"),
            "paidAt": moment(order, "paid_at") or (told_at if state == "paid" else None),
            "cancelledAt": moment(order, "cancelled_at")
            or (told_at if state == "cancelled" else None),
            "cancelReason": text(order, "cancel_reason"),
            "refundedAt": moment(order, "refunded_at"),
            "refundedAmount": amount(order, "refunded_total", code),
            "affiliateId": text(order, "affiliate_id"),
            "customer": _customer(order),
            "items": [_item(product, code) for product in parts(order, "products")],
            "metadata": plain_json(object_member(order, "metadata")),
        }
    )


def _subscription(subscription: dict[str, Any]) -> dict[str, Any]:
    """Return a subscription."""
    status = text(subscription, "status")
    head = {
        "status": None if status is None else status.lower(),
        "amount": amount(subscription, "total", currency(subscription)),
        "customer": _customer(subscription),
    }
    return known(_members(subscription) | known(head))


def _members(data: dict[str, Any]) -> dict[str, Any]:
    """Return an object of the platform with our names: `stock_left` becomes `stockLeft`."""
    code = currency(data)
    taken = {
        _UNDERSCORE.sub(lambda letter: letter[1].upper(), name): _value(data, name, code)
        for name in data
        if name not in _RENAMED
    }
    return known({"id": text(data, "uniqid") or text(data, "id"), **taken})


def _value(data: dict[str, Any], name: str, code: str | None) -> Any:
    if name in _MONEY:
        return amount(data, name, code)
    if name.endswith(_TIMES):
        return moment(data, name) or plain_json(data[name])
    return plain_json(data[name])


def _item(item: dict[str, Any], order_currency: str | None) -> dict[str, Any]:
    code = currency(item) or order_currency
    return known(
        {
            "productId": text(item, "uniqid"),
            "productName": text(item, "title") or text(item, "name"),
            "quantity": count(item, "quantity"),
            "unitPrice": amount(item, "unit_price", code),
            "totalPrice": amount(item, "total", code),
            "currency": code,
            "isBumpProduct": item.get("is_bump") is True,
            "product": _product(item, code),
        }
    )


def _product(product: dict[str, Any], code: str | None) -> dict[str, Any]:
    return known(
        {
            "id": text(product, "uniqid"),
            "name": text(product, "name") or text(product, "title"),
            "description": text(product, "description"),
            "price": amount(product, "price", code),
            "currency": code,
            "sku": text(product, "sku"),
            "stock": count(product, "stock"),
            "imageUrl": text(product, "image_url"),
            "metadata": plain_json(object_member(product, "metadata")),
        }
    )


def _customer(data: dict[str, Any]) -> dict[str, Any]:
    return known({"name": text(data, "customer_name"), "email": text(data, "customer_email")})


PROVIDER = Provider(
    name="shoppex",
    title="Shoppex",
    about="Orders of a shop that were paid or cancelled, and its subscriptions.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        about="Shoppex → Settings → Webhooks → the endpoint → Secret.", problem=secret_problem
    ),
    answers="200; 401 when the signature does not match.",
    verify=_PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(REFERENCE,),
    note="The signature covers no time. Select order:paid or order:paid:product, not both: the "
    "first to come counts.",
    statuses=STATUSES,
)
