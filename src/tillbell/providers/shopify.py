"""Shopify: orders of a shop, their payments and refunds; other topics passed on.

`X-Shopify-Hmac-SHA256`: base64 HMAC-SHA256 of the body with the app's client secret. Topic and
ids stand in headers that the signature does not cover, so a topic only says how to read the
body: what happened to money is taken from the body alone.

An order is one attempt, known by its id, and each sale or capture of it is one capture. So a gift
card and a card add up, and orders/paid, which tells the total, counts nothing twice.

A chargeback takes the disputed amount when it is opened and gives it back when it is won; an
inquiry takes nothing (help.shopify.com, Chargeback process). Events, which are in preview, have
headers without `X-` and name the resource in the body; they are passed on.

One event can come under several topics, so it counts once for each of them. Sent again eight
times within four hours; the privacy topics must be answered 401 when the signature is wrong.

Amounts are text in the shop's currency, times ISO text with offset. What an app may not see of a
customer is null there and left out here.

Sources: shopify.dev, Webhooks, Verify deliveries, Ignore duplicate webhooks, Privacy law
compliance, Events (Delivery structure, Verify deliveries), REST Admin API (Order, Transaction,
Refund, Dispute).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import (
    NoteNotice,
    Notice,
    OrderNotice,
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
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.forwarding import forwarded_event
from tillbell.providers.kit.order_fields import (
    amount,
    count,
    currency,
    known,
    moment,
    parts,
    sum_of,
)
from tillbell.providers.kit.proof import not_another_credential
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    plain_json,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.reference import merchant_reference
from tillbell.providers.kit.requests import usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    PENDING,
    STATUSES,
    WordMeaning,
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)

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
# Topics whose body is a whole order.
ORDERS: Mapping[str, str] = {
    "orders/create": "order.created",
    "orders/updated": "order.updated",
    "orders/fulfilled": "order.updated",
    "orders/partially_fulfilled": "order.updated",
    "orders/paid": "order.paid",
    "orders/cancelled": "order.cancelled",
}
# `financial_status` of an order. Refunds change nothing of the payment; each comes by itself.
PAYMENTS = table(
    {
        "pending": PENDING,
        "authorized": AUTHORIZED,
        "partially_paid": PENDING,
        "paid": APPROVED,
        "voided": CANCELLED,
    }
)
_REFUNDED = frozenset({"partially_refunded", "refunded"})
_TRY_FAILED = WordMeaning(TransactionStatus.PENDING, "payment_failed")  # the payer may try again
_ORDER_ID = "id"
REFERENCE = ProviderSetting(
    "reference",
    "The field of the order that holds your own reference. Only the id is in every topic; a charge "
    "or dispute that comes before its order is not found by the others.",
    choices=(_ORDER_ID, "name", "order_number"),
    default=_ORDER_ID,
)
# `status` of a dispute that is open, and of one that is over without a decision.
_DISPUTED = frozenset({"needs_response", "under_review"})
_SETTLED = frozenset({"charge_refunded", "prevented"})
# `kind` and `status` of a transaction of an order.
TRANSACTIONS = table(
    {
        "authorization pending": PENDING,
        "authorization success": AUTHORIZED,
        "authorization failure": _TRY_FAILED,
        "authorization error": _TRY_FAILED,
        "sale pending": PENDING,
        "sale success": APPROVED,
        "sale failure": _TRY_FAILED,
        "sale error": _TRY_FAILED,
        "capture pending": WordMeaning(TransactionStatus.PENDING, "authorized"),
        "capture success": APPROVED,
        "void success": CANCELLED,
        "refund pending": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "refund success": linked(TransactionKind.REFUND),
        "refund failure": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "refund error": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
    }
)
# The payment stays as it was.
_CHANGES_NOTHING = frozenset({"capture failure", "capture error", "void failure", "void error"})
_TOPIC = re.compile(r"[a-z_]+(/[a-z_]+){1,3}")
_PROOF = BodyMac("x-shopify-hmac-sha256", "sha256", "base64")
_EVENT_PROOF = BodyMac("shopify-hmac-sha256", "sha256", "base64")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature. Webhooks have `X-` before the header's name, Events have not."""
    names = {name for name, _ in incoming.headers}
    is_event = _EVENT_PROOF.header in names and _PROOF.header not in names
    return (_EVENT_PROOF if is_event else _PROOF).verify(incoming, setup)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event as its topic says."""
    body = json_object(incoming.body)
    topic = (incoming.header("x-shopify-topic") or incoming.header("shopify-topic") or "").lower()
    if (action := text(body, "action")) is not None and "fields_changed" in body:
        word = f"{text(body, 'topic') or topic}.{action}".lower()
        return ParsedNotices((forwarded_event("shopify", word, incoming.body),), _once(incoming))
    if _TOPIC.fullmatch(topic) is None:
        raise Unreadable("The header x-shopify-topic names no topic.")
    once = _once(incoming)
    key = f"{topic}|{once}" if once else None
    if topic in ORDERS:
        return ParsedNotices(_order(topic, body, setup), key)
    if topic == "order_transactions/create":
        return ParsedNotices((_transaction(body, setup),), key)
    if topic == "refunds/create":
        return ParsedNotices(_refund(body, setup), key)
    if topic in ("disputes/create", "disputes/update"):
        return ParsedNotices(_dispute(body, setup), key)
    passed_on = forwarded_event("shopify", topic.replace("/", "."), incoming.body)
    record = _record(topic, body)
    return ParsedNotices((record, passed_on) if record is not None else (passed_on,), key)


def _record(topic: str, body: dict[str, Any]) -> RecordNotice | None:
    """Read a product or customer; None: the topic is about something else, or names none."""
    kind, _, action = topic.partition("/")
    read = {"products": ("product", _product_data), "customers": ("customer", _customer_data)}
    if kind not in read or action not in ("create", "update", "delete") or not text(body, "id"):
        return None
    name, data_of = read[kind]
    at = iso_time(body.get("updated_at"))
    return RecordNotice(name, data_of(body), at, is_removed=action == "delete")


def _once(incoming: Incoming) -> str | None:
    names = ("x-shopify-event-id", "x-shopify-webhook-id", "shopify-webhook-id")
    return next((id_ for name in names if (id_ := incoming.header(name))), None)


def _is_test(members: dict[str, Any]) -> bool | None:
    mark = members.get("test")
    return mark if isinstance(mark, bool) else None


def _order(topic: str, order: dict[str, Any], setup: SourceSetup) -> tuple[Notice, ...]:
    event, word = ORDERS[topic], text(order, "financial_status") or ""
    state = STATES.get(word)
    transaction = _payment(order, word, setup)
    if text(order, "id") is None:
        return (NoteNotice(f"{topic} names no order."),)
    if state is None:
        return (transaction, NoteNotice(f"{topic}: the status {word[:50]!r} is not mapped."))
    if event == "order.paid" and state != "paid":
        return (NoteNotice(f"{topic} says paid, the order says {word}."),)
    if event == "order.cancelled" and moment(order, "cancelled_at") is None:
        return (NoteNotice(f"{topic}: the order is not cancelled."),)
    paid_at = moment(order, "updated_at") if event == "order.paid" else None
    data = _order_data(order, state, paid_at)
    notice = OrderNotice(
        event,
        data,
        moves_money=state != "pending",
        is_test=_is_test(order),
        occurred_at=iso_time(order.get("updated_at")),
    )
    return (notice,) if word in _REFUNDED else (notice, transaction)


def _payment(order: dict[str, Any], word: str, setup: SourceSetup) -> TransactionNotice:
    """Return the state of an order's payment. An unpaid order that is cancelled cancels it."""
    meaning = meaning_of(word, PAYMENTS, setup.config)
    is_over = word == "pending" and moment(order, "cancelled_at") is not None
    if is_over:
        meaning = CANCELLED
    order_id = text(order, "id")
    # Every topic names the order by its id; by another field it must be learned from the order.
    is_named_by_id = setup.config.get(REFERENCE.name) in (None, _ORDER_ID)
    return TransactionNotice(
        References(merchant_reference(order, setup, REFERENCE), present_values(order_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        reason=text(order, "cancel_reason"),
        amount=sum_of(order, "total_price"),
        psp_transaction_id=None if is_named_by_id else order_id,
        occurred_at=iso_time(order.get("updated_at")),
        is_optional=True,
        is_test=_is_test(order),
        details=known({"gateway": _gateway(order)}),
    )


def _refund(refund: dict[str, Any], setup: SourceSetup) -> tuple[Notice, ...]:
    """Read the transactions of a refund, which also come as order_transactions/create."""
    given_back = [
        transaction
        for transaction in parts(refund, "transactions")
        if text(transaction, "kind") == "refund"
    ]
    if not given_back:
        return (NoteNotice("The refund gives no money back."),)
    order_id = refund.get("order_id")
    return tuple(
        _transaction({"order_id": order_id, **transaction}, setup) for transaction in given_back
    )


def _transaction(transaction: dict[str, Any], setup: SourceSetup) -> Notice:
    word = f"{required_text(transaction, 'kind')} {required_text(transaction, 'status')}"
    if word in _CHANGES_NOTHING:
        return NoteNotice(f"{word}: the payment stays as it was.")
    meaning = meaning_of(word, TRANSACTIONS, setup.config)
    own_id, order_id = text(transaction, "id"), text(transaction, "order_id")
    is_refund = word.startswith("refund ")
    # An authorization, or what was paid, may be what a payment is known by from earlier.
    known_by = (text(transaction, "parent_id"), None if is_refund else own_id)
    is_captured = meaning is not None and meaning.status is TransactionStatus.APPROVED
    notice = TransactionNotice(
        References(_by_order_id(order_id, setup), present_values(order_id, *known_by)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND if is_refund else TransactionKind.PAYMENT,
        substate=None if meaning is None else meaning.substate,
        reason=text(transaction, "error_code"),
        message=text(transaction, "message"),
        amount=sum_of(transaction, "amount"),
        psp_transaction_id=own_id if is_refund else order_id,
        psp_reference=text(transaction, "authorization"),
        occurred_at=iso_time(transaction.get("processed_at"))
        or iso_time(transaction.get("created_at")),
        is_optional=True,
        is_test=_is_test(transaction),
        details=_details(transaction),
    )
    if is_refund:
        return notice
    return notice._replace(
        capture_id=own_id if is_captured else None,
        is_part=is_captured,
        # The order says whether all of it is over.
        ends_attempt=meaning == CANCELLED,
    )


def _by_order_id(order_id: str | None, setup: SourceSetup) -> tuple[str, ...]:
    """Return the order's id as the merchant's reference, where that is what the source reads."""
    return merchant_reference({_ORDER_ID: order_id}, setup, REFERENCE)


def _dispute(dispute: dict[str, Any], setup: SourceSetup) -> tuple[Notice, ...]:
    """Read a dispute. A chargeback has taken the money when it comes; an inquiry takes none."""
    kind, word = text(dispute, "type") or "", required_text(dispute, "status")
    notice = TransactionNotice(
        References(
            _by_order_id(text(dispute, "order_id"), setup),
            present_values(text(dispute, "order_id")),
        ),
        raw_status=f"{kind} {word}".lstrip(),
        status=None,
        kind=TransactionKind.CHARGEBACK,
        reason=text(dispute, "reason"),
        amount=sum_of(dispute, "amount"),
        psp_transaction_id=required_text(dispute, "id"),
        is_optional=True,
    )
    taken = notice._replace(status=TransactionStatus.APPROVED)
    closing = notice._replace(status=TransactionStatus.CANCELLED, is_closing=True)
    if word in _SETTLED:
        return (closing,)
    if kind == "chargeback" and word == "won":
        return (taken, taken._replace(kind=TransactionKind.CHARGEBACK_REVERSAL))
    if kind == "chargeback" and word in _DISPUTED | {"accepted", "lost"}:
        return (taken,)
    if kind == "inquiry" and word in _DISPUTED:
        return (notice._replace(status=TransactionStatus.PENDING),)
    if kind == "inquiry" and word in ("won", "accepted"):
        return (closing,)
    return (notice,)


def _details(transaction: dict[str, Any]) -> dict[str, Any]:
    card = object_member(transaction, "payment_details")
    return card_details(
        text(card, "credit_card_bin"),
        masked_number(text(card, "credit_card_number"))[1],
        brand=text(card, "credit_card_company"),
        method=text(transaction, "gateway"),
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Shopify sends it; the case names the topic in `x-shopify-topic`."""
    headers = {"x-shopify-topic": "orders/updated", "x-shopify-event-id": case.id}
    return _PROOF.sign(case, setup, url, headers)


# ── the order, in the catalogue's shape ───────────────────────────────────────────────────────────


def _order_data(order: dict[str, Any], state: str, paid_at: str | None) -> dict[str, Any]:
    """Return the order. It may be cancelled while its money is not refunded."""
    code = currency(order)
    cancelled_at = moment(order, "cancelled_at")
    is_cancelled = cancelled_at is not None and state in ("pending", "paid")
    return known(
        {
            "id": text(order, "id"),
            "number": text(order, "name"),
            "status": "cancelled" if is_cancelled else state,
            "paymentStatus": state,
            "amount": amount(order, "total_price", code),
            "currency": code,
            "gateway": _gateway(order),
            "createdAt": moment(order, "created_at"),
            "paidAt": paid_at,
            "cancelledAt": cancelled_at,
            "cancelReason": text(order, "cancel_reason"),
            "customer": _customer(order),
            "shippingAddress": _address(object_member(order, "shipping_address")),
            "items": [_item(line, code) for line in parts(order, "line_items")],
            "metadata": _attributes(order),
        }
    )


def _gateway(order: dict[str, Any]) -> str | None:
    """Return how an order was paid: the first of several ways."""
    names = order.get("payment_gateway_names")
    return text({"": names[0]}, "") if isinstance(names, list) and names else None


def _customer(order: dict[str, Any]) -> dict[str, Any]:
    customer = object_member(order, "customer")
    names = (text(customer, "first_name"), text(customer, "last_name"))
    return known(
        {
            "id": text(customer, "id"),
            "name": " ".join(name for name in names if name) or None,
            "email": text(order, "email") or text(customer, "email"),
            "phoneNumber": text(order, "phone") or text(customer, "phone"),
        }
    )


def _address(address: dict[str, Any]) -> dict[str, Any]:
    return known(
        {
            "line1": text(address, "address1"),
            "line2": text(address, "address2"),
            "city": text(address, "city"),
            "postalCode": text(address, "zip"),
            "region": text(address, "province"),
            "country": text(address, "country_code"),
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


def _attributes(order: dict[str, Any]) -> dict[str, Any]:
    pairs = parts(order, "note_attributes")
    return {name: plain_json(pair.get("value")) for pair in pairs if (name := text(pair, "name"))}


def _product_data(product: dict[str, Any]) -> dict[str, Any]:
    """Return a product: its first variant's price, and what is in stock of all variants."""
    variants = parts(product, "variants")
    first = variants[0] if variants else {}
    stocks = [count(variant, "inventory_quantity") for variant in variants]
    stock = [number for number in stocks if number is not None]
    return known(
        {
            "id": text(product, "id"),
            "name": text(product, "title"),
            "description": text(product, "body_html"),
            "price": amount(first, "price", None),
            "sku": text(first, "sku"),
            "stock": sum(stock) if stock else None,
            "imageUrl": text(object_member(product, "image"), "src"),
            "createdAt": moment(product, "created_at"),
        }
    )


def _customer_data(customer: dict[str, Any]) -> dict[str, Any]:
    consent = object_member(customer, "email_marketing_consent")
    state, names = (
        text(consent, "state"),
        (text(customer, "first_name"), text(customer, "last_name")),
    )
    agreed = {
        "isGiven": state == "subscribed",
        "source": "shopify",
        "at": moment(consent, "consent_updated_at"),
    }
    return known(
        {
            "id": text(customer, "id"),
            "name": " ".join(name for name in names if name) or None,
            "email": text(customer, "email"),
            "phoneNumber": text(customer, "phone"),
            "address": _address(object_member(customer, "default_address")),
            "consent": known(agreed) if state is not None else None,
            "createdAt": moment(customer, "created_at"),
        }
    )


PROVIDER = Provider(
    name="shopify",
    title="Shopify",
    about="Orders of a shop, their payments and refunds; other topics passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "The app's client secret; for webhooks made in the admin, the text shown under Settings → "
        "Notifications → Webhooks.",
        problem=not_another_credential(
            shpat_="an access token", shpca_="an access token", shppa_="an access token"
        ),
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(AUTHORIZATION_IS_FINAL, STATUSES, REFERENCE),
    masked=("credit_card_name",),
    note="Topic and ids stand in headers that the signature does not cover. Subscribe to "
    "refunds/create: an order alone does not list its refunds.",
    statuses=statuses(PAYMENTS),
    authorizing=authorizing_words(PAYMENTS),
    lookup={
        "status": "/order/financial_status",
        "amount": "/order/total_price",
        "currency": "/order/currency",
        "isTest": "/order/test",
    },
)
