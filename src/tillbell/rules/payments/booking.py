"""Booking: the records that one step of a transaction consists of.

That the step may be taken was decided before, in transitions.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.clock import Micros, iso
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
from tillbell.rules.payments.attempts import with_captured_total
from tillbell.rules.payments.linked import credited_amount
from tillbell.rules.payments.transitions import direction_of_linked, effect_of

# Kinds whose approval also publishes `transaction.reversed`.
AUTHORIZED_EVENT = "transaction.authorized"
REVERSING = frozenset(
    {TransactionKind.CHARGEBACK, TransactionKind.REVERSAL, TransactionKind.RETURN}
)


class StepCause(NamedTuple):
    """Who or what makes a step, and when."""

    at: Micros
    callback_id: str | None = None
    actor: str | None = None
    trust: str | None = None


class NoticeDetails(NamedTuple):
    """What a notice or an action says beside the status. None: it does not say.

    `settlement` is in minor units, with its currency. `supersedes` is the sequence number of the
    final step that this one overrules.
    """

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
    """One step: the transaction after it, the transition, its effects and its event type."""

    transaction: Transaction
    transition: Transition
    effects: tuple[Effect, ...]
    event_type: str


def book(
    before: Transaction,
    status: TransactionStatus,
    details: NoticeDetails,
    cause: StepCause,
    amount: int | None = None,
) -> BookedStep:
    """Return the step that takes a transaction to a status.

    `amount` is what moves, in minor units; None: the amount of the transaction.
    """
    sequence = details.sequence if details.sequence is not None else before.news_sequence
    moved = before.amount if amount is None else amount
    is_credited = status is TransactionStatus.APPROVED and before.kind is TransactionKind.PAYMENT
    after = before._replace(
        **_provider_ids(before, details),
        status=status,
        previous_status=before.status,
        sequence=before.sequence + 1,
        version=before.version + 1,
        updated_at=cause.at,
        substate=details.substate,
        reason=details.reason,
        raw_status=details.raw_status,
        message=details.message,
        news_at=max(filter(None, (details.occurred_at, before.news_at)), default=None),
        news_sequence=sequence,
        check_at=None if status in TERMINAL else before.check_at,
        if_silent=None,
        credited=moved if is_credited else before.credited,
    )
    if is_credited:
        after = with_captured_total(after, max(after.captured, moved), cause.at)
    kind = effect_of(before, status)
    effects = (_effect(after, kind, moved, cause),) if kind else ()
    return BookedStep(after, _transition(after, details, cause), effects, event_type(status))


def book_authorization(before: Transaction, details: NoticeDetails, cause: StepCause) -> BookedStep:
    """Return the step in which a payment is authorised. Its status stays."""
    return book(before, before.status, details, cause)._replace(event_type=AUTHORIZED_EVENT)


def open_transaction(transaction: Transaction, cause: StepCause) -> BookedStep:
    """Return the first step of a transaction: Pending, reserved if it is to be."""
    effects: tuple[Effect, ...] = ()
    if transaction.reserves:
        effects = (_effect(transaction, EffectKind.RESERVE, transaction.amount, cause),)
    transition = _transition(transaction, NoticeDetails(), cause)
    return BookedStep(transaction, transition, effects, event_type(transaction.status))


def linked_transaction(
    parent: Transaction, kind: TransactionKind, amount: int, *, id_: str, now: Micros
) -> Transaction:
    """Return a refund, chargeback or the like of a payment, Pending. Its first step is not taken.

    `amount` is in minor units of the payment's currency.
    """
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


def add_provider_ids(transaction: Transaction, details: NoticeDetails) -> Transaction:
    """Add the provider's ids, where none is known yet, and its settlement. This is no step."""
    return transaction._replace(**_provider_ids(transaction, details))


def _provider_ids(transaction: Transaction, details: NoticeDetails) -> dict[str, Any]:
    settlement = details.settlement or (
        transaction.settlement_amount,
        transaction.settlement_currency,
    )
    return {
        "psp_transaction_id": transaction.psp_transaction_id or details.psp_transaction_id,
        "psp_reference": transaction.psp_reference or details.psp_reference,
        "settlement_amount": settlement[0],
        "settlement_currency": settlement[1],
        "source_id": transaction.source_id or details.source_id,
        "provider": transaction.provider or details.provider,
    }


