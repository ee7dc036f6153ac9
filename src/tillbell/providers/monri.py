"""Monri WebPay: purchases, authorisations, captures, voids and refunds, each a transaction.

`Authorization: WP3-callback <hex>`: SHA-512 of the merchant key followed by the body. It is no
HMAC: whoever has one request could append bytes to its body, but what is appended begins with
bytes that are neither UTF-8 nor JSON, so such a body cannot be read.

A callback tells an approved transaction. A webhook wraps the same fields in `payload`, with the
`event` that it is for. All transactions of a payment share its `order_number`; each has its `id`.
Amounts are in minor units.

Sources: docs.monri.com, Responses and notifications; MonriPayments/woocommerce-monri and
magento2-plugin.
"""

from __future__ import annotations

from typing import Any

from tillbell.model.callbacks import NoteNotice, Notice, References, TransactionNotice
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
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.proof import (
    digest,
    from_hex,
    key_bytes,
    same,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    provider_amount,
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
    STATUSES,
    WordMeaning,
    linked,
    meaning_of,
    table,
)

HEADER, SCHEME = "authorization", "WP3-callback "
# The transaction's type and how it ended.
TRANSACTIONS = table(
    {
        "purchase approved": APPROVED,
        "purchase declined": DECLINED,
        "authorize approved": AUTHORIZED,
        "authorize declined": DECLINED,
        "capture approved": APPROVED,
        "capture declined": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
        "void approved": CANCELLED,
        "refund approved": linked(TransactionKind.REFUND),
        "refund declined": linked(TransactionKind.REFUND, TransactionStatus.DECLINED),
    }
)
_ATTEMPTS = ("purchase", "authorize")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the digest of merchant key and body."""
    header = incoming.header(HEADER)
    if header is None:
        return Verdict(None, f"The header {HEADER} is missing or stands twice.")
    claimed = from_hex(header.removeprefix(SCHEME)) if header.startswith(SCHEME) else b""
    if not claimed:
        return Verdict(None, f"The header {HEADER} holds no {SCHEME}and hex.")
    return verify_with_secrets(
        setup.secrets, lambda secret: same(claimed, _digest(secret, incoming.body)), HEADER
    )


def _digest(secret: str, body: bytes) -> bytes:
    return digest("sha512", key_bytes(secret) + body)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one transaction, from a callback or a webhook."""
    body = json_object(incoming.body)
    event = text(body, "event")
    if event is not None and not event.startswith("transaction:"):
        return ParsedNotices((NoteNotice(f"{event[:100]} is not about a payment."),))
    transaction = object_member(body, "payload") if event is not None else body
    own_id, word = required_text(transaction, "id"), _word(transaction)
    return ParsedNotices((_notice(transaction, own_id, word, setup),), f"{own_id}:{word}")


def _word(transaction: dict[str, Any]) -> str:
    kind, ended = required_text(transaction, "transaction_type"), text(transaction, "status")
    return f"{kind} {ended or ''}".strip()


def _notice(transaction: dict[str, Any], own_id: str, word: str, setup: SourceSetup) -> Notice:
    if word == "void declined":
        return NoteNotice("A void was declined: nothing changed.")
    kind, meaning = word.partition(" ")[0], meaning_of(word, TRANSACTIONS, setup.config)
    is_attempt, is_refund = kind in _ATTEMPTS, kind == "refund"
    first, last = masked_number(text(transaction, "masked_pan"))
    return TransactionNotice(
        References(
            present_values(required_text(transaction, "order_number")),
            present_values(own_id) if is_attempt else (),
        ),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND if is_refund else TransactionKind.PAYMENT,
        substate=None if meaning is None else meaning.substate,
        reason=text(transaction, "response_code") if word.endswith("declined") else None,
        message=text(transaction, "response_message"),
        amount=provider_amount(transaction, "amount", "currency", is_minor=True),
        psp_transaction_id=own_id if is_attempt or is_refund else None,
        psp_reference=text(transaction, "reference_number"),
        occurred_at=iso_time(transaction.get("created_at")),
        details=card_details(first, last, brand=text(transaction, "cc_type")),
        releases_amount=meaning == CANCELLED,
        ends_attempt=is_attempt and meaning == DECLINED,
        capture_id=own_id if word == "capture approved" else None,
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Monri sends it."""
    body = json_body(case.fields)
    header = SCHEME + _digest(setup.secrets[0], body).hex()
    return request(case, url, body, {"content-type": JSON, HEADER: header})


PROVIDER = Provider(
    name="monri",
    title="Monri WebPay",
    about="Purchases, authorisations, captures, voids and refunds.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule("Monri → Merchants → the merchant → key.", problem=secret_problem),
    answers="200; 401 when the digest does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("pan_token", "ch_full_name"),
    note="Callbacks tell approved transactions only: ask Monri for webhooks to hear of the others.",
    statuses={"approved": TransactionStatus.APPROVED},
)
