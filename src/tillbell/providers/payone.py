"""PAYONE GmbH: the form "TransactionStatus" of its server, and events of its newer platform.

The form is proven by `key`, the MD5 of the portal key: a password that never changes, so it
proves who sent it, not what was sent. The newer Commerce Platform signs the body as JSON with
`X-GCS-Signature`. What such an event means is not known for sure, so it is only noted. Not to be
mixed up with the "Payone" that some cashiers list at payonepayment.com, which is another company.

`price` is what was first asked for, `receivable` all that is booked so far, and `balance` what of
it is still open. So what was paid is `receivable` - `balance`; a payer who gave too much leaves a
negative balance. A payment is one attempt with one `txid`, whatever is captured of it.

Sources: docs.payone.com, TransactionStatus notification (fields, events, samples);
PAYONE-GmbH/woocommerce-3, Plugin.php and TransactionStatus.php (addresses, key);
commercetools/commercetools-payone-integration, Field-Mapping.md (the events).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from tillbell.model.callbacks import NoteNotice, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionKind, TransactionStatus
from tillbell.providers.kit import reading
from tillbell.providers.kit.base import (
    CallbackAnswer,
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
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.proof import (
    digest,
    from_hex,
    is_from,
    key_bytes,
    same,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.reference import merchant_reference
from tillbell.providers.kit.requests import FORM, JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    FAILED,
    ON_HOLD,
    PENDING,
    SETTLING,
    WordMeaning,
    linked,
    meaning_of,
    table,
)

# The form has no amount of a refund or debit, so it is a hint: a person says how much it was.
_GIVEN_BACK = linked(TransactionKind.REFUND)
ACTIONS = table(
    {
        "appointed": AUTHORIZED,
        "capture": SETTLING,
        "paid": APPROVED,
        "underpaid": ON_HOLD,  # what has come is captured, where the form says how much
        # For a paid one it is a direct debit that the bank returned: a conflict, for a person.
        "cancelation": CANCELLED,
        "failed": FAILED,
        "refund": _GIVEN_BACK,
        "debit": _GIVEN_BACK,
    }
)
# They move no money: papers, reminders, and claims of the billing module.
NOTES = frozenset({"invoice", "reminder", "vauthorization", "vsettlement"})
REFERENCE = ProviderSetting(
    "reference",
    "The field that holds your order id.",
    choices=("reference", "param"),
    default="reference",
)
ADDRESSES = ("213.178.72.196", "213.178.72.197", "217.70.200.0/24", "185.60.20.0/24")
_EVENT = BodyMac("x-gcs-signature", "sha256", "base64")
_TEST_MARKS: Mapping[str, bool] = {"test": True, "live": False}
# Settings, where they are set, and the field of the form that must equal each.
_FIXED = {"paymentMode": "mode", "portalId": "portalid", "accountId": "aid"}


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the form's key, or the signature of an event; then the address and the account."""
    if setup.config.get("checkAddress") and not is_from(incoming.peer, ADDRESSES):
        return Verdict(None, "It comes from an address that PAYONE does not list.")
    if _is_event(incoming):
        return _verify_event(incoming, setup)
    try:
        fields = _form(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    claimed = from_hex(reading.text(fields, "key"))
    verdict = verify_with_secrets(
        setup.secrets, lambda secret: same(claimed, _key(secret)), "The form's key", Trust.SECRET
    )
    problem = _account_problem(fields, setup.config) if verdict.trust is not None else None
    return Verdict(None, problem) if problem else verdict


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one status of a payment."""
    if _is_event(incoming):
        return _parse_event(incoming)
    fields = _form(incoming)
    action, id_ = reading.required_text(fields, "txaction"), reading.required_text(fields, "txid")
    number = reading.text(fields, "sequencenumber") or ""
    if action in NOTES:
        return ParsedNotices((NoteNotice(f"{action} says nothing about money."),))
    meaning = _meaning(action, fields, setup.config)
    is_payment = meaning is None or meaning.kind is TransactionKind.PAYMENT
    status = meaning.status if meaning is not None else None
    notice = TransactionNotice(
        References(ours=merchant_reference(fields, setup, REFERENCE), psp=(id_,)),
        raw_status=action,
        status=status,
        kind=meaning.kind if meaning else TransactionKind.PAYMENT,
        substate=meaning.substate if meaning else None,
        reason=reading.text(fields, "failedcause") or reading.text(fields, "errorcode"),
        amount=_amount(action, fields) if is_payment else None,
        psp_transaction_id=id_ if is_payment else f"{id_}-{number}",
        user_id=reading.text(fields, "userid"),
        occurred_at=reading.unix_seconds(reading.text(fields, "txtime")),
        sequence=int(number) if _is_count(number) else None,
        details=_details(fields, is_payment=is_payment),
        is_test=_TEST_MARKS.get(reading.text(fields, "mode") or ""),
        ends_attempt=action == "failed" and status in NEGATIVE,
        is_part=action == "underpaid",
        is_hint=not is_payment,
    )
    # One number may come twice: pending and completed, or two payments of an invoice.
    return ParsedNotices((notice,))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Post the form with its key; an event of the newer platform as signed JSON."""
    secret = setup.secrets[0] if setup.secrets else ""
    if "txaction" not in case.fields:
        body = json_body(dict(case.fields))
        headers = {"content-type": JSON, _EVENT.header: _EVENT.signature(secret, body)}
        return request(case, url, body, headers)
    fields = {"key": _key(secret).hex(), **case.fields}
    body = urlencode(fields, encoding="iso-8859-1", errors="replace").encode()
    return request(case, url, body, {"content-type": FORM})


# ── the form ─────────────────────────────────────────────────────────────────────────────────────


def _form(incoming: Incoming) -> dict[str, str]:
    """Read the form: UTF-8, or ISO-8859-1 as older set-ups send it."""
    try:
        return reading.form(incoming.body)
    except Unreadable:
        return reading.form(incoming.body, "iso-8859-1")


def _key(portal_key: str) -> bytes:
    return digest("md5", key_bytes(portal_key))


def _account_problem(fields: Mapping[str, str], config: Mapping[str, Any]) -> str | None:
    for setting, field in _FIXED.items():
        required = config.get(setting)
        if required and fields.get(field) != str(required):
            return f"The field {field} is not what the setting {setting} says."
    return None


def _meaning(
    action: str, fields: Mapping[str, str], config: Mapping[str, Any]
) -> WordMeaning | None:
    """Return what an action means; None if it is not mapped."""
    meaning = meaning_of(action, ACTIONS, config)
    if meaning is None or meaning.kind is not TransactionKind.PAYMENT:
        return meaning
    if reading.text(fields, "transaction_status") == "pending":
        return PENDING if meaning.status not in NEGATIVE else meaning
    paid = _paid(fields)
    is_part = meaning.status is TransactionStatus.ON_HOLD and paid is not None and paid > 0
    return APPROVED if is_part else meaning


def _amount(action: str, fields: Mapping[str, str]) -> ProviderAmount | None:
    """Return what has been paid in all, of `paid` and `underpaid`; else what was asked for."""
    paid = _paid(fields) if action in ("paid", "underpaid") else None
    amount = reading.provider_amount(fields, "price", "currency")
    if paid is None or amount is None:
        return amount
    return amount._replace(value=f"{paid:f}")


def _paid(fields: Mapping[str, str]) -> Decimal | None:
    """Return `receivable` - `balance`; None if one of them is missing or no number."""
    try:
        receivable, balance = (
            Decimal(reading.required_text(fields, name)) for name in ("receivable", "balance")
        )
    except (Unreadable, InvalidOperation):
        return None
    paid = receivable - balance
    return paid if paid.is_finite() else None


def _details(fields: Mapping[str, str], *, is_payment: bool) -> dict[str, Any]:
    """Return the ends of the card's number; for a refund or debit also the sums of the form."""
    first, last = masked_number(fields.get("cardpan"))
    details = card_details(first, last, brand=reading.text(fields, "cardtype"))
    if is_payment:
        return details
    sums = {name: fields[name] for name in ("price", "balance", "receivable") if fields.get(name)}
    return {**details, **sums}


def _is_count(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) <= 9


# ── events of the newer platform ─────────────────────────────────────────────────────────────────


def _is_event(incoming: Incoming) -> bool:
    return any(name == _EVENT.header for name, _ in incoming.headers)


def _verify_event(incoming: Incoming, setup: SourceSetup) -> Verdict:
    key_id = setup.config.get("keyId")
    if key_id and incoming.header("x-gcs-keyid") != str(key_id):
        return Verdict(None, "The header X-GCS-KeyId is not what the setting keyId says.")
    return _EVENT.verify(incoming, setup)


def _parse_event(incoming: Incoming) -> ParsedNotices:
    event = reading.json_object(incoming.body)
    details = reading.object_member(event, "eventDetails")
    word = reading.text(details, "type") or reading.text(event, "type") or "without a type"
    note = f"An event of the Commerce Platform, {word[:40]}: its meaning is not known for sure."
    return ParsedNotices(
        (NoteNotice(note),), reading.text(event, "eventId") or reading.text(event, "id")
    )


PROVIDER = Provider(
    name="payone",
    title="PAYONE",
    about="The TransactionStatus of payments at PAYONE GmbH.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SECRET,
    bare_trust=None,
    secret=SecretRule(
        "The portal's key; for the Commerce Platform the webhook's secret.",
        problem=secret_problem,
    ),
    answers="200 with the body TSOK; anything else counts as not delivered.",
    verify=verify,
    parse=parse,
    answer=usual(CallbackAnswer(200, b"TSOK")),
    sign=sign,
    settings=(
        REFERENCE,
        AUTHORIZATION_IS_FINAL,
        ProviderSetting(
            "checkAddress",
            "Refuse what does not come from the addresses that PAYONE lists.",
            "boolean",
            default=False,
        ),
        ProviderSetting(
            "paymentMode", "Refuse what is of the other mode.", choices=("test", "live")
        ),
        ProviderSetting("portalId", "Refuse what is of another portal."),
        ProviderSetting("accountId", "Refuse what is of another sub-account (aid)."),
        ProviderSetting("keyId", "The X-GCS-KeyId of the Commerce Platform; others are refused."),
    ),
    masked=(
        "key",
        "cardholder",
        "cardexpiredate",
        "iban",
        "bic",
        "bankaccount",
        "bankaccountholder",
        "firstname",
        "lastname",
        "email",
        "street",
        "telephonenumber",
    ),
    note=(
        "The key is a password that never changes: what it says is confirmed before money moves. "
        "How much a refund or debit gives back is not sent, so it is left to a person. Events of "
        "the Commerce Platform are known second-hand: they are proven and noted, not read."
    ),
)
