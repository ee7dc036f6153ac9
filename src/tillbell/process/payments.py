"""Payments: decides what a notice about money does.

| a notice | does |
| --- | --- |
| of no transaction that we know | the callback waits up to 72 hours for one |
| with a status that is in no table | nothing: unmapped |
| that changes nothing, or comes too late | nothing: duplicate, stale, illegal |
| that is not proven well enough | asks the provider, or a person |
| with another amount | asks a person; a larger amount is credited as expected |
| that contradicts a final status | asks a person: a conflict never moves money |
| any other | one step, with its effect and its message |

A refund, chargeback, reversal or return is a transaction of its own. The first notice about it
creates it, once its payment is Approved. Until then the callback waits.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import HOUR, MINUTE, SECOND, Micros
from tillbell.model.callbacks import Outcome, TransactionNotice
from tillbell.model.sources import ConfirmationPolicy, Trust
from tillbell.model.transactions import TERMINAL, Transaction, TransactionKind, TransactionStatus
from tillbell.process.decision import Decision
from tillbell.process.transaction_steps import ReportedStep, TransactionSteps
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.amounts import AmountMismatch, ReadAmount, read_amount
from tillbell.rules.payments.booking import NoticeDetails, add_provider_ids, linked_transaction
from tillbell.rules.payments.conflicts import mismatch_conflict, unconfirmed_conflict
from tillbell.rules.payments.matching import Unmatched, match
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.rules.payments.trust import accepts_late_success, confirmation_policy, reason_unproven
from tillbell.storage.ports.inbound import InboundReads

UNMATCHED_WAIT_MAX = 72 * HOUR
FIRST_RETRY_AFTER = 30 * SECOND
SILENCE_GRACE = 15 * MINUTE


class NoticeContext(NamedTuple):
    """A notice, its source, how well it is proven, and the decision that it leads to."""

    decision: Decision
    compiled: CompiledSource
    trust: Trust
    notice: TransactionNotice

    @property
    def reason_unproven(self) -> str | None:
        """Why it may not move money yet; None if it may."""
        return reason_unproven(self.trust, self.policy, is_hint=self.notice.is_hint)

    @property
    def policy(self) -> ConfirmationPolicy:
        """How its source's unproven notices are confirmed."""
        return confirmation_policy(self.compiled.config)

    @property
    def details(self) -> NoticeDetails:
        """What it says beside the status."""
        notice = self.notice
        settlement = None
        if notice.settlement is not None:
            read = read_amount(notice.settlement, "")
            settlement = (read.minor, read.currency) if isinstance(read, ReadAmount) else None
        return NoticeDetails(
            substate=notice.substate,
            reason=notice.reason,
            raw_status=notice.raw_status,
            message=notice.message,
            psp_transaction_id=notice.psp_transaction_id,
            psp_reference=notice.psp_reference,
            settlement=settlement,
            occurred_at=notice.occurred_at,
            sequence=notice.sequence,
            details=notice.details,
            source_id=self.compiled.source.id,
            provider=self.compiled.provider.name,
        )

    def add_outcome(self, outcome: Outcome, why: str, about: Transaction) -> None:
        """Add the notice's outcome to the decision."""
        self.decision.add_outcome(outcome, why, about.id)


