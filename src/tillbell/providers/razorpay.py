"""Razorpay: payments of orders, refunds and disputes; other events passed on.

`X-Razorpay-Signature`: hex HMAC-SHA256 of the body, keyed with the webhook's secret. The event's id
stands only in a header that is not signed, so the bytes tell a repeat; Razorpay repeats the same.

A payment is one attempt to pay an order. `payment.failed` may be followed by `payment.captured` of
the same payment, and by other payments of the order. Events come in any order.

Sources: razorpay.com/docs, Webhooks (Payments, Orders, Refunds, Disputes), Disputes Entity, Orders
Entity; razorpay/razorpay-python.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.model.callbacks import ProviderAmount, References, TransactionNotice
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
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.forwarding import forwarded_event
from tillbell.providers.kit.proof import not_another_credential
from tillbell.providers.kit.reading import (
    json_object,
    object_member,
    present_values,
    provider_amount,
    required_text,
    text,
    unix_seconds,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    FAILED,
    PENDING,
    STATUSES,
    linked,
    meaning_of,
    table,
)

REFERENCE = reference_setting(
    "order.receipt",
    "The field with your order's id: `order.receipt` comes with order.paid only, "
    "`payment.notes.<key>` with every payment.",
)
PAYMENTS = table(
    {
        "payment.pending": PENDING,
        "payment.authorized": AUTHORIZED,
        "payment.captured": APPROVED,
        "order.paid": APPROVED,
        "payment.failed": FAILED,
    }
)
REFUNDS = table(
    {
        "pending": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "processed": linked(TransactionKind.REFUND),
        "failed": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
    }
)
# The amount is deducted for good when a dispute is lost; until then it may only be held.
DISPUTES = table(
    {
        "payment.dispute.created": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "payment.dispute.under_review": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.PENDING
        ),
        "payment.dispute.action_required": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.PENDING
        ),
        "payment.dispute.lost": linked(TransactionKind.CHARGEBACK),
        "payment.dispute.won": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "payment.dispute.closed": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
    }
)
LOOKED_UP: Mapping[str, TransactionStatus] = MappingProxyType(
    {
        "created": TransactionStatus.PENDING,
        "attempted": TransactionStatus.PENDING,
        "authorized": TransactionStatus.PENDING,
        "captured": TransactionStatus.APPROVED,
        "refunded": TransactionStatus.APPROVED,
        "paid": TransactionStatus.APPROVED,
        "failed": TransactionStatus.FAILED,
    }
)
LOOKUP: Mapping[str, Any] = MappingProxyType(
    {
        "status": "/status",
        "amount": "/amount",
        "currency": "/currency",
        "refunded": "/amount_refunded",
        "minorUnits": True,
    }
)
PROOF = BodyMac("x-razorpay-signature", "sha256")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. What is not about money becomes a message `razorpay.<event>`."""
    body = json_object(incoming.body)
    event, payload = required_text(body, "event"), object_member(body, "payload")
    entities = {name: object_member(object_member(payload, name), "entity") for name in payload}
    notice = _notice(event, entities, setup)
    if notice is None:
        return ParsedNotices((forwarded_event("razorpay", event, incoming.body),))
    return ParsedNotices((notice._replace(occurred_at=unix_seconds(body.get("created_at"))),))


def _notice(
    event: str, entities: Mapping[str, dict[str, Any]], setup: SourceSetup
) -> TransactionNotice | None:
    """Read the entity that the event is about; None if it is not about money."""
    if event.startswith("payment.dispute.") and entities.get("dispute"):
        return _dispute(event, entities, setup)
    if event.startswith("refund.") and entities.get("refund"):
        return _refund(entities, setup)
    if event.startswith(("payment.", "order.paid")) and entities.get("payment"):
        return _payment(event, entities, setup)
    return None


def _payment(
    event: str, entities: Mapping[str, dict[str, Any]], setup: SourceSetup
) -> TransactionNotice:
    payment = entities["payment"]
    own_id, acquirer = required_text(payment, "id"), object_member(payment, "acquirer_data")
    meaning = meaning_of(event, PAYMENTS, setup.config)
    return TransactionNotice(
        _references(own_id, entities, setup),
        raw_status=event,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        reason=text(payment, "error_reason") or text(payment, "error_code"),
        message=text(payment, "error_description"),
        amount=_sum(payment),
        psp_transaction_id=own_id,
        psp_reference=text(acquirer, "rrn") or text(acquirer, "bank_transaction_id"),
        user_id=text(payment, "customer_id"),
        details=_details(payment),
        ends_attempt=meaning == FAILED,
    )


