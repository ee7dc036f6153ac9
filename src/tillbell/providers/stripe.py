"""Stripe: payment intents, checkout sessions, refunds and disputes; other events passed on.

`Stripe-Signature: t=<seconds>,v1=<hex>`: HMAC-SHA256 over `<t>.<body>` with the whole text of the
endpoint's secret, `whsec_` included. Events may come in any order and more than once.

Sources: docs.stripe.com, Webhooks, Types of events, Currencies; stripe/stripe-python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.model.callbacks import (
    ForwardNotice,
    NoteNotice,
    Notice,
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
)
from tillbell.providers.kit.proof import TOLERANCE_S, secret_problem
from tillbell.providers.kit.reading import (
    json_object,
    object_member,
    present_values,
    required_text,
    text,
    unix_seconds,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.timedmac import TimedMac, tolerance
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    FAILED,
    PENDING,
    STATUSES,
    WordMeaning,
    linked,
    meaning_of,
    statuses,
    table,
)

TOLERANCE = tolerance(TOLERANCE_S)
PROOF = TimedMac("stripe-signature", TOLERANCE, time="t", signature="v1")
EVENTS = table(
    {
        "payment_intent.created": PENDING,
        "payment_intent.processing": PENDING,
        "payment_intent.requires_action": PENDING,
        "payment_intent.amount_capturable_updated": AUTHORIZED,
        "payment_intent.succeeded": APPROVED,
        "payment_intent.payment_failed": WordMeaning(
            TransactionStatus.PENDING, "payment_failed"
        ),  # may try again
        "payment_intent.canceled": CANCELLED,
        "checkout.session.completed": APPROVED,  # if it is paid, else Pending
        "checkout.session.async_payment_succeeded": APPROVED,
        "checkout.session.async_payment_failed": FAILED,
        "checkout.session.expired": CANCELLED,
        "charge.dispute.created": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "charge.dispute.updated": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "charge.dispute.funds_withdrawn": linked(TransactionKind.CHARGEBACK),
        "charge.dispute.funds_reinstated": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)
CLOSED_DISPUTES = table(
    {
        "lost": linked(TransactionKind.CHARGEBACK),
        "warning_closed": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED
        ),  # no money was taken
    }
)
REFUNDS = table(
    {
        "pending": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "requires_action": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "succeeded": linked(TransactionKind.REFUND),
        "failed": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "canceled": linked(TransactionKind.REFUND, TransactionStatus.CANCELLED),
    }
)
LOOKED_UP = table(
    {
        "requires_payment_method": PENDING,
        "requires_confirmation": PENDING,
        "requires_action": PENDING,
        "processing": PENDING,
        "requires_capture": AUTHORIZED,
        "succeeded": APPROVED,
        "canceled": CANCELLED,
    }
)
_REFUND_EVENTS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
# Currencies to which Stripe gives other decimal digits than ISO 4217.
_EXPONENTS: Mapping[str, int] = MappingProxyType({"ISK": 2, "UGX": 2, "MGA": 0})
_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){1,5}")
_AMOUNT_FIELDS = ("amount_received", "amount_total", "amount")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. What is not about a payment becomes a message `stripe.<type>`."""
    body = json_object(incoming.body)
    word, resource = (
        required_text(body, "type"),
        object_member(object_member(body, "data"), "object"),
    )
    notices = _notices(word, resource, setup) or (_other(word, incoming.body),)
    at = unix_seconds(body.get("created"))
    dated = [n._replace(occurred_at=at) if isinstance(n, TransactionNotice) else n for n in notices]
    return ParsedNotices(tuple(dated), text(body, "id"))


def _notices(word: str, resource: dict[str, Any], setup: SourceSetup) -> tuple[Notice, ...]:
    if word in _REFUND_EVENTS:
        return (_refund(resource, setup),)
    if word == "charge.refunded":
        return _refunds_of(resource, setup)
    if word == "charge.dispute.closed":
        return (_closed(word, resource, setup),)
    meaning = meaning_of(word, EVENTS, setup.config)
    if meaning is None:
        return ()
    if meaning.kind is not TransactionKind.PAYMENT:
        return (_dispute(word, resource, meaning),)
    if word == "checkout.session.completed" and text(resource, "payment_status") == "unpaid":
        meaning = PENDING
    return (_payment(word, resource, meaning),)


