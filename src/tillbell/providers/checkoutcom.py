"""Checkout.com: authorisations, captures, voids, refunds and disputes.

`Cko-Signature`: HMAC-SHA256 of the body in hex, keyed with the text of the webhook's signature key.
Events may come in any order and more than once. Each capture and refund is an action with its own
id (`act_…`) and amount. A disputed amount is debited when evidence is required, and credited when
the dispute is won or cancelled, if it had been debited: what is only received ends without money.

Sources: checkout.com/docs, Receive webhooks, Event types, Format the amount value, Disputes;
checkout/checkout-woocommerce-plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

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
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SourceSetup,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.proof import not_another_credential
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    PENDING,
    SETTLING,
    STATUSES,
    WordMeaning,
    authorizing_words,
    linked,
    meaning_of,
    statuses,
    table,
)

PROOF = BodyMac("cko-signature", "sha256")
REFERENCE = reference_setting(
    "reference",
    "The member of data in which you send your order id, a path with dots: metadata.order_id.",
)
EVENTS = table(
    {
        "payment_pending": PENDING,
        "payment_compliance_review": WordMeaning(TransactionStatus.PENDING, "in_review"),
        "payment_approved": AUTHORIZED,
        "payment_authorization_incremented": AUTHORIZED,
        "payment_declined": DECLINED,
        "payment_authentication_failed": DECLINED,
        "payment_expired": CANCELLED,
        "payment_canceled": CANCELLED,
        "payment_voided": CANCELLED,
        "payment_capture_pending": SETTLING,
        "payment_captured": APPROVED,
        # The merchant may try again.
        "payment_capture_declined": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
        "payment_paid": APPROVED,  # a pay-out
        "payment_refund_pending": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "payment_refunded": linked(TransactionKind.REFUND),
        "payment_refund_declined": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "dispute_received": linked(TransactionKind.CHARGEBACK, TransactionStatus.PENDING),
        "dispute_evidence_required": linked(TransactionKind.CHARGEBACK),
        "dispute_accepted": linked(TransactionKind.CHARGEBACK),
        "dispute_expired": linked(TransactionKind.CHARGEBACK),
        "dispute_lost": linked(TransactionKind.CHARGEBACK),
        "dispute_arbitration_lost": linked(TransactionKind.CHARGEBACK),
        # The payment had been refunded before.
        "dispute_resolved": linked(TransactionKind.CHARGEBACK, TransactionStatus.CANCELLED),
        "dispute_canceled": linked(TransactionKind.CHARGEBACK_REVERSAL),
        "dispute_won": linked(TransactionKind.CHARGEBACK_REVERSAL),
        "dispute_arbitration_won": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)
# `status` of a payment, as GET /payments/{id} answers.
LOOKED_UP = table(
    {
        "Pending": PENDING,
        "Authorized": AUTHORIZED,
        "Card Verified": PENDING,
        "Voided": CANCELLED,
        "Partially Captured": APPROVED,  # with what is captured, as the next ones
        "Captured": APPROVED,
        "Partially Refunded": APPROVED,
        "Refunded": APPROVED,
        "Declined": DECLINED,
        "Canceled": CANCELLED,
        "Expired": CANCELLED,
        "Paid": APPROVED,
    }
)
LOOKUP: Mapping[str, Any] = MappingProxyType(
    {
        "status": "/status",
        "authorized": "/balances/total_authorized",
        "amount": ("/balances/total_captured",),  # /amount is what was asked for
        "currency": "/currency",
        "refunded": "/balances/total_refunded",
        "minorUnits": True,
    }
)
_ENDS_ATTEMPT = frozenset(
    {
        "payment_declined",
        "payment_authentication_failed",
        "payment_expired",
        "payment_canceled",
    }
)
_NOT_MONEY = frozenset(
    {
        "dispute_arbitration_evidence_submitted",
        "dispute_arbitration_sent_to_scheme",
        "dispute_evidence_acknowledged_by_scheme",
        "dispute_evidence_submitted",
        "payment_authorization_increment_declined",
        "payment_instrument_created",
        "payment_instrument_error",
        "payment_instrument_verification_failed",
        "payment_instrument_verification_passed",
        "payment_optimized",
        "payment_retry_scheduled",
        "payment_void_declined",
        "payments_disabled",
        "payments_enabled",
    }
)
_ABOUT_MONEY = ("payment_", "dispute_")
# Currencies without decimals, and with three. All others have two, whatever ISO 4217 says.
_WHOLE = "BIF DJF GNF ISK JPY KMF KRW PYG RWF UGX VUV VND XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
_DECIMALS: Mapping[str, int] = MappingProxyType(
    {**dict.fromkeys(_WHOLE.split(), 0), **dict.fromkeys(_THOUSANDTHS.split(), 3)}
)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event."""
    event = json_object(incoming.body)
    notice = _notice(event, setup)
    return ParsedNotices((*_closing(notice), notice), text(event, "id"))


def _closing(notice: Notice) -> tuple[Notice, ...]:
    """Return what ends a dispute that was won or cancelled before anything was debited."""
    if not isinstance(notice, TransactionNotice):
        return ()
    if notice.kind is not TransactionKind.CHARGEBACK_REVERSAL:
        return ()
    return (
        notice._replace(
            kind=TransactionKind.CHARGEBACK,
            status=TransactionStatus.CANCELLED,
            is_closing=True,
            is_optional=False,
        ),
    )


