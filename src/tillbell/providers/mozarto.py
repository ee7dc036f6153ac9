"""Mozarto: the state of one transaction, in its new body and its old one.

New: `transaction_status` is one of eight normalized words and alone decides; `status` is the
provider's raw word. Old: no `transaction_status`; `status` with `confirmed` decide, there is
no amount, and `currency` is the coin that was settled, `invoice_currency` what was billed.
An old body is believed only where the source is set to `legacy`.

With webhook security on, `Authorization` carries the password bare; the older cashier writes
`Bearer` before it. 200 within 10 seconds, or it may come again. Sources: the platform's
pages *Webhook Setup* and *Webhook Endpoint*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import NEGATIVE, TransactionStatus
from tillbell.providers.kit import shared_secret
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
from tillbell.providers.kit.order_fields import known
from tillbell.providers.kit.reading import (
    fold,
    json_object,
    present_values,
    provider_amount,
    required_text,
    text,
)
from tillbell.providers.kit.reference import own_reference, own_reference_setting
from tillbell.providers.kit.requests import JSON, json_body, request, usual

HEADER = "authorization"
BEARER = "Bearer "

# The platform writes `On Hold`, its API `PENDING`: case, spaces, `_` and `-` do not count.
STATUSES: Mapping[str, TransactionStatus] = {fold(status): status for status in TransactionStatus}
# The older cashier's own words; they count only together with `confirmed`.
OLD_STATUSES: Mapping[str, TransactionStatus] = {
    **STATUSES,
    "confirmed": TransactionStatus.APPROVED,
    "success": TransactionStatus.APPROVED,
    "failure": TransactionStatus.FAILED,
}
# A merchant may have taken the platform's id for its own.
REFERENCE_FIELDS = ("merchantReference", "transaction_id")
_UNDECIDED = frozenset({TransactionStatus.ON_HOLD, TransactionStatus.PROCESSING})


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the password with the whole header, and with what stands after `Bearer`."""
    header = incoming.header(HEADER)
    token = header[len(BEARER) :] if header and header.startswith(BEARER) else None
    return shared_secret.verify(setup, HEADER, [header, token])


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read either body. Only the new one has `transaction_status`."""
    body = json_object(incoming.body)
    id_ = required_text(body, "transaction_id")
    if "transaction_status" in body:
        word = text(body, "transaction_status") or ""
        return ParsedNotices((_notice(body, word, setup),), f"{id_}|{word}")
    raw, confirmed = text(body, "status") or "", body.get("confirmed")
    status = old_status(raw, confirmed) if setup.config.get("legacy") is True else None
    return ParsedNotices((_old_notice(body, status, setup),), f"{id_}|{raw}|{confirmed}")


def old_status(word: str, confirmed: Any) -> TransactionStatus | None:
    """Decide by `status` and `confirmed` together; None if they contradict each other.

    >>> old_status("Confirmed", True), old_status("success", False), old_status("failure", True)
    (<TransactionStatus.APPROVED: 'Approved'>, <TransactionStatus.PENDING: 'Pending'>, None)
    """
    status = OLD_STATUSES.get(fold(word))
    if confirmed is True:
        return status if status is TransactionStatus.APPROVED else None
    return status if status in NEGATIVE | _UNDECIDED else TransactionStatus.PENDING


def _notice(body: dict[str, Any], word: str, setup: SourceSetup) -> TransactionNotice:
    status = STATUSES.get(fold(word))
    raw = text(body, "status") if status is not None else None
    return _base(body, status, setup)._replace(
        raw_status=raw or word,
        amount=provider_amount(body, "amount", "currency"),
    )


def _old_notice(
    body: dict[str, Any], status: TransactionStatus | None, setup: SourceSetup
) -> TransactionNotice:
    """Read an old body. Its currencies are only kept as details: there is no amount."""
    return _base(body, status, setup)._replace(
        details=known(
            {
                "settlementCurrency": text(body, "currency"),
                "invoiceCurrency": text(body, "invoice_currency"),
            }
        ),
    )


def _base(
    body: dict[str, Any], status: TransactionStatus | None, setup: SourceSetup
) -> TransactionNotice:
    id_ = text(body, "transaction_id")
    second = text(body, "psp_transaction_id")
    return TransactionNotice(
        references=References(
            own_reference(body, setup, REFERENCE_FIELDS), present_values(id_, second)
        ),
        raw_status=text(body, "status") or "",
        status=status,
        message=text(body, "message"),
        psp_transaction_id=id_,
        psp_reference=second,
        user_id=text(body, "user_id"),
    )


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as the platform sends it; an old body with a bearer token."""
    headers = {"content-type": JSON}
    if setup.secrets:
        is_old = "transaction_status" not in case.fields
        headers[HEADER] = (BEARER if is_old else "") + setup.secrets[0]
    return request(case, url, json_body(case.fields), headers)


PROVIDER = Provider(
    name="mozarto",
    title="Mozarto",
    about="Pay-ins and pay-outs: the state of one transaction.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SECRET,
    bare_trust=Trust.NONE,
    secret=SecretRule(
        about="Mozarto → Configuration → Payment Methods → the PSP account → webhook password; "
        "for the older cashier the bearer token, without the word Bearer.",
        is_required=False,
        problem=shared_secret.header_problem,
    ),
    answers="200; 401 when the password is another.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(
        own_reference_setting(REFERENCE_FIELDS),
        ProviderSetting(
            "legacy",
            "Believe the older cashier's body, which has confirmed and no transaction_status.",
            type="boolean",
            default=False,
        ),
    ),
    masked=(HEADER,),
    note="The password proves the sender, not the content. Payone's callbacks have no currency.",
    statuses=STATUSES,
)
