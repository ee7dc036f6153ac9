"""Neosurf: vouchers. A form, or JSON, with a SHA-512 over its own values and the secret.

The hash covers every field, but not their borders (sortedhash.py), and carries no time. The
meaning of `ko` and `pending` is concluded from the names of the payment's return addresses; the
setting `statuses` replaces it. Source: public integrations that agree; the maker's own
documents are not public.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from tillbell.model.callbacks import References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionStatus
from tillbell.providers.kit import reading
from tillbell.providers.kit.base import (
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
from tillbell.providers.kit.proof import from_hex, same, secret_problem, verify_with_secrets
from tillbell.providers.kit.requests import FORM, request, usual
from tillbell.providers.kit.sortedhash import sorted_hash, written
from tillbell.providers.kit.words import (
    APPROVED,
    DECLINED,
    FAILED,
    PENDING,
    STATUSES,
    WordMeaning,
    meaning_of,
    statuses,
    table,
)

WORDS = table({"ok": APPROVED, "ko": DECLINED, "pending": PENDING})
FIELDS = frozenset(
    {
        "amount",
        "created",
        "currency",
        "errorCode",
        "errorMessage",
        "merchantId",
        "merchantTransactionId",
        "methodChargedAmount",
        "methodCurrency",
        "methodExpiry",
        "methodId",
        "methodLabel",
        "methodName",
        "status",
        "subMerchantId",
        "transaction3d",
        "transactionId",
    }
)
_HASH = "hash"


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the hash of all fields, then that of the known fields."""
    try:
        fields = _fields(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    claimed = from_hex(fields.get(_HASH))
    if not claimed:
        return Verdict(None, "The field hash is missing or no hex.")
    unknown = fields.keys() - FIELDS
    return verify_with_secrets(
        setup.secrets,
        lambda secret: any(
            same(claimed, sorted_hash("sha512", fields, secret, without))
            for without in ({_HASH}, unknown)
        ),
        "The hash",
        Trust.PARTIALLY_SIGNED,
    )


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read the result of one payment."""
    fields = _fields(incoming)
    id_, word = (
        reading.required_text(fields, "transactionId"),
        reading.required_text(fields, "status"),
    )
    meaning = _meaning(word, reading.text(fields, "errorCode"), setup)
    notice = TransactionNotice(
        References(
            ours=reading.present_values(reading.text(fields, "merchantTransactionId")),
            psp=reading.present_values(id_),
        ),
        raw_status=word,
        status=meaning.status if meaning else None,
        reason=reading.text(fields, "errorCode"),
        message=reading.text(fields, "errorMessage"),
        amount=reading.provider_amount(fields, "amount", "currency", is_minor=True),
        settlement=reading.provider_amount(
            fields, "methodChargedAmount", "methodCurrency", is_minor=True
        ),
        psp_transaction_id=id_,
        details=_details(fields),
        ends_attempt=meaning is not None and meaning.status in NEGATIVE,
    )
    return ParsedNotices((notice,), f"{id_}|{word}")


def _fields(incoming: Incoming) -> dict[str, str]:
    return written(reading.fields(incoming))


def _meaning(word: str, error: str | None, setup: SourceSetup) -> WordMeaning | None:
    meaning = meaning_of(word, WORDS, setup.config)
    # A payment with an error code is not paid, whatever the word says.
    if error is not None and meaning is not None and meaning.status is TransactionStatus.APPROVED:
        return FAILED
    return meaning


def _details(fields: Mapping[str, str]) -> dict[str, str]:
    method = reading.text(fields, "methodName")
    return {"paymentMethod": method} if method else {}


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the form as Neosurf sends it."""
    fields = written(case.fields)
    fields[_HASH] = sorted_hash("sha512", fields, setup.secrets[0], {_HASH}).hex()
    return request(case, url, urlencode(fields).encode(), {"content-type": FORM})


PROVIDER = Provider(
    name="neosurf",
    title="Neosurf",
    about="Voucher payments: the result of one.",
    confidence=Confidence.SECOND_HAND,
    best_trust=Trust.PARTIALLY_SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "The secret key of the Neosurf merchant account.",
        problem=secret_problem,
    ),
    answers="200; 401 when the hash does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(STATUSES,),
    masked=(_HASH, "methodId", "methodLabel"),
    note=(
        "Known from public integrations that agree, not from the maker. The hash does not prove "
        "where a field ends, so an approval is confirmed first. That ko means declined is "
        "concluded, not documented. All statuses, the repeats and the wanted answer are not known."
    ),
    statuses=statuses(WORDS),
    payer_may_retry=True,
)
