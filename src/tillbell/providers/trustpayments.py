"""Trust Payments (STPP): URL notifications, a form with a hash over its own values.

`responsesitesecurity` is SHA-256 (old sites: MD5) over the values in the order of their names,
blank ones left out, and the site's notification password. It carries no time. Which fields are
sent is chosen in the notification's settings; name them in `fields` and a notification with
others is refused, which closes the gap described in sortedhash.py.

Sources: help.trustpayments.com, URL notifications (transport and hash); what `settlestatus`
and the error codes mean is general knowledge of the platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tillbell.model.callbacks import References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind
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
from tillbell.providers.kit.requests import request, usual
from tillbell.providers.kit.sortedhash import sorted_hash, written
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    ON_HOLD,
    STATUSES,
    WordMeaning,
    meaning_of,
    statuses,
    table,
)

SUCCESS = "0"
ERRORS: Mapping[str, WordMeaning] = {"70000": DECLINED}  # every other one: Failed
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
}
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
    kind = KINDS.get(type_)
    meaning = _meaning(code, settlement, setup.config) if kind is not None else None
    id_ = reading.text(fields, "transactionreference")
    notice = TransactionNotice(
        _references(fields, kind or TransactionKind.PAYMENT),
        raw_status=" ".join(part for part in (type_, code, settlement) if part),
        status=meaning.status if meaning else None,
        kind=kind or TransactionKind.PAYMENT,
        substate=meaning.substate if meaning else None,
        reason=code if code != SUCCESS else None,
        message=reading.text(fields, "errormessage"),
        amount=reading.provider_amount(fields, "baseamount", "currencyiso3a", is_minor=True),
        psp_transaction_id=id_,
        psp_reference=reading.text(fields, "requestreference"),
        details=card_details(
            *masked_number(reading.text(fields, "maskedpan")),
            brand=reading.text(fields, "paymenttypedescription"),
        ),
    )
    key = reading.text(fields, _REFERENCE) or f"{id_}|{type_}|{code}|{settlement}"
    return ParsedNotices((notice,), key)


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
        is_code = code.isascii() and code.isdigit()
        return ERRORS.get(code, FAILED if is_code else None)
    meaning = meaning_of(settlement or "", SETTLEMENTS, config)
    is_final = config.get("authorizationIsFinal") is not False
    return (
        meaning if is_final or meaning != APPROVED or settlement not in _UNSETTLED else AUTHORIZED
    )


def _references(fields: Mapping[str, str], kind: TransactionKind) -> References:
    id_ = reading.text(fields, "transactionreference")
    parent = reading.text(fields, "parenttransactionreference")
    own_id = () if kind is not TransactionKind.PAYMENT else reading.present_values(id_)
    return References(
        ours=reading.present_values(reading.text(fields, "orderreference")),
        psp=reading.present_values(*own_id, parent),
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
        "Transport and hash are documented; what settlestatus and the error codes mean is general "
        "knowledge of the platform. The hash does not prove where a field ends: list the fields "
        "in the setting fields. Notifications of other types than AUTH and REFUND are unmapped."
    ),
    statuses=statuses(_CLEAR, ERRORS),
)
