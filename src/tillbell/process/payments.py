"""Payments: decides what a notice about money does.

| a notice | does |
| --- | --- |
| of no transaction that we know | the callback waits up to 72 hours for one |
| with a status that is not mapped | nothing: unmapped |
| that changes nothing, or comes too late | nothing: duplicate, stale, illegal |
| that is not proven well enough | asks the provider, or a person |
| that an attempt is refused, and another may succeed | the attempt ends, the payment does not |
| that an attempt is authorised | one step with its own message |
| that a part was captured of what is Cancelled since | reopens it: the rest alone was cancelled |
| that less is captured than was asked for | asks a person, or credits it where the source says so |
| that more is captured | credits what was asked for, and asks a person about the rest |
| that contradicts a final status | asks a person: a conflict never moves money |
| any other | one step, with its effect and its message |

A refund, chargeback, reversal or return is a transaction of its own. The first notice about it
creates it, once its payment is Approved. Until then the callback waits, and later ones about the
same refund wait behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tillbell.model.callbacks import Outcome, References, TransactionNotice
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    Direction,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.money import format_amount
from tillbell.process.linked_notices import LinkedDecider
from tillbell.process.notice_context import (
    NoticeContext,
    body_mark,
    claimed_amount,
    named,
    wait_for_transaction,
)
from tillbell.process.status_notices import StatusDecider, update_details
from tillbell.process.transaction_steps import (
    CaptureResult,
    ReportedCapture,
    TransactionSteps,
)
from tillbell.process.which_payment import PaymentQuestions, needs_answer
from tillbell.providers.kit.words import AUTHORIZED
from tillbell.rules.payments.amounts import AmountMismatch, read_amount
from tillbell.rules.payments.attempts import (
    ATTEMPT_GRACE,
    ATTEMPTS_ENDED,
    REST_CANCELLED,
    attempt_of,
    has_open_attempt,
    is_failed_capture,
    is_other_attempt,
    is_part_of_cancelled,
    is_told_again,
    with_released,
    with_report,
    without_capture,
)
from tillbell.rules.payments.booking import add_provider_ids
from tillbell.rules.payments.matching import match
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.storage.ports.inbound import InboundReads

# Reasons of an end that a capture reopens: only silence had ended it, or only its rest has ended.
_OPEN_ENDS = frozenset({ATTEMPTS_ENDED, REST_CANCELLED})


class PaymentDecider:
    """Decides about transactions. It records on the decision alone."""

    def __init__(self, reads: InboundReads) -> None:
        self._reads = reads
        self._steps = TransactionSteps(reads)
        self._statuses = StatusDecider(reads)
        self._linked = LinkedDecider(reads)
        self._questions = PaymentQuestions(reads)

    async def decide(
        self,
        context: NoticeContext,
        *,
        is_accepted: bool = False,
        chosen: Transaction | None = None,
    ) -> None:
        """Record what follows from a notice.

        `is_accepted`: a person says that it is so. `chosen`: the payment that a person says it is
        about.
        """
        transaction = chosen or await self._find(context)
        if transaction is None:
            return
        transaction = context.decision.current(transaction)
        if context.notice.kind is TransactionKind.PAYMENT:
            await self._decide_payment(context, transaction, is_accepted=is_accepted)
        else:
            await self._linked.decide(context, transaction, is_accepted=is_accepted)

    async def _find(self, context: NoticeContext) -> Transaction | None:
        """Return the payment that a notice means; None if it waits for one or for an answer."""
        notice, source, references = context.notice, context.compiled.source, context.references
        is_payment = notice.kind is TransactionKind.PAYMENT
        own_id = notice.psp_transaction_id if is_payment else None
        candidates = context.candidates
        if candidates is None:
            candidates = await self._reads.candidate_transactions(
                source.scope, source.id, references
            )
        context.decision.note_read(candidates)
        current = [context.decision.as_current(candidate) for candidate in candidates]
        matched = match(current, references, context.matching_source, own_id)
        if isinstance(matched, Transaction):
            if context.is_again:
                await self._questions.close(context.decision, notice, matched)
            return matched
        payment = await self._payment_of_known(context, matched.candidates)
        if payment is not None:
            return payment
        dismissed = await self._questions.ask(context.decision, notice, matched)
        if dismissed is not None:
            why = f"A person says that it is of none of these payments ({dismissed.id})."
            context.decision.add_outcome(Outcome.NOTED, why)
        elif not notice.is_optional or needs_answer(notice, matched):
            wait_for_transaction(context, matched.why)
        return None

    async def _payment_of_known(
        self, context: NoticeContext, candidates: Sequence[Transaction]
    ) -> Transaction | None:
        """Return the one of several payments to which a refund or the like belongs already."""
        notice, source = context.notice, context.compiled.source
        own_id = notice.psp_transaction_id
        if notice.kind is TransactionKind.PAYMENT or own_id is None or not candidates:
            return None
        references = References(psp=(own_id,))
        known = await self._reads.candidate_transactions(source.scope, source.id, references)
        parents = {t.parent_id for t in known if t.kind is notice.kind}
        return next((payment for payment in candidates if payment.id in parents), None)

    # ── a payment ────────────────────────────────────────────────────────────────────────────────

    async def _decide_payment(
        self, context: NoticeContext, payment: Transaction, *, is_accepted: bool
    ) -> None:
        """Decide about a payment: by its attempts, where the notice tells of one."""
        notice = context.notice
        if notice.status is None or context.reason_unproven is not None:
            await self._statuses.decide(context, payment)
        elif notice.status is TransactionStatus.APPROVED:
            await self._decide_capture(context, payment, is_accepted=is_accepted)
        elif notice.status in NEGATIVE and notice.capture_id and not notice.ends_attempt:
            await self._undo_capture(context, payment)
        elif notice.releases_amount and self._releases_part(context, payment):
            context.add_outcome(Outcome.NOTED, "A part of it is cancelled, not the rest.", payment)
        elif notice.status in NEGATIVE and self._ends_attempt_only(context, payment):
            self._end_attempt(context, payment)
        elif notice.substate == AUTHORIZED.substate and payment.status not in TERMINAL:
            await self._authorize(context, payment)
        else:
            await self._statuses.decide(context, payment)

    async def _decide_capture(
        self, context: NoticeContext, payment: Transaction, *, is_accepted: bool
    ) -> None:
        notice = context.notice
        reported = ReportedStatus(TransactionStatus.APPROVED, notice.occurred_at, notice.sequence)
        judged = judge_status(reported, payment)
        capture = ReportedCapture(
            report=context.report,
            amount=notice.amount,
            details=context.details,
            trust=context.trust.word,
            credits_part=context.compiled.config.get("partialCapture") == "credit",
            awaits_rest=notice.is_part,
        )
        if notice.may_be_repeat and notice.capture_id is not None:
            own_id = f"{notice.capture_id}{body_mark(context)}"
            capture = capture._replace(report=capture.report._replace(capture_id=own_id))
            if not is_accepted and is_told_again(payment, capture.report, notice.capture_id):
                await self._ask_about_repeat(context, payment)
                return
        if is_failed_capture(payment, capture.report):
            result = await self._steps.ask_about_failed_capture(context.decision, payment, capture)
            self._add_capture_outcome(context, result, judged.why)
            return
        payment = self._without_cancelled_rest(context, payment, capture)
        is_reopened = payment.reason in _OPEN_ENDS and payment.status in NEGATIVE
        if judged.outcome is Outcome.APPLIED or is_reopened:
            if is_reopened:
                details = capture.details._replace(supersedes=payment.sequence)
                capture = capture._replace(details=details)
            result = await self._steps.capture(context.decision, payment, capture)
            self._add_capture_outcome(context, result, judged.why)
        elif judged.outcome is Outcome.DUPLICATE:
            result = await self._steps.capture_more(context.decision, payment, capture)
            if result.mismatch is None and not result.is_credited:
                context.add_outcome(Outcome.DUPLICATE, judged.why, payment)
            else:
                self._add_capture_outcome(context, result, _captured_text(result.transaction))
        else:
            await self._statuses.decide(context, payment)

    def _without_cancelled_rest(
        self, context: NoticeContext, payment: Transaction, capture: ReportedCapture
    ) -> Transaction:
        """Return a payment of which only the rest is cancelled, if a part of it is captured."""
        claimed = claimed_amount(context.notice, payment)
        if not isinstance(claimed, int):
            return payment
        if not is_part_of_cancelled(payment, capture.report, claimed):
            return payment
        partly = payment._replace(reason=REST_CANCELLED)
        return context.decision.update_transaction(payment, partly)

    async def _ask_about_repeat(self, context: NoticeContext, payment: Transaction) -> None:
        """Ask a person whether a capture that is told once more is one more, or the same."""
        notice = context.notice
        why = (
            f"{named(notice)}: capture {notice.capture_id} is counted, and is told again"
            f"{body_mark(context)}: a repeat in other bytes, or one more."
        )
        claimed = claimed_amount(notice, payment)
        amount = claimed if isinstance(claimed, int) else None
        mismatch = AmountMismatch(why, amount, payment.currency)
        await self._statuses.open_mismatch(context, payment, mismatch)

    def _add_capture_outcome(self, context: NoticeContext, result: CaptureResult, why: str) -> None:
        mismatch = result.mismatch
        if mismatch is None:
            context.add_outcome(Outcome.APPLIED, why, result.transaction)
        elif result.is_credited:
            context.add_outcome(Outcome.APPLIED, f"{why}. {mismatch.why}", result.transaction)
        elif result.awaits_rest:
            why = f"A part is captured, the rest may come. {mismatch.why}"
            context.add_outcome(Outcome.NOTED, why, result.transaction)
        else:
            context.add_outcome(Outcome.MISMATCH, mismatch.why, result.transaction)

    async def _undo_capture(self, context: NoticeContext, payment: Transaction) -> None:
        """Take back what a capture brought in, because it has failed since."""
        notice, report = context.notice, context.report
        claimed = claimed_amount(notice, payment)
        if isinstance(claimed, AmountMismatch):
            context.add_outcome(Outcome.MISMATCH, claimed.why, payment)
            return
        if is_failed_capture(payment, report):
            context.add_outcome(Outcome.DUPLICATE, "That capture has failed already.", payment)
            return
        after = without_capture(payment, report, claimed or 0)
        if after is None:
            why = f"Capture {notice.capture_id} has failed; it was not reported before."
            wait_for_transaction(context, why, payment)
            return
        undone = await self._steps.undo_capture(context.decision, payment, after, context.details)
        context.add_outcome(Outcome.APPLIED, f"Capture {notice.capture_id} has failed.", undone)

    def _releases_part(self, context: NoticeContext, payment: Transaction) -> bool:
        """Note that a part of what an attempt has authorised was cancelled; tell whether it was."""
        notice, claimed = context.notice, claimed_amount(context.notice, payment)
        if not isinstance(claimed, int):
            return False
        if payment.status in TERMINAL:
            attempt = attempt_of(payment, context.report)
            captured = 0 if attempt is None else attempt.captured
            return 0 < captured <= payment.amount - claimed
        callback = context.decision.callback
        key = callback.dedupe_key if callback is not None else None
        release_id = notice.psp_reference or key or notice.psp_transaction_id or ""
        after = with_released(payment, context.report, release_id, claimed)
        if after is not None:
            context.decision.update_transaction(payment, after)
        return after is not None

    def _ends_attempt_only(self, context: NoticeContext, payment: Transaction) -> bool:
        """Tell whether a negative status ends an attempt, and leaves the payment as it is."""
        notice, report = context.notice, context.report
        ends_attempt = notice.ends_attempt and payment.direction is Direction.PAY_IN
        if is_other_attempt(payment, report):
            return ends_attempt or has_open_attempt(payment)
        if ends_attempt and (notice.psp_transaction_id is None or _is_older(notice, payment)):
            return True  # whichever attempt or try it was, it is not the one that has captured
        is_open = payment.status not in TERMINAL
        attempt = attempt_of(payment, report)
        if attempt is not None and attempt.captured:
            is_another = notice.capture_id is not None and notice.capture_id not in attempt.captures
            if ends_attempt and is_another:
                return True  # that capture was refused, others were not
            # What was not captured may expire. What was captured stays.
            is_part = attempt.captured < (attempt.authorized or payment.amount)
            is_rest = notice.status is TransactionStatus.CANCELLED
            return is_open or (is_rest and (ends_attempt or is_part))
        return ends_attempt and is_open

    def _end_attempt(self, context: NoticeContext, payment: Transaction) -> None:
        """Note that an attempt has ended. If none is open, the payment ends after a time."""
        notice, decision = context.notice, context.decision
        assert notice.status is not None
        after = with_report(payment, context.report)
        name = notice.psp_transaction_id or "without id"
        if payment.status in TERMINAL:
            decision.update_transaction(payment, after)
            why = f"Attempt {name} is {notice.status.value}; the payment has ended."
            context.add_outcome(Outcome.STALE, why, payment)
            return
        if not has_open_attempt(after):
            word = notice.status.value.lower()
            after = add_provider_ids(after, context.details)._replace(
                substate=notice.substate or f"attempt_{word}",
                reason=notice.reason,
                if_silent=notice.status,
                check_at=decision.now + ATTEMPT_GRACE,
            )
        decision.update_transaction(payment, after)
        why = f"Attempt {name} is {notice.status.value}; the payer may try again."
        context.add_outcome(Outcome.NOTED, why, payment)

    async def _authorize(self, context: NoticeContext, payment: Transaction) -> None:
        """Take the step of an authorisation, once for each attempt."""
        notice, decision = context.notice, context.decision
        read = payment.amount
        if notice.amount is not None:
            amount = read_amount(notice.amount, payment.currency)
            if isinstance(amount, AmountMismatch) or amount.currency != payment.currency:
                why = amount.why if isinstance(amount, AmountMismatch) else "Another currency."
                context.add_outcome(Outcome.MISMATCH, why, payment)
                return
            read = amount.minor
        report = context.report._replace(authorized=read)
        earlier = attempt_of(payment, report)
        after = with_report(payment, report)
        if earlier is not None and (earlier.authorized == read or earlier.status in NEGATIVE):
            update_details(context, payment, is_repeat=True)
            context.add_outcome(Outcome.DUPLICATE, "It is authorised already.", payment)
            return
        if is_other_attempt(payment, report) and not payment.authorized:
            after = after._replace(psp_transaction_id=report.psp_transaction_id)
        if earlier is not None and earlier.captured:
            decision.update_transaction(payment, after)
            context.add_outcome(Outcome.STALE, "It is captured already.", payment)
            return
        authorized = decision.authorize(after, context.details, context.trust.word)
        context.add_outcome(Outcome.APPLIED, "It is authorised, not yet captured.", authorized)


def _is_older(notice: TransactionNotice, payment: Transaction) -> bool:
    """Tell whether a notice is older than the payment's last status, as the provider counts."""
    if notice.sequence is not None and payment.news_sequence is not None:
        return notice.sequence < payment.news_sequence
    if notice.occurred_at is None or payment.news_at is None:
        return False
    return notice.occurred_at < payment.news_at


def _captured_text(payment: Transaction) -> str:
    captured = format_amount(payment.captured, payment.currency)
    return f"More is captured: {captured} {payment.currency} in all"
