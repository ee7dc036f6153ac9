"""Matching: which transaction does a notice mean?

By our id, then the uid, then the provider's id within the source, then the order, then the
merchant's reference: the first of these that finds anything decides. A reference that several
transactions share (a second attempt at one order) means the one the provider already knows
by its id, else the one that is still open; of several open ones nobody can tell. One that has
ended under another id of the provider is another payment, and is not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tillbell.model.callbacks import References
from tillbell.model.transactions import TERMINAL, Transaction, TransactionKind


class Unmatched(NamedTuple):
    """No transaction, and why."""

    why: str


def match(
    found: Sequence[Transaction], references: References, source_id: str, psp_id: str | None
) -> Transaction | Unmatched:
    """Choose among candidates, newest first. Linked ones (refunds) are never meant themselves."""
    payments = [one for one in found if one.kind is TransactionKind.PAYMENT]
    for is_shared, named in _ways(references, source_id):
        meant = [one for one in payments if named(one)]
        if meant:
            psp = {*references.psp, *({psp_id} if psp_id is not None else ())}
            chosen = _choose(meant, psp) if is_shared else meant[0]
            return _unless_anothers(chosen, payments, source_id, psp_id)
    tried = ", ".join((*references.ours, *references.psp)) or "no reference at all"
    return Unmatched(f"No transaction is known by {tried[:200]}.")


def _ways(
    references: References, source_id: str
) -> Iterable[tuple[bool, Callable[[Transaction], bool]]]:
    """Return the ways to look, and of each whether several transactions may share what it finds."""
    ours, psp = set(references.ours), set(references.psp)
    return (
        (False, lambda one: one.id in ours),
        (False, lambda one: one.uid in ours),
        (False, lambda one: one.psp_transaction_id in psp and one.source_id in (source_id, None)),
        (True, lambda one: one.order_id in ours),
        (True, lambda one: one.merchant_reference in ours),
    )


def _choose(meant: Sequence[Transaction], psp: AbstractSet[str]) -> Transaction | Unmatched:
    known = [one for one in meant if one.psp_transaction_id in psp]
    if known:
        return known[0]
    is_alone = len(meant) == 1
    possible = [one for one in meant if not _is_another(one, psp, is_alone=is_alone)]
    still_open = [one for one in possible if one.status not in TERMINAL]
    if len(still_open) == 1:
        return still_open[0]
    if not still_open and possible:
        return possible[0]  # the newest
    ids = ", ".join(one.id for one in meant[:5])
    return Unmatched(f"The reference is that of other payments: {ids}.")


def _unless_anothers(
    chosen: Transaction | Unmatched,
    payments: Sequence[Transaction],
    source_id: str,
    psp_id: str | None,
) -> Transaction | Unmatched:
    """Refuse a transaction if the provider's id is that of another: one payment, counted twice."""
    if isinstance(chosen, Unmatched) or psp_id is None:
        return chosen
    holders = [one for one in payments if one.psp_transaction_id == psp_id]
    others = [one for one in holders if one.source_id == source_id and one.id != chosen.id]
    if not others or chosen in holders:
        return chosen
    return Unmatched(f"The provider's id {psp_id[:100]} is that of {others[0].id}.")


def _is_another(one: Transaction, psp: AbstractSet[str], *, is_alone: bool) -> bool:
    """Tell whether this is a payment the provider knows by another id.

    One that goes on and is the only one may have got a second id: the payer tried again.
    """
    if not psp or one.psp_transaction_id is None:
        return False
    return one.status in TERMINAL or not is_alone
