"""Zenofy: orders that became paid, refunded or cancelled. One flat order with its `event`.

`X-Webhook-Secret` is optional and carries the secret itself. There is no id of the event and no
time, and nothing is promised about sending again. A refund has the order's total and no
amount of its own. Source: the platform's page *HTTPS webhooks for order lifecycle events*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.model.callbacks import NoteNotice, OrderNotice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit import shared_secret
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Verdict,
)
from tillbell.providers.kit.order_fields import (
    amount,
    count,
    currency,
    known,
    moment,
    parts,
    sum_of,
)
from tillbell.providers.kit.reading import (
    fold,
    json_object,
    object_member,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual

HEADER = "x-webhook-secret"


class EventMeaning(NamedTuple):
    """What an event of the platform means."""

    word: str  # its `status`
    state: str  # of our order
    status: TransactionStatus  # of the transaction
    kind: TransactionKind = TransactionKind.PAYMENT


EVENTS: Mapping[str, EventMeaning] = {
    "order_paid": EventMeaning("PAID", "paid", TransactionStatus.APPROVED),
    "order_refunded": EventMeaning(
        "REFUNDED", "refunded", TransactionStatus.APPROVED, TransactionKind.REFUND
    ),
    "order_cancelled": EventMeaning("CANCELLED", "cancelled", TransactionStatus.CANCELLED),
}


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the header with the secret."""
    return shared_secret.verify(setup, HEADER, [incoming.header(HEADER)])


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one order. An event that its `status` contradicts says nothing about money."""
    del setup
    body = json_object(incoming.body)
    event, order_id = required_text(body, "event"), required_text(body, "orderId")
    key = f"{order_id}|{event}"
    meaning, word = EVENTS.get(event), text(body, "status")
    if meaning is None:
        return ParsedNotices(
            (_transaction(body, None), NoteNotice(f"{event[:100]} is not in the table.")), key
        )
    if word is not None and fold(word) != fold(meaning.word):
        why = f"{event} says {meaning.word}, its status says {word[:50]}."
        return ParsedNotices((_transaction(body, None), NoteNotice(why)), key)
    order = OrderNotice(f"order.{meaning.state}", _order(body, meaning.state))
    return ParsedNotices((order, _transaction(body, meaning)), key)


def _transaction(body: dict[str, Any], meaning: EventMeaning | None) -> TransactionNotice:
    reference = text(body, "paymentReference")
    return TransactionNotice(
        references=References(present_values(text(body, "orderId")), present_values(reference)),
        raw_status=text(body, "status") or required_text(body, "event"),
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.PAYMENT if meaning is None else meaning.kind,
        amount=sum_of(body, "totalAmount"),
        psp_reference=reference,
        is_optional=True,
        details=known({"gateway": text(body, "paymentGateway")}),
    )


def _order(body: dict[str, Any], state: str) -> dict[str, Any]:
    code, customer = currency(body), object_member(body, "customer")
    return known(
        {
            "id": text(body, "orderId"),
            "status": state,
            "paymentStatus": state,
            "amount": amount(body, "totalAmount", code),
            "currency": code,
            "gateway": text(body, "paymentGateway"),
            "reference": text(body, "paymentReference"),
            "createdAt": moment(body, "createdAt"),
            "paidAt": moment(body, "paidAt"),
            "affiliateId": text(body, "affiliateId"),
            "customer": known(
                {name: text(customer, name) for name in ("name", "email", "phoneNumber")}
            ),
            "items": [_item(item, code) for item in parts(body, "items")],
        }
    )


def _item(item: dict[str, Any], order_currency: str | None) -> dict[str, Any]:
    code = currency(item) or order_currency
    return known(
        {
            "productId": text(item, "productId"),
            "productName": text(item, "productName"),
            "quantity": count(item, "quantity"),
            "unitPrice": amount(item, "unitPrice", code),
            "totalPrice": amount(item, "totalPrice", code),
            "currency": code,
            "isBumpProduct": item.get("isBumpProduct") is True,
        }
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as the platform sends it."""
    headers = {"content-type": JSON}
    if setup.secrets:
        headers[HEADER] = setup.secrets[0]
    return request(case, url, json_body(case.fields), headers)


PROVIDER = Provider(
    name="zenofy",
    title="Zenofy",
    about="Orders that became paid, refunded or cancelled.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SECRET,
    bare_trust=Trust.NONE,
    secret=SecretRule(
        about="Zenofy → the product → Integrations → Webhook → Secret: the text you chose there.",
        is_required=False,
        problem=shared_secret.header_problem,
    ),
    answers="200; 401 when the secret is another.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    masked=(HEADER,),
    note="The secret proves the sender, not the content: set confirm to trust if that is enough "
    "for orders that move money.",
    statuses={
        meaning.word: meaning.status
        for meaning in EVENTS.values()
        if meaning.kind is TransactionKind.PAYMENT
    },
)
