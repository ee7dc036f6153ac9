"""Resolving conflicts: a person keeps what we have, or accepts what was reported.

| choice | leads to |
| --- | --- |
| keep | the transaction stays as it is |
| accept | the reported status and amount; it supersedes a final one |
| accept of a failure | an approved payment is reversed |
| accept of more than was credited | the rest is credited by a linked capture |
| accept of a refund or the like | its callback counts as proven and books it, also beyond a limit |
"""

from __future__ import annotations

from tillbell.errors import ConflictError, NotFound
from tillbell.model.callbacks import Outcome, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import (
    TERMINAL,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.process.decision import Decision
from tillbell.process.manual.actions import add_reversal, add_to_parent, read_transaction
from tillbell.process.manual.audited import ActionReason, AuditedDecisions, AwaitingSecondKey
from tillbell.process.payments import NoticeContext, PaymentDecider
from tillbell.process.transaction_steps import add_capture
from tillbell.receive.reprocess import ReparsedCallback, Reprocessor
from tillbell.rules.payments.attempts import with_captured_total
from tillbell.rules.payments.booking import NoticeDetails, conflict_data
from tillbell.rules.payments.conflicts import UNCONFIRMED_LINKED
from tillbell.rules.payments.linked import BY_CONFLICT, amount_left, credited_amount
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.storage.ports.database import Database


class ConflictResolver:
    """Resolves conflicts as people say."""

    def __init__(
        self, database: Database, audited: AuditedDecisions, reprocessor: Reprocessor
    ) -> None:
        self._database = database
        self._audited = audited
        self._reprocessor = reprocessor
        self._payments = PaymentDecider(database)

    async def resolve(
        self, app_id: str, conflict_id: str, choice: str, act: ActionReason
    ) -> MoneyConflict | AwaitingSecondKey:
        """Resolve a conflict: `choice` is "keep" or "accept".

        `NotFound` if it is not open, `ConflictError` if what was reported cannot be accepted.
        """

        async def decide(decision: Decision) -> MoneyConflict | AwaitingSecondKey:
            conflict = await self._open_conflict(app_id, conflict_id)
            transaction = await read_transaction(self._database, app_id, conflict.transaction_id)
            awaiting = await self._audited.write_or_propose(
                decision, f"conflict.{choice}", conflict.id, act
            )
            if awaiting is not None:
                return awaiting
            is_accepted = choice == "accept"
            reparsed = None
            if is_accepted and _is_about_linked(conflict, transaction):
                reparsed = await self._reparse(conflict)
                decision.conclude_again(reparsed.callback)
            resolved = decision.resolve_conflict(conflict, choice, act.reason)
            after = transaction
            if is_accepted and reparsed is None:
                after = await self._accept(decision, transaction, conflict, act)
            decision.publish_event("transaction.conflict", conflict_data(after, resolved), after)
            if reparsed is not None:
                await self._decide_as_proven(decision, reparsed, conflict)
            return resolved

        return await self._audited.commit(app_id, act, decide)

    async def _open_conflict(self, app_id: str, conflict_id: str) -> MoneyConflict:
        conflict = await self._database.conflict(app_id, conflict_id)
        if conflict is None or conflict.resolved_at is not None:
            raise NotFound("There is no such open conflict.")
        return conflict

    async def _accept(
        self,
        decision: Decision,
        transaction: Transaction,
        conflict: MoneyConflict,
        act: ActionReason,
    ) -> Transaction:
        """Do what was reported: a step, one that supersedes, or a reversal of what was paid."""
        status = conflict.status
        if status is TransactionStatus.APPROVED:
            return await self._approve(decision, transaction, conflict, act)
        if transaction.status is status:
            return transaction
        if transaction.status is TransactionStatus.APPROVED:
            linked = await self._database.linked_transactions(transaction.app_id, transaction.id)
            if amount_left(transaction, linked):
                current = decision.current(transaction)
                reversal = await add_reversal(decision, self._database, current, None, act.reason)
                marked = reversal._replace(movement_id=BY_CONFLICT)
                decision.update_transaction(reversal, marked)
            return transaction
        if judge_status(ReportedStatus(status), transaction).outcome is Outcome.ILLEGAL:
            raise ConflictError(f"It cannot be {status.value}.", code="illegal_transition")
        supersedes = transaction.sequence if transaction.status in TERMINAL else None
        details = NoticeDetails(reason=act.reason, supersedes=supersedes)
        return decision.advance(transaction, status, details)

    async def _approve(
        self,
        decision: Decision,
        transaction: Transaction,
        conflict: MoneyConflict,
        act: ActionReason,
    ) -> Transaction:
        """Book the amount that was reported; of an Approved payment what exceeds its credit."""
        amount = _accepted_amount(transaction, conflict)
        if transaction.status is TransactionStatus.APPROVED:
            extra = amount - credited_amount(transaction)
            if extra > 0 and conflict.kind == "mismatch":
                payment = with_captured_total(transaction, amount, decision.now)
                current = decision.current(transaction)
                details = NoticeDetails(reason=act.reason)
                return add_capture(decision, current, payment, extra, details)
            if conflict.kind == "mismatch":
                why = "It is credited already, so nothing more would be booked: keep the conflict."
                raise ConflictError(why, code="already_credited")
            return transaction
        supersedes = transaction.sequence if transaction.status in TERMINAL else None
        details = NoticeDetails(reason=act.reason, supersedes=supersedes)
        approved = TransactionStatus.APPROVED
        after = decision.advance(transaction, approved, details, amount=amount)
        await add_to_parent(decision, self._database, after, amount)
        return after

    # ── an unconfirmed refund or the like ────────────────────────────────────────────────────────

    async def _reparse(self, conflict: MoneyConflict) -> ReparsedCallback:
        """Read the conflict's callback again. `ConflictError` if it cannot be read any more."""
        callback = None
        if conflict.callback_id is not None:
            callback = await self._database.callback(conflict.app_id, conflict.callback_id)
        reparsed = await self._reprocessor.reparse(callback) if callback is not None else None
        if not isinstance(reparsed, ReparsedCallback) or reparsed.reading.outcome is not None:
            why = "What the provider sent cannot be read any more. Keep it, and record a reversal."
            raise ConflictError(why, code="callback_gone")
        return reparsed

    async def _decide_as_proven(
        self, decision: Decision, reparsed: ReparsedCallback, conflict: MoneyConflict
    ) -> None:
        """Decide the notice that a conflict is about as if it were signed.

        In the same decision as the resolution, so that a crash cannot store one without the other.
        `ConflictError` if it cannot be booked.
        """
        for notice in reparsed.reading.notices:
            if isinstance(notice, TransactionNotice) and _is_subject(notice, conflict):
                context = NoticeContext(decision, reparsed.compiled, Trust.SIGNED, notice)
                await self._payments.decide(context, is_accepted=True)
        if not (decision.has_outcome(Outcome.APPLIED) or decision.has_outcome(Outcome.DUPLICATE)):
            raise ConflictError(f"{conflict.why} So it cannot be booked.", code="amount_unknown")


def _is_subject(notice: TransactionNotice, conflict: MoneyConflict) -> bool:
    """Tell whether a conflict names a notice: by its kind and its id at the provider."""
    name = f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()
    return conflict.why.startswith((f"{name} ", f"{name}:"))


def _is_about_linked(conflict: MoneyConflict, transaction: Transaction) -> bool:
    """Tell whether a conflict is about a refund or the like that its callback reports."""
    if conflict.kind == UNCONFIRMED_LINKED:
        return True
    is_linked = transaction.kind is not TransactionKind.PAYMENT
    names_linked = conflict.why.startswith(tuple(kind.value for kind in TransactionKind))
    return conflict.kind == "mismatch" and (is_linked or names_linked)


def _accepted_amount(transaction: Transaction, conflict: MoneyConflict) -> int:
    """Return how much is booked, in minor units. `ConflictError` if that is not known."""
    if conflict.amount is None and conflict.kind == "mismatch":
        why = f"{conflict.why} So nothing can be booked: keep it, and correct the amount elsewhere."
        raise ConflictError(why, code="amount_unknown")
    if conflict.amount is None:
        return transaction.amount
    if not conflict.amount:
        raise ConflictError("Nothing was captured, so nothing is booked.", code="amount_unknown")
    if conflict.currency != transaction.currency:
        why = f"It was paid in {conflict.currency}, the transaction is in {transaction.currency}."
        raise ConflictError(why, code="currency_mismatch")
    return conflict.amount
