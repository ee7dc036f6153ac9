"""Przelewy24: a payer has paid, and the merchant must still accept it; refunds.

`sign`: SHA-384 in hex of a JSON object with the notification's values in a fixed order and `crc`,
the CRC key, as its last member. Each kind has its own list of values; what is not on it, such as
`requestId` and `timestamp`, is not covered. JSON is compact, with letters and `/` as they are.

A payment counts only when the merchant has verified it (`transaction/verify`); if not, Przelewy24
gives the money back. The notification comes before that, so it only makes us ask. A refund is told
when it is done or rejected.

Sources: developers.przelewy24.pl, Transaction notification, Refund notification, by sessionId;
mnastalski/przelewy24-php.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.model.callbacks import References, TransactionNotice
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
    Verdict,
)
from tillbell.providers.kit.proof import (
    digest,
    from_hex,
    key_bytes,
    same,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import (
    json_object,
    present_values,
    provider_amount,
    required_text,
    text,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import STATUSES, linked, meaning_of, table

REFUNDS = table(
    {
        "0": linked(TransactionKind.REFUND),
        "1": linked(TransactionKind.REFUND, TransactionStatus.DECLINED),
    }
)
LOOKED_UP: Mapping[str, TransactionStatus] = MappingProxyType(
    {
        "0": TransactionStatus.PENDING,  # not paid
        "1": TransactionStatus.PENDING,  # paid, not yet verified by the merchant
        "2": TransactionStatus.APPROVED,
    }
)
LOOKUP: Mapping[str, Any] = MappingProxyType(
    {
        "status": "/data/status",
        "amount": "/data/amount",
        "currency": "/data/currency",
        "minorUnits": True,
    }
)
# The covered values in their order, and how JSON writes them.
_OF_PAYMENT: Mapping[str, type] = MappingProxyType(
    {
        "merchantId": int,
        "posId": int,
        "sessionId": str,
        "amount": int,
        "originAmount": int,
        "currency": str,
        "orderId": int,
        "methodId": int,
        "statement": str,
    }
)
_OF_REFUND: Mapping[str, type] = MappingProxyType(
    {
        "orderId": int,
        "sessionId": str,
        "refundsUuid": str,
        "merchantId": int,
        "amount": int,
        "currency": str,
        "status": int,
    }
)
# Line ends that PHP escapes in JSON, though nobody has to.
_ESCAPED = {0x2028: "\\u2028", 0x2029: "\\u2029"}


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare `sign` with the hash of the covered values and the CRC key."""
    try:
        body = json_object(incoming.body)
        covered = _covered(body)
    except Unreadable as error:
        return Verdict(None, f"{error} Without it nothing can be proven.")
    claimed = from_hex(text(body, "sign"))
    if not claimed:
        return Verdict(None, "The field 'sign' is missing or no hex.")
    return verify_with_secrets(
        setup.secrets, lambda secret: same(claimed, _hash(covered, secret)), "sign"
    )


def _covered(body: dict[str, Any]) -> dict[str, Any]:
    """Return the values that are hashed; `Unreadable` if one is missing or of another type."""
    names = _OF_REFUND if _is_refund(body) else _OF_PAYMENT
    for name, kind in names.items():
        value = body.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise Unreadable(f"The field {name!r} is missing or of another type.")
    return {name: body[name] for name in names}


def _is_refund(body: Mapping[str, Any]) -> bool:
    return "refundsUuid" in body


def _hash(covered: dict[str, Any], crc: str) -> bytes:
    written = json.dumps({**covered, "crc": crc}, ensure_ascii=False, separators=(",", ":"))
    return digest("sha384", key_bytes(written.translate(_ESCAPED)))


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one notification. That somebody has paid is a hint, and never a duplicate."""
    del setup
    body = json_object(incoming.body)
    covered = _covered(body)
    if not _is_refund(covered):
        return ParsedNotices((_paid(covered),), "")
    notice = _refund(covered)
    return ParsedNotices((notice,), f"{covered['refundsUuid']}:{covered['orderId']}")


def _paid(covered: dict[str, Any]) -> TransactionNotice:
    order_id = required_text(covered, "orderId")
    return TransactionNotice(
        _references(covered),
        raw_status="paid, not yet verified",
        status=None,
        psp_transaction_id=order_id,
        psp_reference=text(covered, "statement"),
        is_hint=True,
    )


def _refund(covered: dict[str, Any]) -> TransactionNotice:
    word = required_text(covered, "status")
    meaning = meaning_of(word, REFUNDS, {})
    return TransactionNotice(
        _references(covered),
        raw_status=f"refund {word}",
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND,
        amount=provider_amount(covered, "amount", "currency", is_minor=True),
        psp_transaction_id=required_text(covered, "refundsUuid"),
    )


def _references(covered: dict[str, Any]) -> References:
    """Name the payment: `sessionId` is the merchant's own id of it."""
    ours, psp = text(covered, "sessionId"), text(covered, "orderId")
    return References(present_values(ours), present_values(psp))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Przelewy24 sends it."""
    signature = _hash(_covered(dict(case.fields)), setup.secrets[0]).hex()
    body = json_body({**case.fields, "sign": signature})
    return request(case, url, body, {"content-type": JSON})


PROVIDER = Provider(
    name="przelewy24",
    title="Przelewy24",
    about="A payer has paid, which the merchant must still verify; refunds.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Przelewy24 panel → My data → API data and configuration → CRC key.",
        problem=secret_problem,
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(STATUSES,),
    note="A payment is approved when your shop has verified it at Przelewy24: set lookupUrl, or a "
    "person must confirm. Notifications of single cards and instalments are not read.",
    statuses=LOOKED_UP,
    lookup=LOOKUP,
)
