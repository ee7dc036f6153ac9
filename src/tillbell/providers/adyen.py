"""Adyen: notifications of payments, captures, refunds, disputes and pay-outs, each item signed.

`additionalData.hmacSignature` of an item: HMAC-SHA256, keyed with the bytes of a hex key, over
`pspReference:originalReference:merchantAccountCode:merchantReference:value:currency:eventCode:success`,
in base64. Nothing is escaped, so only the last reference may hold a colon: with one in the others,
one text would fit two items.

A payment may have several attempts, and several captures under references of their own. All events
of a dispute have one reference; money moves with CHARGEBACK, CHARGEBACK_REVERSED and
SECOND_CHARGEBACK. A repeat has the same reference, event and success.

Sources: docs.adyen.com, Verify HMAC signatures, Webhook types, Handle webhook events, Dispute
webhooks, Capture and refund failure reasons, Partial payments, Currency codes; Adyen's libraries.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tillbell.model.callbacks import (
    NoteNotice,
    Notice,
    ProviderAmount,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import (
    CallbackAnswer,
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
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.order_fields import parts
from tillbell.providers.kit.proof import from_base64, from_hex, is_one_of, mac, verify_with_secrets
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
    PENDING,
    STATUSES,
    WordMeaning,
    linked,
    meaning_of,
    statuses,
    table,
)

ITEMS_MAX = 100
SCHEME = "The items' hmacSignature"
_SIGNED = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
_CLOSED = linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED)
DONE = table(
    {
        "PENDING": PENDING,
        "AUTHORISATION": AUTHORIZED,
        "CAPTURE": APPROVED,
        "CAPTURE_FAILED": FAILED,  # the scheme refused it after it was accepted
        "CANCELLATION": CANCELLED,
        "TECHNICAL_CANCEL": CANCELLED,
        "OFFER_CLOSED": CANCELLED,
        "EXPIRE": CANCELLED,  # what was not captured
        "POSTPONED_REFUND": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "REFUND": linked(TransactionKind.REFUND),
        "REFUND_WITH_DATA": linked(TransactionKind.REFUND),
        "REFUND_FAILED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "REFUNDED_REVERSED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "VOID_PENDING_REFUND": linked(TransactionKind.REFUND, TransactionStatus.CANCELLED),
        "SETTLED_REVERSED": linked(TransactionKind.REVERSAL),
        "NOTIFICATION_OF_CHARGEBACK": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "DISPUTE_OPENED_WITH_CHARGEBACK": linked(TransactionKind.CHARGEBACK),
        "CHARGEBACK": linked(TransactionKind.CHARGEBACK),
        "CHARGEBACK_REVERSED": linked(TransactionKind.CHARGEBACK_REVERSAL),
        "SECOND_CHARGEBACK": linked(TransactionKind.CHARGEBACK),
        # A stage of a dispute has ended. Money moves by the three events above alone.
        "DISPUTE_DEFENSE_PERIOD_ENDED": _CLOSED,
        "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": _CLOSED,
        "PREARBITRATION_DECLINED": _CLOSED,
        "PREARBITRATION_ISSUER_WITHDRAWN": _CLOSED,
        "PREARBITRATION_LOST": _CLOSED,
        "PREARBITRATION_WON": _CLOSED,
        "SCHEME_ARBITRATION_LOST": _CLOSED,
        "SCHEME_ARBITRATION_WON": _CLOSED,
        "PAYOUT_THIRDPARTY": APPROVED,
        "PAYOUT_DECLINE": DECLINED,
        "PAYOUT_EXPIRE": CANCELLED,
        "PAIDOUT_REVERSED": linked(TransactionKind.RETURN),
    }
)
# Events with `success` false are words of their own, so that `statuses` can tell them apart.
REFUSED = table(
    {
        "AUTHORISATION false": DECLINED,
        # The merchant may try again.
        "CAPTURE false": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
        "CAPTURE_FAILED false": FAILED,
        "ORDER_CLOSED false": CANCELLED,
        "REFUND false": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "REFUND_FAILED false": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "REFUND_WITH_DATA false": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "PAYOUT_THIRDPARTY false": FAILED,
    }
)
# `modification.action` of CANCEL_OR_REFUND: which of the two it became.
MODIFIED = table({"cancel": CANCELLED, "refund": linked(TransactionKind.REFUND)})
# They end one attempt to pay. The payer may try again.
_ENDS_ATTEMPT = frozenset(
    {
        "AUTHORISATION false",
        "EXPIRE true",
        "OFFER_CLOSED true",
        "ORDER_CLOSED false",
        "TECHNICAL_CANCEL true",
    }
)
# All events of a dispute have its reference. Each of these moves its money once.
_MOVEMENTS = MappingProxyType(
    {
        "CHARGEBACK": "chargeback",
        "CHARGEBACK_REVERSED": "chargeback_reversed",
        "DISPUTE_OPENED_WITH_CHARGEBACK": "chargeback",
        "SECOND_CHARGEBACK": "second_chargeback",
    }
)
_OF_A_CAPTURE = frozenset({"CAPTURE", "CAPTURE_FAILED"})
_NOT_MONEY = frozenset(
    {
        "AUTHORISATION_ADJUSTMENT",
        "AUTORESCUE",
        "CANCEL_AUTORESCUE",
        "CANCEL_OR_REFUND false",
        "CANCELLATION false",
        "DONATION",
        "HANDLED_EXTERNALLY",
        "INFORMATION_SUPPLIED",
        "ISSUER_COMMENTS",
        "MANUAL_REVIEW_ACCEPT",
        "MANUAL_REVIEW_REJECT",
        "NOTIFICATION_OF_FRAUD",
        "ORDER_CLOSED true",
        "ORDER_OPENED",
        "PREARBITRATION_OPEN",
        "RECURRING_CONTRACT",
        "REPORT_AVAILABLE",
        "REQUEST_FOR_INFORMATION",
        "TECHNICAL_CANCEL false",
    }
)
_RECAPTURED = "recaptured"  # in the reason of a CAPTURE that follows a CAPTURE_FAILED
REFERENCE = reference_setting(
    "merchantReference",
    "The member of an item in which you send your order id; the signature covers only the default. "
    "For several payments of one order: additionalData.merchantOrderReference.",
)
# Currencies to which Adyen gives other decimal digits than ISO 4217.
_EXPONENTS: Mapping[str, int] = MappingProxyType({"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2})


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature of each item. One wrong item refuses the whole notification."""
    try:
        items = _items(incoming.body)
        proofs = [(_claimed_signatures(item), _signed_text(item)) for item in items]
    except Unreadable as error:
        return Verdict(None, f"{error} Without it nothing can be proven.")
    if not all(any(claimed) for claimed, _ in proofs):
        return Verdict(None, "An item has no additionalData.hmacSignature of base64.")

    def is_right(secret: str) -> bool:
        key = from_hex(secret)
        return bool(key) and all(
            is_one_of(claimed, [mac("sha256", key, message)]) for claimed, message in proofs
        )

    return verify_with_secrets(setup.secrets, is_right, SCHEME)


