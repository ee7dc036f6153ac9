"""Nuvei (SafeCharge): payment DMNs, forms with a checksum over a few of their fields.

`advanceResponseChecksum`: the hash, in hex, of the secret key, then totalAmount, currency,
responseTimeStamp, PPP_TransactionID, Status and productId, with nothing between them. SHA-256, or
MD5 for old sites. The kind of transaction and the ids of transactions are not covered, so a DMN is
partially signed: what it says of money is confirmed first.

Other DMNs (subscriptions, events of the Control Panel) have other checksums and are refused.

Sources: docs.nuvei.com, Payment DMNs, Partial approval; Nuvei/nuvei-plugin-woocommerce, whose
checks are these; Nuvei/nuvei-plugin-sap-commerce, whose test has a vector; GetPaymentStatusResponse
of Nuvei/nuvei-server-java.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tillbell.model.callbacks import NoteNotice, Notice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionKind, TransactionStatus
from tillbell.providers.kit import reading
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
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.proof import (
    digest,
    from_hex,
    key_bytes,
    same,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import present_values, provider_amount, required_text, text
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import FORM, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    PENDING,
    STATUSES,
    WordMeaning,
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)

SCHEME = "advanceResponseChecksum"
ALGORITHM = ProviderSetting(
    "algorithm", "The hash of the checksum.", choices=("sha256", "md5"), default="sha256"
)
REFERENCE = reference_setting(
    "clientUniqueId",
    "The field in which you send your order id: clientUniqueId, merchant_unique_id, productId.",
)
_SIGNED = ("totalAmount", "currency", "responseTimeStamp", "PPP_TransactionID")
_CAPTURE_FAILED = WordMeaning(TransactionStatus.PENDING, "capture_failed")
# transactionType and Status.
WORDS = table(
    {
        "Sale APPROVED": APPROVED,
        "Sale PENDING": PENDING,
        "Sale DECLINED": DECLINED,
        "Sale ERROR": FAILED,
        "Auth APPROVED": AUTHORIZED,
        "Auth PENDING": PENDING,
        "Auth DECLINED": DECLINED,
        "Auth ERROR": FAILED,
        "Settle APPROVED": APPROVED,
        "Settle PENDING": PENDING,
        "Settle DECLINED": _CAPTURE_FAILED,
        "Settle ERROR": _CAPTURE_FAILED,
        "Void APPROVED": CANCELLED,
        "Credit APPROVED": linked(TransactionKind.REFUND),
        "Credit PENDING": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "Credit DECLINED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "Credit ERROR": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "Refund APPROVED": linked(TransactionKind.REFUND),
        "Refund PENDING": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "Refund DECLINED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "Refund ERROR": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
    }
)
_NOT_MONEY = frozenset({"InitAuth3D", "Auth3D"})
_TOKENIZATION = "CARD_TOKENIZATION"
_OF_ANOTHER = frozenset({"Settle", "Void"})  # they change the transaction that they name


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the checksum with that of each secret key."""
    try:
        fields = _fields(incoming)
    except Unreadable as error:
        return Verdict(None, f"{error} Without it nothing can be proven.")
    claimed = from_hex(fields.get(SCHEME))
    if not claimed:
        return Verdict(None, f"The DMN has no {SCHEME} of hex.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: same(claimed, _checksum(fields, secret, setup.config)),
        SCHEME,
        Trust.PARTIALLY_SIGNED,
    )


def _fields(incoming: Incoming) -> dict[str, str]:
    """Return the form; of a GET the query."""
    return reading.form(incoming.body) if incoming.body else reading.query(incoming.target)


def _checksum(fields: Mapping[str, str], secret: str, config: Mapping[str, Any]) -> bytes:
    values = [fields.get(name, "") for name in _SIGNED]
    signed = "".join((secret, *values, _status(fields), fields.get("productId", "")))
    algorithm = "md5" if config.get(ALGORITHM.name) == "md5" else "sha256"
    return digest(algorithm, key_bytes(signed))


