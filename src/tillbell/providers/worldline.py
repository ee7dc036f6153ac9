"""Worldline: webhooks of Connect (Global Collect) and of Direct (Ogone), which are signed alike.

`X-GCS-Signature`: HMAC-SHA256 of the body in base64, keyed with the text of the secret key;
`X-GCS-KeyId` names the key. Both platforms have the same envelope and words of events.

The id of a payment tells the platform. Direct writes `3136405348_1`: the payment, and the number of
the operation that the webhook is about; each capture and refund is an operation with its own
amount. What was captured of it is `acquiredAmount`: `amountOfMoney` may be what was asked for.
Connect writes digits only, tells sums of the whole payment, and counts two decimals for all
currencies. There a refund has an id of its own and does not name its payment.

Sources: docs.connect.worldline-solutions.com, Webhooks; docs.direct.worldline-solutions.com,
Webhooks, Statuses, Understand global transaction status; the SDKs of both platforms, PaymentOutput;
Worldline's plugins for SAP, Salesforce and Magento, which count `acquiredAmount` as captured.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tillbell.model.callbacks import (
    NoteNotice,
    Notice,
    ProviderAmount,
    References,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionKind, TransactionStatus
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
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.proof import secret_problem
from tillbell.providers.kit.reading import (
    fold,
    iso_time,
    json_object,
    object_member,
    present_values,
    provider_amount,
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
    FAILED,
    ON_HOLD,
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

PROOF = BodyMac("x-gcs-signature", "sha256", "base64")
KEY_ID_HEADER = "x-gcs-keyid"
KEY_ID = ProviderSetting(
    "keyId", "The id of the webhooks key; what is signed by another is refused."
)
REFERENCE = reference_setting(
    "merchantReference",
    "The member of references in which you send your order id: merchantReference, merchantOrderId.",
)
EVENTS = table(
    {
        "payment.created": PENDING,
        "payment.redirected": PENDING,
        "payment.pending_payment": PENDING,
        "payment.pending_completion": PENDING,
        "payment.authorization_requested": PENDING,
        "payment.pending_fraud_approval": ON_HOLD,
        "payment.pending_approval": AUTHORIZED,
        "payment.pending_capture": AUTHORIZED,
        "payment.capture_requested": SETTLING,
        "payment.captured": APPROVED,
        "payment.paid": APPROVED,
        "payment.paid_increment": APPROVED,
        "payment.rejected": DECLINED,
        # The merchant may try again.
        "payment.rejected_capture": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
        "payment.cancelled": CANCELLED,
        "payment.reversed": linked(TransactionKind.REVERSAL),
        "payment.chargeback_notification": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.PENDING
        ),
        "payment.chargebacked": linked(TransactionKind.CHARGEBACK),
        "payment.refunded": linked(TransactionKind.REFUND),  # of Direct
        "refund.created": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "refund.pending_approval": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "refund.refund_requested": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "refund.captured": linked(TransactionKind.REFUND, TransactionStatus.PENDING, "settling"),
        "refund.refunded": linked(TransactionKind.REFUND),
        "refund.rejected": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "refund.rejected_capture": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "refund.cancelled": linked(TransactionKind.REFUND, TransactionStatus.CANCELLED),
        "payout.created": PENDING,
        "payout.pending_approval": PENDING,
        "payout.payout_requested": SETTLING,
        "payout.account_credited": APPROVED,
        "payout.rejected": DECLINED,
        "payout.rejected_credit": FAILED,
        "payout.cancelled": CANCELLED,
        "payout.reversed": linked(TransactionKind.RETURN),
    }
)
# `status` of a payment or pay-out, as its resource answers.
LOOKED_UP = table(
    {
        "CREATED": PENDING,
        "REDIRECTED": PENDING,
        "PENDING_PAYMENT": PENDING,
        "PENDING_COMPLETION": PENDING,
        "AUTHORIZATION_REQUESTED": PENDING,
        "PENDING_FRAUD_APPROVAL": ON_HOLD,
        "PENDING_APPROVAL": AUTHORIZED,
        "PENDING_CAPTURE": AUTHORIZED,
        "CAPTURE_REQUESTED": SETTLING,
        "PAYOUT_REQUESTED": SETTLING,
        "CAPTURED": APPROVED,
        "PAID": APPROVED,
        "ACCOUNT_CREDITED": APPROVED,
        "REJECTED": DECLINED,
        "REJECTED_CREDIT": FAILED,
        "CANCELLED": CANCELLED,
    }
)
_RESERVING = authorizing_words(EVENTS)
_NOT_MONEY = frozenset({"payment.account_verified", "payment.test"})
_UNDECIDED = frozenset({"dispute.success"})  # the money's way is not documented
_RESOURCES = ("payment", "refund", "payout")
# Of Direct: an operation on a payment was refused.
_REFUND_REFUSED = frozenset({"73", "83"})
_CANCELLED_BY_PAYER = "1"


class WorldlineId(NamedTuple):
    """The id of a payment, refund or pay-out, as it is written."""

    written: str

    @property
    def is_direct(self) -> bool:
        """Whether it is of Direct; else it is of Connect."""
        return "_" in self.written

    @property
    def payment(self) -> str:
        """The part that stays the same for all operations of Direct."""
        return self.written.partition("_")[0]

    @property
    def operation(self) -> str:
        """The number of the operation of Direct: `0` is the payment itself."""
        return self.written.partition("_")[2]

    @property
    def references(self) -> tuple[str, ...]:
        """All spellings by which a shop may know the payment: its first operation is 0."""
        first = f"{self.payment}_0" if self.is_direct else None
        return present_values(self.written, first, self.payment)


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature, and the key's id if the source says which."""
    key_id = setup.config.get(KEY_ID.name)
    if key_id and incoming.header(KEY_ID_HEADER) != str(key_id):
        return Verdict(None, "The header X-GCS-KeyId is not what the setting keyId says.")
    return PROOF.verify(incoming, setup)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event."""
    event = json_object(incoming.body)
    notice = _notice(required_text(event, "type"), event, setup)
    if isinstance(notice, TransactionNotice):
        notice = notice._replace(occurred_at=iso_time(event.get("created")))
    return ParsedNotices((notice,), text(event, "id"))


def _notice(word: str, event: dict[str, Any], setup: SourceSetup) -> Notice:
    name = word.partition(".")[0]
    if word in _UNDECIDED:
        return _dispute(word, object_member(event, "dispute"))
    if word in _NOT_MONEY or name not in _RESOURCES:
        return NoteNotice(f"{word[:100]} changes nothing of a payment.")
    resource = object_member(event, name)
    id_ = WorldlineId(required_text(resource, "id"))
    if word == "payment.refunded" and not id_.is_direct:
        return NoteNotice("The refund has an id of its own: refund.refunded tells it.")
    meaning = _meaning(word, resource, id_, setup)
    output = object_member(resource, f"{name}Output")
    kind = TransactionKind.PAYMENT if meaning is None else meaning.kind
    is_payment = kind is TransactionKind.PAYMENT
    movement_id = _movement_id(resource, id_, meaning, event)
    is_nameless = not is_payment and kind is not TransactionKind.REFUND and movement_id is None
    return TransactionNotice(
        References(
            merchant_reference(object_member(output, "references"), setup, REFERENCE),
            () if name == "refund" and not id_.is_direct else id_.references,
        ),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        kind=kind,
        substate=None if meaning is None else meaning.substate,
        reason=_reason(resource),
        amount=_amount(output, id_, meaning),
        psp_transaction_id=id_.payment if is_payment else _linked_id(kind, id_),
        psp_reference=id_.written,
        details=_details(output),
        ends_attempt=is_payment and _ends_attempt(word, resource, meaning),
        capture_id=id_.written if _is_capture(word, id_, meaning) else None,
        releases_amount=id_.is_direct and id_.operation != "0" and meaning == CANCELLED,
        movement_id=movement_id,
        may_be_repeat=is_nameless,
    )


def _meaning(
    word: str, resource: dict[str, Any], id_: WorldlineId, setup: SourceSetup
) -> WordMeaning | None:
    """Return what an event means. A refused operation of Direct refuses no payment."""
    if word == "payment.rejected" and id_.is_direct and id_.operation != "0":
        is_refund = _status_code(resource) in _REFUND_REFUSED
        return linked(TransactionKind.REFUND, TransactionStatus.FAILED) if is_refund else None
    return meaning_of(word, EVENTS, setup.config)


def _is_capture(word: str, id_: WorldlineId, meaning: WordMeaning | None) -> bool:
    """Tell whether an operation of Direct is a capture. An authorization that is final is none."""
    return id_.is_direct and meaning == APPROVED and fold(word) not in _RESERVING


def _ends_attempt(word: str, resource: dict[str, Any], meaning: WordMeaning | None) -> bool:
    """Tell a try that was refused or given up from what the merchant cancelled."""
    if meaning is None or meaning.status not in NEGATIVE:
        return False
    return word == "payment.rejected" or (
        word == "payment.cancelled" and _status_code(resource) == _CANCELLED_BY_PAYER
    )


def _linked_id(kind: TransactionKind, id_: WorldlineId) -> str:
    """Return the id of a refund; what else is linked has none and is one for each payment."""
    return id_.written if kind is TransactionKind.REFUND else f"{id_.payment}:{kind.value}"


def _movement_id(
    resource: dict[str, Any],
    id_: WorldlineId,
    meaning: WordMeaning | None,
    event: dict[str, Any],
) -> str | None:
    """Name the money of a chargeback or reversal: a payment may have a second one.

    It is the operation of Direct; of Connect the time at which the status changed, else that of the
    event, which a repeat does not change.
    """
    if meaning is None or meaning.status is not TransactionStatus.APPROVED:
        return None
    if meaning.kind in (TransactionKind.PAYMENT, TransactionKind.REFUND):
        return None
    if id_.is_direct:
        return id_.written
    changed_at = text(object_member(resource, "statusOutput"), "statusCodeChangeDateTime")
    return changed_at or text(event, "created")


def _dispute(word: str, dispute: dict[str, Any]) -> TransactionNotice:
    return TransactionNotice(
        References(psp=present_values(required_text(dispute, "paymentId"))),
        raw_status=word,
        status=None,
        kind=TransactionKind.CHARGEBACK_REVERSAL,
        psp_transaction_id=required_text(dispute, "id"),
    )


def _amount(
    output: dict[str, Any], id_: WorldlineId, meaning: WordMeaning | None
) -> ProviderAmount | None:
    """Return the amount of an operation of Direct; of Connect what was paid, captured, reversed."""
    if id_.is_direct and meaning == APPROVED:
        return _captured(output)
    names: tuple[str, ...] = ()
    if not id_.is_direct and meaning == APPROVED:
        names = ("amountPaid", "amountCaptured")
    if meaning is not None and meaning.kind is TransactionKind.REVERSAL:
        names = ("amountReversed",)
    money = object_member(output, "amountOfMoney")
    present = (
        value for value in (text(output, name) for name in names) if value not in (None, "0")
    )
    value, currency = next(present, text(money, "amount")), text(money, "currencyCode")
    if value is None:
        return None
    code = currency.upper() if currency else None
    return ProviderAmount(value, code, is_minor=True, exponent=None if id_.is_direct else 2)


def _captured(output: dict[str, Any]) -> ProviderAmount | None:
    """Return what an operation of Direct captured: what was acquired, but no more than was asked.

    A surcharge is acquired too, and is no part of the price.
    """
    acquired, asked = _money(output, "acquiredAmount"), _money(output, "amountOfMoney")
    if acquired is None or asked is None:
        return acquired or asked
    is_comparable = acquired.value.isdecimal() and asked.value.isdecimal()
    return asked if is_comparable and int(asked.value) < int(acquired.value) else acquired


def _money(output: dict[str, Any], name: str) -> ProviderAmount | None:
    return provider_amount(object_member(output, name), "amount", "currencyCode", is_minor=True)


def _status_code(resource: dict[str, Any]) -> str | None:
    return text(object_member(resource, "statusOutput"), "statusCode")


def _reason(resource: dict[str, Any]) -> str | None:
    """Return the code of the first error."""
    errors = object_member(resource, "statusOutput").get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return None
    return text(first, "errorCode") or text(first, "code")


def _details(output: dict[str, Any]) -> dict[str, Any]:
    card = object_member(object_member(output, "cardPaymentMethodSpecificOutput"), "card")
    last = (text(card, "cardNumber") or "").lstrip("*")
    return card_details(text(card, "bin"), last, method=text(output, "paymentMethod"))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Worldline sends it."""
    key_id = str(setup.config.get(KEY_ID.name) or "webhooks-key")
    return PROOF.sign(case, setup, url, {KEY_ID_HEADER: key_id})


PROVIDER = Provider(
    name="worldline",
    title="Worldline",
    about="Payments, refunds, pay-outs and chargebacks of Worldline Connect and Direct.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "The secret key. Direct: Merchant Portal → Webhooks; Connect: Configuration Center.",
        problem=secret_problem,
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(KEY_ID, REFERENCE, AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("cardholderName", "token", "emailAddress", "customerAccount", "customer"),
    note="A refund of Connect does not name its payment: send your order id as its reference. What "
    "a dispute that was won moves is not documented.",
    statuses=statuses(LOOKED_UP),
    authorizing=authorizing_words(LOOKED_UP),
    payer_may_retry=True,
    lookup={
        "status": "/status",
        "authorized": "/paymentOutput/amountOfMoney/amount",
        "amount": ("/paymentOutput/acquiredAmount/amount", "/paymentOutput/amountPaid"),
        "currency": "/paymentOutput/amountOfMoney/currencyCode",
        "minorUnits": True,
    },
)
