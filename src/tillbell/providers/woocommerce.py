"""WooCommerce: orders of a shop with what was paid and given back; other topics passed on.

`X-WC-Webhook-Signature`: base64 HMAC-SHA256 of the body. The topic stands in a header that it
does not cover, so what happened to money is taken from the body alone. The delivery's id is made of
the webhook's id and the second, so two orders of one second have the same: the body tells what
is a repeat. There is no topic for "paid": the whole order is sent each time it changes.

An order is one attempt, known by its id, whatever ids its gateway gives it.

Amounts are text. Times are local with a twin in UTC (`date_paid_gmt`), and only the twin is read.
What is unknown is often "" instead of null.

When a webhook is saved, the shop sends the form `webhook_id=…` as a ping. It is not signed, so it
is answered and proves nothing. Nothing is sent again; after five failures the webhook is
switched off. Sources: developer.woocommerce.com, Webhooks, REST API v3 (Orders).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tillbell.clock import iso
from tillbell.model.callbacks import (
    NoteNotice,
    Notice,
    OrderNotice,
    ProviderAmount,
    RecordNotice,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.forwarding import forwarded_event
from tillbell.providers.kit.order_fields import amount, count, currency, known, parts, sum_of
from tillbell.providers.kit.proof import not_another_credential
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    plain_json,
    present_values,
    text,
)
from tillbell.providers.kit.reference import merchant_reference
from tillbell.providers.kit.requests import usual
from tillbell.providers.kit.words import (
    APPROVED,
    CANCELLED,
    ON_HOLD,
    PENDING,
    STATUSES,
    WordMeaning,
    meaning_of,
    table,
)

# `status` of an order. After a failed try the payer may try again.
STATES: Mapping[str, str] = {
    "checkout-draft": "pending",
    "pending": "pending",
    "on-hold": "pending",
    "processing": "pending",  # unless it is paid
    "completed": "pending",  # likewise
    "failed": "pending",
    "cancelled": "cancelled",
    "refunded": "refunded",
}
UNPAID = table(
    {
        "checkout-draft": PENDING,
        "pending": PENDING,
        "on-hold": ON_HOLD,  # a person must confirm the payment
        "processing": PENDING,  # to be paid on delivery
        "completed": PENDING,
        "failed": WordMeaning(TransactionStatus.PENDING, "payment_failed"),
        "cancelled": CANCELLED,
    }
)
# Orders with `date_paid_gmt`. A status that a person sets on them later moves no money.
PAID = table({"processing": APPROVED, "completed": APPROVED, "refunded": APPROVED})
# For a look-up, where `processing` may be paid or not.
LOOKED_UP: Mapping[str, TransactionStatus] = {
    "pending": TransactionStatus.PENDING,
    "on-hold": TransactionStatus.ON_HOLD,
    "completed": TransactionStatus.APPROVED,
    "failed": TransactionStatus.PENDING,
    "cancelled": TransactionStatus.CANCELLED,
}
ORDERS: Mapping[str, str] = {
    "order.created": "order.created",
    "order.updated": "order.updated",
    "order.restored": "order.updated",
}
REFERENCE = ProviderSetting(
    "reference",
    "The field of the order that holds your own reference.",
    choices=("id", "number", "order_key"),
    default="id",
)
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_PROOF = BodyMac("x-wc-webhook-signature", "sha256", "base64")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature. The ping of a new webhook has none and proves nothing."""
    is_signed = any(name == _PROOF.header for name, _ in incoming.headers)
    if not is_signed and _PING.fullmatch(incoming.body):
        return Verdict(Trust.NONE, "A ping of the shop, unsigned. It says nothing else.")
    return _PROOF.verify(incoming, setup)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event as its topic says."""
    if _PING.fullmatch(incoming.body):
        return ParsedNotices((NoteNotice("A ping of the shop: a webhook was saved there."),), "")
    body = json_object(incoming.body)
    topic = (incoming.header("x-wc-webhook-topic") or "").lower()
    if not topic:
        raise Unreadable("The header x-wc-webhook-topic is missing.")
    is_order = topic in ORDERS and text(body, "id") is not None and "status" in body
    if not is_order:
        passed_on, record = (
            forwarded_event("woocommerce", topic, incoming.body),
            _record(topic, body),
        )
        return ParsedNotices((record, passed_on) if record is not None else (passed_on,))
    return ParsedNotices(tuple(_order(ORDERS[topic], body, setup)))


def _record(topic: str, body: dict[str, Any]) -> RecordNotice | None:
    """Read a product or customer; None: the topic is about something else, or names none."""
    kind, _, action = topic.partition(".")
    read = {"product": _product_data, "customer": _customer_data}
    is_change = action in ("created", "updated", "restored", "deleted")
    if kind not in read or not is_change or not text(body, "id"):
        return None
    at = iso_time(body.get("date_modified_gmt"))
    return RecordNotice(kind, read[kind](body), at, is_removed=action == "deleted")


def _order(event: str, order: dict[str, Any], setup: SourceSetup) -> list[Notice]:
    """Return the order, the state of its payment, and each refund that it lists."""
    word = text(order, "status") or ""
    is_paid = iso_time(order.get("date_paid_gmt")) is not None
    meaning = meaning_of(word, PAID if is_paid else UNPAID, setup.config)
    state = STATES.get(word)
    if state is None:
        return [
            _payment(order, word, meaning, setup),
            NoteNotice(f"The status {word[:50]!r} is not mapped."),
        ]
    refunds = _refunds(order, setup) if is_paid else []
    of_payment = _payment_state(state, is_paid=is_paid, is_refunded=bool(refunds))
    if is_paid and state == "pending" and meaning == APPROVED:
        state = of_payment
    data = _order_data(order, state, of_payment)
    notice = OrderNotice(
        event,
        data,
        moves_money=is_paid or state != "pending",
        occurred_at=iso_time(order.get("date_modified_gmt")),
    )
    payment = [] if meaning is None else [_payment(order, word, meaning, setup)]
    return [notice, *payment, *refunds]


def _payment_state(state: str, *, is_paid: bool, is_refunded: bool) -> str:
    if not is_paid or state == "refunded":
        return state
    return "partially_refunded" if is_refunded else "paid"


def _references(order: dict[str, Any], setup: SourceSetup) -> References:
    return References(
        merchant_reference(order, setup, REFERENCE),
        present_values(text(order, "id"), text(order, "transaction_id")),
    )


def _payment(
    order: dict[str, Any], word: str, meaning: WordMeaning | None, setup: SourceSetup
) -> TransactionNotice:
    return TransactionNotice(
        _references(order, setup),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        amount=sum_of(order, "total"),
        psp_transaction_id=text(order, "id"),
        psp_reference=text(order, "transaction_id"),
        occurred_at=iso_time(order.get("date_modified_gmt")),
        is_optional=True,
        details=known({"gateway": text(order, "payment_method")}),
    )


def _refunds(order: dict[str, Any], setup: SourceSetup) -> list[TransactionNotice]:
    references, code = _references(order, setup), currency(order)
    totals = [
        (refund, sum_of({**refund, "currency": code}, "total"))
        for refund in parts(order, "refunds")
    ]
    return [
        TransactionNotice(
            references,
            raw_status="refunded",
            status=TransactionStatus.APPROVED,
            kind=TransactionKind.REFUND,
            reason=text(refund, "reason"),
            amount=ProviderAmount(
                total.value.removeprefix("-"), total.currency
            ),  # it is below zero
            psp_transaction_id=text(refund, "id"),
            is_optional=True,
        )
        for refund, total in totals
        if total is not None and text(refund, "id") is not None
    ]


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as the shop sends it; the case names the topic in its header."""
    headers = {"x-wc-webhook-topic": "order.updated", "x-wc-webhook-delivery-id": case.id}
    return _PROOF.sign(case, setup, url, headers)


