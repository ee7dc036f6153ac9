"""Transitions: what news may do to a transaction, and what follows for the account.

One table says which statuses a direction knows, one the rank of each; `compare` is all the
rest. "Same or earlier" is therefore never a matter of opinion:

| news | while open | after a terminal status |
| --- | --- | --- |
| a status this direction does not have | illegal | illegal |
| the same status | duplicate | duplicate |
| not terminal, of higher rank or newer | applied | stale |
| not terminal, of lower rank | stale | stale |
| terminal | applied | negative after negative: stale; else conflict |

Only what is applied has effects. An effect happens once: its kind is unique for a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import Outcome
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
_WORDS = {"".join(c for c in s.value.casefold() if c != " "): s for s in TransactionStatus}


class ReportedStatus(NamedTuple):
    """What decides: the status that is claimed, and when the provider says it came to be."""

    status: TransactionStatus
    occurred_at: Micros | None = None
    sequence: int | None = None


class TransitionJudgement(NamedTuple):
    """An outcome and the reason for it, for a person."""

    outcome: Outcome
    why: str


def status_of(word: str) -> TransactionStatus | None:
    """Read one of our eight words in any case, with or without spaces, `_` and `-`.

    >>> status_of("on_hold"), status_of("APPROVED"), status_of("success")
    (<TransactionStatus.ON_HOLD: 'On Hold'>, <TransactionStatus.APPROVED: 'Approved'>, None)
    """
    return _WORDS.get("".join(c for c in word.casefold() if c not in " _-\t"))


def judge_status(news: ReportedStatus, current: Transaction) -> TransitionJudgement:
    """Say what becomes of news of a transaction."""
    status, present = news.status, current.status
    if status not in ALLOWED[current.direction]:
        name = "pay-in" if current.direction is Direction.PAY_IN else "pay-out"
        return TransitionJudgement(Outcome.ILLEGAL, f"A {name} cannot be {status.value}.")
    if status is present:
        return TransitionJudgement(Outcome.DUPLICATE, f"It is {status.value} already.")
    if present in TERMINAL:
        return _after_the_end(status, present)
    if status in TERMINAL or RANKS[status] > RANKS[present]:
        return TransitionJudgement(Outcome.APPLIED, f"{present.value} → {status.value}")
    if _is_newer(news, current):
        return TransitionJudgement(
            Outcome.APPLIED, f"{present.value} → {status.value}, newer by its time."
        )
    return TransitionJudgement(Outcome.STALE, f"{status.value} comes before {present.value}.")


def _after_the_end(status: TransactionStatus, present: TransactionStatus) -> TransitionJudgement:
    if status not in TERMINAL:
        return TransitionJudgement(Outcome.STALE, f"It has ended as {present.value}.")
    if {status, present} <= NEGATIVE:
        return TransitionJudgement(
            Outcome.STALE, f"It has ended as {present.value}; {status.value} refines the reason."
        )
    return TransitionJudgement(Outcome.CONFLICT, f"{status.value} contradicts {present.value}.")


def _is_newer(news: ReportedStatus, current: Transaction) -> bool:
    if news.sequence is not None and current.news_sequence is not None:
        return news.sequence > current.news_sequence
    if news.occurred_at is not None and current.news_at is not None:
        return news.occurred_at > current.news_at
    return False


# ── effects ──────────────────────────────────────────────────────────────────────────────────────


def effect_of(current: Transaction, status: TransactionStatus) -> EffectKind | None:
    """Name what entering a status does to the account; None if nothing.

    Money of a linked transaction flows by its own direction: a refund is a pay-out of ours.
    """
    if status is TransactionStatus.APPROVED:
        is_in = current.direction is Direction.PAY_IN
        return EffectKind.CREDIT if is_in else EffectKind.DEBIT
    if status in NEGATIVE and current.reserves:
        return EffectKind.RELEASE
    return None


def direction_of_linked(kind: TransactionKind, parent: Direction) -> Direction:
    """Return whose money moves when something is linked to a payment.

    >>> direction_of_linked(TransactionKind.REFUND, Direction.PAY_IN)
    <Direction.PAY_OUT: 'pay_out'>
    """
    back = Direction.PAY_OUT if parent is Direction.PAY_IN else Direction.PAY_IN
    return parent if kind is TransactionKind.CHARGEBACK_REVERSAL else back


def amount_left(paid: Transaction, linked: Iterable[Transaction]) -> int:
    """Return how much of what was paid has not gone back: by refund, chargeback or reversal."""
    left = paid.amount
    for one in linked:
        if one.kind is TransactionKind.CHARGEBACK_REVERSAL:
            left += one.amount if one.status is TransactionStatus.APPROVED else 0
        elif one.status not in NEGATIVE:
            left -= one.amount
    return max(0, min(left, paid.amount))


def severity(current: Transaction, status: TransactionStatus) -> str:
    """Rate a contradiction: money that left after a person said no is the worst."""
    if current.direction is Direction.PAY_IN:
        return "normal"
    if current.status is TransactionStatus.REJECTED and status is TransactionStatus.APPROVED:
        return "critical"
    return "high"


# ── operators ────────────────────────────────────────────────────────────────────────────────────

# What a person may do: from which status to which. A pay-out is approved by letting it proceed.
OPERATOR_ACTIONS: Mapping[
    str, tuple[frozenset[Direction], frozenset[TransactionStatus], TransactionStatus]
] = {
    "hold": (
        frozenset(Direction),
        frozenset({TransactionStatus.PENDING}),
        TransactionStatus.ON_HOLD,
    ),
    "release": (
        frozenset(Direction),
        frozenset({TransactionStatus.ON_HOLD}),
        TransactionStatus.PENDING,
    ),
    "approve": (
        frozenset({Direction.PAY_OUT}),
        frozenset({TransactionStatus.PENDING, TransactionStatus.ON_HOLD}),
        TransactionStatus.PROCESSING,
    ),
    "reject": (
        frozenset({Direction.PAY_OUT}),
        frozenset(
            {TransactionStatus.PENDING, TransactionStatus.ON_HOLD, TransactionStatus.PROCESSING}
        ),
        TransactionStatus.REJECTED,
    ),
    "cancel": (
        frozenset(Direction),
        frozenset({TransactionStatus.PENDING, TransactionStatus.ON_HOLD}),
        TransactionStatus.CANCELLED,
    ),
}


def status_after_action(action: str, current: Transaction) -> TransactionStatus | str:
    """Return the status an operator's action leads to, or why it cannot be done, as text."""
    directions, sources, target = OPERATOR_ACTIONS[action]
    if current.direction not in directions:
        return f"Only a pay-out can be put through {action!r}."
    if current.status not in sources:
        allowed = " or ".join(s.value for s in TransactionStatus if s in sources)
        return f"It is {current.status.value}; {action} needs {allowed}."
    return target
