"""Statuses: what a reported status does to a transaction of any kind, and who is asked."""

from __future__ import annotations

from tillbell.clock import MINUTE
from tillbell.model.callbacks import Outcome
from tillbell.model.sources import ConfirmationPolicy, Trust
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.process.notice_context import (
    NoticeContext,
    body_mark,
    unmapped_text,
)
from tillbell.process.provider_lookup import lookup_pointers
from tillbell.process.transaction_steps import (
    TransactionSteps,
)
from tillbell.rules.payments.amounts import AmountMismatch
from tillbell.rules.payments.attempts import (
    ATTEMPTS_ENDED,
    AttemptReport,
    has_open_attempt,
    with_report,
)
from tillbell.rules.payments.booking import add_provider_ids
from tillbell.rules.payments.conflicts import (
    contradiction_conflict,
    mismatch_conflict,
    settled_text,
    unconfirmed_conflict,
)
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.rules.payments.trust import accepts_late_success
from tillbell.storage.ports.inbound import InboundReads

SILENCE_GRACE = 15 * MINUTE


class StatusDecider:
    """Decides about statuses. It records on the decision alone."""

    def __init__(self, reads: InboundReads) -> None:
        self._steps = TransactionSteps(reads)

    async def decide(self, context: NoticeContext, transaction: Transaction) -> None:
        """Decide what the status of a notice does to a transaction."""
        notice, unproven = context.notice, context.reason_unproven
        if notice.status is None:
            if notice.is_hint:
                await self.ask_for_proof(context, transaction, unproven or "")
            else:
                context.add_outcome(Outcome.UNMAPPED, unmapped_text(notice), transaction)
            return
        reported = ReportedStatus(notice.status, notice.occurred_at, notice.sequence)
        judged = judge_status(reported, transaction)
        if judged.outcome not in (Outcome.APPLIED, Outcome.CONFLICT):
            if unproven is None:
                is_repeat = judged.outcome is Outcome.DUPLICATE
                update_details(context, transaction, is_repeat=is_repeat)
            context.add_outcome(judged.outcome, judged.why, transaction)
        elif unproven is not None and not _is_signed_contradiction(context, transaction):
            await self.ask_for_proof(context, transaction, unproven)
        elif judged.outcome is Outcome.CONFLICT:
            await self.contradict(context, transaction, notice.status, judged.why)
        else:
            if transaction.kind is TransactionKind.PAYMENT:
                transaction = with_report(transaction, context.report)
            after = context.decision.advance(
                transaction, notice.status, context.details, context.trust.word
            )
            context.add_outcome(Outcome.APPLIED, judged.why, after)

    async def open_mismatch(
        self, context: NoticeContext, transaction: Transaction, mismatch: AmountMismatch
    ) -> bool:
        """Ask a person about an amount. Return whether the question is open: it may be settled."""
        status = context.notice.status
        assert status is not None
        conflict = mismatch_conflict(status, mismatch, context.notice.psp_transaction_id)
        settled = await self._steps.open_conflict(context.decision, transaction, conflict)
        if settled is None:
            context.add_outcome(Outcome.MISMATCH, mismatch.why, transaction)
        else:
            context.add_outcome(Outcome.NOTED, settled_text(settled), transaction)
        return settled is None

    async def contradict(
        self, context: NoticeContext, transaction: Transaction, status: TransactionStatus, why: str
    ) -> None:
        """Ask a person. A late success is checked with the provider, where its owner chose so."""
        decision, notice = context.decision, context.notice
        conflict = contradiction_conflict(
            transaction, status, why, notice.amount, notice.psp_transaction_id
        )
        settled = await self._steps.open_conflict(decision, transaction, conflict)
        if settled is not None:
            context.add_outcome(Outcome.NOTED, settled_text(settled), transaction)
            return
        context.add_outcome(Outcome.CONFLICT, why, transaction)
        is_late_success = status is TransactionStatus.APPROVED
        if is_late_success and accepts_late_success(context.compiled.config, transaction):
            check_now = transaction._replace(check_at=decision.now, checks=0)
            decision.update_transaction(transaction, check_now)

    async def ask_for_proof(
        self, context: NoticeContext, transaction: Transaction, why: str
    ) -> None:
        """Do not believe a notice yet: ask the provider or a person, or wait for more."""
        settled = await self._await_proof(context, transaction, why)
        why = why if settled is None else settled_text(settled)
        context.add_outcome(Outcome.NOTED, why, transaction)

    async def _await_proof(
        self, context: NoticeContext, transaction: Transaction, why: str
    ) -> MoneyConflict | None:
        """Plan a look-up, or ask a person; return the conflict in which that was answered."""
        notice, decision = context.notice, context.decision
        is_payment = notice.kind is TransactionKind.PAYMENT
        if transaction.status in TERMINAL and notice.is_hint:
            is_approved = transaction.status is TransactionStatus.APPROVED
            may_reopen = is_payment and transaction.reason == ATTEMPTS_ENDED
            may_look_up = may_reopen or (is_approved and _may_look_up_refunds(context))
            if may_look_up:
                look_up = transaction._replace(check_at=decision.now, checks=0)
                decision.update_transaction(transaction, look_up)
            if may_look_up or is_payment:
                return None
        elif is_payment:  # a look-up answers for payments only
            awaiting = _await_confirmation(context, _held(context, transaction))
            transaction = decision.update_transaction(transaction, awaiting)
        is_moving = not is_payment and notice.status is TransactionStatus.APPROVED
        if notice.status is None or (notice.is_hint and not is_moving):
            return None
        if is_payment and context.policy is ConfirmationPolicy.PULL:
            return None
        if notice.may_be_repeat:  # each is asked about, though nothing else tells two apart
            why += body_mark(context)
        conflict = unconfirmed_conflict(notice, notice.status, why, transaction.currency)
        return await self._steps.open_conflict(decision, transaction, conflict)


