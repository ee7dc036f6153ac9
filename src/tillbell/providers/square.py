"""Square: payments, refunds and disputes, each as a whole object; other events passed on.

`x-square-hmacsha256-signature`: base64 HMAC-SHA256 over the notification URL and the body, one
after the other. The URL is the one that was pasted at Square, byte for byte.

Events may come twice and in any order; the time when the object was last changed counts.
Sources: developer.squareup.com, Webhooks, Payments, Refunds, Disputes; square/square-python-sdk.
"""

from __future__ import annotations

from typing import Any

from tillbell.clock import Micros
from tillbell.model.callbacks import (
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
    ProviderSetting,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Verdict,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.forwarding import forwarded_event
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.proof import key_bytes, not_another_credential
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    provider_amount,
    required_text,
    text,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    FAILED,
    PENDING,
    STATUSES,
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)

NOTIFICATION_URL = ProviderSetting(
    "notificationUrl",
    "The URL as Square has it, where it is not the source's own public URL.",
    "url",
)
PAYMENTS = table(
    {
        "PENDING": PENDING,
        "APPROVED": AUTHORIZED,  # still to be completed
        "COMPLETED": APPROVED,
        "CANCELED": CANCELLED,
        "FAILED": FAILED,
    }
)
REFUNDS = table(
    {
        "PENDING": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "COMPLETED": linked(TransactionKind.REFUND),
        "REJECTED": linked(TransactionKind.REFUND, TransactionStatus.DECLINED),
        "FAILED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
    }
)
# The payer may try again with another payment.
_ENDS_ATTEMPT = frozenset({"CANCELED", "FAILED"})
# Square holds the money of an open dispute; it is debited when the dispute is lost. An inquiry that
# was closed may still become a dispute.
DISPUTES = table(
    {
        "INQUIRY_EVIDENCE_REQUIRED": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "INQUIRY_PROCESSING": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "INQUIRY_CLOSED": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "EVIDENCE_REQUIRED": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "PROCESSING": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "WON": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "LOST": linked(TransactionKind.CHARGEBACK),
        "ACCEPTED": linked(TransactionKind.CHARGEBACK),
    }
)
_LOST = frozenset({"ACCEPTED", "LOST"})
REFERENCE = reference_setting(
    "reference_id", "The member of a payment in which you send your order id."
)
_PROOF = BodyMac("x-square-hmacsha256-signature", "sha256", "base64")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature over the URL and the body."""
    url = setup.config.get(NOTIFICATION_URL.name) or incoming.url
    verdict = _PROOF.verify(incoming._replace(body=key_bytes(str(url)) + incoming.body), setup)
    if verdict.trust is None and incoming.header(_PROOF.header) is not None:
        why = "The URL at Square is signed too: it must be the source's, byte for byte."
        return Verdict(None, f"{verdict.why} {why}")
    return verdict


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event. What is not about money becomes a message `square.<type>`."""
    body = json_object(incoming.body)
    word = required_text(body, "type")
    resource = object_member(object_member(body, "data"), "object")
    notice = _notice(resource, iso_time(body.get("created_at")), setup)
    if notice is None:
        notice = forwarded_event("square", word, incoming.body)
    return ParsedNotices((notice,), text(body, "event_id"))


def _notice(holder: dict[str, Any], event_at: Micros | None, setup: SourceSetup) -> Notice | None:
    """Read the object that the event holds: the event's type says no more than that."""
    readers = {"payment": _payment, "refund": _refund, "dispute": _dispute}
    name = next((name for name in readers if name in holder), None)
    if name is None:
        return None
    resource = object_member(holder, name)
    notice = readers[name](resource, setup)
    if not isinstance(notice, TransactionNotice):
        return notice
    return notice._replace(occurred_at=iso_time(resource.get("updated_at")) or event_at)


def _payment(payment: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word, own_id = required_text(payment, "status"), required_text(payment, "id")
    meaning = meaning_of(word, PAYMENTS, setup.config)
    error = next(iter(parts(object_member(payment, "card_details"), "errors")), {})
    return TransactionNotice(
        References(
            merchant_reference(payment, setup, REFERENCE),
            present_values(own_id, text(payment, "order_id")),
        ),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        reason=text(error, "code"),
        message=text(error, "detail"),
        amount=_sum(payment),
        psp_transaction_id=own_id,
        psp_reference=text(payment, "receipt_number"),
        user_id=text(payment, "customer_id"),
        details=_details(payment),
        ends_attempt=word in _ENDS_ATTEMPT,
    )


def _details(payment: dict[str, Any]) -> dict[str, Any]:
    card = object_member(object_member(payment, "card_details"), "card")
    return card_details(
        text(card, "bin"),
        text(card, "last_4"),
        brand=text(card, "card_brand"),
        method=text(payment, "source_type"),
    )


def _refund(refund: dict[str, Any], setup: SourceSetup) -> Notice:
    word, payment_id = required_text(refund, "status"), text(refund, "payment_id")
    if payment_id is None:
        return NoteNotice("The refund belongs to no payment at Square.")
    meaning = meaning_of(word, REFUNDS, setup.config)
    return TransactionNotice(
        References(psp=present_values(payment_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND,
        reason=text(refund, "reason"),
        amount=_sum(refund),
        psp_transaction_id=required_text(refund, "id"),
    )


def _dispute(dispute: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    """Read a dispute; older versions of the API call its id `dispute_id`."""
    word = required_text(dispute, "state")
    meaning = meaning_of(word, DISPUTES, setup.config)
    payment_id = required_text(object_member(dispute, "disputed_payment"), "payment_id")
    return TransactionNotice(
        References(psp=present_values(payment_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.CHARGEBACK,
        reason=text(dispute, "reason"),
        amount=_sum(dispute),
        psp_transaction_id=text(dispute, "id") or required_text(dispute, "dispute_id"),
        movement_id="lost" if word in _LOST else None,
    )


def _sum(resource: dict[str, Any]) -> ProviderAmount | None:
    money = object_member(resource, "amount_money")
    return provider_amount(money, "amount", "currency", is_minor=True)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Square sends it."""
    body = json_body(case.fields)
    incoming = request(case, url, body, {"content-type": JSON})
    signed_url = setup.config.get(NOTIFICATION_URL.name) or incoming.url
    signature = _PROOF.signature(setup.secrets[0], key_bytes(str(signed_url)) + body)
    if incoming.header(_PROOF.header) is not None:
        return incoming
    return incoming._replace(headers=(*incoming.headers, (_PROOF.header, signature)))


PROVIDER = Provider(
    name="square",
    title="Square",
    about="Payments, refunds and disputes; other events passed on.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Square Developer Console → Webhooks → the subscription → Signature key.",
        problem=not_another_credential(EAAA="an access token", sq0="an application id or secret"),
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(NOTIFICATION_URL, REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("cardholder_name", "fingerprint"),
    note="The notification URL is signed with the body: set TILLBELL_PUBLIC_URL, or "
    "notificationUrl, to what Square has.",
    statuses=statuses(PAYMENTS),
    authorizing=authorizing_words(PAYMENTS),
    payer_may_retry=True,
    lookup={
        "status": "/payment/status",
        "amount": "/payment/amount_money/amount",
        "currency": "/payment/amount_money/currency",
        "refunded": "/payment/refunded_money/amount",
        "minorUnits": True,
    },
)
