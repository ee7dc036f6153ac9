"""Conflicts: how disagreements begin that wait for a person. Who they are about, the desk adds."""

from __future__ import annotations

from collections.abc import Iterable

from tillbell.model.callbacks import TransactionNotice
from tillbell.model.transactions import (
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.rules.payments.amounts import AmountMismatch
from tillbell.rules.payments.transitions import severity

UNCONFIRMED_LINKED = "unconfirmed_linked"


def new_conflict(status: TransactionStatus, kind: str, why: str) -> MoneyConflict:
    """Begin a conflict with what the news claims."""
    return MoneyConflict("", "", "", status, status, 0, "normal", kind, why=why)


def contradiction(found: Transaction, status: TransactionStatus, why: str) -> MoneyConflict:
    """Begin a conflict with what has ended."""
    return new_conflict(status, "contradiction", why)._replace(severity=severity(found, status))


def mismatch(status: TransactionStatus, differs: AmountMismatch) -> MoneyConflict:
    """Begin a conflict about an amount."""
    made = new_conflict(status, "mismatch", differs.why)
    return made._replace(amount=differs.minor, currency=differs.currency)


def unconfirmed(notice: TransactionNotice, status: TransactionStatus, why: str) -> MoneyConflict:
    """Begin a conflict about news that is not proven well enough to move money."""
    if notice.kind is TransactionKind.PAYMENT:
        return new_conflict(status, "unconfirmed", why)
    named = f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()
    return new_conflict(status, UNCONFIRMED_LINKED, f"{named}: {why}")


def is_already_open(made: MoneyConflict, waiting: Iterable[MoneyConflict]) -> bool:
    """Tell whether the same disagreement waits already.

    Of mismatches each amount is another one, of what belongs to a payment each that is told.
    """
    return _subject(made) in [_subject(one) for one in waiting]


def _subject(of: MoneyConflict) -> tuple[object, ...]:
    claimed = (of.amount, of.currency) if of.kind == "mismatch" else ()
    told = (of.why,) if of.kind == UNCONFIRMED_LINKED else ()
    return of.kind, of.status, *claimed, *told
