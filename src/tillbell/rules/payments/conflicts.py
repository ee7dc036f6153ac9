"""Conflicts: how disagreements begin that wait for a person. Who they are about, the desk adds."""

from __future__ import annotations

from collections.abc import Iterable

from tillbell.model.callbacks import TransactionNotice
from tillbell.model.transactions import Conflict, Kind, Status, Transaction
from tillbell.rules.payments.amounts import Differs
from tillbell.rules.payments.transitions import severity

UNCONFIRMED_LINKED = "unconfirmed_linked"


def conflict(status: Status, kind: str, why: str) -> Conflict:
    """Begin a conflict with what the news claims."""
    return Conflict("", "", "", status, status, 0, "normal", kind, why=why)


def contradiction(found: Transaction, status: Status, why: str) -> Conflict:
    """Begin a conflict with what has ended."""
    return conflict(status, "contradiction", why)._replace(severity=severity(found, status))


def mismatch(status: Status, differs: Differs) -> Conflict:
    """Begin a conflict about an amount."""
    made = conflict(status, "mismatch", differs.why)
    return made._replace(amount=differs.minor, currency=differs.currency)


def unconfirmed(notice: TransactionNotice, status: Status, why: str) -> Conflict:
    """Begin a conflict about news that is not proven well enough to move money."""
    if notice.kind is Kind.PAYMENT:
        return conflict(status, "unconfirmed", why)
    named = f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()
    return conflict(status, UNCONFIRMED_LINKED, f"{named}: {why}")


def is_among(made: Conflict, waiting: Iterable[Conflict]) -> bool:
    """Tell whether the same disagreement waits already.

    Of mismatches each amount is another one, of what belongs to a payment each that is told.
    """
    return _matter(made) in [_matter(one) for one in waiting]


def _matter(of: Conflict) -> tuple[object, ...]:
    claimed = (of.amount, of.currency) if of.kind == "mismatch" else ()
    told = (of.why,) if of.kind == UNCONFIRMED_LINKED else ()
    return of.kind, of.status, *claimed, *told