def _transition(after: Transaction, details: NoticeDetails, cause: StepCause) -> Transition:
    return Transition(
        transaction_id=after.id,
        sequence=after.sequence,
        previous_status=after.previous_status,
        status=after.status,
        at=cause.at,
        callback_id=cause.callback_id,
        actor=cause.actor,
        substate=details.substate,
        reason=details.reason,
        raw_status=details.raw_status,
        message=details.message,
        trust=cause.trust,
        supersedes=details.supersedes,
        details=dict(details.details),
    )


def _effect(after: Transaction, kind: EffectKind, amount: int, cause: StepCause) -> Effect:
    return Effect(
        transaction_id=after.id,
        kind=kind,
        sequence=after.sequence,
        amount=amount,
        currency=after.currency,
        at=cause.at,
        callback_id=cause.callback_id,
    )


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


def event_type(status: TransactionStatus) -> str:
    """Return the type of the message that a transition publishes: `transaction.on_hold`."""
    return _EVENT_TYPES[status]


_EVENT_TYPES = {
    status: "transaction." + status.value.lower().replace(" ", "_") for status in TransactionStatus
}


def transaction_data(transaction: Transaction) -> dict[str, Any]:
    """Return `data` of `transaction.*` messages. The API shows the same. Amounts are text.

    `amount` is what moves: of an Approved payment what was credited, else what was asked for.
    """
    previous_status = transaction.previous_status
    settlement_amount, settlement_currency = None, None
    if transaction.settlement_amount is not None and transaction.settlement_currency is not None:
        settlement_currency = transaction.settlement_currency
        settlement_amount = format_amount(transaction.settlement_amount, settlement_currency)
    currency = transaction.currency
    is_payment = transaction.kind is TransactionKind.PAYMENT
    credited = credited_amount(transaction) if is_payment else transaction.credited
    is_credited = is_payment and transaction.status is TransactionStatus.APPROVED
    return {
        "id": transaction.id,
        "uid": transaction.uid,
        # `_value_`: `value` is Python's own code, twice, and each callback comes here.
        "type": transaction.kind._value_,
        "direction": transaction.direction._value_,
        "status": transaction.status._value_,
        "previousStatus": previous_status._value_ if previous_status else None,
        "sequence": transaction.sequence,
        "substate": transaction.substate,
        "reason": transaction.reason,
        "rawStatus": transaction.raw_status,
        "message": transaction.message,
        "amount": format_amount(credited if is_credited else transaction.amount, currency),
        "currency": currency,
        **_sums(transaction, credited),
        "settlementAmount": settlement_amount,
        "settlementCurrency": settlement_currency,
        "pspTransactionId": transaction.psp_transaction_id,
        "pspReference": transaction.psp_reference,
        "provider": transaction.provider,
        "sourceId": transaction.source_id,
        "userId": transaction.user_id,
        "merchantReference": transaction.merchant_reference,
        "orderId": transaction.order_id,
        "parentId": transaction.parent_id,
        "metadata": transaction.metadata,
        "createdAt": iso(transaction.created_at),
        "updatedAt": iso(transaction.updated_at),
    }


def _sums(transaction: Transaction, credited: int) -> dict[str, str]:
    """Return what was asked for and what happened, as text."""
    currency = transaction.currency
    return {
        "requestedAmount": format_amount(transaction.amount, currency),
        "authorizedAmount": format_amount(transaction.authorized, currency),
        "capturedAmount": format_amount(transaction.captured, currency),
        "creditedAmount": format_amount(credited, currency),
        "refundedAmount": format_amount(transaction.refunded, currency),
        "chargedBackAmount": format_amount(transaction.charged_back, currency),
        "reinstatedAmount": format_amount(transaction.reinstated, currency),
        "reversedAmount": format_amount(transaction.reversed_, currency),
    }


def conflict_data(transaction: Transaction, conflict: MoneyConflict) -> dict[str, Any]:
    """Return `data` of `transaction.conflict`: the transaction, and what contradicts it."""
    claimed = None
    if conflict.amount is not None and conflict.currency is not None:
        claimed = format_amount(conflict.amount, conflict.currency)
    return transaction_data(transaction) | {
        "conflict": {
            "id": conflict.id,
            "kind": conflict.kind,
            "status": conflict.status.value,
            "current": conflict.current.value,
            "severity": conflict.severity,
            "amount": claimed,
            "currency": conflict.currency,
            "why": conflict.why,
            "reference": conflict.reference,
            "candidates": list(conflict.candidates),
            "resolution": conflict.resolution,
        }
    }
