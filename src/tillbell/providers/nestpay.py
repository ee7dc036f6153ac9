"""NestPay (Payten, Asseco SEE), hash version 3: the result of a card payment.

Banks in Serbia, Bosnia, North Macedonia, Turkey and Morocco (CMI) run it. The payer's browser
posts the result to okUrl or failUrl; some banks also post it from their server to callbackUrl.

`HASH`: base64 SHA-512 of all values in the order of their names, whatever their case, without
`hash` and `encoding`; `\\` and `|` in a value are escaped, a `|` stands behind each, and the store
key is last. The names are not hashed. The payer can rename fields as long as their order stays,
and so make two of his own values the code and the response. So an approval must be confirmed.

Banks differ in whether numbers in names are compared as numbers and whether values are hashed as
HTML shows them; each of these is accepted.

Sources: the bank's sample in public integrations that agree (CMI); cubes-doo/nestpay,
oblakstudio/woocommerce-nestpay.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import unescape
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from tillbell.model.callbacks import ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
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
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.browser import (
    ERROR_URL,
    SUCCESS_URL,
    not_accepted,
    redirect_to_shop,
    status_word,
)
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.proof import (
    digest,
    from_base64,
    is_one_of,
    key_bytes,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.requests import FORM, request
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    DECLINED,
    FAILED,
    STATUSES,
    meaning_of,
    statuses,
    table,
)

BROWSER, SERVER = "browser", "server"
SENT_BY = ProviderSetting(
    "sentBy",
    "Who posts to this source: the payer's browser (okUrl, failUrl) or the bank (callbackUrl).",
    choices=(BROWSER, SERVER),
    default=BROWSER,
)
RESPONSES = table(
    {
        "Approved": APPROVED,
        "Approved PreAuth": AUTHORIZED,
        "Declined": DECLINED,
        "Error": FAILED,
    }
)
_PAYING = ("", "auth", "preauth", "postauth")  # types of transaction; the last one is a capture
# Numbers of ISO 4217 of the countries whose banks run NestPay, and of their payers.
CURRENCIES: Mapping[str, str] = MappingProxyType(
    {
        "504": "MAD",
        "807": "MKD",
        "826": "GBP",
        "840": "USD",
        "941": "RSD",
        "949": "TRY",
        "977": "BAM",
        "978": "EUR",
    }
)
_NOT_HASHED = ("hash", "encoding")
_DIGITS = re.compile(r"(\d+)")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare `HASH` with that of all values, in each of the ways that banks have."""
    try:
        fields = _form(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    claimed = from_base64(_folded(fields).get("hash"))
    if not claimed:
        return Verdict(None, "The field HASH is missing or no base64.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: is_one_of([claimed], _hashes(fields, secret)),
        "HASH",
        Trust.PARTIALLY_SIGNED,
    )


def _form(incoming: Incoming) -> dict[str, str]:
    """Read the fields; `Unreadable` if two have the same name in different case."""
    fields = reading.form(incoming.body)
    if len(_folded(fields)) != len(fields):
        raise Unreadable("A field stands twice, spelled differently.")
    return fields


def _folded(fields: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in fields.items()}


def _hashes(fields: Mapping[str, str], store_key: str) -> list[bytes]:
    names = [name for name in fields if name.lower() not in _NOT_HASHED]
    orders = (sorted(names, key=str.lower), sorted(names, key=_natural))
    shown = {name: unescape(value) for name, value in fields.items()}
    return [
        _hash([values[name].strip() for name in order], store_key)
        for order in orders
        for values in (fields, shown)
    ]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return the key that puts `street2` before `street12`."""
    parts = _DIGITS.split(name.lower())
    return [(int(part[:20]), "") if part.isdigit() else (-1, part) for part in parts]


def _hash(values: Sequence[str], store_key: str) -> bytes:
    escaped = [value.replace("\\", "\\\\").replace("|", "\\|") for value in (*values, store_key)]
    return digest("sha512", key_bytes("|".join(escaped)))


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read the result of one payment. A payer who was refused may try again."""
    fields = _folded(_form(incoming))
    word, code = _word(fields), reading.text(fields, "procreturncode")
    meaning = meaning_of(word, RESPONSES, setup.config)
    psp_id = reading.text(fields, "transid")
    is_capture = reading.fold(fields.get("trantype", "")) == "postauth"
    first, last = masked_number((fields.get("maskedcreditcard") or "").replace(" ", ""))
    ours = reading.text(fields, "oid") or reading.required_text(fields, "returnoid")
    notice = TransactionNotice(
        References(reading.present_values(ours), reading.present_values(psp_id)),
        raw_status=word,
        status=None if meaning is None else meaning.status,
        substate=None if meaning is None else meaning.substate,
        reason=None if code == "00" else code,
        message=reading.text(fields, "errmsg"),
        amount=_sum(fields),
        psp_transaction_id=None if is_capture else psp_id,  # it captures what was reserved
        psp_reference=reading.text(fields, "hostrefnum"),
        details=card_details(first, last, brand=reading.text(fields, "extra.cardbrand")),
        ends_attempt=meaning in (DECLINED, FAILED),
        capture_id=psp_id if is_capture and meaning == APPROVED else None,
    )
    return ParsedNotices((notice,))


def _word(fields: Mapping[str, str]) -> str:
    """Return the response, with a type that is no payment and a code that contradicts it."""
    response, code = reading.required_text(fields, "response"), fields.get("procreturncode", "")
    is_approved, kind = reading.fold(response) == "approved", fields.get("trantype", "")
    if reading.fold(kind) not in _PAYING[: None if is_approved else -1]:
        return f"{response} {kind}"  # of a void or credit, or a capture that was refused
    if is_approved and code != "00":
        return f"{response} with code {code}"
    is_reserved = is_approved and reading.fold(kind) == "preauth"
    return f"{response} PreAuth" if is_reserved else response


def _sum(fields: Mapping[str, Any]) -> ProviderAmount | None:
    value, number = reading.text(fields, "amount"), reading.text(fields, "currency")
    if value is None:
        return None
    return ProviderAmount(value, CURRENCIES.get(number, number) if number else None)


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Send the payer to the shop, or tell the bank's server that it was heard."""
    is_stored = intake is IntakeStatus.STORED
    status = 401 if intake is IntakeStatus.REFUSED else 400
    if setup.config.get(SENT_BY.name) == SERVER:
        return CallbackAnswer(200, b"APPROVED") if is_stored else CallbackAnswer(status, b"FAILURE")
    if not is_stored:
        return not_accepted(setup.config, status)
    word = status_word(lambda: _word(_folded(_form(incoming))))
    is_approved = word in ("Approved", "Approved PreAuth")
    return redirect_to_shop(setup.config, "successUrl" if is_approved else "errorUrl")


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Post the form as the browser or the bank does."""
    fields = {name: str(value) for name, value in case.fields.items()}
    hashed = base64.b64encode(_hashes(fields, setup.secrets[0])[0]).decode()
    body = urlencode({**fields, "HASH": hashed}).encode()
    return request(case, url, body, {"content-type": FORM})


PROVIDER = Provider(
    name="nestpay",
    title="NestPay",
    about="The result of a card payment, posted by the browser or the bank.",
    confidence=Confidence.SECOND_HAND,
    best_trust=Trust.PARTIALLY_SIGNED,
    bare_trust=None,
    secret=SecretRule("The store key, from the bank's merchant centre.", problem=secret_problem),
    answers="303 to successUrl or errorUrl; 200 with APPROVED to the bank's server.",
    verify=verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(SENT_BY, SUCCESS_URL, ERROR_URL, AUTHORIZATION_IS_FINAL, STATUSES),
    masked=("cavv", "md", "cardHolderName", "BillToName"),
    note="The hash does not cover the names of fields, so an approval must be confirmed.",
    statuses=statuses(RESPONSES),
    payer_may_retry=True,
)
