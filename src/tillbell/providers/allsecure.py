"""AllSecure Exchange, a white label of IXOPAY: signed server callbacks, unsigned browser returns.

The merchant registers one address four times, told apart by `requestEvent`. `callback` is a
server's POST, JSON or on old connectors XML, signed over method, body hash, content type, date
and target. `success`, `cancel` and `error` are GETs of the payer's browser: anybody can make
them, so they only start a look-up; what was given up or failed ends the payment only when
nothing else is heard. The signature: allsecure_proof.py.

Source: allsecure-pay/exchange-php-client; documentation.ixopay.com (callbacks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import NoteNotice, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.allsecure_proof import (
    MAX_AGE_S,
    is_return,
    legacy_fields,
    sign,
    verify,
)
from tillbell.providers.kit import reading
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SecretRule,
    SourceSetup,
)
from tillbell.providers.kit.bodymac import secret_problem
from tillbell.providers.kit.browser import (
    CANCEL_URL,
    ERROR_URL,
    SUCCESS_URL,
    not_accepted,
    redirect_to_shop,
    status_word,
)
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.words import AUTHORIZATION_IS_FINAL

LINKED: Mapping[str, TransactionKind] = {
    "REFUND": TransactionKind.REFUND,
    "CHARGEBACK": TransactionKind.CHARGEBACK,
    "CHARGEBACK-REVERSAL": TransactionKind.CHARGEBACK_REVERSAL,
}
# What OK means for each type of transaction, and how far the money is.
SUCCEEDED: Mapping[str, tuple[TransactionStatus, str | None]] = {
    "DEBIT": (TransactionStatus.APPROVED, None),
    "CAPTURE": (TransactionStatus.APPROVED, None),
    "PREAUTHORIZE": (TransactionStatus.PENDING, "authorized"),
    "VOID": (TransactionStatus.CANCELLED, None),
    "PAYOUT": (TransactionStatus.APPROVED, None),
    **dict.fromkeys(LINKED, (TransactionStatus.APPROVED, None)),
}
_CANCELLED = ("2002", "2005", "2012")  # by the payer, expired, cancelled
_DECLINED = ("2003", "2004", *(str(code) for code in range(2006, 2022)))
ERRORS: Mapping[str, TransactionStatus] = {
    **dict.fromkeys(_DECLINED, TransactionStatus.DECLINED),
    **dict.fromkeys(_CANCELLED, TransactionStatus.CANCELLED),
}
# What a look-up says. SUCCESS is left out: it does not tell an authorization from a charge.
LOOK_UP: Mapping[str, TransactionStatus] = {
    "PENDING": TransactionStatus.PENDING,
    "REDIRECT": TransactionStatus.PENDING,
    "CANCELLED": TransactionStatus.CANCELLED,
    "ERROR": TransactionStatus.FAILED,
}
# They act on an authorization: when they do not succeed, it stands as it was.
_STEPS = frozenset({"CAPTURE", "VOID"})
_REGISTRATIONS = frozenset({"REGISTER", "DEREGISTER"})
# What a return of the browser becomes when nothing is heard of the payment till the grace ends.
RETURNS: Mapping[str, TransactionStatus | None] = {
    "callback": None,
    "success": None,
    "cancel": TransactionStatus.CANCELLED,
    "error": TransactionStatus.FAILED,
}


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read a server's callback, or a return of the payer's browser."""
    if is_return(incoming):
        return _parse_return(incoming)
    found = _fields(incoming)
    uuid = reading.required_text(found, "uuid")
    kind = reading.required_text(found, "transactionType").upper().replace("_", "-")
    result = reading.required_text(found, "result").upper()
    key = f"{uuid}|{kind}|{result}"
    if kind in _REGISTRATIONS:
        done = "registered" if kind == "REGISTER" else "removed"
        return ParsedNotices((NoteNotice(f"Payment method {done}: {result}."),), key)
    status, substate = _standing(result, kind, found, setup.config)
    code = reading.text(found, "code")
    notice = TransactionNotice(
        _references(incoming, found, kind),
        raw_status=" ".join(part for part in (result, kind, code) if part),
        status=status,
        kind=LINKED.get(kind, TransactionKind.PAYMENT),
        substate=substate,
        reason=code or reading.text(_dispute(found, kind), "reason"),
        message=reading.text(found, "message") or reading.text(found, "adapterMessage"),
        amount=_amount(found),
        psp_transaction_id=None if kind in _STEPS else uuid,
        psp_reference=reading.text(found, "purchaseId"),
        details=_details(found),
    )
    return ParsedNotices((notice,), key)


def answer(incoming: Incoming, setup: SourceSetup, heard: IntakeStatus) -> CallbackAnswer:
    """Tell the gateway `OK`, send a browser on to the shop."""
    if is_return(incoming):
        return _answer_browser(incoming, setup, heard)
    if heard is IntakeStatus.STORED:
        return CallbackAnswer(200, b"OK")
    return CallbackAnswer(401 if heard is IntakeStatus.REFUSED else 400)


# ── the browser ──────────────────────────────────────────────────────────────────────────────────


