"""Matching: which transaction does a notice mean?

The provider's own id decides first, within its source. Then our id. Then the reference that the
merchant gave the provider: it may be the uid, the order or the merchant's reference of a
transaction. If it fits several transactions in different ways, none is meant. A new attempt is
found by our id or uid before the ids that it shares with other payments, as a purchase's. Where a
person has said whose an id is, that counts before all.

Several transactions may share an order or a merchant's reference, as at a second attempt to pay.
Then the one is meant that is still open. If several are open, or one may be paid already, nobody
can tell. One that has ended under another id of the provider is another payment, and is not meant.

A transaction of another source is not meant, unless the owner of this source allows it, or a person
has said so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tillbell.model.callbacks import References, TransactionNotice
from tillbell.model.transactions import (
    TERMINAL,
    PaymentAttempt,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.rules.payments.attempts import ATTEMPTS_ENDED


class Unmatched(NamedTuple):
    """No transaction is meant, and why. A person may say which of the `candidates` is."""

    why: str
    candidates: tuple[Transaction, ...] = ()
    is_of_other_source: bool = False


class MatchingSource(NamedTuple):
    """The source of a notice, and whether it may move what belongs to other sources."""

    id: str
    provider: str
    moves_any: bool = False

    def may_move(self, transaction: Transaction) -> bool:
        """Tell whether its callbacks may be about a transaction."""
        if self.moves_any or transaction.source_id == self.id:
            return True
        return transaction.source_id is None and transaction.provider in (None, self.provider)


_BY_MERCHANT: tuple[Callable[[Transaction], str | None], ...] = (
    lambda transaction: transaction.uid,
    lambda transaction: transaction.order_id,
    lambda transaction: transaction.merchant_reference,
)


def payment_references(notice: TransactionNotice) -> References:
    """Return the references by which the payment of a notice is looked for."""
    if notice.kind is not TransactionKind.PAYMENT or notice.psp_transaction_id is None:
        return notice.references
    return notice.references._replace(psp=(*notice.references.psp, notice.psp_transaction_id))


def match(
    candidates: Sequence[Transaction],
    references: References,
    source: MatchingSource,
    psp_id: str | None,
) -> Transaction | Unmatched:
    """Choose among candidates, newest first. Linked ones (refunds) are never meant themselves.

    `psp_id` is the provider's id of the payment itself, if the notice says it.
    """
    payments = [t for t in candidates if t.kind is TransactionKind.PAYMENT]
    if len(payments) == 1 and _is_named(payments[0], references) and source.may_move(payments[0]):
        return payments[0]  # nearly always: what follows would come to the same
    return _match_of(payments, references, source, psp_id)


def _match_of(
    payments: Sequence[Transaction],
    references: References,
    source: MatchingSource,
    psp_id: str | None,
) -> Transaction | Unmatched:
    movable = [payment for payment in payments if source.may_move(payment)]
    ours = set(references.ours)
    psp_ids = dict.fromkeys((*(() if psp_id is None else (psp_id,)), *references.psp))
    named = [payment for payment in movable if ours & {payment.id, payment.uid}]
    for payment in payments:
        if any(_is_chosen(attempt, psp_ids.keys(), source) for attempt in payment.attempts):
            return payment
    for id_ in psp_ids:
        if psp_id is not None and id_ != psp_id and len(named) == 1:
            return named[0]  # a new attempt: what it shares with others says less than our name
        known = [payment for payment in movable if _is_known_by(payment, id_, source)]
        if known:
            chosen = known[0] if len(known) == 1 else _several(known)
            return _unless_counted_twice(chosen, movable, references, psp_id)
    for payment in movable:
        if payment.id in ours:
            return payment
    ways = [[p for p in movable if name(p) in ours] for name in _BY_MERCHANT]
    fitting = [payment for payment in movable if any(payment in way for way in ways)]
    if fitting:
        return _choose(fitting, ways, set(psp_ids))
    if payments:
        others = ", ".join(payment.id for payment in payments[:5])
        why = f"It names {others}, which belongs to another source."
        return Unmatched(why, tuple(payments), is_of_other_source=True)
    names = dict.fromkeys((*references.ours, *references.psp))
    tried = ", ".join(names) or "no reference at all"
    return Unmatched(f"No transaction is known by {tried[:200]}.")


def _is_named(payment: Transaction, references: References) -> bool:
    """Tell whether a notice names a payment by our id or its uid."""
    return payment.uid in references.ours or payment.id in references.ours


def _is_chosen(attempt: PaymentAttempt, psp_ids: AbstractSet[str], source: MatchingSource) -> bool:
    """Tell whether a person has said whose one of these ids of the provider is."""
    return (
        attempt.is_chosen and attempt.source_id == source.id and not psp_ids.isdisjoint(attempt.ids)
    )


def _is_known_by(payment: Transaction, psp_id: str, source: MatchingSource) -> bool:
    """Tell whether the provider knows a payment by an id. Ids of two sources may be equal."""
    if payment.source_id not in (source.id, None) and not source.moves_any:
        return False
    if psp_id == payment.psp_transaction_id:
        return True
    return any(psp_id in attempt.ids for attempt in payment.attempts)


def _unless_counted_twice(
    chosen: Transaction | Unmatched,
    payments: Sequence[Transaction],
    references: References,
    psp_id: str | None,
) -> Transaction | Unmatched:
    """Refuse a payment that has ended if the notice names another: one id would count twice."""
    if isinstance(chosen, Unmatched) or psp_id is None or chosen.status not in TERMINAL:
        return chosen
    ours = set(references.ours)
    names_chosen = chosen.id in ours or any(name(chosen) in ours for name in _BY_MERCHANT)
    named = [payment for payment in payments if ours & {payment.id, payment.uid}]
    if names_chosen or not named:
        return chosen
    why = f"The provider's id {psp_id[:100]} is that of {chosen.id}."
    return Unmatched(why, (chosen, *named))


def _choose(
    fitting: Sequence[Transaction],
    ways: Sequence[Sequence[Transaction]],
    psp_ids: AbstractSet[str],
) -> Transaction | Unmatched:
    """Choose among those that the merchant's reference fits. `ways`: those of each field."""
    by_uid = ways[0]
    if len(fitting) == 1 and by_uid:
        return fitting[0]
    if not any(len(way) == len(fitting) for way in ways):
        return _several(fitting)
    is_only = len(fitting) == 1
    possible = [p for p in fitting if not _is_another(p, psp_ids, is_only=is_only)]
    still_open = [payment for payment in possible if not _has_ended(payment)]
    if len(possible) == 1:
        return possible[0]
    may_be_paid = any(payment.status is TransactionStatus.APPROVED for payment in possible)
    if len(still_open) == 1 and not may_be_paid:
        return still_open[0]
    return _several(possible or fitting)


def _several(payments: Sequence[Transaction]) -> Unmatched:
    ids = ", ".join(payment.id for payment in payments[:5])
    return Unmatched(f"The reference is that of other payments: {ids}.", tuple(payments))


def _is_another(payment: Transaction, psp_ids: AbstractSet[str], *, is_only: bool) -> bool:
    """Tell whether this is a payment that the provider knows by another id.

    If it is open and the only one, it may have got a second id: the payer tried again.
    """
    if not psp_ids or payment.psp_transaction_id is None:
        return False
    return _has_ended(payment) or not is_only


def _has_ended(payment: Transaction) -> bool:
    """Tell whether a payment has ended. One that only silence has ended may still be paid."""
    return payment.status in TERMINAL and payment.reason != ATTEMPTS_ENDED
