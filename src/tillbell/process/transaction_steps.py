"""What a reported status does to a transaction, whether a callback or a look-up reports it."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.model.callbacks import ProviderAmount
from tillbell.model.transactions import MoneyConflict, Transaction, TransactionStatus
from tillbell.process.decision import Decision
from tillbell.rules.payments.amounts import AmountMismatch, check_amount
from tillbell.rules.payments.booking import NoticeDetails
from tillbell.rules.payments.conflicts import (
    contradiction_conflict,
    is_already_open,
    mismatch_conflict,
)
from tillbell.storage.ports.inbound import InboundReads
from tillbell.storage.ports.outbound import Page

_OPEN_CONFLICTS = Page(limit=100)


class ReportedStep(NamedTuple):
    """A step as it is reported: the status, and what is said beside it."""

    status: TransactionStatus
    amount: ProviderAmount | None
    details: NoticeDetails
    trust: str


class TransactionSteps:
    """Takes a reported step, or opens a conflict for a person. It records on the decision alone."""

    def __init__(self, reads: InboundReads) -> None:
        self._reads = reads

    async def advance(
        self, decision: Decision, transaction: Transaction, step: ReportedStep
    ) -> tuple[Transaction, AmountMismatch | None]:
        """Take a step that the rules allow; return the transaction, and how the amount differs.

        An approval of another amount opens a conflict. If the amount is larger, the transaction
        is approved all the same, with the amount that we expect; else it stays as it is.
        """
        mismatch = None
        if step.status is TransactionStatus.APPROVED:
            mismatch = check_amount(step.amount, transaction.amount, transaction.currency)
        if mismatch is not None:
            await self.open_conflict(
                decision, transaction, mismatch_conflict(step.status, mismatch)
            )
            if not mismatch.is_more:
                return transaction, mismatch
        return decision.advance(transaction, step.status, step.details, step.trust), mismatch

    async def contradict(
        self,
        decision: Decision,
        transaction: Transaction,
        status: TransactionStatus,
        why: str,
        amount: ProviderAmount | None = None,
    ) -> None:
        """Open a conflict: this status contradicts the final one. No money moves."""
        await self.open_conflict(
            decision, transaction, contradiction_conflict(transaction, status, why, amount)
        )

    async def open_conflict(
        self, decision: Decision, transaction: Transaction, conflict: MoneyConflict
    ) -> None:
        """Open a conflict, unless the same one is open already."""
        if not is_already_open(conflict, await self.open_conflicts(transaction)):
            decision.open_conflict(transaction, conflict)

    async def open_conflicts(self, transaction: Transaction) -> list[MoneyConflict]:
        """Return the conflicts of a transaction that are stored and not resolved."""
        return await self._reads.conflicts(
            transaction.app_id, _OPEN_CONFLICTS, transaction.id, open_only=True
        )
