"""Conflicts: what the disagreements are that wait for a person.

Id, application, transaction and time are added by the decision that opens the conflict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    Direction,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.rules.payments.amounts import AmountMismatch, ReadAmount, read_amount
from tillbell.rules.payments.transitions import severity

CONTRADICTION = "contradiction"
UNCONFIRMED = "unconfirmed"
UNCONFIRMED_LINKED = "unconfirmed_linked"
STUCK = "stuck"  # it has been open for days
AMBIGUOUS = "ambiguous"  # it is not known which transaction is meant
BYTES_MARK = " (bytes "  # in the reason of a conflict: news that may be one more of the same
CANDIDATES_MAX = 20
JANITOR = "janitor"  # the actor of status checks in steps and conflicts, as users know it


def new_conflict(
    status: TransactionStatus, kind: str, why: str, reference: str | None = None
) -> MoneyConflict:
    """Return a conflict with a reported status. `reference`: what the provider calls it."""
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
        reference=reference,
    )


def contradiction_conflict(
    transaction: Transaction,
    status: TransactionStatus,
    why: str,
    amount: ProviderAmount | None,
    reference: str | None = None,
) -> MoneyConflict:
    """Return a conflict of a reported status, and amount if it can be read, with a final one."""
    conflict = new_conflict(status, CONTRADICTION, why, reference)
    conflict = conflict._replace(severity=severity(transaction, status))
    return _with_amount(conflict, amount, transaction.currency)


def _with_amount(
    conflict: MoneyConflict, amount: ProviderAmount | None, currency: str
) -> MoneyConflict:
    read = read_amount(amount, currency) if amount is not None else None
    if isinstance(read, ReadAmount):
        return conflict._replace(amount=read.minor, currency=read.currency)
    return conflict


def mismatch_conflict(
    status: TransactionStatus, mismatch: AmountMismatch, reference: str | None = None
) -> MoneyConflict:
    """Return a conflict about an amount."""
    conflict = new_conflict(status, "mismatch", mismatch.why, reference)
    return conflict._replace(amount=mismatch.minor, currency=mismatch.currency)


def unconfirmed_conflict(
    notice: TransactionNotice, status: TransactionStatus, why: str, currency: str
) -> MoneyConflict:
    """Return a conflict about a notice that is not proven well enough to move money."""
    kind = UNCONFIRMED
    if notice.kind is not TransactionKind.PAYMENT:
        kind = UNCONFIRMED_LINKED
        linked = f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()
        why = f"{linked}: {why}"
    conflict = new_conflict(status, kind, why, notice.psp_transaction_id)
    return _with_amount(conflict, notice.amount, currency)


def ambiguous_conflict(
    status: TransactionStatus, why: str, reference: str | None, candidates: Sequence[Transaction]
) -> MoneyConflict:
    """Return a conflict about which transaction a notice with this reference means."""
    ids = tuple(candidate.id for candidate in candidates[:CANDIDATES_MAX])
    conflict = new_conflict(status, AMBIGUOUS, why, reference)
    return conflict._replace(candidates=ids)


def same_conflict(
    conflict: MoneyConflict, asked: Iterable[MoneyConflict], direction: Direction
) -> MoneyConflict | None:
    """Return the conflict that asks the same, and is open or was settled by a person.

    Another amount, another id of the provider, and each refund or the like is another conflict.
    A pay-out has no attempts: while a person is asked about it, another id asks nothing more.
    """
    without_id = conflict._replace(reference=None)
    for known in asked:
        is_open = known.resolved_at is None and direction is Direction.PAY_OUT
        if _asks_the_same(conflict, known) or (is_open and _asks_the_same(without_id, known)):
            return known
    return None


def is_question_about(conflict: MoneyConflict, held: Transaction) -> bool:
    """Tell whether a conflict of a payment asks about a refund or the like that is held."""
    name = f"{held.kind.value} {held.psp_transaction_id or ''}".rstrip()
    is_same = conflict.reference == held.psp_transaction_id and conflict.amount == held.amount
    return conflict.kind == "mismatch" and is_same and conflict.why.startswith(f"{name} ")


def is_question_of_lookup(conflict: MoneyConflict) -> bool:
    """Tell whether a look-up has opened a conflict, because it counts other sums than the books."""
    return conflict.callback_id is None and "look-up " in conflict.why


def is_question_about_captured(conflict: MoneyConflict, currency: str) -> bool:
    """Tell whether a look-up has opened a conflict about what a payment has captured."""
    is_sum = conflict.kind == "mismatch" and conflict.status is TransactionStatus.APPROVED
    is_own = conflict.callback_id is None and not is_about_linked(conflict)
    return is_sum and is_own and conflict.amount is not None and conflict.currency == currency


def is_about_linked(conflict: MoneyConflict) -> bool:
    """Tell whether a conflict of a payment asks how much a refund or the like gives back."""
    kinds = [kind.value for kind in TransactionKind if kind is not TransactionKind.PAYMENT]
    return conflict.kind == "mismatch" and conflict.why.startswith(tuple(kinds))


def is_answered(conflict: MoneyConflict, after: Transaction, moved: int) -> bool:
    """Tell whether a transaction's last step has brought what a conflict asked about.

    `after` is the transaction of the conflict, or what is linked to it; `moved` is how much it has
    moved in all, in minor units. What may be one more of the same is never answered so.
    """
    is_own = conflict.transaction_id == after.id
    if conflict.kind == STUCK:
        return is_own and after.status in TERMINAL
    if conflict.status is not after.status or BYTES_MARK in conflict.why:
        return False
    if conflict.kind in (UNCONFIRMED, CONTRADICTION):
        is_asked = conflict.amount is None or conflict.currency != after.currency
        return is_own and (is_asked or (conflict.amount or 0) <= moved)
    if after.status is not TransactionStatus.APPROVED or conflict.kind == AMBIGUOUS:
        return False
    is_named = conflict.reference in (None, after.psp_transaction_id)
    if after.kind is TransactionKind.PAYMENT:  # its amount could not be read before
        is_unread = conflict.amount is None or conflict.currency != after.currency
        return is_own and is_named and is_unread and not is_about_linked(conflict)
    is_named = is_named and (is_own or conflict.why.startswith(after.kind.value))
    return is_named and conflict.amount in (None, after.amount)


def kept_as_unpaid(
    payment: Transaction, asked: Iterable[MoneyConflict], psp_ids: Collection[str]
) -> MoneyConflict | None:
    """Return the conflict in which a person said that a payment stays ended, though it was paid.

    What was paid is booked nowhere, so what goes back of it is not either. `psp_ids` are the
    provider's ids of what it goes back of: of another attempt nothing was said.
    """
    if payment.status not in NEGATIVE:
        return None
    for conflict in asked:
        is_kept = conflict.resolution == "keep" and conflict.resolved_by != JANITOR
        is_about_paid = (conflict.kind, conflict.status) == (
            CONTRADICTION,
            TransactionStatus.APPROVED,
        )
        if is_kept and is_about_paid and _is_named(payment, conflict.reference, psp_ids):
            return conflict
    return None


def _is_named(payment: Transaction, reference: str | None, psp_ids: Collection[str]) -> bool:
    """Tell whether ids of the provider are those of the attempt with this id, or name none."""
    ids = {reference, *(id_ for a in payment.attempts if reference in a.ids for id_ in a.ids)}
    return reference is None or not psp_ids or not ids.isdisjoint(psp_ids)


def settled_text(conflict: MoneyConflict) -> str:
    """Return what is noted of news that a person has settled before."""
    return f"A person has settled this already ({conflict.id}): {conflict.resolution}."


def _asks_the_same(conflict: MoneyConflict, known: MoneyConflict) -> bool:
    is_by_person = known.resolved_by not in (None, JANITOR)
    if known.resolved_at is not None and not is_by_person:
        return False
    if (conflict.kind, conflict.status) != (known.kind, known.status):
        return False
    news, known_news = _news(conflict), _news(known)
    if conflict.kind in ("mismatch", UNCONFIRMED_LINKED):
        return (news, conflict.why) == (known_news, known.why)
    # One of them may say less: a look-up and a callback about the same.
    return all(a == b or None in (a, b) for a, b in zip(news, known_news, strict=True))


def _news(conflict: MoneyConflict) -> tuple[tuple[int, str] | None, str | None]:
    """Return the amount and the provider's id that a conflict is about."""
    amount = None
    if conflict.amount is not None and conflict.currency is not None:
        amount = conflict.amount, conflict.currency
    return amount, conflict.reference
