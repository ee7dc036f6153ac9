"""WooCommerce: orders of a shop with what was paid and given back; other topics passed on.

`X-WC-Webhook-Signature`: base64 HMAC-SHA256 of the body. The topic and the delivery's id stand
in headers that it does not cover, so what became of money is told by the body alone. There is
no topic for "paid": the whole order is sent each time it changes.

Amounts are text. Times are local with a twin in UTC (`date_paid_gmt`), and only the twin is read.
What is unknown is often "" instead of null.

When a webhook is saved the shop says hello with the form `webhook_id=…`, which is not signed: it
is answered, and proves nothing. Nothing is sent again; after five failures the webhook is
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
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.bodymac import BodyMac, secret_problem
from tillbell.providers.kit.order_fields import amount, count, currency, known, parts, sum_of
from tillbell.providers.kit.passed_on import forwarded_event
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    plain_json,
    present_values,
    text,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    CANCELLED,
    ON_HOLD,
    PENDING,
    STATUSES,
    WordMeaning,
    meaning,
    table,
)

# `status` of an order. What a failed one says, the next try may better.
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
# `date_paid_gmt` says that it is. What a person makes of such an order later moves no money.
PAID = table({"processing": APPROVED, "completed": APPROVED, "refunded": APPROVED})
# As a look-up tells them: there `processing` may be paid or not.
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
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_PROOF = BodyMac("x-wc-webhook-signature", "sha256", "base64")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature; the hello of a new webhook has none and proves nothing."""
    is_signed = any(name == _PROOF.header for name, _ in incoming.headers)
    if not is_signed and _PING.fullmatch(incoming.body):
        return Verdict(Trust.NONE, "The shop says hello, unsigned. It says nothing else.")
    return _PROOF.verify(incoming, setup)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event as its topic says."""
    if _PING.fullmatch(incoming.body):
        return ParsedNotices((NoteNotice("The shop says hello: a webhook was saved there."),), "")
    body = json_object(incoming.body)
    topic = (incoming.header("x-wc-webhook-topic") or "").lower()
    key = incoming.header("x-wc-webhook-delivery-id") or None
    if not topic:
        raise Unreadable("The header x-wc-webhook-topic is missing.")
    is_order = topic in ORDERS and text(body, "id") is not None and "status" in body
    if not is_order:
        return ParsedNotices((forwarded_event("woocommerce", topic, incoming.body),), key)
    return ParsedNotices(tuple(_order(ORDERS[topic], body, setup)), key)


def _order(event: str, found: dict[str, Any], setup: SourceSetup) -> list[Notice]:
    """Tell an order, how its payment stands, and each refund that is listed in it."""
    word = text(found, "status") or ""
    is_paid = iso_time(found.get("date_paid_gmt")) is not None
    step = meaning(word, PAID if is_paid else UNPAID, setup.config)
    state = STATES.get(word)
    if state is None:
        return [
            _payment(found, word, step),
            NoteNotice(f"The status {word[:50]!r} is in no table."),
        ]
    refunds = _refunds(found) if is_paid else []
    of_payment = _payment_state(state, is_paid=is_paid, is_refunded=bool(refunds))
    if is_paid and state == "pending" and step == APPROVED:
        state = of_payment
    data = _order_data(found, state, of_payment)
    order = OrderNotice(event, data, moves_money=is_paid or state != "pending")
    payment = [] if step is None else [_payment(found, word, step)]
    return [order, *payment, *refunds]


def _payment_state(state: str, *, is_paid: bool, is_refunded: bool) -> str:
    if not is_paid or state == "refunded":
        return state
    return "partially_refunded" if is_refunded else "paid"


def _payment(found: dict[str, Any], word: str, step: WordMeaning | None) -> TransactionNotice:
    reference = text(found, "transaction_id")
    ours = (text(found, name) for name in ("id", "number", "order_key"))
    return TransactionNotice(
        References(present_values(*ours), present_values(reference)),
        raw_status=word,
        status=None if step is None else step.status,
        substate=None if step is None else step.substate,
        amount=sum_of(found, "total"),
        psp_reference=reference,
        occurred_at=iso_time(found.get("date_modified_gmt")),
        is_optional=True,
        details=known({"gateway": text(found, "payment_method")}),
    )


def _refunds(found: dict[str, Any]) -> list[TransactionNotice]:
    order_id, code = text(found, "id"), currency(found)
    totals = [(one, sum_of({**one, "currency": code}, "total")) for one in parts(found, "refunds")]
    return [
        TransactionNotice(
            References(present_values(order_id)),
            raw_status="refunded",
            status=TransactionStatus.APPROVED,
            kind=TransactionKind.REFUND,
            reason=text(one, "reason"),
            amount=ProviderAmount(
                total.value.removeprefix("-"), total.currency
            ),  # it is told below zero
            psp_transaction_id=text(one, "id"),
            is_optional=True,
        )
        for one, total in totals
        if total is not None and text(one, "id") is not None
    ]


# ── the order, in the catalogue's shape ───────────────────────────────────────────────────────────


def _order_data(found: dict[str, Any], state: str, payment_state: str) -> dict[str, Any]:
    """Return an order; it may be cancelled though it was paid."""
    code = currency(found)
    return known(
        {
            "id": text(found, "id"),
            "number": text(found, "number"),
            "status": state,
            "paymentStatus": payment_state,
            "amount": amount(found, "total", code),
            "currency": code,
            "gateway": text(found, "payment_method"),
            "reference": text(found, "transaction_id"),
            "createdAt": _moment(found, "date_created_gmt"),
            "paidAt": _moment(found, "date_paid_gmt"),
            "cancelledAt": _moment(found, "date_modified_gmt") if state == "cancelled" else None,
            "customer": _customer(found),
            "shippingAddress": _address(object_member(found, "shipping")),
            "items": [_item(line, code) for line in parts(found, "line_items")],
            "metadata": _metadata(found),
        }
    )


def _moment(found: dict[str, Any], name: str) -> str | None:
    at = iso_time(found.get(name))
    return None if at is None else iso(at)


def _customer(found: dict[str, Any]) -> dict[str, Any]:
    who, account = object_member(found, "billing"), text(found, "customer_id")
    names = (text(who, "first_name"), text(who, "last_name"))
    return known(
        {
            "id": None if account == "0" else account,  # 0 is a guest
            "name": " ".join(name for name in names if name) or None,
            "email": text(who, "email"),
            "phoneNumber": text(who, "phone"),
        }
    )


def _address(found: dict[str, Any]) -> dict[str, Any]:
    return known(
        {
            "line1": text(found, "address_1"),
            "line2": text(found, "address_2"),
            "city": text(found, "city"),
            "postalCode": text(found, "postcode"),
            "region": text(found, "state"),
            "country": text(found, "country"),
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


def _metadata(found: dict[str, Any]) -> dict[str, Any]:
    """Return what the shop keeps with an order; names with `_` are its plug-ins' own."""
    pairs = [(text(one, "key"), one.get("value")) for one in parts(found, "meta_data")]
    return {name: plain_json(value) for name, value in pairs if name and name[0] != "_"}


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as the shop sends it; the case names the topic in its header."""
    body = json_body(case.fields)
    headers = {
        "content-type": JSON,
        "x-wc-webhook-topic": "order.updated",
        "x-wc-webhook-delivery-id": case.id,
        _PROOF.header: _PROOF.signature(setup.secrets[0], body),
    }
    return request(case, url, body, headers)


PROVIDER = Provider(
    name="woocommerce",
    title="WooCommerce",
    about="Orders of a shop with what was paid and given back; other topics passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "WooCommerce → Settings → Advanced → Webhooks → the webhook → Secret.",
        problem=secret_problem,
    ),
    answers="200, also to the unsigned hello; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(STATUSES,),
    note="Topic and id stand in headers that the signature does not cover. Nothing is sent again: "
    "after five failures the shop switches the webhook off.",
    statuses=LOOKED_UP,
)
