"""PayU (Europe): orders and refunds.

`OpenPayu-Signature: sender=checkout;signature=<hex>;algorithm=MD5;content=DOCUMENT`: a hash of the
body followed by the second key. It is no HMAC. PayU names the algorithm in the header, which is
MD5 unless the shop asked for SHA-256. Two documents of the same MD5 can be made, but PayU would
have to sign one of them, with an id and a time that nobody knows beforehand; so MD5 counts as
signed, and `requireSha256` refuses it for those who have SHA-256.

An order is one payment. A repeat is the same bytes, and its order may change until it is completed
or cancelled. Amounts are in minor units.

Sources: developers.payu.com/europe, Notifications, Payment Lifecycle; PayU-EMEA/openpayu_php.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.clock import Micros
from tillbell.model.callbacks import NoteNotice, Notice, References, TransactionNotice
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
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.proof import (
    SIGNATURE_MAX,
    digest,
    formed_secret,
    from_hex,
    key_bytes,
    same,
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
    unix_millis,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    PENDING,
    STATUSES,
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)

HEADER, OLDER_HEADER = "openpayu-signature", "x-openpayu-signature"
REQUIRE_SHA256 = ProviderSetting(
    "requireSha256", "Signatures with MD5 or SHA-1 are refused.", "boolean", default=False
)
REFERENCE = reference_setting(
    "extOrderId", "The field of the order with your order's id: `extOrderId`, `description`."
)
ORDERS = table(
    {
        "NEW": PENDING,
        "PENDING": PENDING,
        "WAITING_FOR_CONFIRMATION": AUTHORIZED,
        "COMPLETED": APPROVED,
        "CANCELED": CANCELLED,
    }
)
REFUNDS = table(
    {
        "PENDING": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "FINALIZED": linked(TransactionKind.REFUND),
        "CANCELED": linked(TransactionKind.REFUND, TransactionStatus.CANCELLED),
    }
)
_ALGORITHMS: Mapping[str, str] = MappingProxyType(
    {
        "MD5": "md5",
        "SHA": "sha1",
        "SHA1": "sha1",
        "SHA-1": "sha1",
        "SHA256": "sha256",
        "SHA-256": "sha256",
    }
)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the hash of body and second key, by the algorithm that the header names."""
    header = incoming.header(HEADER) or incoming.header(OLDER_HEADER)
    if header is None:
        return Verdict(None, f"The header {HEADER} is missing or stands twice.")
    members = _members(header)
    claimed, algorithm = from_hex(members.get("signature")), members.get("algorithm", "")
    hash_name = _ALGORITHMS.get(algorithm)
    if not claimed or hash_name is None or members.get("content", "DOCUMENT") != "DOCUMENT":
        return Verdict(None, f"The header {HEADER} holds no signature=<hex>;algorithm=<name>.")
    if hash_name != "sha256" and setup.config.get(REQUIRE_SHA256.name) is True:
        return Verdict(None, f"The signature is made with {algorithm}; SHA-256 is required.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: same(claimed, digest(hash_name, incoming.body + key_bytes(secret))),
        f"{HEADER} ({algorithm})",
    )


def _members(header: str) -> dict[str, str]:
    """Return the members of the header; none if one stands twice or cannot be read."""
    if len(header) > SIGNATURE_MAX:
        return {}
    pairs = [pair.split("=") for pair in header.strip().rstrip(";").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        return {}
    members = {name.strip(): value for name, value in pairs}
    return members if len(members) == len(pairs) else {}


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read an order or a refund of one."""
    return ParsedNotices((_notice(json_object(incoming.body), setup),))


def _notice(body: dict[str, Any], setup: SourceSetup) -> Notice:
    if body.get("refund") is not None:
        return _refund(body, object_member(body, "refund"), setup)
    if body.get("order") is not None:
        return _order(body, object_member(body, "order"), setup)
    return NoteNotice("The notification is about no order and no refund.")


def _order(body: dict[str, Any], order: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word, own_id = required_text(order, "status"), required_text(order, "orderId")
    meaning = meaning_of(word, ORDERS, setup.config)
    return TransactionNotice(
        References(merchant_reference(order, setup, REFERENCE), present_values(own_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        amount=provider_amount(order, "totalAmount", "currencyCode", is_minor=True),
        psp_transaction_id=own_id,
        psp_reference=_payment_id(body),
        occurred_at=iso_time(body.get("localReceiptDateTime")),
        details=card_details(method=text(object_member(order, "payMethod"), "type")),
    )


def _payment_id(body: dict[str, Any]) -> str | None:
    """Return the id that the payer sees, one of the named properties."""
    named = [p for p in parts(body, "properties") if text(p, "name") == "PAYMENT_ID"]
    return text(named[0], "value") if len(named) == 1 else None


def _refund(body: dict[str, Any], refund: dict[str, Any], setup: SourceSetup) -> TransactionNotice:
    word = required_text(refund, "status")
    meaning = meaning_of(word, REFUNDS, {})
    return TransactionNotice(
        References(
            merchant_reference(body, setup, REFERENCE),
            present_values(required_text(body, "orderId")),
        ),
        raw_status=f"refund {word}",
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND,
        reason=text(refund, "reason"),
        message=text(refund, "reasonDescription"),
        amount=provider_amount(refund, "amount", "currencyCode", is_minor=True),
        psp_transaction_id=required_text(refund, "refundId"),
        occurred_at=_refunded_at(refund),
    )


def _refunded_at(refund: dict[str, Any]) -> Micros | None:
    """Return the time of the status: ISO 8601, or milliseconds from older shops."""
    written = refund.get("statusDateTime")
    return iso_time(written) or unix_millis(written)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as PayU sends it."""
    body = json_body(case.fields)
    algorithm = "SHA-256" if setup.config.get(REQUIRE_SHA256.name) is True else "MD5"
    hashed = digest(_ALGORITHMS[algorithm], body + key_bytes(setup.secrets[0])).hex()
    header = f"sender=checkout;signature={hashed};algorithm={algorithm};content=DOCUMENT"
    return request(case, url, body, {"content-type": JSON, HEADER: header})


PROVIDER = Provider(
    name="payu",
    title="PayU (Europe)",
    about="Orders and refunds.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "PayU panel → My shops → the POS → Second key (MD5).",
        problem=formed_secret(r"[0-9A-Fa-f]{32}", "32 hexadecimal digits"),
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES, REQUIRE_SHA256),
    masked=("firstName", "lastName", "email", "phone"),
    note="Ask PayU for SHA-256 and set requireSha256: the usual MD5 is weak.",
    statuses=statuses(ORDERS),
    authorizing=authorizing_words(ORDERS),
    lookup={
        "status": "/orders/0/status",
        "amount": "/orders/0/totalAmount",
        "currency": "/orders/0/currencyCode",
        "minorUnits": True,
    },
)