class PaymentDecider:
    """Decides about transactions. It records on the decision alone."""

    def __init__(self, reads: InboundReads) -> None:
        self._reads = reads
        self._steps = TransactionSteps(reads)

    async def decide(self, context: NoticeContext) -> None:
        """Record what follows from a notice."""
        notice, source = context.notice, context.compiled.source
        is_payment = notice.kind is TransactionKind.PAYMENT
        own_id = notice.psp_transaction_id if is_payment else None
        references = notice.references
        if own_id is not None:
            references = references._replace(psp=(*references.psp, own_id))
        candidates = await self._reads.candidate_transactions(source.scope, source.id, references)
        context.decision.note_read(candidates)
        matched = match(candidates, references, source.id, own_id)
        if isinstance(matched, Unmatched):
            if not notice.is_optional:
                _wait_for_transaction(context, matched.why)
            return
        transaction = context.decision.current(matched)
        if is_payment:
            await self._decide_status(context, transaction)
        else:
            await self._decide_linked(context, transaction)

    # ── what is linked to a payment ──────────────────────────────────────────────────────────────

    async def _decide_linked(self, context: NoticeContext, parent: Transaction) -> None:
        notice = context.notice
        stored = await self._reads.linked_transactions(parent.app_id, parent.id)
        siblings = context.decision.current_linked(parent.id, stored)
        known = next((sibling for sibling in siblings if _is_meant(sibling, notice)), None)
        if known is None and notice.status is None:
            context.add_outcome(Outcome.UNMAPPED, _unmapped_text(notice), parent)
        elif known is None and parent.status is not TransactionStatus.APPROVED:
            why = f"Its payment {parent.id} is {parent.status.value}, not Approved."
            _wait_for_transaction(context, why, parent)
        elif known is None and context.reason_unproven is not None:
            await self._ask_for_proof(context, parent, context.reason_unproven)
        else:
            amount = _linked_amount(notice, known, parent, siblings)
            if isinstance(amount, AmountMismatch):
                await self._open_mismatch(context, known or parent, amount)
            elif known is not None:
                await self._decide_status(context, context.decision.current(known))
            else:
                self._create_linked(context, parent, amount)

    def _create_linked(self, context: NoticeContext, parent: Transaction, amount: int) -> None:
        decision, notice = context.decision, context.notice
        assert notice.status is not None
        new = linked_transaction(
            parent, notice.kind, amount, id_=decision.new_id("trx"), now=decision.now
        )
        new = new._replace(
            psp_transaction_id=notice.psp_transaction_id, psp_reference=notice.psp_reference
        )
        linked = decision.open_transaction(new)
        if notice.status is not TransactionStatus.PENDING:
            linked = decision.advance(linked, notice.status, context.details, context.trust.word)
        why = f"{notice.kind.value} of {parent.id}: {linked.status.value}."
        context.add_outcome(Outcome.APPLIED, why, linked)

    # ── a status of a transaction ────────────────────────────────────────────────────────────────

    async def _decide_status(self, context: NoticeContext, transaction: Transaction) -> None:
        notice, unproven = context.notice, context.reason_unproven
        if notice.status is None:
            if notice.is_hint:
                await self._ask_for_proof(context, transaction, unproven or "")
            else:
                context.add_outcome(Outcome.UNMAPPED, _unmapped_text(notice), transaction)
            return
        reported = ReportedStatus(notice.status, notice.occurred_at, notice.sequence)
        judged = judge_status(reported, transaction)
        if judged.outcome not in (Outcome.APPLIED, Outcome.CONFLICT):
            if unproven is None:
                is_repeat = judged.outcome is Outcome.DUPLICATE
                _update_details(context, transaction, is_repeat=is_repeat)
            context.add_outcome(judged.outcome, judged.why, transaction)
        elif unproven is not None:
            await self._ask_for_proof(context, transaction, unproven)
        elif judged.outcome is Outcome.CONFLICT:
            await self._contradict(context, transaction, notice.status, judged.why)
        else:
            await self._advance(context, transaction, notice.status, judged.why)

    async def _advance(
        self, context: NoticeContext, transaction: Transaction, status: TransactionStatus, why: str
    ) -> None:
        step = ReportedStep(
            status=status,
            amount=context.notice.amount,
            details=context.details,
            trust=context.trust.word,
        )
        after, mismatch = await self._steps.advance(context.decision, transaction, step)
        if mismatch is None:
            context.add_outcome(Outcome.APPLIED, why, after)
        elif mismatch.is_more:
            context.add_outcome(Outcome.APPLIED, f"{why}. {mismatch.why}", after)
        else:
            context.add_outcome(Outcome.MISMATCH, mismatch.why, after)

    async def _open_mismatch(
        self, context: NoticeContext, transaction: Transaction, mismatch: AmountMismatch
    ) -> None:
        status = context.notice.status
        assert status is not None
        conflict = mismatch_conflict(status, mismatch)
        await self._steps.open_conflict(context.decision, transaction, conflict)
        context.add_outcome(Outcome.MISMATCH, mismatch.why, transaction)

    async def _contradict(
        self, context: NoticeContext, transaction: Transaction, status: TransactionStatus, why: str
    ) -> None:
        """Ask a person. A late success is checked with the provider, where its owner chose so."""
        decision = context.decision
        context.add_outcome(Outcome.CONFLICT, why, transaction)
        await self._steps.contradict(decision, transaction, status, why, context.notice.amount)
        is_late_success = status is TransactionStatus.APPROVED
        if is_late_success and accepts_late_success(context.compiled.config, transaction):
            check_now = transaction._replace(check_at=decision.now, checks=0)
            decision.update_transaction(transaction, check_now)

    async def _ask_for_proof(
        self, context: NoticeContext, transaction: Transaction, why: str
    ) -> None:
        """Do not believe a notice yet: ask the provider or a person, or wait for more."""
        notice, decision = context.notice, context.decision
        context.add_outcome(Outcome.NOTED, why, transaction)
        is_payment = notice.kind is TransactionKind.PAYMENT
        if transaction.status in TERMINAL and is_payment and notice.is_hint:
            return
        if is_payment:  # a look-up answers for payments only
            awaiting = _await_confirmation(context, transaction)
            transaction = decision.update_transaction(transaction, awaiting)
        if notice.status is None or notice.is_hint:
            return
        if not is_payment or context.policy is not ConfirmationPolicy.PULL:
            conflict = unconfirmed_conflict(notice, notice.status, why)
            await self._steps.open_conflict(decision, transaction, conflict)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def _wait_for_transaction(
    context: NoticeContext, why: str, parent: Transaction | None = None
) -> None:
    """Let the callback wait until a transaction appears, or its payment is Approved."""
    decision, references = context.decision, context.notice.references
    parent_ids = () if parent is None else (parent.id,)
    awaited = (*references.ours, *references.psp, *parent_ids)
    decision.wait_for(awaited, _next_retry(decision))
    decision.add_outcome(Outcome.UNMATCHED, why)


