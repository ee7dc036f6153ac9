"""Chipcard: the return from 3-D Secure of Payten's Merchant Safe Unipay (MSU).

The payer's browser posts a form to the return address, so nothing is sent twice and everything
can be edited except what the hash covers: `sdSha512` is SHA-512 over five fields and the merchant's
secret key. Amount, currency, transaction id and card are not covered. Paratika, ZiraatPay and
VakıfPayS run the same platform.

What `00` means depends on the integration (`mode`): by default that the payer is authenticated
and the charge is still to be made; with `callback-is-final` that it is made.
Sources: PaytenASEE/msu-java-sdk; the hash from public integrations that agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tillbell.model.callbacks import References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionStatus
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
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.proof import (
    digest,
    from_hex,
    key_bytes,
    same,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.requests import FORM, request
from tillbell.providers.kit.words import AUTHORIZATION_IS_FINAL

APPROVED = "00"
STATUSES: Mapping[str, TransactionStatus] = {
    APPROVED: TransactionStatus.APPROVED,
    "01": TransactionStatus.ON_HOLD,  # waits for approval
    "98": TransactionStatus.FAILED,  # general error
    "99": TransactionStatus.DECLINED,
}
# What a look-up of the transaction says.
LOOK_UP: Mapping[str, TransactionStatus] = {
    "AP": TransactionStatus.APPROVED,
    "PA": TransactionStatus.APPROVED,  # a pre-authorization that was taken
    "FA": TransactionStatus.DECLINED,
    "RJ": TransactionStatus.DECLINED,
    "CA": TransactionStatus.CANCELLED,
    "VD": TransactionStatus.CANCELLED,
    "IP": TransactionStatus.PENDING,
    "MR": TransactionStatus.ON_HOLD,  # under review
    "WFA": TransactionStatus.ON_HOLD,  # waits for the first approval
    "WLA": TransactionStatus.ON_HOLD,  # waits for the last approval
}
# The same with the transaction's type before it, which tells what is reserved from what is taken.
LOOK_UP_BY_TYPE: Mapping[str, TransactionStatus] = {
    f"{type_} {word}": status
    for type_ in ("SALE", "PREAUTH", "POSTAUTH")
    for word, status in LOOK_UP.items()
} | {"PREAUTH AP": TransactionStatus.PENDING}
AUTHORIZE, FINAL = "authorize-on-callback", "callback-is-final"
_COVERED = ("merchantpaymentid", "customerid", "sessiontoken", "responsecode", "random")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare `sdSha512`. Without a secret key nothing is proven and nothing refused."""
    if not setup.secrets:
        return Verdict(Trust.NONE, "The source has no secret key, so nothing is proven.")
    try:
        fields = _fields(incoming)
    except Unreadable as error:
        return Verdict(None, str(error))
    values = [reading.text(fields, name) or "" for name in _COVERED]
    if any("|" in value for value in values):
        return Verdict(None, "A hashed field holds the separator, so its end is not certain.")
    claimed = from_hex(reading.text(fields, "sdsha512"))
    if not claimed:
        return Verdict(None, "The field sdSha512 is missing or no hex.")
    return verify_with_secrets(
        setup.secrets,
        lambda secret: same(claimed, _hash(values, secret)),
        "sdSha512",
        Trust.PARTIALLY_SIGNED,
    )


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read the result of one payment."""
    fields = _fields(incoming)
    code = reading.required_text(fields, "responsecode")
    status, substate = _status(code, fields, setup.config)
    psp_id = reading.text(fields, "pgtranid")
    notice = TransactionNotice(
        References(ours=(reading.required_text(fields, "merchantpaymentid"),)),
        raw_status=code,
        status=status,
        substate=substate,
        reason=_reason(code, fields),
        message=reading.text(fields, "responsemsg") or reading.text(fields, "errormsg"),
        amount=reading.provider_amount(fields, "amount", "currency"),
        psp_transaction_id=psp_id,
        psp_reference=reading.text(fields, "pgtranrefid"),
        user_id=reading.text(fields, "customerid"),
        # It is not charged yet. Only the look-up can say whether it will be.
        is_hint=substate == "authenticated",
        ends_attempt=status in NEGATIVE,
        details=card_details(
            reading.text(fields, "cardbin"),
            reading.text(fields, "panlast4"),
            method=reading.text(fields, "paymentsystem"),
        ),
    )
    return ParsedNotices((notice,), _dedupe_key(fields, code) if setup.secrets else None)


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Send the payer to the shop's page for success or error."""
    if intake is not IntakeStatus.STORED:
        return not_accepted(setup.config, 401 if intake is IntakeStatus.REFUSED else 400)
    code = status_word(lambda: reading.text(_fields(incoming), "responsecode"))
    return redirect_to_shop(setup.config, "successUrl" if code == APPROVED else "errorUrl")


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Post the form as the payer's browser does."""
    lowered = {name.lower(): str(value) for name, value in case.fields.items()}
    fields = dict(case.fields)
    if setup.secrets:
        values = [lowered.get(name, "") for name in _COVERED]
        fields["sdSha512"] = _hash(values, setup.secrets[0]).hex()
    return request(case, url, urlencode(fields).encode(), {"content-type": FORM})


