"""Adyen: notifications of payments, captures, refunds and chargebacks, each item with a signature.

`additionalData.hmacSignature` of an item: HMAC-SHA256, keyed with the bytes of a hex key, over
`pspReference:originalReference:merchantAccountCode:merchantReference:value:currency:eventCode:success`,
in base64. Nothing is escaped, so only the last reference may hold a colon: with one in the others,
one text would fit two items.

Sources: docs.adyen.com, Verify HMAC signatures, Webhook types, Currency codes; Adyen's libraries.
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
DONE = table(
    {
        "PENDING": PENDING,
        "AUTHORISATION": AUTHORIZED,
        "CAPTURE": APPROVED,
        "CAPTURE_FAILED": FAILED,
        "CANCELLATION": CANCELLED,
        "TECHNICAL_CANCEL": CANCELLED,
        "VOID_PENDING_REFUND": CANCELLED,
        "OFFER_CLOSED": CANCELLED,
        "EXPIRE": CANCELLED,
        "REFUND": linked(TransactionKind.REFUND),
        "REFUND_WITH_DATA": linked(TransactionKind.REFUND),
        "REFUND_FAILED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "REFUNDED_REVERSED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "NOTIFICATION_OF_CHARGEBACK": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "CHARGEBACK": linked(TransactionKind.CHARGEBACK),
        "SECOND_CHARGEBACK": linked(TransactionKind.CHARGEBACK),
        "CHARGEBACK_REVERSED": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)
# Events with `success` false are words of their own, so that `statuses` can tell them apart.
REFUSED = table(
    {
        "AUTHORISATION false": DECLINED,
        # The merchant may try again.
        "CAPTURE false": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
        "REFUND false": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "REFUND_WITH_DATA false": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
    }
)
# `modification.action` of CANCEL_OR_REFUND: which of the two it became.
MODIFIED = table({"cancel": CANCELLED, "refund": linked(TransactionKind.REFUND)})
_NOT_MONEY = frozenset(
    fold(word)
    for word in (
        "AUTHORISATION_ADJUSTMENT",
        "CANCEL_OR_REFUND",
        "CANCELLATION",
        "HANDLED_EXTERNALLY",
        "INFORMATION_SUPPLIED",
        "ISSUER_COMMENTS",
        "MANUAL_REVIEW_ACCEPT",
        "MANUAL_REVIEW_REJECT",
        "NOTIFICATION_OF_FRAUD",
        "RECURRING_CONTRACT",
        "REPORT_AVAILABLE",
        "REQUEST_FOR_INFORMATION",
        "TECHNICAL_CANCEL",
    )
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
    notices = tuple(_notice(item, setup) for item in items)
    if len(items) > 1:
        return ParsedNotices(notices)
    named = (text(items[0], name) or "" for name in ("pspReference", "eventCode", "success"))
    return ParsedNotices(notices, ":".join(named))


def _notice(item: dict[str, Any], setup: SourceSetup) -> Notice:
    word, is_done = required_text(item, "eventCode"), _plain(item.get("success")) == "true"
    meaning = _meaning(word, item, setup, is_done=is_done)
    if meaning is None and fold(word) in _NOT_MONEY:
        return NoteNotice(
            f"{word} with success {str(is_done).lower()} changes nothing of a payment."
        )
    reference, original = required_text(item, "pspReference"), text(item, "originalReference")
    is_linked = meaning is not None and meaning.kind is not TransactionKind.PAYMENT
    return TransactionNotice(
        References(
            present_values(text(item, "merchantReference")), present_values(original, reference)
        ),
        raw_status=f"{word} {str(is_done).lower()}",
        status=None if meaning is None else meaning.status,
        kind=TransactionKind.PAYMENT if meaning is None else meaning.kind,
        substate=None if meaning is None else meaning.substate,
        reason=None if is_done else text(item, "reason"),
        amount=_sum(object_member(item, "amount")),
        psp_transaction_id=reference if is_linked else original or reference,
        psp_reference=reference,
        occurred_at=iso_time(item.get("eventDate")),
        details=_details(item),
    )


def _meaning(
    word: str, item: dict[str, Any], setup: SourceSetup, *, is_done: bool
) -> WordMeaning | None:
    if fold(word) == fold("CANCEL_OR_REFUND") and is_done:
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
    about="Authorisations, captures, refunds and chargebacks, in signed items.",
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
    settings=(AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("cardHolderName", "recurringDetailReference", "recurring.recurringDetailReference"),
    note="Reason, method and card data are not covered by the signature. Words of pay-outs are "
    'not in the table: give them a meaning with statuses: {"PAYOUT_DECLINE": "Declined"}.',
    statuses=statuses(DONE),
)