def _payment(word: str, payment: dict[str, Any], meaning: WordMeaning) -> Notice:
    """Read a payment intent, or a checkout session, which names its payment intent."""
    own_id, intent = required_text(payment, "id"), text(payment, "payment_intent")
    if payment.get("payment_status") == "no_payment_required":
        return NoteNotice("The checkout session needed no payment.")
    error = object_member(payment, "last_payment_error")
    ours = (text(payment, "client_reference_id"), *_metadata(payment))
    return TransactionNotice(
        References(present_values(*ours), present_values(intent, own_id)),
        raw_status=word,
        status=meaning.status,
        substate=meaning.substate,
        reason=text(error, "decline_code") or text(error, "code"),
        message=text(error, "message"),
        amount=_amount(payment, meaning),
        psp_transaction_id=intent or own_id,
        psp_reference=text(payment, "latest_charge"),
        user_id=text(payment, "customer"),
    )


def _amount(payment: dict[str, Any], meaning: WordMeaning) -> ProviderAmount | None:
    """Return the amount received, else the amount asked for. Only Approved ones are received."""
    names = _AMOUNT_FIELDS if meaning.status is TransactionStatus.APPROVED else _AMOUNT_FIELDS[1:]
    values = [value for value in (text(payment, name) for name in names) if value is not None]
    return _sum(values[0], payment) if values else None


def _refunds_of(charge: dict[str, Any], setup: SourceSetup) -> tuple[Notice, ...]:
    """Read the refunds listed in a charge. Newer versions of the API leave them out."""
    listed = object_member(charge, "refunds").get("data")
    refunds = (
        [refund for refund in listed if isinstance(refund, dict)]
        if isinstance(listed, list)
        else []
    )
    if not refunds:
        return (NoteNotice("charge.refunded names no refund: let Stripe send refund.created too."),)
    of_charge = {"charge": charge.get("id"), "payment_intent": charge.get("payment_intent")}
    return tuple(_refund({**of_charge, **refund}, setup) for refund in refunds)


def _refund(refund: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word = required_text(refund, "status")
    meaning = meaning_of(word, REFUNDS, setup.config)
    return TransactionNotice(
        _parent(refund),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND,
        reason=text(refund, "failure_reason") or text(refund, "reason"),
        amount=_sum(text(refund, "amount"), refund),
        psp_transaction_id=required_text(refund, "id"),
    )


def _closed(word: str, dispute: dict[str, Any], setup: SourceSetup) -> Notice:
    ended = required_text(dispute, "status")
    meaning = meaning_of(ended, CLOSED_DISPUTES, setup.config)
    if meaning is None:
        return NoteNotice(
            f"The dispute ended as {ended[:50]}: funds_reinstated says what happens to the money."
        )
    return _dispute(f"{word} {ended}", dispute, meaning)


def _dispute(word: str, dispute: dict[str, Any], meaning: WordMeaning) -> TransactionNotice:
    return TransactionNotice(
        _parent(dispute),
        raw_status=word,
        status=meaning.status,
        kind=meaning.kind,
        reason=text(dispute, "reason"),
        amount=_sum(text(dispute, "amount"), dispute),
        psp_transaction_id=required_text(dispute, "id"),
    )


def _parent(resource: dict[str, Any]) -> References:
    psp = present_values(text(resource, "payment_intent"), text(resource, "charge"))
    return References(present_values(*_metadata(resource)), psp)


def _metadata(resource: dict[str, Any]) -> list[str | None]:
    metadata = object_member(resource, "metadata")
    return [text(metadata, name) for name in list(metadata)[:50]]


def _sum(value: str | None, resource: dict[str, Any]) -> ProviderAmount | None:
    if value is None:
        return None
    currency = (text(resource, "currency") or "").upper()
    return ProviderAmount(value, currency or None, is_minor=True, exponent=_EXPONENTS.get(currency))


def _other(word: str, body: bytes) -> Notice:
    if _TYPE.fullmatch(word) is None or len(word) > 100:
        raise Unreadable("The type is not one of Stripe's.")
    return ForwardNotice(f"stripe.{word}", body)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Stripe sends it."""
    body = json_body(case.fields)
    signature = PROOF.value(setup.secrets[0], case.at, body)
    return request(case, url, body, {"content-type": JSON, PROOF.header: signature})


PROVIDER = Provider(
    name="stripe",
    title="Stripe",
    about="Payment intents, checkout sessions, refunds and disputes; other events passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Stripe → Developers → Webhooks → the endpoint → Signing secret (whsec_…).",
        problem=secret_problem,
    ),
    answers="200; 401 when the signature does not match or is too old.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(AUTHORIZATION_IS_FINAL, STATUSES, TOLERANCE),
    note="A try that failed leaves the payment Pending, because the payer may try again. Refunds "
    "are read from refund.*: charge.refunded alone may not name them.",
    statuses=statuses(LOOKED_UP),
)
