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
    Kind,
    Status,
    Transaction,
)

_PAY_IN = frozenset(Status) - {Status.PROCESSING, Status.REJECTED}
ALLOWED: Mapping[Direction, frozenset[Status]] = {
    Direction.PAY_IN: _PAY_IN,
    Direction.PAY_OUT: frozenset(Status),
}
RANKS: Mapping[Status, int] = {
    Status.PENDING: 0,
    Status.ON_HOLD: 1,
    Status.PROCESSING: 2,
    **dict.fromkeys(TERMINAL, 3),
}
_WORDS = {"".join(c for c in s.value.casefold() if c != " "): s for s in Status}


class News(NamedTuple):
    """What decides: the status that is claimed, and when the provider says it came to be."""

    status: Status
    occurred_at: Micros | None = None
    sequence: int | None = None


class Judged(NamedTuple):
    """An outcome and the reason for it, for a person."""

    outcome: Outcome
    why: str


def status_of(word: str) -> Status | None:
    """Read one of our eight words in any case, with or without spaces, `_` and `-`.

    >>> status_of("on_hold"), status_of("APPROVED"), status_of("success")
    (<Status.ON_HOLD: 'On Hold'>, <Status.APPROVED: 'Approved'>, None)
    """
    return _WORDS.get("".join(c for c in word.casefold() if c not in " _-\t"))


def compare(news: News, current: Transaction) -> Judged:
    """Say what becomes of news of a transaction."""
    status, present = news.status, current.status
    if status not in ALLOWED[current.direction]:
        name = "pay-in" if current.direction is Direction.PAY_IN else "pay-out"
        return Judged(Outcome.ILLEGAL, f"A {name} cannot be {status.value}.")
    if status is present:
        return Judged(Outcome.DUPLICATE, f"It is {status.value} already.")
    if present in TERMINAL:
        return _after_the_end(status, present)
    if status in TERMINAL or RANKS[status] > RANKS[present]:
        return Judged(Outcome.APPLIED, f"{present.value} → {status.value}")
    if _is_newer(news, current):
        return Judged(Outcome.APPLIED, f"{present.value} → {status.value}, newer by its time.")
    return Judged(Outcome.STALE, f"{status.value} comes before {present.value}.")


def _after_the_end(status: Status, present: Status) -> Judged:
    if status not in TERMINAL:
        return Judged(Outcome.STALE, f"It has ended as {present.value}.")
    if {status, present} <= NEGATIVE:
        return Judged(
            Outcome.STALE, f"It has ended as {present.value}; {status.value} refines the reason."
        )
    return Judged(Outcome.CONFLICT, f"{status.value} contradicts {present.value}.")


def _is_newer(news: News, current: Transaction) -> bool:
    if news.sequence is not None and current.news_sequence is not None:
        return news.sequence > current.news_sequence
    if news.occurred_at is not None and current.news_at is not None:
        return news.occurred_at > current.news_at
    return False


# ── effects ──────────────────────────────────────────────────────────────────────────────────────


def effect_of(current: Transaction, status: Status) -> EffectKind | None:
    """Name what entering a status does to the account; None if nothing.

    Money of a linked transaction flows by its own direction: a refund is a pay-out of ours.
    """
    if status is Status.APPROVED:
        is_in = current.direction is Direction.PAY_IN
        return EffectKind.CREDIT if is_in else EffectKind.DEBIT
    if status in NEGATIVE and current.reserves:
        return EffectKind.RELEASE
    return None


def direction_of_linked(kind: Kind, parent: Direction) -> Direction:
    """Return whose money moves when something is linked to a payment.

    >>> direction_of_linked(Kind.REFUND, Direction.PAY_IN)
    <Direction.PAY_OUT: 'pay_out'>
    """
    back = Direction.PAY_OUT if parent is Direction.PAY_IN else Direction.PAY_IN
    return parent if kind is Kind.CHARGEBACK_REVERSAL else back


def left_of(paid: Transaction, linked: Iterable[Transaction]) -> int:
    """Return how much of what was paid has not gone back: by refund, chargeback or reversal."""
    left = paid.amount
    for one in linked:
        if one.kind is Kind.CHARGEBACK_REVERSAL:
            left += one.amount if one.status is Status.APPROVED else 0
        elif one.status not in NEGATIVE:
            left -= one.amount
    return max(0, min(left, paid.amount))


def severity(current: Transaction, status: Status) -> str:
    """Rate a contradiction: money that left after a person said no is the worst."""
    if current.direction is Direction.PAY_IN:
        return "normal"
    if current.status is Status.REJECTED and status is Status.APPROVED:
        return "critical"
    return "high"


# ── operators ────────────────────────────────────────────────────────────────────────────────────

# What a person may do: from which status to which. A pay-out is approved by letting it proceed.
OPERATIONS: Mapping[str, tuple[frozenset[Direction], frozenset[Status], Status]] = {
    "hold": (frozenset(Direction), frozenset({Status.PENDING}), Status.ON_HOLD),
    "release": (frozenset(Direction), frozenset({Status.ON_HOLD}), Status.PENDING),
    "approve": (
        frozenset({Direction.PAY_OUT}),
        frozenset({Status.PENDING, Status.ON_HOLD}),
        Status.PROCESSING,
    ),
    "reject": (
        frozenset({Direction.PAY_OUT}),
        frozenset({Status.PENDING, Status.ON_HOLD, Status.PROCESSING}),
        Status.REJECTED,
    ),
    "cancel": (
        frozenset(Direction),
        frozenset({Status.PENDING, Status.ON_HOLD}),
        Status.CANCELLED,
    ),
}


def operate(action: str, current: Transaction) -> Status | str:
    """Return the status an operator's action leads to, or why it cannot be done, as text."""
    directions, sources, target = OPERATIONS[action]
    if current.direction not in directions:
        return f"Only a pay-out can be put through {action!r}."
    if current.status not in sources:
        allowed = " or ".join(s.value for s in Status if s in sources)
        return f"It is {current.status.value}; {action} needs {allowed}."
    return target
