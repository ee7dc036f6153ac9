"""emerchantpay (Genesis, also e-comprocessing): a form whose signature covers only the id.

`signature` is SHA-1, 256 or 512 (by its length) of the id and the API password. A captured
notification proves any other status of that id, so an approval is always confirmed. The answer
repeats the id in XML. One of three ids is there: of a payment page (`wpf_unique_id`, which goes
first), of a transaction (`unique_id`), or of an identity check (`reference_id`).

`approved` of an authorization is no payment yet; of a void it is a cancellation. A refund that
is a transaction of its own does not name its payment, so only the state `refunded` of the
payment itself opens one. A chargeback is told as a state of the payment, or as a transaction of its
own that names the payment: one debit.

Sources: GenesisGateway/genesis_php and genesis_ruby, which say what each state means; the fields of
the payment page and of chargebacks from other public SDKs and integrations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from tillbell.model.callbacks import NoteNotice, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit import reading
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.proof import (
    digest,
    from_hex,
    key_bytes,
    same,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import fold
from tillbell.providers.kit.requests import FORM, request
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    ON_HOLD,
    PENDING,
    STATUSES,
    WordMeaning,
    linked,
    meaning_of,
    statuses,
    table,
)

WORDS = table(
    {
        "approved": APPROVED,
        "success": APPROVED,
        "declined": DECLINED,
        "error": FAILED,
        "unsuccessful": FAILED,
        "voided": CANCELLED,
        "timeout": CANCELLED,
        "cancelled": CANCELLED,
        "new": PENDING,
        "user": PENDING,
        "submitted": PENDING,
        "in_progress": PENDING,
        "pending": PENDING,
        "pending_async": PENDING,
        "pending_hold": PENDING,  # waits for the acquirer
        "pending_review": ON_HOLD,
        "refunded": linked(TransactionKind.REFUND),
        "chargebacked": linked(TransactionKind.CHARGEBACK),
        # A chargeback that was reversed or represented, charged back once more.
        "second_chargebacked": linked(TransactionKind.CHARGEBACK),
        "pre_arbitrated": linked(TransactionKind.CHARGEBACK),
        "representment_reversed": linked(TransactionKind.CHARGEBACK),
        # The disputed amount is charged again.
        "chargeback_reversed": linked(TransactionKind.CHARGEBACK_REVERSAL),
        "chargeback_reversal": linked(TransactionKind.CHARGEBACK_REVERSAL),
        "represented": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)
# What an authorization that is final has counted already.
_COUNTED = WordMeaning(TransactionStatus.PENDING, "captured")
_REFUSED = frozenset({DECLINED, FAILED, CANCELLED})
# What a transaction that would change a payment means if it is refused: the payment stays.
_CHANGES: Mapping[str, WordMeaning | None] = {
    "capture": WordMeaning(TransactionStatus.PENDING, "capture_failed"),
    "void": PENDING,
    "refund": None,
}
_SECOND = frozenset({"secondchargebacked", "prearbitrated", "representmentreversed"})
IDS = ("wpf_unique_id", "unique_id", "reference_id")
_CHARGEBACK = "chargeback"  # a type of transaction
_ALGORITHMS: Mapping[int, str] = {20: "sha1", 32: "sha256", 64: "sha512"}


class _FieldNames(NamedTuple):
    """Names of the fields that both kinds of notification have under different names."""

    status: str
    ours: str
    type: str
    amount: str


_OF_PAGE = _FieldNames(
    "wpf_status",
    "wpf_transaction_id",
    "payment_transaction_transaction_type",
    "payment_transaction_amount",
)
_OF_TRANSACTION = _FieldNames("status", "transaction_id", "transaction_type", "amount")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature of the id."""
    try:
        fields = reading.form(incoming.body)
    except Unreadable as error:
        return Verdict(None, str(error))
    named = _id(fields)
    claimed = from_hex(fields.get("signature"))
    algorithm = _ALGORITHMS.get(len(claimed))
    if named is None or algorithm is None:
        return Verdict(None, "The id or the field signature is missing or malformed.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: same(claimed, _signature(algorithm, named[1], secret)),
        "The signature of the id",
        Trust.PARTIALLY_SIGNED,
    )


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read the state of one transaction."""
    fields = reading.form(incoming.body)
    named = _id(fields)
    if named is None:
        raise Unreadable("Neither wpf_unique_id, unique_id nor reference_id is there.")
    name, id_ = named
    if name == "reference_id":
        word = reading.text(fields, "status") or "without a status"
        return ParsedNotices((NoteNotice(f"An identity check: {word[:100]}."),), f"{id_}|{word}")
    # Only the id is signed, so only the same bytes repeat it.
    return ParsedNotices((_notice(name, id_, fields, setup.config),))


def _notice(
    name: str, id_: str, fields: Mapping[str, str], config: Mapping[str, Any]
) -> TransactionNotice:
    names = _OF_PAGE if name == "wpf_unique_id" else _OF_TRANSACTION
    word = reading.text(fields, names.status) or reading.required_text(fields, "status")
    type_ = reading.text(fields, names.type) or ""
    meaning = _meaning(word, type_, config)
    kind = meaning.kind if meaning else TransactionKind.PAYMENT
    payment_id = _payment_id(id_, type_, fields)
    amount = reading.provider_amount(fields, names.amount, "currency", is_minor=True)
    return TransactionNotice(
        References(
            ours=reading.present_values(reading.text(fields, names.ours)),
            psp=reading.present_values(
                payment_id, reading.text(fields, "payment_transaction_unique_id")
            ),
        ),
        raw_status=word,
        status=meaning.status if meaning else None,
        kind=kind,
        substate=meaning.substate if meaning else None,
        reason=reading.text(fields, "reason_code") or reading.text(fields, "code"),
        message=reading.text(fields, "message"),
        amount=amount,
        psp_transaction_id=(
            id_ if kind is TransactionKind.PAYMENT else _linked_id(payment_id, kind, amount)
        ),
        movement_id=_movement(word) if kind is TransactionKind.CHARGEBACK else None,
        may_be_repeat=kind is TransactionKind.REFUND,
        psp_reference=reading.text(fields, "payment_transaction_unique_id"),
        details=card_details(
            *masked_number(reading.text(fields, "card_number")),
            brand=reading.text(fields, "card_brand"),
            method=type_ or None,
        ),
    )


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Repeat the id in XML."""
    del setup
    if intake is IntakeStatus.REFUSED:
        return CallbackAnswer(401)
    try:
        named = _id(reading.form(incoming.body))
    except Unreadable:
        named = None
    if intake is not IntakeStatus.STORED or named is None:
        return CallbackAnswer(400)
    name, id_ = named
    echo = f"<notification_echo><{name}>{escape(_plain(id_))}</{name}></notification_echo>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>{echo}'.encode()
    return CallbackAnswer(200, body, "application/xml")


