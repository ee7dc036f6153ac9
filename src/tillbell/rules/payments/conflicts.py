"""Conflicts: what the disagreements are that wait for a person.

Id, application, transaction and time are added by the decision that opens the conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.transactions import (
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.rules.payments.amounts import AmountMismatch, ReadAmount, read_amount
from tillbell.rules.payments.transitions import severity

UNCONFIRMED_LINKED = "unconfirmed_linked"
AMBIGUOUS = "ambiguous"  # it is not known which transaction is meant
CANDIDATES_MAX = 20


def new_conflict(status: TransactionStatus, kind: str, why: str) -> MoneyConflict:
    """Return a conflict with a reported status."""
    return MoneyConflict(
        id="",
        app_id="",
        transaction_id="",
        status=status,
        current=status,
        at=0,
        severity="normal",
        kind=kind,
        why=why,
    )


def contradiction_conflict(
    transaction: Transaction, status: TransactionStatus, why: str, amount: ProviderAmount | None
) -> MoneyConflict:
    """Return a conflict of a reported status, and amount if it can be read, with a final one."""
    conflict = new_conflict(status, "contradiction", why)
    conflict = conflict._replace(severity=severity(transaction, status))
    return _with_amount(conflict, amount, transaction.currency)


def _with_amount(
    conflict: MoneyConflict, amount: ProviderAmount | None, currency: str
) -> MoneyConflict:
    read = read_amount(amount, currency) if amount is not None else None
    if isinstance(read, ReadAmount):
        return conflict._replace(amount=read.minor, currency=read.currency)
    return conflict


def mismatch_conflict(status: TransactionStatus, mismatch: AmountMismatch) -> MoneyConflict:
    """Return a conflict about an amount."""
    conflict = new_conflict(status, "mismatch", mismatch.why)
    return conflict._replace(amount=mismatch.minor, currency=mismatch.currency)


def unconfirmed_conflict(
    notice: TransactionNotice, status: TransactionStatus, why: str, currency: str
) -> MoneyConflict:
    """Return a conflict about a notice that is not proven well enough to move money."""
    if notice.kind is TransactionKind.PAYMENT:
        conflict = new_conflict(status, "unconfirmed", why)
        return _with_amount(conflict, notice.amount, currency)
    linked = f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()
    return new_conflict(status, UNCONFIRMED_LINKED, f"{linked}: {why}")


def ambiguous_conflict(
    status: TransactionStatus, why: str, reference: str | None, candidates: Sequence[Transaction]
) -> MoneyConflict:
    """Return a conflict about which transaction a notice with this reference means."""
    ids = tuple(candidate.id for candidate in candidates[:CANDIDATES_MAX])
    conflict = new_conflict(status, AMBIGUOUS, why)
    return conflict._replace(reference=reference, candidates=ids)


def is_already_open(conflict: MoneyConflict, open_conflicts: Iterable[MoneyConflict]) -> bool:
    """Tell whether the same conflict is open already.

    A mismatch of another amount is another conflict; so is each refund or the like.
    """
    return _subject(conflict) in [_subject(other) for other in open_conflicts]


def _subject(conflict: MoneyConflict) -> tuple[object, ...]:
    is_told_apart = conflict.kind in ("mismatch", UNCONFIRMED_LINKED)
    details = (conflict.amount, conflict.currency, conflict.why) if is_told_apart else ()
    return conflict.kind, conflict.status, *details
