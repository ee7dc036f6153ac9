"""Worldpay WPG: what an order's events mean.

An event names an order. What belongs to its payment (a refund, a chargeback) has no id of its
own: it is told by the reference that the merchant gave a refund, else by its amount, so that two
refunds of one order are told apart unless both are the same. The journal says what happened
now, the payment's last event is taken where there is no journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.model.callbacks import ProviderAmount, References, TransactionNotice
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.reading import KEY_MAX, present_values
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    PENDING,
    linked,
    meaning,
    table,
)

STEPS = table(
    {
        "SHOPPER_REDIRECTED": PENDING,
        "WAITING_FOR_SHOPPER": PENDING,
        "OPEN": PENDING,
        "SENT_FOR_AUTHORISATION": PENDING,
        "AUTHORISED": AUTHORIZED,
        "CAPTURED": APPROVED,
        "SETTLED": APPROVED,
        "SETTLED_BY_MERCHANT": APPROVED,
        "REFUSED": DECLINED,
        "CANCELLED": CANCELLED,
        "EXPIRED": CANCELLED,
        "ERROR": FAILED,
        "SENT_FOR_REFUND": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "REFUNDED": linked(TransactionKind.REFUND),
        "REFUNDED_BY_MERCHANT": linked(TransactionKind.REFUND),
        "REFUND_FAILED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "INFORMATION_REQUESTED": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.PENDING, "information_requested"
        ),
        "INFORMATION_SUPPLIED": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.PENDING, "information_supplied"
        ),
        "CHARGED_BACK": linked(TransactionKind.CHARGEBACK),
        "CHARGEBACK_REVERSED": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)


class WorldpayEvent(NamedTuple):
    """One event of one order, as it was told. Amounts are the attributes of their element."""

    order: str
    word: str  # the journal's type, else the payment's last event
    amount: Mapping[str, str] = {}  # of the order
    moved: Mapping[str, str] = {}  # by this journal
    reference: str | None = None  # the merchant's, of a refund
    payment_id: str | None = None
    day: str | None = None
    method: str | None = None
    card: str | None = None  # with its middle crossed out
    reason: str | None = None


def notice(event: WorldpayEvent, config: Mapping[str, Any]) -> TransactionNotice:
    """Return what an event says."""
    step = meaning(event.word, STEPS, config)
    kind = step.kind if step else TransactionKind.PAYMENT
    is_payment = kind is TransactionKind.PAYMENT
    own_id = event.payment_id if is_payment else _linked_id(event, kind)
    return TransactionNotice(
        References(ours=(event.order,), psp=present_values(event.payment_id)),
        raw_status=event.word,
        status=step.status if step else None,
        kind=kind,
        substate=step.substate if step else None,
        reason=event.reason,
        amount=sum_of(event.amount if is_payment else event.moved or event.amount),
        psp_transaction_id=own_id,
        details=card_details(*masked_number(event.card), method=event.method),
    )


def _linked_id(event: WorldpayEvent, kind: TransactionKind) -> str:
    amount = event.moved.get("value") or event.amount.get("value") or ""
    return (event.reference or f"{event.order}:{kind.value}:{amount}")[:KEY_MAX]


def sum_of(told: Mapping[str, str]) -> ProviderAmount | None:
    """Read `value`, `currencyCode` and `exponent`; an exponent that is none is left out."""
    value, currency = told.get("value", "").strip(), told.get("currencyCode", "").strip()
    if not value:
        return None
    digits = told.get("exponent", "")
    exponent = int(digits) if len(digits) == 1 and digits.isascii() and digits.isdigit() else None
    return ProviderAmount(value, currency.upper() or None, is_minor=True, exponent=exponent)


def dedupe_key(event: WorldpayEvent) -> str:
    """Name the event: order, what happened, day and amount."""
    amount = event.moved.get("value") or event.amount.get("value") or ""
    parts = (event.order, event.word, event.day or "", amount, event.reference or "")
    return "|".join(parts)