def _status(fields: Mapping[str, str]) -> str:
    """Return the status by either of its names, as Nuvei's plugins read it."""
    return fields.get("Status") or fields.get("status") or ""


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one DMN. Its ids are not signed, so the bytes tell a repeat."""
    return ParsedNotices((_notice(_fields(incoming), setup),))


def _notice(fields: dict[str, str], setup: SourceSetup) -> Notice:
    kind_of_transaction, status = text(fields, "transactionType"), _status(fields)
    if text(fields, "type") == _TOKENIZATION or kind_of_transaction in _NOT_MONEY:
        return NoteNotice("A card was stored or authenticated: no money moves.")
    if kind_of_transaction is None or not status:
        raise Unreadable("The field 'transactionType' or 'Status' is missing.")
    word = f"{kind_of_transaction} {status}"
    if text(fields, "isPartialApproval") == "1":
        word += " in part"  # how much of it was charged is not documented: a look-up tells
    meaning = meaning_of(word, WORDS, setup.config)
    own_id, related = required_text(fields, "TransactionID"), text(fields, "relatedTransactionId")
    is_of_another = kind_of_transaction in _OF_ANOTHER and related is not None
    kind = TransactionKind.PAYMENT if meaning is None else meaning.kind
    is_payment = kind is TransactionKind.PAYMENT
    payment_id = related if is_of_another or not is_payment else own_id
    is_negative = meaning is not None and meaning.status in NEGATIVE
    return TransactionNotice(
        References(
            merchant_reference(fields, setup, REFERENCE),
            present_values(payment_id, text(fields, "PPP_TransactionID")),
        ),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=kind,
        substate=None if meaning is None else meaning.substate,
        reason=_reason(fields),
        message=text(fields, "Reason"),
        amount=provider_amount(fields, "totalAmount", "currency"),
        psp_transaction_id=payment_id if is_payment else own_id,
        psp_reference=own_id,
        user_id=text(fields, "user_token_id"),
        details=_details(fields),
        ends_attempt=is_payment and is_negative and kind_of_transaction != "Void",
        capture_id=own_id if kind_of_transaction == "Settle" and meaning == APPROVED else None,
    )


def _reason(fields: Mapping[str, str]) -> str | None:
    codes = (text(fields, name) for name in ("ReasonCode", "ExErrCode", "ErrCode"))
    return next((code for code in codes if code not in (None, "0")), None)


def _details(fields: Mapping[str, str]) -> dict[str, Any]:
    first, last = masked_number(text(fields, "cardNumber"))
    brand, method = text(fields, "cardCompany"), text(fields, "payment_method")
    return card_details(first, last, brand=brand, method=method)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the form as Nuvei sends it."""
    fields = {name: str(value) for name, value in case.fields.items()}
    checksum = _checksum(fields, setup.secrets[0], setup.config).hex()
    body = urlencode({**fields, SCHEME: checksum}).encode()
    return request(case, url, body, {"content-type": FORM})


PROVIDER = Provider(
    name="nuvei",
    title="Nuvei",
    about="Payment DMNs: sales, authorisations, settles, voids and refunds.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.PARTIALLY_SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Nuvei → Control Panel → Settings → My Integration Settings → the site's secret key.",
        problem=secret_problem,
    ),
    answers="200; 401 when the checksum does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(ALGORITHM, REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES),
    methods=frozenset({"GET", "POST"}),
    masked=("nameOnCard", "first_name", "last_name", "email", "phone1", "uniqueCC", "Token"),
    note="The checksum covers amount, currency and status, not the kind of transaction nor its "
    "id: confirm by a look-up. DMNs of the Control Panel (chargebacks) are not understood.",
    statuses=statuses(WORDS),
    payer_may_retry=True,
    authorizing=authorizing_words(WORDS),
    lookup={
        "status": "/transactionType /transactionStatus",
        "amount": ("/partialApproval/processedAmount", "/amount"),
        "currency": "/currency",
    },
)
