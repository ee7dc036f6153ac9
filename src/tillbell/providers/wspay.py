"""WSPay: authorisations, completions, voids and refunds.

`Signature` of the JSON body: SHA-512 in hex of ShopID, key, ActionSuccess, ApprovalCode, key,
ShopID, ApprovalCode, WsPayOrderId, one after the other. What was done, the amount and the
merchant's reference are not covered, so whoever has one notification can write another amount or
action under it; a person or the shop must confirm.

The flags Refunded, Voided, Completed and Authorized are "1" for all that happened to the payment;
the first of them in this order says what happened last. Amounts have a comma: `49,90`.

Source: MonriPayments/woocommerce-monri (Monri runs WSPay).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind
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
from tillbell.providers.kit.reading import json_object, present_values, required_text, text
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    STATUSES,
    linked,
    meaning_of,
    table,
)

# The latest first.
FLAGS = ("Refunded", "Voided", "Completed", "Authorized")
ACTIONS = table(
    {
        "Authorized": AUTHORIZED,
        "Completed": APPROVED,
        "Voided": CANCELLED,
        "Refunded": linked(TransactionKind.REFUND),
    }
)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature of the few covered fields."""
    try:
        body = json_object(incoming.body)
    except Unreadable as error:
        return Verdict(None, str(error))
    claimed = from_hex(text(body, "Signature"))
    if not claimed or text(body, "ActionSuccess") not in ("0", "1"):
        return Verdict(None, "The field 'Signature' or 'ActionSuccess' is missing or unknown.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: same(claimed, _signature(body, secret)),
        "Signature",
        Trust.PARTIALLY_SIGNED,
    )


def _signature(body: Mapping[str, Any], key: str) -> bytes:
    shop, success = text(body, "ShopID") or "", text(body, "ActionSuccess") or ""
    approval, order = text(body, "ApprovalCode") or "", text(body, "WsPayOrderId") or ""
    covered = (shop, key, success, approval, key, shop, approval, order)
    return digest("sha512", key_bytes("".join(covered)))


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read what happened last to a payment."""
    body = json_object(incoming.body)
    own_id, action = required_text(body, "WsPayOrderId"), _action(body)
    is_done = text(body, "ActionSuccess") == "1"
    meaning = meaning_of(action, ACTIONS, setup.config) if is_done else None
    is_refund = action == "Refunded"
    amount = _sum(body)
    notice = TransactionNotice(
        References(present_values(required_text(body, "ShoppingCartID")), present_values(own_id)),
        raw_status=action if is_done else f"{action}, not done",
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.REFUND if is_refund else TransactionKind.PAYMENT,
        substate=None if meaning is None else meaning.substate,
        message=text(body, "ErrorMessage"),
        amount=amount,
        psp_transaction_id=_refund_id(own_id, amount) if is_refund else own_id,
        psp_reference=text(body, "STAN"),
        may_be_repeat=is_refund,
    )
    return ParsedNotices((notice,))


def _action(body: Mapping[str, Any]) -> str:
    return next((flag for flag in FLAGS if text(body, flag) == "1"), "no action")


def _refund_id(own_id: str, amount: ProviderAmount | None) -> str:
    """Return an id for a refund, which has none: refunds of one payment differ by their amount."""
    return f"{own_id}:refund:{amount.value if amount is not None else ''}"


def _sum(body: Mapping[str, Any]) -> ProviderAmount | None:
    value = text(body, "Amount")
    return None if value is None else ProviderAmount(value.replace(",", ".", 1))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as WSPay sends it."""
    signature = _signature(case.fields, setup.secrets[0]).hex()
    body = json_body({**case.fields, "Signature": signature})
    return request(case, url, body, {"content-type": JSON})


PROVIDER = Provider(
    name="wspay",
    title="WSPay",
    about="Authorisations, completions, voids and refunds.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.PARTIALLY_SIGNED,
    bare_trust=None,
    secret=SecretRule("The secret key of the shop, from WSPay.", problem=secret_problem),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("Token", "CustomerFirstName", "CustomerLastName", "CustomerEmail", "CustomerPhone"),
    note="The signature does not cover action, amount and reference, so a person must confirm.",
)