def _next_retry(decision: Decision) -> Micros | None:
    """Return when to decide again: after as long as it has waited; None after 72 hours in all."""
    now, callback = decision.now, decision.callback
    received_at = callback.received_at if callback is not None else now
    waited = now - received_at
    if waited >= UNMATCHED_WAIT_MAX:
        return None
    return min(now + max(FIRST_RETRY_AFTER, waited), received_at + UNMATCHED_WAIT_MAX)


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


def _update_details(context: NoticeContext, transaction: Transaction, *, is_repeat: bool) -> None:
    """Keep what a notice without a step says: the provider's ids; of a repeat the substate too."""
    after = add_provider_ids(transaction, context.details)
    if is_repeat and transaction.status not in TERMINAL:
        after = after._replace(substate=context.notice.substate or transaction.substate)
    context.decision.update_transaction(transaction, after)


def _unmapped_text(notice: TransactionNotice) -> str:
    return f"The status {notice.raw_status[:100]!r} is in no table; nothing was guessed."


def _is_meant(transaction: Transaction, notice: TransactionNotice) -> bool:
    is_same_kind = transaction.kind is notice.kind
    return is_same_kind and transaction.psp_transaction_id == notice.psp_transaction_id


def _linked_amount(
    notice: TransactionNotice,
    known: Transaction | None,
    parent: Transaction,
    siblings: list[Transaction],
) -> int | AmountMismatch:
    """Return how much goes back, in minor units: what the notice says, else all of the payment.

    A mismatch if it is in another currency, cannot be read, or is more than is left.
    """
    claimed = read_amount(notice.amount, parent.currency) if notice.amount else None
    if isinstance(claimed, AmountMismatch):
        return claimed
    if claimed is not None and claimed.currency != parent.currency:
        return AmountMismatch(f"It is in {claimed.currency}, the payment in {parent.currency}.")
    whole = known.amount if known is not None else parent.amount
    amount = claimed.minor if claimed is not None else whole
    is_counted = known is not None and known.status is TransactionStatus.APPROVED
    if is_counted or notice.status is not TransactionStatus.APPROVED:
        return amount
    gone_back = sum(
        sibling.amount
        for sibling in siblings
        if sibling.kind is notice.kind and sibling.status is TransactionStatus.APPROVED
    )
    if amount > parent.amount - gone_back:
        why = f"It gives back more than is left of the payment {parent.id}."
        return AmountMismatch(why, amount, parent.currency)
    return amount