def _parse_return(incoming: Incoming) -> ParsedNotices:
    """Read a return. It is never a duplicate: whoever knows its address could come first."""
    found = reading.query(incoming.target)
    event = reading.required_text(found, "requestEvent")
    if event not in RETURNS:
        return ParsedNotices(
            (NoteNotice(f"A browser returned with the unknown event {event[:40]!r}."),), ""
        )
    notice = TransactionNotice(
        References(ours=(reading.required_text(found, "orderId"),)),
        raw_status=f"requestEvent={event}",
        status=None,
        message=f"The payer's browser returned with {event}.",
        is_hint=True,
        if_silent=RETURNS[event],
    )
    return ParsedNotices((notice,), "")


def _answer_browser(incoming: Incoming, setup: SourceSetup, heard: IntakeStatus) -> CallbackAnswer:
    if heard is not IntakeStatus.STORED:
        return not_accepted(setup.config, 400)
    event = status_word(lambda: reading.query(incoming.target).get("requestEvent"))
    names = {"success": ("successUrl",), "cancel": ("cancelUrl", "errorUrl")}
    return redirect_to_shop(setup.config, *names.get(event, ("errorUrl",)))


# ── the server's callback ────────────────────────────────────────────────────────────────────────


def _fields(incoming: Incoming) -> dict[str, Any]:
    """Read JSON; the old XML as the JSON it stands for."""
    if incoming.body.lstrip()[:1] == b"<":
        return legacy_fields(reading.xml(incoming.body))
    return reading.json_object(incoming.body)


def _standing(
    result: str, kind: str, found: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[TransactionStatus | None, str | None]:
    if kind not in SUCCEEDED:
        return None, None
    if result == "OK":
        if kind == "PREAUTHORIZE" and config.get(AUTHORIZATION_IS_FINAL.name):
            return TransactionStatus.APPROVED, None
        return SUCCEEDED[kind]
    if result not in ("PENDING", "ERROR", "INVALID_REQUEST"):
        return None, None
    if kind in _STEPS:
        return TransactionStatus.PENDING, "authorized"
    if result == "PENDING":
        return (
            TransactionStatus.PROCESSING if kind == "PAYOUT" else TransactionStatus.PENDING
        ), None
    return ERRORS.get(reading.text(found, "code") or "", TransactionStatus.FAILED), None


def _references(incoming: Incoming, found: Mapping[str, Any], kind: str) -> References:
    """Name the payment. What belongs to another one names that one's ids.

    The target is signed, so its `orderId` counts. A purchase's id ends in the id of its first
    transaction.
    """
    order = reading.query(incoming.target).get("orderId")
    purchase = (reading.text(found, "purchaseId") or "").partition("-")[2]
    dispute = _dispute(found, kind)
    original = reading.text(dispute, "originalMerchantTransactionId")
    own = reading.text(found, "merchantTransactionId")
    return References(
        ours=reading.present_values(original, own, order),
        psp=reading.present_values(reading.text(dispute, "originalUuid"), purchase),
    )


def _dispute(found: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    name = "chargebackReversalData" if kind == "CHARGEBACK-REVERSAL" else "chargebackData"
    return reading.object_member(found, name)


def _amount(found: Mapping[str, Any]) -> ProviderAmount | None:
    value, currency = reading.text(found, "amount"), reading.text(found, "currency")
    return ProviderAmount(value, currency.upper() if currency else None) if value else None


def _details(found: Mapping[str, Any]) -> dict[str, Any]:
    card = reading.object_member(found, "returnData")
    return card_details(
        reading.text(card, "firstSixDigits"),
        reading.text(card, "lastFourDigits"),
        brand=reading.text(card, "binBrand"),
        method=reading.text(found, "paymentMethod"),
    )


PROVIDER = Provider(
    name="allsecure",
    title="AllSecure Exchange",
    about="Signed server callbacks of card payments, and returns of the payer's browser.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule("The connector's shared secret.", problem=secret_problem),
    answers="200 with the body OK to the gateway; 303 to the shop's page for a browser.",
    verify=verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(
        SUCCESS_URL,
        CANCEL_URL,
        ERROR_URL,
        AUTHORIZATION_IS_FINAL,
        ProviderSetting(
            "allowMd5BodyHash",
            "Take signatures over the body's MD5, as old set-ups of the gateway make them.",
            "boolean",
            default=False,
        ),
        ProviderSetting(
            "maxAge",
            "How many seconds old the signed date may be.",
            "integer",
            default=MAX_AGE_S,
        ),
        ProviderSetting(
            "maxAgeMode",
            "Whether a date that is too old is only reported, or refused.",
            choices=("report", "refuse"),
            default="report",
        ),
    ),
    methods=frozenset({"GET", "POST"}),
    masked=(
        "cardHolder",
        "firstName",
        "lastName",
        "fingerprint",
        "binDigits",
        "iban",
        "phoneNumber",
        "accountOwner",
        "customer",
        "customerData",
        "customerProfileData",
        "walletOwner",
        "authorization",
        "x-authorization",
    ),
    note=(
        "A GET proves nothing, whatever it says: anybody can open such an address. Whether the "
        "gateway renews the signed date on its retries is not documented, so too old a date is "
        "only reported unless maxAgeMode is refuse. A look-up that says SUCCESS approves nothing: "
        "the gateway calls an authorization so too."
    ),
    statuses=LOOK_UP,
)