# ── the order, in the catalogue's shape ───────────────────────────────────────────────────────────


def _order_data(order: dict[str, Any], state: str, payment_state: str) -> dict[str, Any]:
    """Return the order. It may be cancelled although it was paid."""
    code = currency(order)
    return known(
        {
            "id": text(order, "id"),
            "number": text(order, "number"),
            "status": state,
            "paymentStatus": payment_state,
            "amount": amount(order, "total", code),
            "currency": code,
            "gateway": text(order, "payment_method"),
            "reference": text(order, "transaction_id"),
            "createdAt": _moment(order, "date_created_gmt"),
            "paidAt": _moment(order, "date_paid_gmt"),
            "cancelledAt": _moment(order, "date_modified_gmt") if state == "cancelled" else None,
            "customer": _customer(order),
            "shippingAddress": _address(object_member(order, "shipping")),
            "items": [_item(line, code) for line in parts(order, "line_items")],
            "metadata": _metadata(order),
        }
    )


def _moment(order: dict[str, Any], name: str) -> str | None:
    at = iso_time(order.get(name))
    return None if at is None else iso(at)


def _customer(order: dict[str, Any]) -> dict[str, Any]:
    billing, account = object_member(order, "billing"), text(order, "customer_id")
    names = (text(billing, "first_name"), text(billing, "last_name"))
    return known(
        {
            "id": None if account == "0" else account,  # 0 is a guest
            "name": " ".join(name for name in names if name) or None,
            "email": text(billing, "email"),
            "phoneNumber": text(billing, "phone"),
        }
    )


