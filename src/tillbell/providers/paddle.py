"""Paddle Billing: events of transactions, refunds and chargebacks, signed with their time.

`Paddle-Signature: ts=<seconds>;h1=<hex>[;h1=…]`: HMAC-SHA256 over `<ts>:<body>` with the text of
the destination's secret. The vendor's libraries accept five seconds; a source may take more.

Sources: PaddleHQ/paddle-python-sdk; developer.paddle.com, Webhooks (events and their data).
"""

from __future__ import annotations

from typing import Any

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
    SimulationCase,
    SourceSetup,
)
from tillbell.providers.kit.proof import prefixed_secret
from tillbell.providers.kit.reading import (
    iso_time,
    json_object,
    object_member,
    present_values,
    required_text,
    text,
)
from tillbell.providers.kit.reference import own_reference, own_reference_setting
from tillbell.providers.kit.requests import JSON, json_body, request, usual
from tillbell.providers.kit.timedmac import TimedMac, tolerance
from tillbell.providers.kit.words import (
    APPROVED,
    CANCELLED,
    PENDING,
    STATUSES,
    WordMeaning,
    meaning_of,
    table,
)

TOLERANCE = tolerance(default_s=5)
PROOF = TimedMac("paddle-signature", TOLERANCE, time="ts", signature="h1", separator=";", joint=":")
REFERENCE_FIELDS = ("custom_data.order_id", "custom_data.orderId", "custom_data.order")
EVENTS = table(
    {
        "transaction.created": PENDING,
        "transaction.ready": PENDING,
        "transaction.billed": PENDING,
        "transaction.past_due": PENDING,
        "transaction.payment_failed": WordMeaning(
            TransactionStatus.PENDING, "payment_failed"
        ),  # may be tried again
        "transaction.paid": APPROVED,
        "transaction.completed": APPROVED,
        "transaction.canceled": CANCELLED,
    }
)
ACTIONS = {
    "refund": TransactionKind.REFUND,
    "chargeback": TransactionKind.CHARGEBACK,
    "chargeback_reverse": TransactionKind.CHARGEBACK_REVERSAL,
}
# Of refunds, chargebacks and their reversals. Paddle writes `reversed` on a chargeback when it
# creates the adjustment that gives its money back; the debit itself has happened.
_REVERSED = "reversed"
_BY_BANK = frozenset({TransactionKind.CHARGEBACK, TransactionKind.CHARGEBACK_REVERSAL})
DECISIONS = {
    "pending_approval": TransactionStatus.PENDING,
    "approved": TransactionStatus.APPROVED,
    "rejected": TransactionStatus.DECLINED,
}


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read one event."""
    body = json_object(incoming.body)
    word, data = required_text(body, "event_type"), object_member(body, "data")
    notice = _notice(word, data, setup)
    if isinstance(notice, TransactionNotice):
        notice = notice._replace(occurred_at=iso_time(body.get("occurred_at")))
    return ParsedNotices((notice,), text(body, "event_id"))


def _notice(word: str, data: dict[str, Any], setup: SourceSetup) -> Notice:
    meaning = meaning_of(word, EVENTS, setup.config)
    if word.startswith("adjustment."):
        return _adjustment(data)
    if not word.startswith("transaction."):
        return NoteNotice(f"{word[:100]} is not about a payment.")
    if meaning is None:
        return NoteNotice(f"{word[:100]} changes nothing of a payment.")
    totals = object_member(object_member(data, "details"), "totals")
    return TransactionNotice(
        References(own_reference(data, setup, REFERENCE_FIELDS), present_values(text(data, "id"))),
        raw_status=word,
        status=meaning.status,
        substate=meaning.substate,
        amount=_sum(totals, "grand_total", text(data, "currency_code")),
        psp_transaction_id=required_text(data, "id"),
        psp_reference=text(data, "invoice_number"),
    )


def _adjustment(adjustment: dict[str, Any]) -> Notice:
    action, decision = required_text(adjustment, "action"), text(adjustment, "status") or ""
    kind = ACTIONS.get(action)
    if kind is None:
        return NoteNotice(f"The adjustment {action[:50]} moves no money.")
    own_id, status = required_text(adjustment, "id"), DECISIONS.get(decision)
    if decision == _REVERSED and kind is TransactionKind.CHARGEBACK:
        status = TransactionStatus.APPROVED
    return TransactionNotice(
        References(psp=present_values(required_text(adjustment, "transaction_id"))),
        raw_status=f"{action} {decision}",
        status=status,
        kind=kind,
        reason=text(adjustment, "reason"),
        amount=_sum(
            object_member(adjustment, "totals"), "total", text(adjustment, "currency_code")
        ),
        psp_transaction_id=own_id,
        # What the bank moves is moved, in whatever order it is told.
        movement_id=own_id if kind in _BY_BANK else None,
    )


def _sum(totals: dict[str, Any], name: str, currency: str | None) -> ProviderAmount | None:
    value = text(totals, name)
    return None if value is None else ProviderAmount(value, currency, is_minor=True)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as Paddle sends it."""
    body = json_body(case.fields)
    signature = PROOF.value(setup.secrets[0], case.at, body)
    return request(case, url, body, {"content-type": JSON, PROOF.header: signature})


PROVIDER = Provider(
    name="paddle",
    title="Paddle Billing",
    about="Payments, refunds and chargebacks, each as an event.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        "Paddle → Developer tools → Notifications → the destination → Secret key (pdl_ntf_…).",
        problem=prefixed_secret("pdl_ntf"),
    ),
    answers="200; 401 when the signature does not match or is too old.",
    verify=PROOF.verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    settings=(TOLERANCE, STATUSES, own_reference_setting(REFERENCE_FIELDS)),
    note="Whether a repeated event is signed anew is not known: if repeats are refused, raise "
    "toleranceSeconds.",
    statuses={
        "draft": TransactionStatus.PENDING,
        "ready": TransactionStatus.PENDING,
        "billed": TransactionStatus.PENDING,
        "past_due": TransactionStatus.PENDING,
        "paid": TransactionStatus.APPROVED,
        "completed": TransactionStatus.APPROVED,
        "canceled": TransactionStatus.CANCELLED,
    },
    lookup={
        "status": "/data/status",
        "amount": "/data/details/totals/grand_total",
        "currency": "/data/currency_code",
        "minorUnits": True,
    },
)
