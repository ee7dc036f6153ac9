"""Conflicts: how disagreements begin that wait for a person. Who they are about, the desk adds."""

from __future__ import annotations

from collections.abc import Iterable

from tillbell.rules.amounts import Differs
from tillbell.rules.transitions import severity
from tillbell.transactions import Conflict, Status, Transaction


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


def is_among(made: Conflict, waiting: Iterable[Conflict]) -> bool:
    """Tell whether the same disagreement waits already; of mismatches each amount is another."""
    return _matter(made) in [_matter(one) for one in waiting]


def _matter(of: Conflict) -> tuple[object, ...]:
    claimed = (of.amount, of.currency) if of.kind == "mismatch" else ()
    return of.kind, of.status, *claimed
