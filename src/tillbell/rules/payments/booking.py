"""Booking: the records that one step of a transaction consists of.

Whether a step may be taken, transitions.py has said before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.clock import MINUTE, Micros, iso
from tillbell.model.transactions import (
    TERMINAL,
    Effect,
    EffectKind,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
    Transition,
)
from tillbell.money import format_amount
from tillbell.rules.payments.transitions import direction_of_linked, effect_of

FIRST_CHECK: Micros = 5 * MINUTE


class StepCause(NamedTuple):
    """Who or what makes a step, and when."""

    at: Micros
    callback_id: str | None = None
    actor: str | None = None
    trust: str | None = None


class NoticeDetails(NamedTuple):
    """What the news says beside the status. None leaves what we have."""

    substate: str | None = None
    reason: str | None = None
    raw_status: str | None = None
    message: str | None = None
    psp_transaction_id: str | None = None
    psp_reference: str | None = None
    settlement: tuple[int, str] | None = None
    occurred_at: Micros | None = None
    sequence: int | None = None
    details: Mapping[str, Any] = {}
    supersedes: int | None = None
    source_id: str | None = None
    provider: str | None = None


class BookedStep(NamedTuple):
    """One step: the transaction after it, the step itself, and its effect."""

    transaction: Transaction
    transition: Transition
    effects: tuple[Effect, ...]


def book(
    current: Transaction, status: TransactionStatus, told: NoticeDetails, cause: StepCause
) -> BookedStep:
    """Take a step."""
    sequence = current.sequence + 1
    after = add_provider_ids(current, told)._replace(
        status=status,
        previous_status=current.status,
        sequence=sequence,
        version=current.version + 1,
        updated_at=cause.at,
        substate=told.substate,
        reason=told.reason,
        raw_status=told.raw_status,
        message=told.message,
        news_at=told.occurred_at or current.news_at,
        news_sequence=told.sequence if told.sequence is not None else current.news_sequence,
        check_at=None if status in TERMINAL else current.check_at,
        if_silent=None,
    )
    effect = effect_of(current, status)
    effects = (_effect(after, effect, cause),) if effect else ()
    return BookedStep(after, _transition(after, told, cause), effects)


def open_transaction(transaction: Transaction, cause: StepCause) -> BookedStep:
    """Create a transaction: Pending, its first step, with the reserve if it takes one."""
    effects = (_effect(transaction, EffectKind.RESERVE, cause),) if transaction.reserves else ()
    return BookedStep(transaction, _transition(transaction, NoticeDetails(), cause), effects)


def linked_transaction(
    parent: Transaction, kind: TransactionKind, amount: int, id_: str, now: Micros
) -> Transaction:
    """Make what belongs to a payment: Pending, its first step not yet taken."""
    return Transaction(
        id=id_,
        app_id=parent.app_id,
        direction=direction_of_linked(kind, parent.direction),
        kind=kind,
        status=TransactionStatus.PENDING,
        amount=amount,
        currency=parent.currency,
        created_at=now,
        updated_at=now,
        provider=parent.provider,
        source_id=parent.source_id,
        user_id=parent.user_id,
        merchant_reference=parent.merchant_reference,
        order_id=parent.order_id,
        parent_id=parent.id,
    )


def add_provider_ids(current: Transaction, told: NoticeDetails) -> Transaction:
    """Keep what the provider calls it, where we do not know it yet. No step."""
    settlement = told.settlement or (current.settlement_amount, current.settlement_currency)
    return current._replace(
        psp_transaction_id=current.psp_transaction_id or told.psp_transaction_id,
        psp_reference=current.psp_reference or told.psp_reference,
        settlement_amount=settlement[0],
        settlement_currency=settlement[1],
        source_id=current.source_id or told.source_id,
        provider=current.provider or told.provider,
    )


def _transition(after: Transaction, told: NoticeDetails, cause: StepCause) -> Transition:
    return Transition(
        after.id,
        after.sequence,
        after.previous_status,
        after.status,
        cause.at,
        cause.callback_id,
        cause.actor,
        told.substate,
        told.reason,
        told.raw_status,
        told.message,
        cause.trust,
        told.supersedes,
        dict(told.details),
    )


def _effect(after: Transaction, kind: EffectKind, cause: StepCause) -> Effect:
    return Effect(
        after.id, kind, after.sequence, after.amount, after.currency, cause.at, cause.callback_id
    )


# ── what subscribers are told ────────────────────────────────────────────────────────────────────


def event_type(status: TransactionStatus) -> str:
    """Return the type of the message that a transition publishes: `transaction.on_hold`."""
    return "transaction." + status.value.lower().replace(" ", "_")


def transaction_data(found: Transaction) -> dict[str, Any]:
    """Return `data` of `transaction.*` messages; the API shows the same. Amounts are text."""
    settled = found.settlement_amount is not None and found.settlement_currency is not None
    return {
        "id": found.id,
        "uid": found.uid,
        "type": found.kind.value,
        "direction": found.direction.value,
        "status": found.status.value,
        "previousStatus": found.previous_status.value if found.previous_status else None,
        "sequence": found.sequence,
        "substate": found.substate,
        "reason": found.reason,
        "rawStatus": found.raw_status,
        "message": found.message,
        "amount": format_amount(found.amount, found.currency),
        "currency": found.currency,
        "settlementAmount": (
            format_amount(found.settlement_amount or 0, found.settlement_currency or "")
            if settled
            else None
        ),
        "settlementCurrency": found.settlement_currency if settled else None,
        "pspTransactionId": found.psp_transaction_id,
        "pspReference": found.psp_reference,
        "provider": found.provider,
        "sourceId": found.source_id,
        "userId": found.user_id,
        "merchantReference": found.merchant_reference,
        "orderId": found.order_id,
        "parentId": found.parent_id,
        "metadata": found.metadata,
        "createdAt": iso(found.created_at),
        "updatedAt": iso(found.updated_at),
    }


def conflict_data(found: Transaction, conflict: MoneyConflict) -> dict[str, Any]:
    """Return `data` of `transaction.conflict`: the transaction, and what contradicts it."""
    claimed = None
    if conflict.amount is not None and conflict.currency is not None:
        claimed = format_amount(conflict.amount, conflict.currency)
    return transaction_data(found) | {
        "conflict": {
            "id": conflict.id,
            "kind": conflict.kind,
            "status": conflict.status.value,
            "current": conflict.current.value,
            "severity": conflict.severity,
            "amount": claimed,
            "currency": conflict.currency,
            "why": conflict.why,
            "resolution": conflict.resolution,
        }
    }


REVERSING = frozenset(
    {TransactionKind.CHARGEBACK, TransactionKind.REVERSAL, TransactionKind.RETURN}
)
