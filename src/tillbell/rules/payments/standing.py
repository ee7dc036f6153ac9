"""The standing of a transaction: what is true of it now, what is missing, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.transactions import (
    NEGATIVE,
    Direction,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.money import format_amount

_VERBS = {Direction.PAY_IN: "credited", Direction.PAY_OUT: "debited"}


class StandingCode(StrEnum):
    """What is true of a transaction."""

    NEEDS_DECISION = "needs_decision"  # a conflict is open: a person decides
    ON_HOLD = "on_hold"  # a person released nothing yet
    NOT_REPORTED = "not_reported"  # no provider has said anything
    UNDER_WAY = "under_way"  # something was said, nothing final
    SETTLED = "settled"  # approved: its money is booked
    PARTLY_SETTLED = "partly_settled"  # approved with less than was asked for
    PARTLY_TAKEN_BACK = "partly_taken_back"  # refunds, chargebacks and reversals took some of it
    TAKEN_BACK = "taken_back"  # they took all of it
    ENDED = "ended"  # it failed: no money moved


class Standing(NamedTuple):
    """What is true of a transaction, for a person, and what is missing."""

    code: StandingCode
    text: str  # what is true, and what to do
    missing: tuple[str, ...] = ()  # what is not known, or has not come yet
    next_at: Micros | None = None  # when its provider is asked next


def standing(
    transaction: Transaction, open_conflicts: Sequence[MoneyConflict], *, was_reported: bool
) -> Standing:
    """Judge a transaction. `was_reported`: a callback or a look-up has said something about it."""
    code = _code(transaction, open_conflicts, was_reported=was_reported)
    text = _text(code, transaction, open_conflicts)
    missing = tuple(_missing(code, transaction, was_reported=was_reported))
    return Standing(code, text, missing, transaction.check_at)


def _code(
    transaction: Transaction, open_conflicts: Sequence[MoneyConflict], *, was_reported: bool
) -> StandingCode:
    if open_conflicts:
        return StandingCode.NEEDS_DECISION
    status = transaction.status
    if status is TransactionStatus.ON_HOLD:
        return StandingCode.ON_HOLD
    if status in NEGATIVE:
        return StandingCode.ENDED
    if status is not TransactionStatus.APPROVED:
        return StandingCode.UNDER_WAY if was_reported else StandingCode.NOT_REPORTED
    taken = taken_back(transaction)
    if taken:
        is_all = taken >= transaction.credited
        return StandingCode.TAKEN_BACK if is_all else StandingCode.PARTLY_TAKEN_BACK
    if transaction.kind is TransactionKind.PAYMENT and transaction.credited < transaction.amount:
        return StandingCode.PARTLY_SETTLED
    return StandingCode.SETTLED


def taken_back(transaction: Transaction) -> int:
    """Return what refunds, chargebacks and reversals have taken, less what was reinstated."""
    return (
        transaction.refunded
        + transaction.charged_back
        - transaction.reinstated
        + transaction.reversed_
    )


def _text(
    code: StandingCode, transaction: Transaction, open_conflicts: Sequence[MoneyConflict]
) -> str:
    status = transaction.status
    match code:
        case StandingCode.NEEDS_DECISION:
            return _conflict_text(transaction, open_conflicts)
        case StandingCode.ON_HOLD:
            return "It is on hold: no money moves until a person releases, approves or rejects it."
        case StandingCode.NOT_REPORTED:
            return "No provider has said anything about it yet. No money has moved."
        case StandingCode.UNDER_WAY:
            word = f" ({transaction.raw_status})" if transaction.raw_status else ""
            return f"It is {status}: its provider has said nothing final{word}. No money has moved."
        case StandingCode.ENDED:
            return f"It ended as {status}{_because(transaction)}. It moves no money."
    verb = _VERBS[transaction.direction]
    if transaction.kind is not TransactionKind.PAYMENT:
        return f"It is booked: {_amount(transaction, transaction.amount)}."
    booked = f"{_amount(transaction, transaction.credited)} was {verb}"
    if code is StandingCode.SETTLED:
        return f"{booked}. Nothing needs to be done."
    if code is StandingCode.PARTLY_SETTLED:
        asked = _amount(transaction, transaction.amount)
        return f"{booked} of {asked} that was asked for."
    back = _amount(transaction, taken_back(transaction))
    return f"{booked}, and {back} of it was taken back."


def _conflict_text(transaction: Transaction, open_conflicts: Sequence[MoneyConflict]) -> str:
    conflict = open_conflicts[0]
    more = len(open_conflicts) - 1
    others = f" {more} more wait besides." if more else ""
    return (
        f"A person must decide: {conflict.why.rstrip('.')}. It is {transaction.status},"
        f" and no money moves by this news until then.{others}"
    )


def _because(transaction: Transaction) -> str:
    word = transaction.reason or transaction.raw_status
    return f" ({word})" if word else ""


def _missing(code: StandingCode, transaction: Transaction, *, was_reported: bool) -> Iterator[str]:
    is_open = code in (StandingCode.NOT_REPORTED, StandingCode.UNDER_WAY)
    if is_open and transaction.source_id is None:
        yield (
            "It is not known through which source it is paid: the first callback that names it"
            " says so."
        )
    if is_open and not was_reported:
        yield (
            "No callback names it. Look whether the provider has the source's URL, and whether its"
            " log has callbacks that are unmatched or refused."
        )
    if is_open and was_reported and transaction.check_at is None:
        yield "A final callback. The provider is not asked by itself: the source has no look-up."
    if code is StandingCode.PARTLY_SETTLED:
        rest = transaction.amount - transaction.credited
        yield f"The rest, {_amount(transaction, rest)}: a further capture, or nothing more."


def _amount(transaction: Transaction, minor: int) -> str:
    return f"{format_amount(minor, transaction.currency)} {transaction.currency}"
