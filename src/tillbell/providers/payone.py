"""PAYONE GmbH: the form "TransactionStatus" of its server, and events of its newer platform.

The form is proven by `key`, the MD5 of the portal key: a password that never changes, so it
proves who sent it, not what was sent. The newer Commerce Platform signs the body as JSON with
`X-GCS-Signature`; what such an event says is not known for sure, so it is only noted. Not to be
mixed up with the "Payone" that some cashiers list at payonepayment.com, which is another company.

Source: PAYONE-GmbH/woocommerce-3, Plugin.php and TransactionStatus.php.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tillbell.model.callbacks import NoteNotice, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind
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
from tillbell.providers.kit.bodymac import BodyMac, secret_problem
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.proof import (
    digest,
    from_hex,
    is_from,
    key_bytes,
    same,
    verify_with_secrets,
)
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    FAILED,
    ON_HOLD,
    SETTLING,
    WordMeaning,
    linked,
    meaning,
    table,
)

# Of what is given back the form tells no amount, so a person says how much it was.
_GIVEN_BACK = linked(TransactionKind.REFUND)
ACTIONS = table(
    {
        "appointed": AUTHORIZED,
        "capture": SETTLING,
        "paid": APPROVED,
        "underpaid": ON_HOLD,
        # Of a paid one it is a debit that the bank returned: a contradiction, for a person.
        "cancelation": CANCELLED,
        "failed": FAILED,
        "refund": _GIVEN_BACK,
        "debit": _GIVEN_BACK,
    }
)
ADDRESSES = ("213.178.72.196", "213.178.72.197", "217.70.200.0/24", "185.60.20.0/24")
_EVENT = BodyMac("x-gcs-signature", "sha256", "base64")
_FORM = "application/x-www-form-urlencoded"
# Settings that a field of the form must equal, where they are set.
_FIXED = {"paymentMode": "mode", "portalId": "portalid", "accountId": "aid"}


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the form's key, or the signature of an event; then the address and the account."""
    if setup.config.get("checkAddress") and not is_from(incoming.peer, ADDRESSES):
        return Verdict(None, "It comes from an address that PAYONE does not list.")
    if _is_event(incoming):
        return _verify_event(incoming, setup)
    try:
        found = _form(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    given = from_hex(reading.text(found, "key"))
    verdict = verify_with_secrets(
        setup.secrets, lambda secret: same(given, _key(secret)), "The form's key", Trust.SECRET
    )
    problem = _account_problem(found, setup.config) if verdict.trust is not None else None
    return Verdict(None, problem) if problem else verdict


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one status of a payment."""
    if _is_event(incoming):
        return _parse_event(incoming)
    found = _form(incoming)
    action, id_ = reading.required_text(found, "txaction"), reading.required_text(found, "txid")
    number = reading.text(found, "sequencenumber") or ""
    key = f"{id_}|{number}|{action}"
    step = meaning(action, ACTIONS, setup.config)
    if step is None:
        return ParsedNotices((NoteNotice(f"{action[:40]} says nothing about money."),), key)
    notice = TransactionNotice(
        References(ours=reading.present_values(reading.text(found, "reference")), psp=(id_,)),
        raw_status=action,
        status=step.status if step.kind is TransactionKind.PAYMENT else None,
        kind=step.kind,
        substate=step.substate,
        reason=reading.text(found, "failedcause") or reading.text(found, "errorcode"),
        amount=_price(found) if step.kind is TransactionKind.PAYMENT else None,
        psp_transaction_id=id_ if step.kind is TransactionKind.PAYMENT else f"{id_}-{number}",
        user_id=reading.text(found, "userid"),
        occurred_at=reading.unix_seconds(reading.text(found, "txtime")),
        sequence=int(number) if _is_count(number) else None,
        details=_details(found, step),
    )
    return ParsedNotices((notice,), key)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Post the form with its key; an event of the newer platform as signed JSON."""
    secret = setup.secrets[0] if setup.secrets else ""
    if "txaction" not in case.fields:
        body = json_body(dict(case.fields))
        headers = {"content-type": JSON, _EVENT.header: _EVENT.signature(secret, body)}
        return request(case, url, body, headers)
    fields = {"key": _key(secret).hex(), **case.fields}
    body = urlencode(fields, encoding="iso-8859-1", errors="replace").encode()
    return request(case, url, body, {"content-type": _FORM})


# ── the form ─────────────────────────────────────────────────────────────────────────────────────


def _form(incoming: Incoming) -> dict[str, str]:
    """Read the form: UTF-8, or ISO-8859-1 as older set-ups send it."""
    try:
        return reading.form(incoming.body)
    except Unreadable:
        return reading.form(incoming.body, "iso-8859-1")


def _key(portal_key: str) -> bytes:
    return digest("md5", key_bytes(portal_key))


def _account_problem(found: Mapping[str, str], config: Mapping[str, Any]) -> str | None:
    for setting, field in _FIXED.items():
        wanted = config.get(setting)
        if wanted and found.get(field) != str(wanted):
            return f"The field {field} is not what the setting {setting} says."
    return None


def _price(found: Mapping[str, str]) -> ProviderAmount | None:
    value, currency = reading.text(found, "price"), reading.text(found, "currency")
    return ProviderAmount(value, currency.upper() if currency else None) if value else None


def _details(found: Mapping[str, str], step: WordMeaning) -> dict[str, Any]:
    """Keep the ends of the card's number, and of what is given back what the form tells."""
    first, last = masked_number(found.get("cardpan"))
    told = card_details(first, last, brand=reading.text(found, "cardtype"))
    if step.kind is TransactionKind.PAYMENT:
        return told
    sums = {name: found[name] for name in ("price", "balance", "receivable") if found.get(name)}
    return {**told, **sums}


def _is_count(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) <= 9


# ── events of the newer platform ─────────────────────────────────────────────────────────────────


def _is_event(incoming: Incoming) -> bool:
    return any(name == _EVENT.header for name, _ in incoming.headers)


def _verify_event(incoming: Incoming, setup: SourceSetup) -> Verdict:
    wanted = setup.config.get("keyId")
    if wanted and incoming.header("x-gcs-keyid") != str(wanted):
        return Verdict(None, "The header X-GCS-KeyId is not what the setting keyId says.")
    return _EVENT.verify(incoming, setup)


def _parse_event(incoming: Incoming) -> ParsedNotices:
    found = reading.json_object(incoming.body)
    details = reading.object_member(found, "eventDetails")
    word = reading.text(details, "type") or reading.text(found, "type") or "without a type"
    note = f"An event of the Commerce Platform, {word[:40]}: its meaning is not known for sure."
    return ParsedNotices(
        (NoteNotice(note),), reading.text(found, "eventId") or reading.text(found, "id")
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
        "How much a refund or debit gives back is not told, so it is left to a person. Events of "
        "the Commerce Platform are known second-hand: they are proven and noted, not read."
    ),
)