def _address(address: dict[str, Any]) -> dict[str, Any]:
    return known(
        {
            "line1": text(address, "address_1"),
            "line2": text(address, "address_2"),
            "city": text(address, "city"),
            "postalCode": text(address, "postcode"),
            "region": text(address, "state"),
            "country": text(address, "country"),
        }
    )


def _item(line: dict[str, Any], code: str | None) -> dict[str, Any]:
    product, name = text(line, "product_id"), text(line, "name")
    of_product = {"id": product, "name": name, "currency": code, "sku": text(line, "sku")}
    return known(
        {
            "productId": product,
            "productName": name,
            "quantity": count(line, "quantity"),
            "totalPrice": amount(line, "total", code),
            "currency": code,
            "product": known(of_product) if product else None,
        }
    )


def _metadata(order: dict[str, Any]) -> dict[str, Any]:
    """Return the order's own metadata. Names that begin with `_` belong to plug-ins."""
    pairs = [(text(pair, "key"), pair.get("value")) for pair in parts(order, "meta_data")]
    return {name: plain_json(value) for name, value in pairs if name and name[0] != "_"}


def _product_data(product: dict[str, Any]) -> dict[str, Any]:
    images = parts(product, "images")
    return known(
        {
            "id": text(product, "id"),
            "name": text(product, "name"),
            "description": text(product, "short_description"),
            "price": amount(product, "price", None),
            "sku": text(product, "sku"),
            "stock": count(product, "stock_quantity"),
            "imageUrl": text(images[0], "src") if images else None,
            "createdAt": _moment(product, "date_created_gmt"),
        }
    )


def _customer_data(customer: dict[str, Any]) -> dict[str, Any]:
    billing = object_member(customer, "billing")
    names = (text(customer, "first_name"), text(customer, "last_name"))
    return known(
        {
            "id": text(customer, "id"),
            "name": " ".join(name for name in names if name) or None,
            "email": text(customer, "email"),
            "phoneNumber": text(billing, "phone"),
            "address": _address(billing),
            "createdAt": _moment(customer, "date_created_gmt"),
        }
    )


PROVIDER = Provider(
    name="woocommerce",
    title="WooCommerce",
    about="Orders of a shop with what was paid and given back; other topics passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "WooCommerce → Settings → Advanced → Webhooks → the webhook → Secret.",
        problem=not_another_credential(ck_="a consumer key"),
    ),
    answers="200, also to the unsigned ping; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(STATUSES, REFERENCE),
    note="The topic stands in a header that the signature does not cover. Nothing is sent again: "
    "after five failures the shop switches the webhook off.",
    statuses=LOOKED_UP,
    lookup={"status": "/status", "amount": "/total", "currency": "/currency"},
)
