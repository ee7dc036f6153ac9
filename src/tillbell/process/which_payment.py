"""Which payment: asks a person where a notice fits several, or one that is paid already.

One question is open for each name of a payment. The answer holds for every later notice with the
same id of the provider: that it is of one payment (`with_choice`), or of none of them.
"""

from __future__ import annotations

from tillbell.model.callbacks import TransactionNotice
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.process.decision import Decision
from tillbell.rules.payments.conflicts import AMBIGUOUS, JANITOR, ambiguous_conflict
from tillbell.rules.payments.matching import Unmatched
from tillbell.storage.ports.inbound import InboundReads
from tillbell.storage.ports.outbound import Page

_CONFLICTS = Page(limit=100)


class PaymentQuestions:
    """Asks which payment is meant, and finds what was answered."""

    def __init__(self, reads: InboundReads) -> None:
        self._reads = reads

    async def ask(
        self, decision: Decision, notice: TransactionNotice, unmatched: Unmatched
    ) -> MoneyConflict | None:
        """Ask a person, unless that is done. Return the conflict in which a person said "none"."""
        if not needs_answer(notice, unmatched):
            return None
        reference = payment_reference(notice)
        for conflict in await self._asked(decision, unmatched.candidates):
            if conflict.reference != reference:
                continue
            if conflict.resolved_at is None:
                return None
            is_by_person = conflict.resolved_by not in (None, JANITOR)
            if is_by_person and conflict.resolution == "keep" and provider_id(notice):
                return conflict
        assert notice.status is not None, "a notice without status needs no answer"
        conflict = ambiguous_conflict(notice.status, unmatched.why, reference, unmatched.candidates)
        decision.open_conflict(unmatched.candidates[0], conflict)
        return None

    async def close(
        self, decision: Decision, notice: TransactionNotice, payment: Transaction
    ) -> None:
        """Resolve what was asked about a callback whose payment is known now."""
        callback, reference = decision.callback, payment_reference(notice)
        if callback is None:
            return
        for conflict in await self._reads.conflicts(decision.app_id, _CONFLICTS, open_only=True):
            is_same = conflict.callback_id == callback.id and conflict.reference == reference
            if conflict.kind == AMBIGUOUS and is_same:
                about = await self._reads.transaction(conflict.app_id, conflict.transaction_id)
                if about is not None:
                    decision.settle_conflict(conflict, about, "keep", f"It is of {payment.id}.")

    async def _asked(
        self, decision: Decision, candidates: tuple[Transaction, ...]
    ) -> list[MoneyConflict]:
        """Return what was asked about these payments, also in this decision."""
        asked = list(decision.opened_conflicts)
        for candidate in candidates:
            asked += await self._reads.conflicts(candidate.app_id, _CONFLICTS, candidate.id)
        return [conflict for conflict in asked if conflict.kind == AMBIGUOUS]


def provider_id(notice: TransactionNotice) -> str | None:
    """Return the provider's id of the payment that a notice is about."""
    own_id = notice.psp_transaction_id if notice.kind is TransactionKind.PAYMENT else None
    return own_id or next(iter(notice.references.psp), None)


def payment_reference(notice: TransactionNotice) -> str | None:
    """Return the name of the payment that a notice is about: the provider's id, else ours."""
    return provider_id(notice) or next(iter(notice.references.ours), None)


def needs_answer(notice: TransactionNotice, unmatched: Unmatched) -> bool:
    """Tell whether a notice may move money, or end a payment that is open.

    What a shop tells of an order that is paid at another source moves none.
    """
    candidates = unmatched.candidates
    if not candidates or notice.status is None or notice.is_hint:
        return False
    if notice.is_optional and unmatched.is_of_other_source:
        return False
    if notice.kind is not TransactionKind.PAYMENT or notice.status is TransactionStatus.APPROVED:
        return True
    are_open = [candidate for candidate in candidates if candidate.status not in TERMINAL]
    return notice.status in NEGATIVE and len(are_open) > 1