def _items(body: bytes) -> list[dict[str, Any]]:
    wrapped = parts(json_object(body), "notificationItems")
    if not 0 < len(wrapped) <= ITEMS_MAX:
        raise Unreadable(f"There are not 1 to {ITEMS_MAX} notificationItems.")
    return [object_member(wrapper, "NotificationRequestItem") for wrapper in wrapped]


def _claimed_signatures(item: dict[str, Any]) -> list[bytes]:
    return [from_base64(text(object_member(item, "additionalData"), "hmacSignature"))]


def _signed_text(item: dict[str, Any]) -> bytes:
    """Return what is signed of an item."""
    amount = object_member(item, "amount")
    named = [_plain(item.get(name)) for name in _SIGNED]
    if any(":" in value for value in named[:-1]):
        raise Unreadable("A reference or the account of an item holds a colon.")
    values = (
        amount.get("value"),
        amount.get("currency"),
        item.get("eventCode"),
        item.get("success"),
    )
    signed = [_plain(value) for value in values]
    if any(":" in value for value in signed):
        raise Unreadable("The amount, event or success of an item holds a colon.")
    return ":".join((*named, *signed)).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else ""


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read all items. Mostly there is one."""
    items = _items(incoming.body)
    is_test = _is_test(json_object(incoming.body))
    notices = tuple(_notice(item, setup, is_test=is_test) for item in items)
    return ParsedNotices(notices, _dedupe_key(items[0]) if len(items) == 1 else None)


def _is_test(body: dict[str, Any]) -> bool | None:
    """Read `live`, which no signature covers."""
    return {"true": False, "false": True}.get(_plain(body.get("live")))


def _dedupe_key(item: dict[str, Any]) -> str:
    """Return what is the same in all repeats of one event. Their `eventDate` may differ."""
    named = [text(item, name) or "" for name in ("pspReference", "eventCode", "success")]
    if _RECAPTURED in (text(item, "reason") or "").casefold():
        named.append(_RECAPTURED)
    return ":".join(named)


def _notice(item: dict[str, Any], setup: SourceSetup, *, is_test: bool | None) -> Notice:
    word, is_done = required_text(item, "eventCode"), _plain(item.get("success")) == "true"
    raw_status = f"{word} {str(is_done).lower()}"
    meaning = _meaning(word, item, setup, is_done=is_done)
    if meaning is None and (word in _NOT_MONEY or raw_status in _NOT_MONEY):
        return NoteNotice(
            f"{word} with success {str(is_done).lower()} changes nothing of a payment."
        )
    reference, original = required_text(item, "pspReference"), text(item, "originalReference")
    kind = TransactionKind.PAYMENT if meaning is None else meaning.kind
    return TransactionNotice(
        References(merchant_reference(item, setup, REFERENCE), present_values(original, reference)),
        raw_status=raw_status,
        status=None if meaning is None else meaning.status,
        kind=kind,
        substate=None if meaning is None else meaning.substate,
        reason=None if is_done else text(item, "reason"),
        amount=_sum(object_member(item, "amount")),
        psp_transaction_id=_own_id(word, kind, reference, original),
        psp_reference=reference,
        occurred_at=iso_time(item.get("eventDate")),
        details=_details(item),
        is_test=is_test,
        ends_attempt=raw_status in _ENDS_ATTEMPT,
        capture_id=reference if word in _OF_A_CAPTURE else None,
        movement_id=_MOVEMENTS.get(word),
        is_closing=meaning == _CLOSED,
    )


def _own_id(word: str, kind: TransactionKind, reference: str, original: str | None) -> str:
    """Return the id of what an item is about: a payment, or a refund or dispute of one.

    `reference` is that of the request or dispute, `original` that of the payment.
    """
    is_about_original = kind is TransactionKind.PAYMENT or word == "VOID_PENDING_REFUND"
    return (original or reference) if is_about_original else reference


def _meaning(
    word: str, item: dict[str, Any], setup: SourceSetup, *, is_done: bool
) -> WordMeaning | None:
    if word == "CANCEL_OR_REFUND" and is_done:
        action = text(object_member(item, "additionalData"), "modification.action") or ""
        return meaning_of(action, MODIFIED, setup.config)
    if is_done:
        return meaning_of(word, DONE, setup.config)
    return meaning_of(f"{word} false", REFUSED, setup.config)


def _sum(amount: dict[str, Any]) -> ProviderAmount | None:
    value, currency = text(amount, "value"), (text(amount, "currency") or "").upper()
    if value is None:
        return None
    return ProviderAmount(value, currency or None, is_minor=True, exponent=_EXPONENTS.get(currency))


def _details(item: dict[str, Any]) -> dict[str, Any]:
    more = object_member(item, "additionalData")
    first, last = text(more, "cardBin"), text(more, "cardSummary")
    return card_details(first, last, method=text(item, "paymentMethod"))


def _secret_problem(secret: str) -> str | None:
    if secret != secret.strip():
        return "the key has a space or line end at one of its ends"
    return None if len(from_hex(secret)) >= 16 else "an HMAC key is hex, at least 32 digits of it"


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Adyen sends it: each item gets its signature."""
    key = from_hex(setup.secrets[0])
    items = []
    for item in _items(json_body(case.fields)):
        digest = base64.b64encode(mac("sha256", key, _signed_text(item))).decode()
        more = {**object_member(item, "additionalData"), "hmacSignature": digest}
        items.append({"NotificationRequestItem": {**item, "additionalData": more}})
    body = json_body({**case.fields, "notificationItems": items})
    return request(case, url, body, {"content-type": JSON})


PROVIDER = Provider(
    name="adyen",
    title="Adyen",
    about="Authorisations, captures, refunds, disputes and pay-outs, in signed items.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Adyen → Developers → Webhooks → Standard webhook → HMAC key: hex.",
        problem=_secret_problem,
    ),
    answers="200 with [accepted]; 401 when a signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(CallbackAnswer(body=b"[accepted]")),
    sign=sign,
    settings=(REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("cardHolderName", "recurringDetailReference", "recurring.recurringDetailReference"),
    note="The signature does not cover reason, method, card data and `live`, which tells test and "
    "live money apart. Switch on Include the originalReference for CHARGEBACK_REVERSED events.",
    statuses=statuses(DONE),
    exponents=_EXPONENTS,
)
