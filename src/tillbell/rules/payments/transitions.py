"""Transitions: what a reported status does to a transaction, and what follows for the account.

`ALLOWED` says which statuses a direction has, `RANKS` how far each is; `judge_status` decides:

| a reported status | while open | after a final status |
| --- | --- | --- |
| that this direction does not have | illegal | illegal |
| the same | duplicate | duplicate |
| not final, of higher rank or newer | applied | stale |
| not final, of lower rank | stale | stale |
| final | applied | negative after negative: stale; else conflict |

Only an applied status has effects. Each kind of effect happens at most once for a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import Judgement, Outcome
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    Direction,
    EffectKind,
    Transaction,
    TransactionKind,
    TransactionStatus,
)

_PAY_IN = frozenset(TransactionStatus) - {TransactionStatus.PROCESSING, TransactionStatus.REJECTED}
ALLOWED: Mapping[Direction, frozenset[TransactionStatus]] = {
    Direction.PAY_IN: _PAY_IN,
    Direction.PAY_OUT: frozenset(TransactionStatus),
}
RANKS: Mapping[TransactionStatus, int] = {
    TransactionStatus.PENDING: 0,
    TransactionStatus.ON_HOLD: 1,
    TransactionStatus.PROCESSING: 2,
    **dict.fromkeys(TERMINAL, 3),
}
_BY_WORD = {"".join(c for c in s.value.casefold() if c != " "): s for s in TransactionStatus}


class ReportedStatus(NamedTuple):
    """A status that a provider reports, and when it says that it came to be."""

    status: TransactionStatus
    occurred_at: Micros | None = None
    sequence: int | None = None  # the provider's own count


def status_of(word: str) -> TransactionStatus | None:
    """Read one of our eight words in any case, with or without spaces, `_` and `-`.

    >>> status_of("on_hold"), status_of("APPROVED"), status_of("success")
    (<TransactionStatus.ON_HOLD: 'On Hold'>, <TransactionStatus.APPROVED: 'Approved'>, None)
    """
    return _BY_WORD.get("".join(c for c in word.casefold() if c not in " _-\t"))


def judge_status(reported: ReportedStatus, transaction: Transaction) -> Judgement:
    """Say what a reported status does to a transaction."""
    status, present = reported.status, transaction.status
    if status not in ALLOWED[transaction.direction]:
        name = "pay-in" if transaction.direction is Direction.PAY_IN else "pay-out"
        return Judgement(Outcome.ILLEGAL, f"A {name} cannot be {status.value}.")
    if status is present:
        return Judgement(Outcome.DUPLICATE, f"It is {status.value} already.")
    if present in TERMINAL:
        return _after_final(status, present)
    if status in TERMINAL or RANKS[status] > RANKS[present]:
        return Judgement(Outcome.APPLIED, f"{present.value} → {status.value}")
    if _is_newer(reported, transaction):
        why = f"{present.value} → {status.value}, newer by its time."
        return Judgement(Outcome.APPLIED, why)
    return Judgement(Outcome.STALE, f"{status.value} comes before {present.value}.")


def _after_final(status: TransactionStatus, present: TransactionStatus) -> Judgement:
    if status not in TERMINAL:
        return Judgement(Outcome.STALE, f"It has ended as {present.value}.")
    if {status, present} <= NEGATIVE:
        why = f"It has ended as {present.value}; {status.value} refines the reason."
        return Judgement(Outcome.STALE, why)
    return Judgement(Outcome.CONFLICT, f"{status.value} contradicts {present.value}.")


def _is_newer(reported: ReportedStatus, transaction: Transaction) -> bool:
    if reported.sequence is not None and transaction.news_sequence is not None:
        return reported.sequence > transaction.news_sequence
    if reported.occurred_at is not None and transaction.news_at is not None:
        return reported.occurred_at > transaction.news_at
    return False


# ── effects ──────────────────────────────────────────────────────────────────────────────────────


def effect_of(transaction: Transaction, status: TransactionStatus) -> EffectKind | None:
    """Return what entering a status does to the account; None if nothing.

    A linked transaction has a direction of its own: a refund of a pay-in is a pay-out.
    """
    if status is TransactionStatus.APPROVED:
        is_pay_in = transaction.direction is Direction.PAY_IN
        return EffectKind.CREDIT if is_pay_in else EffectKind.DEBIT
    if status in NEGATIVE and transaction.reserves:
        return EffectKind.RELEASE
    return None


_SAME_DIRECTION = frozenset({TransactionKind.CHARGEBACK_REVERSAL, TransactionKind.CAPTURE})


def direction_of_linked(kind: TransactionKind, parent: Direction) -> Direction:
    """Return the direction of what is linked to a payment.

    >>> direction_of_linked(TransactionKind.REFUND, Direction.PAY_IN)
    <Direction.PAY_OUT: 'pay_out'>
    """
    opposite = Direction.PAY_OUT if parent is Direction.PAY_IN else Direction.PAY_IN
    return parent if kind in _SAME_DIRECTION else opposite


def severity(transaction: Transaction, status: TransactionStatus) -> str:
    """Rate a contradiction. The worst is money that left although a person had refused it."""
    if transaction.direction is Direction.PAY_IN:
        return "normal"
    is_rejected = transaction.status is TransactionStatus.REJECTED
    return "critical" if is_rejected and status is TransactionStatus.APPROVED else "high"


# ── manual actions ───────────────────────────────────────────────────────────────────────────────


class StatusAction(NamedTuple):
    """A manual action: on which directions, from which statuses, to which one."""

    directions: frozenset[Direction]
    sources: frozenset[TransactionStatus]
    target: TransactionStatus


_ANY = frozenset(Direction)
_PAY_OUT_ONLY = frozenset({Direction.PAY_OUT})
_NOT_BEGUN = frozenset({TransactionStatus.PENDING, TransactionStatus.ON_HOLD})

# Approving a pay-out lets it proceed; its provider says how it ends.
OPERATOR_ACTIONS: Mapping[str, StatusAction] = {
    "hold": StatusAction(_ANY, frozenset({TransactionStatus.PENDING}), TransactionStatus.ON_HOLD),
    "release": StatusAction(
        _ANY, frozenset({TransactionStatus.ON_HOLD}), TransactionStatus.PENDING
    ),
    "approve": StatusAction(_PAY_OUT_ONLY, _NOT_BEGUN, TransactionStatus.PROCESSING),
    "reject": StatusAction(
        _PAY_OUT_ONLY, _NOT_BEGUN | {TransactionStatus.PROCESSING}, TransactionStatus.REJECTED
    ),
    "cancel": StatusAction(_ANY, _NOT_BEGUN, TransactionStatus.CANCELLED),
}


def status_after_action(action: str, transaction: Transaction) -> TransactionStatus | str:
    """Return the status that a manual action leads to, or why it cannot be done, as text."""
    directions, sources, target = OPERATOR_ACTIONS[action]
    if transaction.direction not in directions:
        return f"Only a pay-out can be put through {action!r}."
    if transaction.status not in sources:
        allowed = " or ".join(s.value for s in TransactionStatus if s in sources)
        return f"It is {transaction.status.value}; {action} needs {allowed}."
    return target