def _fields(incoming: Incoming) -> dict[str, Any]:
    """Read the fields by their lower-case names: the brands spell them differently."""
    fields = reading.fields(incoming)
    folded = {name.lower(): value for name, value in fields.items()}
    if len(folded) != len(fields):
        raise Unreadable("A field stands twice, spelled differently.")
    return folded


def _hash(values: list[str], secret: str) -> bytes:
    return digest("sha512", key_bytes("|".join((*values, secret))))


def _status(
    code: str, fields: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[TransactionStatus | None, str | None]:
    """Return status and substate; no status if only a look-up can say it."""
    if code != APPROVED:
        # Any other code is "declined or error". With a code of the bank it was declined.
        by_bank = reading.text(fields, "pgtranerrorcode") is not None
        return STATUSES.get(
            code, TransactionStatus.DECLINED if by_bank else TransactionStatus.FAILED
        ), None
    is_charged = reading.text(fields, "pgtranid") or not reading.text(fields, "auth3dtoken")
    if config.get("mode", AUTHORIZE) != FINAL or not is_charged:
        return None, "authenticated"
    kind = reading.fold(reading.text(fields, "transactiontype") or "")
    if kind == "preauth" and not config.get(AUTHORIZATION_IS_FINAL.name):
        return TransactionStatus.PENDING, "authorized"
    return TransactionStatus.APPROVED, None


def _reason(code: str, fields: Mapping[str, Any]) -> str | None:
    if code == APPROVED:
        return None
    reason = reading.text(fields, "pgtranerrorcode") or reading.text(fields, "errorcode")
    return reason or reading.text(fields, "pgtranerrortext") or code


def _dedupe_key(fields: Mapping[str, Any], code: str) -> str:
    """Return a key of the event. The session token is hashed, because the key is stored in clear.

    The payment's reference is in it too, because the hash does not cover `pgTranId`.
    """
    ours = reading.required_text(fields, "merchantpaymentid")
    psp_id = reading.text(fields, "pgtranid")
    if psp_id is None:
        token = key_bytes(reading.text(fields, "sessiontoken") or "")
        psp_id = digest("sha256", token).hex()
    return f"{ours}|{psp_id}|{code}"


PROVIDER = Provider(
    name="chipcard",
    title="Chipcard (Payten MSU)",
    about="The payer's return from 3-D Secure, posted by the browser.",
    confidence=Confidence.SECOND_HAND,
    best_trust=Trust.PARTIALLY_SIGNED,
    bare_trust=Trust.NONE,
    secret=SecretRule(
        "The merchant's secret key, where the bank gave one.",
        is_required=False,
        problem=secret_problem,
    ),
    answers="303 to successUrl or errorUrl; a small page where none is set.",
    verify=verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(
        ProviderSetting(
            "mode",
            "What code 00 means: authenticated, still to be charged; or charged.",
            choices=(AUTHORIZE, FINAL),
            default=AUTHORIZE,
        ),
        SUCCESS_URL,
        ERROR_URL,
        AUTHORIZATION_IS_FINAL,
    ),
    masked=("sessionToken", "auth3DToken", "cardToken", "nameOnCard", "sdSha512", "SD_SHA512"),
    note=(
        "The platform is known from its SDK, the hash from public integrations that agree. It "
        "does not cover amount, currency and transaction id, so an approval is confirmed by a "
        "look-up; of a pre-authorization that says AP too, as if it were charged. The format of "
        "the optional server notification is unknown; the same fields are taken there."
    ),
    statuses={**LOOK_UP, **LOOK_UP_BY_TYPE},
    authorizing=frozenset({"PREAUTH AP"}),
    payer_may_retry=True,
)