def _details(payment: dict[str, Any]) -> dict[str, Any]:
    card = object_member(payment, "card")
    return card_details(
        text(card, "iin"),
        text(card, "last4"),
        brand=text(card, "network"),
        method=text(payment, "method"),
    )


def _refund(entities: Mapping[str, dict[str, Any]], setup: SourceSetup) -> TransactionNotice:
    """Read a refund. One of a payment that was never captured releases what was authorised."""
    refund = entities["refund"]
    word, payment_id = required_text(refund, "status"), required_text(refund, "payment_id")
    meaning = meaning_of(word, REFUNDS, setup.config)
    notice = TransactionNotice(
        _references(payment_id, entities, setup),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND,
        amount=_sum(refund),
        psp_transaction_id=required_text(refund, "id"),
    )
    if entities.get("payment", {}).get("captured") is False:
        return _released(notice, payment_id)
    return notice


def _released(refund: TransactionNotice, payment_id: str) -> TransactionNotice:
    """Turn the refund of a payment that was never captured into the end of that attempt."""
    is_done = refund.status is TransactionStatus.APPROVED
    open_status = None if refund.status is None else TransactionStatus.PENDING
    return refund._replace(
        raw_status=f"auto-refund {refund.raw_status}",
        status=TransactionStatus.CANCELLED if is_done else open_status,
        kind=TransactionKind.PAYMENT,
        psp_transaction_id=payment_id,
        ends_attempt=is_done,
    )


def _dispute(
    event: str, entities: Mapping[str, dict[str, Any]], setup: SourceSetup
) -> TransactionNotice:
    dispute = entities["dispute"]
    meaning = meaning_of(event, DISPUTES, setup.config)
    status = None if meaning is None else meaning.status
    return TransactionNotice(
        _references(required_text(dispute, "payment_id"), entities, setup),
        raw_status=event,
        status=status,
        kind=TransactionKind.CHARGEBACK,
        reason=text(dispute, "reason_code"),
        amount=_deducted(dispute) if status is TransactionStatus.APPROVED else _sum(dispute),
        psp_transaction_id=required_text(dispute, "id"),
        movement_id="lost" if status is TransactionStatus.APPROVED else None,
        is_closing=status is TransactionStatus.CANCELLED,
    )


def _deducted(dispute: dict[str, Any]) -> ProviderAmount | None:
    """Return what was taken; the disputed amount if that is not told."""
    if text(dispute, "amount_deducted") in (None, "0"):
        return _sum(dispute)
    return provider_amount(dispute, "amount_deducted", "currency", is_minor=True)


def _references(
    payment_id: str, entities: Mapping[str, dict[str, Any]], setup: SourceSetup
) -> References:
    order_id = text(entities.get("payment", {}), "order_id")
    return References(
        merchant_reference(entities, setup, REFERENCE), present_values(payment_id, order_id)
    )


def _sum(entity: dict[str, Any]) -> ProviderAmount | None:
    return provider_amount(entity, "amount", "currency", is_minor=True)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Razorpay sends it."""
    return PROOF.sign(case, setup, url, {"x-razorpay-event-id": case.id})


PROVIDER = Provider(
    name="razorpay",
    title="Razorpay",
    about="Payments of orders, refunds and disputes; other events passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Razorpay Dashboard → Account & Settings → Webhooks → the webhook's secret, which you "
        "choose there. It is not the API key's secret.",
        problem=not_another_credential(rzp_="an API key id"),
    ),
    answers="200; 401 when the signature does not match.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("name", "token_id", "vpa"),
    note="A payment that failed leaves ours Pending: the payer may try again. A dispute is booked "
    "when it is lost, though Razorpay may hold its amount before.",
    statuses=LOOKED_UP,
    authorizing=frozenset({"authorized"}),
    payer_may_retry=True,
    lookup=LOOKUP,
)
