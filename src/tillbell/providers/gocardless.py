"""GoCardless: direct debits and instant bank payments; events of mandates and others passed on.

`Webhook-Signature`: hex HMAC-SHA256 of the body, keyed with the endpoint's secret. A webhook holds
up to 250 events. Each has an id of its own, and the webhook has one too (`meta.webhook_id`).

An event tells no amount. A payment is always collected and charged back as a whole; of a refund it
is not known how much it gives back. A payment may fail after it was confirmed, when its bank
answers late. Events come in any order.

Sources: developer.gocardless.com, Webhooks, Event types; gocardless/gocardless-pro-python.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.model.callbacks import NoteNotice, Notice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.forwarding import forwarded_event
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.proof import not_another_credential
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import json_body, usual
from tillbell.providers.kit.words import (
    APPROVED,
    CANCELLED,
    DECLINED,
    FAILED,
    PENDING,
    STATUSES,
    WordMeaning,
    linked,
    meaning_of,
    table,
)

EVENTS_MAX = 250
REFERENCE = reference_setting(
    "resource_metadata.order_id",
    "The field with your order's id: a key of the payment's metadata, `resource_metadata.<key>`.",
)
PAYMENTS = table(
    {
        "created": PENDING,
        "customer_approval_granted": PENDING,
        "submitted": PENDING,
        "resubmission_requested": PENDING,
        "confirmed": APPROVED,
        "paid_out": APPROVED,
        "failed": FAILED,  # for good, unless it will be retried
        "cancelled": CANCELLED,
        "customer_approval_denied": DECLINED,
        "charged_back": linked(TransactionKind.CHARGEBACK),
        "chargeback_cancelled": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)
REFUNDS = table(
    {
        "created": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "paid": linked(TransactionKind.REFUND),
        "failed": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "funds_returned": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
    }
)
# They say in which pay-out a movement is settled that another event has told.
_SETTLEMENTS = frozenset(
    {
        "payments.chargeback_settled",
        "payments.late_failure_settled",
        "payments.surcharge_fee_debited",
        "payments.sds_settlement_delayed",
        "refunds.refund_settled",
    }
)
LOOKED_UP: Mapping[str, TransactionStatus] = MappingProxyType(
    {
        "pending_customer_approval": TransactionStatus.PENDING,
        "pending_submission": TransactionStatus.PENDING,
        "submitted": TransactionStatus.PENDING,
        "confirmed": TransactionStatus.APPROVED,
        "paid_out": TransactionStatus.APPROVED,
        "cancelled": TransactionStatus.CANCELLED,
        "customer_approval_denied": TransactionStatus.DECLINED,
        "failed": TransactionStatus.FAILED,
    }
)
LOOKUP: Mapping[str, Any] = MappingProxyType(
    {
        "status": "/payments/status",
        "amount": "/payments/amount",
        "currency": "/payments/currency",
        "refunded": "/payments/amount_refunded",
        "minorUnits": True,
    }
)
PROOF = BodyMac("webhook-signature", "sha256")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read all events of a webhook; none of a test webhook."""
    body = json_object(incoming.body)
    if not isinstance(body.get("events"), list):
        raise Unreadable("The field 'events' is missing.")
    events = parts(body, "events")
    if len(events) > EVENTS_MAX:
        raise Unreadable(f"There are more than {EVENTS_MAX} events.")
    notices = tuple(_notice(event, setup) for event in events)
    if not notices:
        notices = (NoteNotice("The webhook holds no events."),)
    return ParsedNotices(notices, _dedupe_key(body, events))


def _dedupe_key(body: dict[str, Any], events: list[dict[str, Any]]) -> str | None:
    """Return the id of the only event, else that of the webhook."""
    if len(events) == 1:
        return text(events[0], "id")
    return text(object_member(body, "meta"), "webhook_id")


def _notice(event: dict[str, Any], setup: SourceSetup) -> Notice:
    resource, action = required_text(event, "resource_type"), required_text(event, "action")
    word = f"{resource}.{action}"
    if word in _SETTLEMENTS:
        return NoteNotice(f"{word} moves no money that another event has not told.")
    if resource == "payments":
        return _payment(event, word, meaning_of(action, PAYMENTS, setup.config), setup)
    if resource == "refunds":
        return _refund(event, word, meaning_of(action, REFUNDS, {}), setup)
    return forwarded_event("gocardless", word, json_body(event))


def _payment(
    event: dict[str, Any], word: str, meaning: WordMeaning | None, setup: SourceSetup
) -> TransactionNotice:
    """Read what happened to a payment. Its chargeback has no id of its own."""
    details, payment_id = object_member(event, "details"), _linked_id(event, "payment")
    is_linked = meaning is not None and meaning.kind is not TransactionKind.PAYMENT
    return TransactionNotice(
        _references(event, payment_id, setup),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.PAYMENT if meaning is None else meaning.kind,
        substate=None if meaning is None else meaning.substate,
        reason=text(details, "reason_code") or text(details, "cause"),
        message=text(details, "description"),
        psp_transaction_id=f"{payment_id}:chargeback" if is_linked else payment_id,
        occurred_at=iso_time(event.get("created_at")),
        ends_attempt=meaning == FAILED and details.get("will_attempt_retry") is True,
        movement_id=text(event, "id") if is_linked else None,
    )


def _refund(
    event: dict[str, Any], word: str, meaning: WordMeaning | None, setup: SourceSetup
) -> Notice:
    """Read what happened to a refund. How much it gives back is not told, so it is a hint.

    It names the refund alone, so the payment is known by what the shop wrote into the refund.
    """
    payment_id = text(object_member(event, "links"), "payment")
    references = _references(event, payment_id, setup)
    if not (references.ours or references.psp):
        return NoteNotice(f"{word} names no payment: write your order's id into its metadata.")
    return TransactionNotice(
        references,
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND,
        reason=text(object_member(event, "details"), "cause"),
        psp_transaction_id=_linked_id(event, "refund"),
        occurred_at=iso_time(event.get("created_at")),
        is_hint=True,
    )


def _references(event: dict[str, Any], payment_id: str | None, setup: SourceSetup) -> References:
    """Name the payment. The metadata of a refund's event is the refund's own."""
    ours = merchant_reference(event, setup, REFERENCE)
    return References(ours, present_values(payment_id))


def _linked_id(event: dict[str, Any], name: str) -> str:
    return required_text(object_member(event, "links"), name)


PROVIDER = Provider(
    name="gocardless",
    title="GoCardless",
    about="Direct debits, their chargebacks and refunds; mandates and others passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "GoCardless → Developers → the webhook endpoint → secret.",
        problem=not_another_credential(live_="an access token", sandbox_="an access token"),
    ),
    answers="204; 498 when the signature does not match.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(CallbackAnswer(204), refused=498),
    sign=PROOF.sign,
    settings=(REFERENCE, STATUSES),
    note="How much a refund gives back is not sent: set lookupUrl, or a person must say it. A "
    "payment that fails when it is already confirmed is left to a person.",
    statuses=LOOKED_UP,
    payer_may_retry=True,
    lookup=LOOKUP,
)
