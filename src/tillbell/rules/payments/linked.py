"""Linked transactions: which refund, chargeback or the like a notice means, and what it adds up to.

| a notice about | means |
| --- | --- |
| an id and a movement that are known | that linked transaction |
| a dispute whose money moves again | a new one |
| the amount that a person or a look-up recorded | the recorded one, which gets the provider's id |
| the amount of a refund that a person expects | the expected one, which is booked now |
| a debit that the provider tells as two kinds | the one that is booked |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import TransactionNotice
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    PaymentAttempt,
    Transaction,
    TransactionKind,
    TransactionStatus,
)

MORE_THAN_IS_LEFT = "more_than_is_left"  # the substate of what waits for a person, or for room
EXPECTED = "expected"  # the substate of a refund that a person expects, and no provider has told
NEVER_OPENED = "never_opened"  # the reason of an end that came before its beginning
# Movements that are ours and not a provider's:
FAILED_CAPTURE = "failed_capture"  # what a failed capture takes back
LOOK_UP = "look_up"  # what the provider counted; its attempts are the refunds that it holds
BY_CONFLICT = "accepted"  # a reversal that a person accepted: it is no refund
# Kinds that a person records where a provider says refund.
_BY_HAND = frozenset({TransactionKind.REFUND, TransactionKind.REVERSAL, TransactionKind.RETURN})
# The sum of a payment that each kind adds to.
_SUMS = {
    TransactionKind.CAPTURE: "credited",
    TransactionKind.REFUND: "refunded",
    TransactionKind.CHARGEBACK: "charged_back",
    TransactionKind.CHARGEBACK_REVERSAL: "reinstated",
    TransactionKind.REVERSAL: "reversed_",
    TransactionKind.RETURN: "reversed_",
}


class LinkedMatch(NamedTuple):
    """What a notice means. All None: something new.

    `known` is what it tells of, `recorded` was recorded without an id of the provider, and
    `same_debit` is the same money, told as another kind.
    """

    known: Transaction | None = None
    recorded: Transaction | None = None
    same_debit: Transaction | None = None


class LinkedNews(NamedTuple):
    """What is known where a notice tells of a refund or the like.

    `known` is that refund, `siblings` are all of its payment, `claimed` is how much the notice
    says, in minor units (None: it does not say it).
    """

    parent: Transaction
    known: Transaction | None
    siblings: Sequence[Transaction]
    claimed: int | None
    is_accepted: bool
    taken: int = 0  # of a chargeback reversal: what its dispute has taken, and not given back

    @property
    def amount(self) -> int:
        """How much is meant, in minor units.

        Without an amount all of the payment is meant, or all that the dispute has taken.
        """
        if self.claimed is not None:
            return self.claimed
        if self.taken:
            return self.taken
        return self.known.amount if self.known is not None else credited_amount(self.parent)


def with_taken(news: LinkedNews, notice: TransactionNotice) -> LinkedNews:
    """Return what is known, with what a dispute has taken where a notice gives it back."""
    if notice.kind is not TransactionKind.CHARGEBACK_REVERSAL:
        return news
    return news._replace(taken=amount_to_reinstate(notice, news.siblings))


def match_linked(
    notice: TransactionNotice, siblings: Sequence[Transaction], claimed: int | None, whole: int
) -> LinkedMatch:
    """Say what a notice means.

    `claimed`: how much it says, in minor units; None: as much as what it tells of, or else the
    `whole` payment.
    """
    known = _known(notice, [sibling for sibling in siblings if not is_expected(sibling)])
    meant = whole if known is None else known.amount
    amount = meant if claimed is None else claimed
    if notice.same_debit_as is not None and notice.status is TransactionStatus.APPROVED:
        is_booked = known is not None and known.status is TransactionStatus.APPROVED
        same_debit = None if is_booked else _same_debit(notice, siblings, amount)
        return LinkedMatch(known=known, same_debit=same_debit)
    if known is None and notice.status is TransactionStatus.PENDING:
        mark = same_debit_mark(notice)  # its end was booked before it was opened
        booked = next((s for s in siblings if s.movement_id == mark), None)
        if booked is not None:
            return LinkedMatch(same_debit=booked)
    is_moving = known is not None and known.status not in TERMINAL
    is_moving = is_moving and notice.status is TransactionStatus.APPROVED
    if notice.psp_transaction_id is not None and (known is None or is_moving):
        recorded = _recorded(notice, siblings, amount)
        if known is not None or recorded is not None:
            return LinkedMatch(known=known, recorded=recorded)
    if known is None and notice.kind in _BY_HAND and notice.status not in {None, *NEGATIVE}:
        known = expected_refund(siblings, amount)
    return LinkedMatch(known=known)


def _known(notice: TransactionNotice, siblings: Sequence[Transaction]) -> Transaction | None:
    same_id = [sibling for sibling in siblings if _has_id_of(sibling, notice)]
    if notice.movement_id is not None:
        for sibling in same_id:
            if sibling.movement_id == notice.movement_id or _is_claimed(sibling, notice):
                return sibling
        # What was opened or booked without a movement gets its first one.
        opened = [s for s in same_id if s.movement_id is None and s.status not in NEGATIVE]
        return opened[-1] if opened else None
    if notice.status is TransactionStatus.APPROVED:  # an end that moved no money says nothing
        same_id = [sibling for sibling in same_id if sibling.reason != NEVER_OPENED]
    return same_id[-1] if same_id else None


def _has_id_of(sibling: Transaction, notice: TransactionNotice) -> bool:
    is_same_kind = sibling.kind is notice.kind or {sibling.kind, notice.kind} <= _BY_HAND
    if is_same_kind and _is_claimed(sibling, notice):
        return True
    if sibling.psp_transaction_id != notice.psp_transaction_id:
        return False
    if sibling.kind is notice.kind:
        return True
    is_named = notice.psp_transaction_id is not None
    return is_named and {sibling.kind, notice.kind} <= _BY_HAND


def _recorded(
    notice: TransactionNotice, siblings: Sequence[Transaction], amount: int
) -> Transaction | None:
    if notice.status in NEGATIVE:
        return None
    kinds = _BY_HAND if notice.kind in _BY_HAND else {notice.kind}
    for sibling in siblings:
        is_recorded = sibling.kind in kinds and sibling.psp_transaction_id is None
        if not is_recorded or sibling.status is not TransactionStatus.APPROVED:
            continue
        is_same = sibling.amount == amount and sibling.movement_id is None
        is_same = is_same and notice.movement_id is None
        if is_same or amount <= _amount_unclaimed(sibling):
            return sibling
    return None


def _amount_unclaimed(sibling: Transaction) -> int:
    """Return how much of what a look-up counted no callback has named yet, in minor units."""
    if sibling.movement_id != LOOK_UP:
        return 0
    return sibling.amount - sum(claim.captured for claim in sibling.attempts)


def with_claim(
    sibling: Transaction, notice: TransactionNotice, amount: int, at: Micros
) -> Transaction:
    """Return what was recorded, with the provider's id of a refund that it holds.

    What a look-up counted may hold several refunds, each with its amount in minor units.
    """
    if sibling.movement_id == LOOK_UP and notice.psp_transaction_id is not None:
        claim = PaymentAttempt(
            _claim_id(notice), sibling.status, at, sibling.source_id, captured=amount
        )
        return sibling._replace(attempts=(*sibling.attempts, claim))
    return sibling._replace(
        psp_transaction_id=notice.psp_transaction_id, psp_reference=notice.psp_reference
    )


def _is_claimed(sibling: Transaction, notice: TransactionNotice) -> bool:
    return any(claim.psp_transaction_id == _claim_id(notice) for claim in sibling.attempts)


def _claim_id(notice: TransactionNotice) -> str:
    """Name what a notice tells of: one movement, where a dispute may have several."""
    return " ".join(filter(None, (notice.psp_transaction_id, notice.movement_id)))


def _same_debit(
    notice: TransactionNotice, siblings: Sequence[Transaction], amount: int
) -> Transaction | None:
    mark = same_debit_mark(notice)
    for sibling in siblings:
        if sibling.kind is notice.same_debit_as and sibling.status is TransactionStatus.APPROVED:
            is_taken = (sibling.movement_id or "").startswith(f"{notice.kind.value} ")
            is_free = not is_taken and sibling.amount == amount
            if sibling.movement_id == mark or is_free:
                return sibling
    return None


def same_debit_mark(notice: TransactionNotice) -> str:
    """Return how a booked debit names the notice that told it a second time."""
    return f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()


# ── sums ─────────────────────────────────────────────────────────────────────────────────────────


def credited_amount(payment: Transaction) -> int:
    """Return what a payment has brought in (or, a pay-out, taken out), in minor units."""
    is_without_sums = not payment.credited and not payment.attempts
    if payment.status is TransactionStatus.APPROVED and is_without_sums:
        return payment.amount
    return payment.credited


def amount_left_of_all(payment: Transaction) -> int:
    """Return how much of a payment has not gone back by any kind, in minor units.

    Refunds and disputes together take no more than was credited, until a person says so.
    """
    back = payment.refunded + payment.reversed_ + payment.charged_back - payment.reinstated
    return credited_amount(payment) - back


def amount_refunded(siblings: Iterable[Transaction]) -> int:
    """Return the sum of all refunds that are booked, or open at the provider, in minor units."""
    return sum(
        sibling.amount
        for sibling in siblings
        if sibling.kind in _BY_HAND
        and sibling.status not in NEGATIVE
        and sibling.movement_id not in (FAILED_CAPTURE, BY_CONFLICT)
        and not is_expected(sibling)
    )


def is_expected(linked: Transaction) -> bool:
    """Tell whether a person expects a refund, and no provider has told of it yet."""
    is_open = linked.status is TransactionStatus.PENDING and linked.substate == EXPECTED
    return is_open and linked.psp_transaction_id is None


def expected_refund(siblings: Iterable[Transaction], amount: int) -> Transaction | None:
    """Return the first expected refund of an amount, in minor units; None: there is none."""
    return next((s for s in siblings if is_expected(s) and s.amount == amount), None)


def is_held(linked: Transaction) -> bool:
    """Tell whether a linked transaction waits, because it takes more than is left."""
    return linked.status is TransactionStatus.PENDING and linked.substate == MORE_THAN_IS_LEFT


def amount_to_reinstate(notice: TransactionNotice, siblings: Sequence[Transaction]) -> int:
    """Return how much of what a dispute took has not come back, in minor units.

    A reversal that names no dispute which is known here counts for all disputes together; so does
    one where a look-up has counted disputes.
    """
    moved = [s for s in siblings if s.status is TransactionStatus.APPROVED]
    taken = [s for s in moved if s.kind is TransactionKind.CHARGEBACK or _is_dispute_debit(s)]
    returned = [s for s in moved if s.kind is TransactionKind.CHARGEBACK_REVERSAL]
    id_ = notice.psp_transaction_id
    disputes = [s for s in siblings if s.kind is TransactionKind.CHARGEBACK]
    is_counted = any(sibling.movement_id == LOOK_UP for sibling in disputes)
    if not is_counted and any(_is_of_dispute(sibling, id_) for sibling in disputes):
        taken = [sibling for sibling in taken if _is_of_dispute(sibling, id_)]
        returned = [sibling for sibling in returned if _is_of_dispute(sibling, id_)]
    return sum(s.amount for s in taken) - sum(s.amount for s in returned)


def is_before_its_debit(notice: TransactionNotice, news: LinkedNews) -> bool:
    """Tell whether a chargeback reversal has come before what it gives back."""
    left = amount_to_reinstate(notice, news.siblings)
    disputes = [s for s in news.siblings if s.kind is TransactionKind.CHARGEBACK]
    if any(_is_of_dispute(dispute, notice.psp_transaction_id) for dispute in disputes):
        return not left
    is_counted = any(dispute.movement_id == LOOK_UP for dispute in disputes)
    is_unclear = news.claimed is None and notice.psp_transaction_id is not None and not is_counted
    return not left or is_unclear or news.amount > left


def held_chargebacks(
    notice: TransactionNotice, siblings: Sequence[Transaction]
) -> list[Transaction]:
    """Return the chargebacks that wait and that a reversal may give back.

    All of them, if the reversal names no dispute that is known here.
    """
    disputes = [s for s in siblings if s.kind is TransactionKind.CHARGEBACK]
    own = [s for s in disputes if _is_of_dispute(s, notice.psp_transaction_id)]
    return [dispute for dispute in own or disputes if is_held(dispute)]


def _is_dispute_debit(sibling: Transaction) -> bool:
    """Tell whether a provider has told the debit of a dispute as a reversal."""
    return sibling.kind is TransactionKind.REVERSAL and sibling.psp_transaction_id is not None


def _is_of_dispute(sibling: Transaction, id_: str | None) -> bool:
    mark = f"{TransactionKind.CHARGEBACK.value} {id_}"
    return id_ is not None and (sibling.psp_transaction_id == id_ or sibling.movement_id == mark)


def amount_left(payment: Transaction, linked: Iterable[Transaction]) -> int:
    """Return how much of a payment has not gone back by what is linked to it, in minor units."""
    credited = credited_amount(payment)
    left = credited
    for transaction in linked:
        is_in_credit = transaction.kind is TransactionKind.CAPTURE
        if is_in_credit or transaction.movement_id == FAILED_CAPTURE:
            continue
        if transaction.kind is TransactionKind.CHARGEBACK_REVERSAL:
            left += transaction.amount if transaction.status is TransactionStatus.APPROVED else 0
        elif transaction.status not in NEGATIVE:
            left -= transaction.amount
    return max(0, min(left, credited))


def is_amount_unknown(notice: TransactionNotice, news: LinkedNews) -> bool:
    """Tell whether a notice without an amount may be about a part of its payment."""
    if news.claimed is not None or news.known is not None or news.taken:
        return False
    payment = news.parent
    back = payment.refunded + payment.reversed_ + payment.charged_back - payment.reinstated
    is_open = any(sibling.status not in TERMINAL for sibling in news.siblings)
    is_later_part = notice.kind is not TransactionKind.CHARGEBACK_REVERSAL and back > 0
    return is_later_part or is_open


def may_be_uncredited(payment: Transaction, references: Iterable[str] = ()) -> bool:
    """Tell whether money that goes back may be some that was captured and never credited.

    `references` are the provider's ids that the news names. It is not if they name the attempt
    that the payment holds, and that was credited.
    """
    credited = credited_amount(payment)
    if payment.captured <= credited:
        return False
    named = set(references)
    held = [
        attempt
        for attempt in payment.attempts
        if attempt.psp_transaction_id == payment.psp_transaction_id and named & set(attempt.ids)
    ]
    return not held or held[0].captured > payment.amount


def with_linked(payment: Transaction, kind: TransactionKind, amount: int) -> Transaction:
    """Return a payment with the sum that an approved linked transaction changes."""
    name = _SUMS[kind]
    return payment._replace(**{name: getattr(payment, name) + amount})
