"""Authorize.Net: authorisations, captures, refunds, voids and fraud reviews.

`X-ANET-Signature: sha512=<HEX>`: HMAC-SHA512 of the body, keyed with the text of the signature key;
the key looks like hex and is not decoded. The body must stay as it came: `1.10` is signed, not 1.1.

A webhook names no currency, as an account has one. A refund does not name the transaction that it
refunds. What a merchant approved after a review may be authorised or captured: it is looked up.

Sources: developer.authorize.net, Webhooks; community.developer.cybersource.com, two threads about
signatures; thephpleague/omnipay-authorizenetapi.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import (
    NoteNotice,
    Notice,
    ProviderAmount,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionKind, TransactionStatus
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
from tillbell.providers.kit.proof import formed_secret
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
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
    DECLINED,
    FAILED,
    ON_HOLD,
    PENDING,
    SETTLING,
    STATUSES,
    WordMeaning,
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)

PROOF = BodyMac("x-anet-signature", "sha512", prefix="sha512=")
REFERENCE = reference_setting(
    "invoiceNumber",
    "The member of payload in which you send your order id: invoiceNumber or merchantReferenceId.",
)
_PREFIX = "net.authorize.payment."
EVENTS = table(
    {
        "authorization.created": AUTHORIZED,
        "authcapture.created": APPROVED,
        "capture.created": APPROVED,
        "priorAuthCapture.created": APPROVED,
        "void.created": CANCELLED,
        "refund.created": linked(TransactionKind.REFUND),
        "fraud.held": ON_HOLD,
        "fraud.declined": DECLINED,
    }
)
# `responseCode` of an event whose transaction did not succeed.
RESPONSES = table({"2": DECLINED, "3": FAILED, "4": ON_HOLD})
# What they mean if they did not succeed: the authorisation stays.
_CHANGES: Mapping[str, WordMeaning] = {
    "capture.created": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
    "priorAuthCapture.created": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
    "void.created": PENDING,
}
_APPROVED_BY_MERCHANT = "fraud.approved"
_SUCCEEDED = "1"
# `transactionStatus`, as getTransactionDetails answers.
LOOKED_UP = table(
    {
        "authorizedPendingCapture": AUTHORIZED,
        "capturedPendingSettlement": APPROVED,
        "settledSuccessfully": APPROVED,
        "communicationError": FAILED,
        "declined": DECLINED,
        "expired": CANCELLED,
        "failedReview": DECLINED,
        "FDSAuthorizedPendingReview": ON_HOLD,
        "FDSPendingReview": ON_HOLD,
        "generalError": FAILED,
        "pendingFinalSettlement": SETTLING,
        "pendingSettlement": SETTLING,
        "settlementError": FAILED,
        "underReview": ON_HOLD,
        "updatingSettlement": PENDING,
        "voided": CANCELLED,
    }
)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one notification."""
    event = json_object(incoming.body)
    return ParsedNotices((_notice(event, setup),), text(event, "notificationId"))


def _notice(event: dict[str, Any], setup: SourceSetup) -> Notice:
    word, payload = required_text(event, "eventType"), object_member(event, "payload")
    if not word.startswith(_PREFIX):
        return NoteNotice(f"{word[:100]} changes nothing of a payment.")
    event_name, own_id = word.removeprefix(_PREFIX), required_text(payload, "id")
    meaning = _meaning(event_name, text(payload, "responseCode"), setup)
    kind = TransactionKind.PAYMENT if meaning is None else meaning.kind
    is_payment = kind is TransactionKind.PAYMENT
    return TransactionNotice(
        References(
            merchant_reference(payload, setup, REFERENCE),
            present_values(own_id) if is_payment else (),
        ),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=kind,
        substate=None if meaning is None else meaning.substate,
        reason=_reason(payload),
        amount=_sum(payload),
        psp_transaction_id=own_id,
        occurred_at=iso_time(event.get("eventDate")),
        is_hint=event_name == _APPROVED_BY_MERCHANT and meaning is None,
        ends_attempt=_ends_attempt(event_name, meaning),
    )


def _meaning(event_name: str, code: str | None, setup: SourceSetup) -> WordMeaning | None:
    """Return what the event means, or what its transaction's answer means if it failed."""
    meaning = meaning_of(event_name, EVENTS, setup.config)
    if meaning is None or code in (_SUCCEEDED, None) or event_name == "fraud.declined":
        return meaning
    if event_name in _CHANGES and code in ("2", "3"):
        return _CHANGES[event_name]
    response = meaning_of(code, RESPONSES, setup.config)
    return None if response is None else response._replace(kind=meaning.kind)


def _ends_attempt(event_name: str, meaning: WordMeaning | None) -> bool:
    """Tell a refused try from what the merchant decided: a void, a refusal after a review."""
    is_negative = meaning is not None and meaning.status in NEGATIVE
    is_payment = meaning is not None and meaning.kind is TransactionKind.PAYMENT
    return is_negative and is_payment and event_name not in ("void.created", "fraud.declined")


def _reason(payload: dict[str, Any]) -> str | None:
    """Return the code of a transaction that did not succeed."""
    code = text(payload, "responseCode")
    return None if code == _SUCCEEDED else code


def _sum(payload: dict[str, Any]) -> ProviderAmount | None:
    value = text(payload, "authAmount")
    return None if value is None else ProviderAmount(value)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Authorize.Net sends it; its hex is upper case."""
    body = json_body(case.fields)
    hexadecimal = PROOF.signature(setup.secrets[0], body).removeprefix(PROOF.prefix).upper()
    headers = {"content-type": JSON, PROOF.header: PROOF.prefix + hexadecimal}
    return request(case, url, body, headers)


PROVIDER = Provider(
    name="authorizenet",
    title="Authorize.Net",
    about="Authorisations, captures, refunds, voids and fraud reviews.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Authorize.Net → Account → Security Settings → API Credentials and Keys → Signature Key.",
        problem=formed_secret(r"[0-9A-Fa-f]{128}", "128 hexadecimal digits"),
    ),
    answers="200; 401 when the signature does not match.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES),
    note="A webhook tells no currency, and a refund does not name its payment: send the same "
    "invoice number with it. An approval after a review is looked up.",
    statuses=statuses(LOOKED_UP),
    authorizing=authorizing_words(LOOKED_UP),
    payer_may_retry=True,
    lookup={
        "status": "/transaction/transactionStatus",
        "authorized": "/transaction/authAmount",
        "amount": "/transaction/settleAmount",
    },
)
