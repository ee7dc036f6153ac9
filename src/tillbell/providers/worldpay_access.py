"""Access Worldpay: events of payments in JSON, signed over the whole body.

`Event-Signature: <key id>/SHA256/<hex>`, several separated by commas while keys are changed:
HMAC-SHA256 of the body with the hex-decoded secret. There is no signed time; each event has an
id. An event that is not acknowledged can delay later ones.

A refund's end does not name the refund, nor a chargeback the dispute. A refund is therefore known
by its payment and amount, a dispute by its payment, and what moves money by the event's id.

Sources: docs.worldpay.com/access/products/events (OpenAPI of all events, Signature); that the
secret is decoded from hex is known from a public integration.
"""

from __future__ import annotations

from typing import Any

from tillbell.model.callbacks import NoteNotice, ProviderAmount, References, TransactionNotice
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
    Verdict,
)
from tillbell.providers.kit.proof import (
    formed_secret,
    from_hex,
    is_one_of,
    mac,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import (
    KEY_MAX,
    fold,
    iso_time,
    json_object,
    object_member,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    PENDING,
    SETTLING,
    STATUSES,
    WordMeaning,
    linked,
    meaning_of,
    statuses,
    table,
)

HEADER = "event-signature"
SIGNATURES_MAX = 5
WORDS = table(
    {
        "sentForAuthorization": PENDING,
        "authorized": AUTHORIZED,
        "sentForSettlement": SETTLING,
        "settled": APPROVED,
        "refused": DECLINED,
        "cancelled": CANCELLED,
        "expired": CANCELLED,
        "error": FAILED,
        "settlementFailed": FAILED,  # after Approved: a conflict for a person
        "sentForRefund": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "refunded": linked(TransactionKind.REFUND),
        "refundFailed": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "chargedBack": linked(TransactionKind.CHARGEBACK),
        # The amount is held back until the dispute ends.
        "informationRequested": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.PENDING, "information_requested"
        ),
    }
)
PAYOUT_WORDS = table(
    {
        "pending": WordMeaning(TransactionStatus.PROCESSING),  # at the card's bank
        "disbursed": APPROVED,
        "refused": DECLINED,
        "error": FAILED,
    }
)
# After these the payer may try again.
_ENDS_ATTEMPT = frozenset({"refused", "error", "expired"})
# Not about a payment: a token, and money that the merchant moves to its own account.
NOTES = frozenset({"tokencreated", "topupaccepted", "topuprejected"})


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare each signature of the header with that of each secret."""
    header = incoming.header(HEADER)
    if header is None:
        return Verdict(None, f"The header {HEADER} is missing or stands twice.")
    signatures = _signatures(header)
    if not any(signatures):
        return Verdict(None, f"The header {HEADER} holds no <key id>/SHA256/<hex>.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: is_one_of(signatures, [_signature(secret, incoming.body)]),
        HEADER,
    )


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event."""
    body = json_object(incoming.body)
    details = object_member(body, "eventDetails")
    word, event_id = required_text(details, "type"), text(body, "eventId")
    if fold(word) in NOTES:
        return ParsedNotices((NoteNotice(f"{word[:40]} is not about a payment."),), event_id)
    class_ = text(details, "classification")
    meaning = meaning_of(word, PAYOUT_WORDS if class_ == "payout" else WORDS, setup.config)
    if class_ == "chargeback" and _kind(meaning) is not TransactionKind.CHARGEBACK:
        meaning = None
    is_dispute = class_ == "chargeback"
    kind = TransactionKind.CHARGEBACK if is_dispute else _kind(meaning)
    is_captured = meaning == APPROVED and class_ != "payout" and fold(word) != "authorized"
    notice = _notice(details, kind)._replace(
        raw_status=word,
        status=meaning.status if meaning else None,
        substate=meaning.substate if meaning else None,
        occurred_at=iso_time(body.get("eventTimestamp")),
        releases_amount=class_ != "payout" and word == "cancelled",
        ends_attempt=class_ != "payout" and _is_refusal(word, meaning),
        capture_id=text(details, "reference") or event_id if is_captured else None,
        movement_id=event_id if _moves_linked(meaning) else None,
    )
    return ParsedNotices((notice,), event_id)