def _notice(event: dict[str, Any], setup: SourceSetup) -> Notice:
    word, data = required_text(event, "type"), object_member(event, "data")
    if word in _NOT_MONEY or not word.startswith(_ABOUT_MONEY):
        return NoteNotice(f"{word[:100]} changes nothing of a payment.")
    if word == "payment_voided" and _balance(data, "total_captured") > 0:
        return NoteNotice("What was not captured was voided; what was captured stays.")
    meaning = meaning_of(word, EVENTS, setup.config)
    build = _dispute if word.startswith("dispute_") else _payment
    return build(word, data, meaning, setup)._replace(
        raw_status=word,
        status=_status(meaning, data),
        kind=TransactionKind.PAYMENT if meaning is None else meaning.kind,
        substate=None if meaning is None else meaning.substate,
        occurred_at=_moment(event, data),
        is_test=_is_test(event),
    )


def _status(meaning: WordMeaning | None, data: dict[str, Any]) -> TransactionStatus | None:
    """Return the status; None if money that is linked to a payment moved without an amount."""
    if meaning is None:
        return None
    is_payment = meaning.kind is TransactionKind.PAYMENT
    is_settled = meaning.status is TransactionStatus.APPROVED
    return (
        None if is_settled and not is_payment and text(data, "amount") is None else meaning.status
    )


def _payment(
    word: str, data: dict[str, Any], meaning: WordMeaning | None, setup: SourceSetup
) -> TransactionNotice:
    """Read an event of a payment. Only a capture names itself as one of several."""
    payment_id, action_id = required_text(data, "id"), text(data, "action_id")
    is_linked = meaning is not None and meaning.kind is not TransactionKind.PAYMENT
    return TransactionNotice(
        References(
            merchant_reference(data, setup, REFERENCE),
            present_values(payment_id),
        ),
        raw_status=word,
        status=None,
        reason=_reason(data),
        message=text(data, "response_summary"),
        amount=_authorized_sum(data) if meaning == AUTHORIZED else _sum(data),
        psp_transaction_id=required_text(data, "action_id") if is_linked else payment_id,
        psp_reference=action_id,
        user_id=text(object_member(data, "customer"), "id"),
        details=_details(object_member(data, "source")),
        ends_attempt=word in _ENDS_ATTEMPT,
        releases_amount=word == "payment_voided",
        capture_id=action_id if word == "payment_captured" else None,
    )


def _dispute(
    word: str, data: dict[str, Any], meaning: WordMeaning | None, setup: SourceSetup
) -> TransactionNotice:
    """Read an event of a dispute. It names its payment and the payment's `reference`."""
    is_default = setup.config.get(REFERENCE.name, REFERENCE.default) == REFERENCE.default
    ours = text(data, "payment_reference") or text(data, "reference") if is_default else None
    return TransactionNotice(
        References(present_values(ours), present_values(required_text(data, "payment_id"))),
        raw_status=word,
        status=None,
        reason=text(data, "reason_code") or text(data, "category"),
        amount=_sum(data),
        psp_transaction_id=required_text(data, "id"),
        is_closing=meaning is not None and meaning.status is TransactionStatus.CANCELLED,
        is_optional=meaning is not None and meaning.kind is TransactionKind.CHARGEBACK_REVERSAL,
    )


def _sum(data: dict[str, Any]) -> ProviderAmount | None:
    return _amount(text(data, "amount"), text(data, "currency"))


def _authorized_sum(data: dict[str, Any]) -> ProviderAmount | None:
    """Return all that is authorised; `amount` of an increment is the increment alone."""
    whole = text(object_member(data, "balances"), "total_authorized")
    return _amount(whole or text(data, "amount"), text(data, "currency"))


def _amount(value: str | None, currency: str | None) -> ProviderAmount | None:
    if value is None:
        return None
    if currency is None:
        return ProviderAmount(value, is_minor=True)
    code = currency.upper()
    return ProviderAmount(value, code, is_minor=True, exponent=_DECIMALS.get(code, 2))


def _balance(data: dict[str, Any], name: str) -> int:
    value = object_member(data, "balances").get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _reason(data: dict[str, Any]) -> str | None:
    code = text(data, "response_code")
    return None if code == "10000" else code  # approved


def _moment(event: dict[str, Any], data: dict[str, Any]) -> int | None:
    written = (data.get("processed_on"), event.get("created_on"), event.get("timestamp"))
    return next((at for at in map(iso_time, written) if at is not None), None)


def _is_test(event: dict[str, Any]) -> bool | None:
    """Tell test from live by the host of the event's own address: api.sandbox.checkout.com."""
    address = text(object_member(object_member(event, "_links"), "self"), "href") or ""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return None
    if not host.endswith("api.checkout.com") and not host.endswith("sandbox.checkout.com"):
        return None
    return host.endswith("sandbox.checkout.com")


def _details(source: dict[str, Any]) -> dict[str, Any]:
    first, last = text(source, "bin"), text(source, "last_4")
    return card_details(first, last, brand=text(source, "scheme"), method=text(source, "type"))


PROVIDER = Provider(
    name="checkoutcom",
    title="Checkout.com",
    about="Authorisations, captures, voids, refunds and disputes.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Checkout.com → Developers → Webhooks → the webhook → Signature key.",
        problem=not_another_credential(sk_="a secret API key", pk_="a public API key"),
    ),
    answers="200; 401 when the signature does not match.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=PROOF.sign,
    settings=(REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("name", "email", "phone", "billing_address", "fingerprint", "payment_ip"),
    note="A refusal ends one attempt, not the payment. Whether an arbitration that is lost after a "
    "dispute that was won is debited again is not documented.",
    statuses=statuses(LOOKED_UP),
    authorizing=authorizing_words(LOOKED_UP),
    payer_may_retry=True,
    lookup=LOOKUP,
    exponents=_DECIMALS,
)
