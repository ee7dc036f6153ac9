"""Trust Payments (STPP): URL notifications, a form with a hash over its own values.

`responsesitesecurity` is SHA-256 (old sites: MD5) over the values in the order of their names,
blank ones left out, and the site's notification password. It carries no time. Which fields are
sent is chosen in the notification's settings; name them in `fields` and a notification with
others is refused, which closes the gap described in sortedhash.py.

Each AUTH is an attempt with a `transactionreference` of its own, which it keeps while its
settlement changes. A refund or pay-out is a request of its own.

Sources: help.trustpayments.com, URL notifications (transport and hash), Error codes, Checks to
perform following payment; webapp.securetrading.net/errorcodes.html (all codes);
docs.trustpayments.com, Settlement (`settlestatus`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tillbell.model.callbacks import NoteNotice, ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionKind
from tillbell.providers.kit import reading
from tillbell.providers.kit.base import (
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
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.proof import from_hex, same, secret_problem, verify_with_secrets
from tillbell.providers.kit.reference import merchant_reference, reference_setting
from tillbell.providers.kit.requests import request, usual
from tillbell.providers.kit.sortedhash import sorted_hash, written
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    ON_HOLD,
    PENDING,
    STATUSES,
    WordMeaning,
    meaning_of,
    statuses,
    table,
)

SUCCESS = "0"
_DECLINES = ("30002", "60022", "60036", "60042", "60043", "60044", "60045", "70000", "72000")
_SOFT_DECLINES = ("71000", "88888")  # the bank wants the payer to authenticate
# The result is not known yet: an answer that is missing, a check, a queue.
_OPEN = ("60010", "60034", "60038", "60039", "70001", "79000", "99999")
# Ranges of the other documented codes: the request could not be done.
_FAILURES = (
    range(10_100, 10_104),
    range(10_200, 10_206),
    range(10_300, 10_303),
    (10_003, 10_500, 10_600),
    range(20_004, 20_041),
    range(21_000, 21_061),
    (22_000, *range(25_000, 25_004)),
    range(30_000, 30_016),
    range(31_000, 31_011),
    range(40_000, 40_003),
    (*range(50_000, 50_017), 51_000, 51_001),
    range(60_003, 60_046),
    range(60_100, 60_121),
    range(61_000, 61_004),
    (62_000, 79_001, 88_000, 99_998),
    range(90_001, 90_012),
)
ERRORS: Mapping[str, WordMeaning] = {
    **{str(code): FAILED for codes in _FAILURES for code in codes},
    **dict.fromkeys((*_DECLINES, *_SOFT_DECLINES), DECLINED),
    **dict.fromkeys(_OPEN, PENDING),
    "60500": ON_HOLD,  # a person checks the risk
}
# `settlestatus` of what succeeded.
SETTLEMENTS = table(
    {
        "0": APPROVED,  # pending
        "1": APPROVED,  # pending, released by hand
        "2": ON_HOLD,  # suspended
        "3": CANCELLED,
        "10": APPROVED,  # settling
        "100": APPROVED,  # settled
    }
)
_UNSETTLED = frozenset({"0", "1"})
# For a look-up, where an errorcode of 0 and a settlestatus of 0 look the same.
_CLEAR = {word: meaning for word, meaning in SETTLEMENTS.items() if word not in _UNSETTLED}
KINDS: Mapping[str, TransactionKind] = {
    "AUTH": TransactionKind.PAYMENT,
    "REFUND": TransactionKind.REFUND,
    "CHARGEBACK": TransactionKind.CHARGEBACK,
}
# Requests that move no money.
NOTES = frozenset(
    {
        "ACCOUNTCHECK",
        "CURRENCYRATE",
        "ORDER",
        "ORDERDETAILS",
        "RISKDEC",
        "THREEDQUERY",
        "TRANSACTIONQUERY",
    }
)
_PAYOUT_ACCOUNT = "CFT"
REFERENCE = reference_setting(
    "orderreference", "The field that holds your order id: orderreference, or a custom field."
)
_TEST_MARKS: Mapping[str, bool] = {"0": True, "1": False}
_HASH, _REFERENCE = "responsesitesecurity", "notificationreference"
_UNSIGNED = frozenset({_HASH, _REFERENCE})
_FORM = "application/x-www-form-urlencoded; charset=UTF-8"


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the hash. Fields that the owner did not list are refused: see sortedhash.py."""
    try:
        fields = _fields(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    claimed = from_hex(fields.get(_HASH))
    if not claimed:
        return Verdict(None, f"The field {_HASH} is missing or no hex.")
    if (strange := _strange(fields, setup.config)) is not None:
        return Verdict(None, f"The field {strange[:60]!r} is not in the source's list of fields.")
    algorithm = _algorithm(setup.config)

    def is_right(secret: str, algorithm: str = algorithm) -> bool:
        return same(claimed, sorted_hash(algorithm, fields, secret, _UNSIGNED))

    verdict = verify_with_secrets(setup.secrets, is_right, _HASH)
    if verdict.trust is None and algorithm != "md5":
        usable = [secret for secret in setup.secrets if secret]
        if any(is_right(secret, "md5") for secret in usable):
            return Verdict(None, "It matches as MD5: set algorithm to md5, or the site to SHA-256.")
    return verdict


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read the result of one request."""
    fields = _fields(incoming)
    code = reading.required_text(fields, "errorcode")
    settlement = reading.text(fields, "settlestatus")
    type_ = (reading.text(fields, "requesttypedescription") or "AUTH").upper()
    if type_ in NOTES:
        return ParsedNotices((NoteNotice(f"{type_} moves no money: {code[:20]}."),))
    kind = _kind(type_, fields)
    meaning = _meaning(code, settlement, setup.config) if kind is not None else None
    if meaning == AUTHORIZED and type_ != "AUTH":
        meaning = APPROVED  # nothing is captured of a refund or pay-out
    id_ = reading.text(fields, "transactionreference")
    notice = TransactionNotice(
        _references(fields, kind, setup),
        raw_status=" ".join(part for part in (type_, code, settlement) if part),
        status=meaning.status if meaning else None,
        kind=kind or TransactionKind.PAYMENT,
        substate=meaning.substate if meaning else None,
        reason=code if code != SUCCESS else None,
        message=reading.text(fields, "errormessage"),
        amount=_amount(fields, meaning),
        psp_transaction_id=id_,
        psp_reference=reading.text(fields, "requestreference"),
        details=card_details(
            *masked_number(reading.text(fields, "maskedpan")),
            brand=reading.text(fields, "paymenttypedescription"),
        ),
        is_test=_TEST_MARKS.get(reading.text(fields, "livestatus") or ""),
        is_hint=type_ == "CHARGEBACK",  # what it tells is not documented: a person is asked
        ends_attempt=type_ == "AUTH" and code != SUCCESS and _is_negative(meaning),
    )
    # What identifies a notification is not signed, so only the same bytes repeat it.
    return ParsedNotices((notice,))


def _fields(incoming: Incoming) -> dict[str, str]:
    return written(reading.form(incoming.body))


def _strange(fields: Mapping[str, str], config: Mapping[str, Any]) -> str | None:
    """Return a field that the owner did not list; None if all are listed or there is no list."""
    listed = config.get("fields")
    if not isinstance(listed, list) or not listed:
        return None
    return next(iter(sorted(fields.keys() - set(map(str, listed)) - _UNSIGNED)), None)


def _algorithm(config: Mapping[str, Any]) -> str:
    return "md5" if config.get("algorithm") == "md5" else "sha256"


def _meaning(code: str, settlement: str | None, config: Mapping[str, Any]) -> WordMeaning | None:
    if code != SUCCESS:
        return ERRORS.get(code)
    meaning = meaning_of(settlement or "", SETTLEMENTS, config)
    is_final = config.get("authorizationIsFinal") is not False
    return (
        meaning if is_final or meaning != APPROVED or settlement not in _UNSETTLED else AUTHORIZED
    )


def _kind(type_: str, fields: Mapping[str, str]) -> TransactionKind | None:
    """Return what a request is; None if that is not known. A pay-out is sent as a REFUND."""
    is_payout = reading.text(fields, "accounttypedescription") == _PAYOUT_ACCOUNT
    return TransactionKind.PAYMENT if type_ == "REFUND" and is_payout else KINDS.get(type_)


def _is_negative(meaning: WordMeaning | None) -> bool:
    return meaning is not None and meaning.status in NEGATIVE


def _amount(fields: Mapping[str, str], meaning: WordMeaning | None) -> ProviderAmount | None:
    """Return what is settled, where the notification says it, else what was asked for."""
    is_settled = meaning == APPROVED and reading.text(fields, "settlebaseamount") is not None
    name = "settlebaseamount" if is_settled else "baseamount"
    return reading.provider_amount(fields, name, "currencyiso3a", is_minor=True)


def _references(
    fields: Mapping[str, str], kind: TransactionKind | None, setup: SourceSetup
) -> References:
    """Name the payment. The parent of an AUTH is another payment, as of a repeated one."""
    is_linked = kind in (TransactionKind.REFUND, TransactionKind.CHARGEBACK)
    name = "parenttransactionreference" if is_linked else "transactionreference"
    return References(
        ours=merchant_reference(fields, setup, REFERENCE),
        psp=reading.present_values(reading.text(fields, name)),
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the form as Trust Payments sends it."""
    fields = written(case.fields)
    hash_ = sorted_hash(_algorithm(setup.config), fields, setup.secrets[0], _UNSIGNED)
    body = urlencode({**fields, _REFERENCE: fields.get(_REFERENCE, case.id), _HASH: hash_.hex()})
    return request(case, url, body.encode(), {"content-type": _FORM})


PROVIDER = Provider(
    name="trustpayments",
    title="Trust Payments",
    about="Card payments: URL notifications of one request each.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "MyST → Notifications → the destination's security password.",
        problem=secret_problem,
    ),
    answers="200; 401 when the hash does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(
        REFERENCE,
        ProviderSetting(
            "authorizationIsFinal",
            "What waits for settlement counts as Approved; false for sites that only authorize.",
            "boolean",
            default=True,
        ),
        ProviderSetting(
            "algorithm", "How the site hashes.", choices=("sha256", "md5"), default="sha256"
        ),
        ProviderSetting(
            "fields",
            "The fields that the notification is set to send; one with others is refused.",
            "array",
        ),
        STATUSES,
    ),
    masked=(_HASH, "pan", "securitycode", "nameoncard"),
    note=(
        "The hash does not prove where a field ends: list the fields in the setting fields. What "
        "TRANSACTIONUPDATE and CHARGEBACK mean for the money is not documented; they are unmapped. "
        "Test money is known only where the notification has livestatus, and a part that is "
        "settled only where it has settlebaseamount."
    ),
    statuses=statuses(_CLEAR, ERRORS),
    payer_may_retry=True,
)
