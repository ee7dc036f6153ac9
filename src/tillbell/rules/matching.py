"""Matching: which transaction does a notice mean?

By our id, then the uid, then the provider's id within the source, then the order, then the
merchant's reference: the first of these that finds anything decides. A reference that several
transactions share (a second attempt at the same order) means the one the provider already knows
by its id, else the one that is still open; of several open ones nobody can tell. One that has
ended under another id of the provider is another payment, and is not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tillbell.callbacks import References
from tillbell.transactions import TERMINAL, Kind, Transaction


class Unmatched(NamedTuple):
    """No transaction, and why."""

    why: str


def match(
    found: Sequence[Transaction], references: References, source_id: str, psp_id: str | None
) -> Transaction | Unmatched:
    """Choose among candidates, newest first. Linked ones (refunds) are never meant themselves."""
    payments = [one for one in found if one.kind is Kind.PAYMENT]
    for named in _ways(references, source_id):
        meant = [one for one in payments if named(one)]
        if meant:
            chosen = _choose(meant, psp_id)
            return _unless_anothers(chosen, payments, source_id, psp_id)
    tried = ", ".join((*references.ours, *references.psp)) or "no reference at all"
    return Unmatched(f"No transaction is known by {tried[:200]}.")


def _ways(references: References, source_id: str) -> Iterable[Callable[[Transaction], bool]]:
    ours, psp = set(references.ours), set(references.psp)
    return (
        lambda one: one.id in ours,
        lambda one: one.uid in ours,
        lambda one: one.psp_transaction_id in psp and one.source_id in (source_id, None),
        lambda one: one.order_id in ours,
        lambda one: one.merchant_reference in ours,
    )


def _choose(meant: Sequence[Transaction], psp_id: str | None) -> Transaction | Unmatched:
    if len(meant) == 1 and not _is_another(meant[0], psp_id):
        return meant[0]
    known = [one for one in meant if psp_id is not None and one.psp_transaction_id == psp_id]
    if known:
        return known[0]
    unnamed = [one for one in meant if psp_id is None or one.psp_transaction_id is None]
    still_open = [one for one in unnamed if one.status not in TERMINAL]
    if len(still_open) == 1:
        return still_open[0]
    if not still_open and unnamed:
        return unnamed[0]  # the newest
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


def _is_another(one: Transaction, psp_id: str | None) -> bool:
    """Tell whether this payment has ended under another id of the provider."""
    known = one.psp_transaction_id
    return one.status in TERMINAL and None not in (psp_id, known) and psp_id != known