def _kind(meaning: WordMeaning | None) -> TransactionKind:
    return meaning.kind if meaning is not None else TransactionKind.PAYMENT


def _is_refusal(word: str, meaning: WordMeaning | None) -> bool:
    return meaning is not None and meaning.status in NEGATIVE and fold(word) in _ENDS_ATTEMPT


def _moves_linked(meaning: WordMeaning | None) -> bool:
    """Tell whether the word ends a refund or takes money back: each such event is one movement."""
    is_linked = _kind(meaning) is not TransactionKind.PAYMENT
    return is_linked and meaning is not None and meaning.status is not TransactionStatus.PENDING


def _notice(details: dict[str, Any], kind: TransactionKind) -> TransactionNotice:
    ours = required_text(details, "transactionReference")
    downstream = text(details, "downstreamReference")
    amount = _sum(object_member(details, "amount"))
    return TransactionNotice(
        References(ours=(ours,), psp=present_values(downstream)),
        raw_status="",
        status=None,
        kind=kind,
        reason=text(details, "reason") or _refusal_code(details),
        amount=amount,
        psp_transaction_id=downstream
        if kind is TransactionKind.PAYMENT
        else _linked_id(ours, kind, amount),
        psp_reference=text(details, "reference") or downstream,
    )


def _linked_id(ours: str, kind: TransactionKind, amount: ProviderAmount | None) -> str:
    parts = [ours, kind.value]
    if kind is TransactionKind.REFUND and amount is not None:
        parts.append(amount.value)
    return ":".join(parts)[-KEY_MAX:]


def _refusal_code(details: dict[str, Any]) -> str | None:
    return text(object_member(object_member(details, "refund"), "refusal"), "code")


def _sum(amount: dict[str, Any]) -> ProviderAmount | None:
    value = text(amount, "value")
    currency = text(amount, "currencyCode") or text(amount, "currency")
    if value is None:
        return None
    return ProviderAmount(value, currency.upper() if currency else None, is_minor=True)


def _signatures(header: str) -> list[bytes]:
    written = header.split(",", SIGNATURES_MAX)[:SIGNATURES_MAX]
    parts = [part.strip().split("/", 3) for part in written]
    return [from_hex(part[-1]) for part in parts if len(part) == 1 or part[-2].upper() == "SHA256"]


def _signature(secret: str, body: bytes) -> bytes:
    """Return the signature; b"", which never matches, for a secret that is no hex."""
    key = from_hex(secret)
    return mac("sha256", key, body) if key else b""


def secret_problem(secret: str) -> str | None:
    """Say what is wrong with a secret; None if it is hex."""
    return None if from_hex(secret) and secret == secret.strip() else "the secret must be hex"


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Worldpay sends it."""
    body = json_body(case.fields)
    signature = _signature(setup.secrets[0], body).hex()
    headers = {"content-type": JSON, HEADER: f"1/SHA256/{signature}"}
    return request(case, url, body, headers)


PROVIDER = Provider(
    name="worldpay-access",
    title="Access Worldpay",
    about="Payments and card pay-outs: one event for each thing that happens to one.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "The webhook's signing secret, in hex, from Worldpay.",
        problem=formed_secret(r"(?:[0-9A-Fa-f]{2}){8,}", "hexadecimal digits"),
    ),
    answers="200, also for what cannot be read; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(malformed=200),
    sign=sign,
    settings=(AUTHORIZATION_IS_FINAL, STATUSES),
    note=(
        "That the secret is decoded from hex is known from a public integration. Nothing tells "
        "test from live. The repeats are not known."
    ),
    statuses=statuses(WORDS),
    payer_may_retry=True,
)