def _is_signed_contradiction(context: NoticeContext, transaction: Transaction) -> bool:
    """Tell whether a signed notice says that a refund or the like which is booked has failed.

    It may name no amount, but no look-up answers for that one refund: a person is asked.
    """
    is_linked = transaction.kind is not TransactionKind.PAYMENT
    is_booked = is_linked and transaction.status is TransactionStatus.APPROVED
    is_signed_hint = context.notice.is_hint and context.trust is Trust.SIGNED
    return is_booked and is_signed_hint and context.notice.status in NEGATIVE


def _await_confirmation(context: NoticeContext, transaction: Transaction) -> Transaction:
    """Plan how an unproven notice is confirmed: by the provider, or by hearing nothing more."""
    now, if_silent, compiled = context.decision.now, context.notice.if_silent, context.compiled
    after = transaction._replace(
        source_id=transaction.source_id or compiled.source.id,
        provider=transaction.provider or compiled.provider.name,
    )
    if if_silent is not None and transaction.status not in TERMINAL:
        return after._replace(if_silent=if_silent, check_at=now + SILENCE_GRACE)
    after = after._replace(if_silent=None)  # the payer has gone on after all
    if context.policy is ConfirmationPolicy.PULL:
        return after._replace(check_at=now, checks=0)
    return after


def _may_look_up_refunds(context: NoticeContext) -> bool:
    """Tell whether the provider says in a look-up what went back."""
    compiled = context.compiled
    return bool(compiled.config.get("lookupUrl")) and "refunded" in lookup_pointers(compiled)


def update_details(context: NoticeContext, transaction: Transaction, *, is_repeat: bool) -> None:
    """Keep what a notice without a step says: the provider's ids; of a repeat the substate too."""
    after = transaction
    if transaction.kind is TransactionKind.PAYMENT:
        after = with_report(transaction, context.report)
    elif transaction.status is TransactionStatus.APPROVED:
        after = after._replace(movement_id=after.movement_id or context.notice.movement_id)
    after = add_provider_ids(after, context.details)
    if is_repeat and transaction.status not in TERMINAL:
        after = after._replace(substate=context.notice.substate or transaction.substate)
        if has_open_attempt(after):
            after = after._replace(if_silent=None)
    context.decision.update_transaction(transaction, after)


def _held(context: NoticeContext, payment: Transaction) -> Transaction:
    """Return a payment that holds the attempt of a proven hint: a look-up asks about that one."""
    own_id = context.notice.psp_transaction_id
    is_id_proven = context.notice.is_id_proven and context.trust is not Trust.NONE
    is_proven = is_id_proven or context.trust is Trust.SIGNED
    if not is_proven or own_id is None or not context.notice.is_hint:
        return payment
    report = AttemptReport(
        status=TransactionStatus.PENDING,
        at=context.decision.now,
        psp_transaction_id=own_id,
        other_ids=context.notice.references.psp,
        source_id=context.compiled.source.id,
    )
    return with_report(payment, report)._replace(psp_transaction_id=own_id)
