"""Access Worldpay: events of payments in JSON, signed over the whole body.

`Event-Signature: <key id>/SHA256/<hex>`, several separated by commas while keys are changed:
HMAC-SHA256 of the body with the hex-decoded secret. There is no signed time; each event has an
id. An event that is not acknowledged can delay later ones.

Sources: developer.worldpay.com, Events (fields); the signature from a public integration.
"""

from __future__ import annotations

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
    Verdict,
)
from tillbell.providers.kit.proof import from_hex, is_one_of, mac, verify_with_secrets
from tillbell.providers.kit.reading import (
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
    }
)


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
    word = required_text(details, "type")
    is_chargeback = text(details, "classification") == "chargeback"
    # The words of chargebacks are not known.
    meaning = None if is_chargeback else meaning_of(word, WORDS, setup.config)
    notice = _notice(details, meaning)._replace(
        raw_status=word,
        kind=TransactionKind.CHARGEBACK
        if is_chargeback
        else meaning.kind
        if meaning
        else TransactionKind.PAYMENT,
        occurred_at=iso_time(body.get("eventTimestamp")),
    )
    return ParsedNotices((notice,), text(body, "eventId"))


def _notice(details: dict[str, Any], meaning: WordMeaning | None) -> TransactionNotice:
    reference, downstream = text(details, "reference"), text(details, "downstreamReference")
    is_linked = meaning is not None and meaning.kind is not TransactionKind.PAYMENT
    return TransactionNotice(
        References(
            ours=(required_text(details, "transactionReference"),), psp=present_values(downstream)
        ),
        raw_status="",
        status=meaning.status if meaning else None,
        substate=meaning.substate if meaning else None,
        reason=text(details, "reason"),
        amount=_sum(object_member(details, "amount")),
        psp_transaction_id=reference if is_linked else None,
        psp_reference=downstream,
    )


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
    about="Payments: one event for each thing that happens to one.",
    confidence=Confidence.SECOND_HAND,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "The webhook's signing secret, in hex, from Worldpay.",
        problem=secret_problem,
    ),
    answers="200, also for what cannot be read; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(malformed=200),
    sign=sign,
    settings=(AUTHORIZATION_IS_FINAL, STATUSES),
    note=(
        "The signature is known from a public integration. The words of chargebacks and the "
        "repeats are not known; chargebacks are unmapped."
    ),
    statuses=statuses(WORDS),
)