def _id(fields: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the id that is signed, and its name."""
    for name in IDS:
        value = reading.text(fields, name)
        if value is not None:
            return name, value
    return None


def _plain(id_: str) -> str:
    """Leave out characters that XML cannot hold, even escaped."""
    return "".join(letter for letter in id_ if letter.isprintable())[: reading.KEY_MAX]


def _signature(algorithm: str, id_: str, secret: str) -> bytes:
    return digest(algorithm, key_bytes(id_ + secret))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the form as Genesis sends it, with SHA-1 as its documentation shows."""
    fields = {name: str(value) for name, value in case.fields.items()}
    named = _id(fields)
    if named is not None:
        fields["signature"] = _signature("sha1", named[1], setup.secrets[0]).hex()
    return request(case, url, urlencode(fields).encode(), {"content-type": FORM})


# ── what a state means ────────────────────────────────────────────────────────────────────────────


def _meaning(word: str, type_: str, config: Mapping[str, Any]) -> WordMeaning | None:
    """Return what a state means for a transaction of that type; None if it is not known."""
    meaning, kind = meaning_of(word, WORDS, config), fold(type_)
    if meaning in _REFUSED and kind in _CHANGES:
        return _CHANGES[kind]
    if meaning != APPROVED:
        return meaning
    if kind == _CHARGEBACK:
        return linked(TransactionKind.CHARGEBACK)
    if kind.startswith("authorize"):
        return meaning_of("authorized", {"authorized": AUTHORIZED}, config)
    if kind == "capture" and config.get(AUTHORIZATION_IS_FINAL.name) is True:
        return _COUNTED
    if kind == "void":
        return CANCELLED
    if "refund" in kind:
        return None
    return meaning


def _payment_id(id_: str, type_: str, fields: Mapping[str, str]) -> str:
    """Return the id of the payment: that of the transaction, unless it is a chargeback."""
    if fold(type_) != _CHARGEBACK:
        return id_
    return reading.text(fields, "original_transaction_unique_id") or id_


def _linked_id(id_: str, kind: TransactionKind, amount: ProviderAmount | None) -> str:
    """Return an id for a refund of that amount, or for a dispute: Genesis names neither."""
    if kind is TransactionKind.REFUND:
        return f"{id_}:{kind.value}:{amount.value if amount is not None else ''}"
    return f"{id_}:{kind.value}"


def _movement(word: str) -> str:
    """Return which of the two debits of a dispute it is."""
    return "second" if fold(word) in _SECOND else "first"


PROVIDER = Provider(
    name="emerchantpay",
    title="emerchantpay (Genesis)",
    about="Payments and pay-outs: the state of one transaction or payment page.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.PARTIALLY_SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "The password of the API user, in the Genesis back office.",
        problem=secret_problem,
    ),
    answers="200 with the id in XML; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("signature", "card_holder", "consumer_token"),
    note=(
        "The signature covers only the id, so what it says is confirmed by a look-up; one that "
        "says approved of an authorization counts it as paid. Whether a refund of a part tells its "
        "own amount is not documented. The repeats are not known."
    ),
    statuses=statuses(WORDS),
)
