"""Matching: which transaction does a notice mean?

The first of these references that fits a transaction decides: our id, the uid, the provider's id
within the source, the order, the merchant's reference.

Several transactions may share an order or a merchant's reference, as at a second attempt to pay.
Then the one is meant that the provider knows by its id, else the only one that is still open. If
several are open, nobody can tell. One that has ended under another id of the provider is another
payment, and is not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tillbell.model.callbacks import References
from tillbell.model.transactions import TERMINAL, Transaction, TransactionKind


class Unmatched(NamedTuple):
    """No transaction is meant, and why."""

    why: str


class _Reference(NamedTuple):
    """A kind of reference: whether transactions may share it, and whether one fits."""

    is_shared: bool
    fits: Callable[[Transaction], bool]


def match(
    candidates: Sequence[Transaction], references: References, source_id: str, psp_id: str | None
) -> Transaction | Unmatched:
    """Choose among candidates, newest first. Linked ones (refunds) are never meant themselves.

    `psp_id` is the provider's id of the payment itself, if the notice says it.
    """
    payments = [t for t in candidates if t.kind is TransactionKind.PAYMENT]
    psp_ids = {*references.psp, *({psp_id} if psp_id is not None else ())}
    for reference in _references(references, source_id):
        fitting = [payment for payment in payments if reference.fits(payment)]
        if fitting:
            chosen = _choose(fitting, psp_ids) if reference.is_shared else fitting[0]
            return _unless_counted_twice(chosen, payments, source_id, psp_id)
    tried = ", ".join((*references.ours, *references.psp)) or "no reference at all"
    return Unmatched(f"No transaction is known by {tried[:200]}.")


def _references(references: References, source_id: str) -> Iterable[_Reference]:
    ours, psp = set(references.ours), set(references.psp)
    sources = (source_id, None)
    return (
        _Reference(False, lambda t: t.id in ours),
        _Reference(False, lambda t: t.uid in ours),
        _Reference(False, lambda t: t.psp_transaction_id in psp and t.source_id in sources),
        _Reference(True, lambda t: t.order_id in ours),
        _Reference(True, lambda t: t.merchant_reference in ours),
    )


def _choose(payments: Sequence[Transaction], psp_ids: AbstractSet[str]) -> Transaction | Unmatched:
    known = [payment for payment in payments if payment.psp_transaction_id in psp_ids]
    if known:
        return known[0]
    is_only = len(payments) == 1
    possible = [p for p in payments if not _is_another(p, psp_ids, is_only=is_only)]
    still_open = [payment for payment in possible if payment.status not in TERMINAL]
    if len(still_open) == 1:
        return still_open[0]
    if not still_open and possible:
        return possible[0]  # the newest
    ids = ", ".join(payment.id for payment in payments[:5])
    return Unmatched(f"The reference is that of other payments: {ids}.")


def _unless_counted_twice(
    chosen: Transaction | Unmatched,
    payments: Sequence[Transaction],
    source_id: str,
    psp_id: str | None,
) -> Transaction | Unmatched:
    """Refuse a transaction if the provider's id is another's: one payment would count twice."""
    if isinstance(chosen, Unmatched) or psp_id is None:
        return chosen
    owners = [payment for payment in payments if payment.psp_transaction_id == psp_id]
    others = [owner for owner in owners if owner.source_id == source_id and owner.id != chosen.id]
    if not others or chosen in owners:
        return chosen
    return Unmatched(f"The provider's id {psp_id[:100]} is that of {others[0].id}.")


def _is_another(payment: Transaction, psp_ids: AbstractSet[str], *, is_only: bool) -> bool:
    """Tell whether this is a payment that the provider knows by another id.

    If it is open and the only one, it may have got a second id: the payer tried again.
    """
    if not psp_ids or payment.psp_transaction_id is None:
        return False
    return payment.status in TERMINAL or not is_only
