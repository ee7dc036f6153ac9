"""Payments: decides what a notice about money does.

| a notice | does |
| --- | --- |
| of no transaction that we know | the callback waits up to 72 hours for one |
| with a status that is not mapped | nothing: unmapped |
| that changes nothing, or comes too late | nothing: duplicate, stale, illegal |
| that is not proven well enough | asks the provider, or a person |
| that an attempt is refused, and another may succeed | the attempt ends, the payment does not |
| that an attempt is authorised | one step with its own message |
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
from typing import NamedTuple

from tillbell.clock import HOUR, MINUTE, SECOND, Micros
from tillbell.model.callbacks import Outcome, References, TransactionNotice
from tillbell.model.sources import ConfirmationPolicy, Trust
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.money import format_amount
from tillbell.process.decision import Decision
from tillbell.process.provider_lookup import lookup_pointers
from tillbell.process.transaction_steps import (
    CaptureResult,
    ReportedCapture,
    TransactionSteps,
    add_to_payment,
)
from tillbell.process.which_payment import PaymentQuestions, needs_answer
from tillbell.providers.kit.words import AUTHORIZED
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.amounts import AmountMismatch, ReadAmount, read_amount
from tillbell.rules.payments.attempts import (
    ATTEMPT_GRACE,
    ATTEMPTS_ENDED,
    AttemptReport,
    attempt_of,
    has_open_attempt,
    is_failed_capture,
    is_other_attempt,
    with_report,
    without_capture,
)
from tillbell.rules.payments.booking import NoticeDetails, add_provider_ids, linked_transaction
from tillbell.rules.payments.conflicts import mismatch_conflict, unconfirmed_conflict
from tillbell.rules.payments.linked import (
    NEVER_OPENED,
    LinkedNews,
    amount_limit,
    is_amount_unknown,
    match_linked,
    may_be_uncredited,
    same_debit_mark,
    with_claim,
)
from tillbell.rules.payments.matching import MatchingSource, match
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
    is_again: bool = False  # its callback was decided before, and waited

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

    @property
    def matching_source(self) -> MatchingSource:
        """Its source, as it is matched with transactions."""
        return MatchingSource(
            id=self.compiled.source.id,
            provider=self.compiled.provider.name,
            moves_any=self.compiled.config.get("movesAnySource") is True,
        )

    @property
    def references(self) -> References:
        """The references by which its payment is looked for."""
        notice = self.notice
        if notice.kind is not TransactionKind.PAYMENT or notice.psp_transaction_id is None:
            return notice.references
        return notice.references._replace(psp=(*notice.references.psp, notice.psp_transaction_id))

    @property
    def report(self) -> AttemptReport:
        """What it says about an attempt of a payment, without amounts."""
        notice = self.notice
        assert notice.status is not None
        return AttemptReport(
            status=notice.status,
            at=self.decision.now,
            psp_transaction_id=notice.psp_transaction_id,
            other_ids=notice.references.psp,
            source_id=self.compiled.source.id,
            capture_id=notice.capture_id,
            reason=notice.reason,
        )

    def add_outcome(self, outcome: Outcome, why: str, about: Transaction) -> None:
        """Add the notice's outcome to the decision."""
        self.decision.add_outcome(outcome, why, about.id)


class PaymentDecider:
    """Decides about transactions. It records on the decision alone."""

    def __init__(self, reads: InboundReads) -> None:
        self._reads = reads
        self._steps = TransactionSteps(reads)
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
            await self._decide_payment(context, transaction)
        else:
            await self._decide_linked(context, transaction, is_accepted=is_accepted)

    async def _find(self, context: NoticeContext) -> Transaction | None:
        """Return the payment that a notice means; None if it waits for one or for an answer."""
        notice, source, references = context.notice, context.compiled.source, context.references
        is_payment = notice.kind is TransactionKind.PAYMENT
        own_id = notice.psp_transaction_id if is_payment else None
        candidates = await self._reads.candidate_transactions(source.scope, source.id, references)
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
            _wait_for_transaction(context, matched.why)
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

    # ── what is linked to a payment ──────────────────────────────────────────────────────────────

    async def _decide_linked(
        self, context: NoticeContext, parent: Transaction, *, is_accepted: bool
    ) -> None:
        notice, decision = context.notice, context.decision
        stored = await self._reads.linked_transactions(parent.app_id, parent.id)
        siblings = decision.current_linked(parent.id, stored)
        claimed = _claimed_amount(notice, parent)
        stated = claimed if isinstance(claimed, int) else None
        provider = context.compiled.provider.name
        own = [s for s in siblings if s.psp_transaction_id is None or s.provider == provider]
        matched = match_linked(notice, own, stated, parent.amount)
        known = matched.known
        if known is None and notice.status is None:
            context.add_outcome(Outcome.UNMAPPED, _unmapped_text(notice), parent)
        elif context.reason_unproven is not None and (matched.same_debit or matched.recorded):
            await self._ask_for_proof(context, parent, context.reason_unproven)
        elif matched.same_debit is not None:
            self._note_same_debit(context, matched.same_debit, known)
        elif matched.recorded is not None:
            self._claim_recorded(context, matched.recorded, known, stated or parent.amount)
        elif notice.is_closing and known is not None and known.status in TERMINAL:
            context.add_outcome(Outcome.NOTED, "It has ended already.", known)
        elif known is None and await self._must_wait_behind(context, notice):
            why = f"An earlier callback about {notice.psp_transaction_id} waits."
            _wait_for_transaction(context, why, parent)
        elif known is None and parent.status is not TransactionStatus.APPROVED:
            await self._wait_for_approval(context, parent, stated)
        elif context.reason_unproven is not None and (known is None or _moves(notice, known)):
            await self._ask_for_proof(context, known or parent, context.reason_unproven)
        elif isinstance(claimed, AmountMismatch):
            await self._open_mismatch(context, known or parent, claimed)
        else:
            await self._move_linked(
                context, LinkedNews(parent, known, siblings, claimed, is_accepted=is_accepted)
            )

    async def _wait_for_approval(
        self, context: NoticeContext, payment: Transaction, amount: int | None
    ) -> None:
        """Wait until a payment is Approved. If that takes too long, ask a person."""
        why = f"Its payment {payment.id} is {payment.status.value}, not Approved."
        is_moving = context.notice.status is TransactionStatus.APPROVED
        if is_moving and context.reason_unproven is None and _next_retry(context.decision) is None:
            mismatch = AmountMismatch(f"{_named(context.notice)}: {why}", amount, payment.currency)
            await self._open_mismatch(context, payment, mismatch)
        else:
            _wait_for_transaction(context, why, payment)

    async def _move_linked(self, context: NoticeContext, news: LinkedNews) -> None:
        notice, parent, known = context.notice, news.parent, news.known
        if notice.may_be_repeat and known is not None and _is_booked(notice, known):
            await self._decide_possible_repeat(context, known, news)
            return
        if known is not None and not _moves(notice, known):
            await self._decide_status(context, context.decision.current(known))
            return
        amount = news.amount
        is_moving = notice.status is TransactionStatus.APPROVED and not news.is_accepted
        left = amount_limit(notice, news) if is_moving else None
        is_reversal = notice.kind is TransactionKind.CHARGEBACK_REVERSAL
        if is_reversal and left == 0 and _next_retry(context.decision) is not None:
            why = f"{_named(notice)} waits for a chargeback of {parent.id} that it gives back."
            _wait_for_chargeback(context, why, parent)
        elif is_reversal and left == 0 and notice.is_optional:
            why = f"No chargeback of {parent.id} has taken what {_named(notice)} may give back."
            context.add_outcome(Outcome.NOTED, why, parent)
        elif is_moving and is_amount_unknown(notice, news):
            why = f"{_named(notice)} names no amount, and may be a part of the payment {parent.id}."
            await self._open_mismatch(context, known or parent, AmountMismatch(why))
        elif is_moving and not is_reversal and _may_be_uncredited(context, parent):
            why = f"{_named(notice)} may give back what {parent.id} captured and was not credited."
            mismatch = AmountMismatch(why, amount, parent.currency)
            await self._open_mismatch(context, known or parent, mismatch)
        elif left is not None and amount > left:
            back = (
                "a chargeback has taken" if is_reversal else f"is left of the payment {parent.id}"
            )
            why = f"{_named(notice)} gives back more than {back}."
            mismatch = AmountMismatch(why, amount, parent.currency)
            await self._open_mismatch(context, known or parent, mismatch)
        elif known is None or (known.status not in TERMINAL and amount != known.amount):
            self._create_linked(context, parent, known, amount)
        else:
            await self._approve_linked(context, parent, context.decision.current(known))

    async def _decide_possible_repeat(
        self, context: NoticeContext, known: Transaction, news: LinkedNews
    ) -> None:
        """Ask a person whether what is told once more is one more, or the same."""
        callback, amount = context.decision.callback, news.amount
        assert callback is not None, "only a callback tells of what may be a repeat"
        own_movement = callback.dedupe_key or callback.id
        is_own = any(sibling.movement_id == own_movement for sibling in news.siblings)
        steps = await self._reads.transitions(known.app_id, known.id)
        if is_own or any(step.callback_id == callback.id for step in steps):
            context.add_outcome(Outcome.DUPLICATE, "It is booked already.", known)
        elif news.is_accepted:
            self._create_linked(context, news.parent, None, amount, movement_id=own_movement)
        else:
            written = format_amount(amount, known.currency)
            why = (
                f"{_named(context.notice)} of {written} {known.currency} is booked, and is told "
                f"again{_body_mark(context)}: a repeat in other bytes, or one more."
            )
            mismatch = AmountMismatch(why, amount, known.currency)
            await self._open_mismatch(context, known, mismatch)

    async def _approve_linked(
        self, context: NoticeContext, parent: Transaction, known: Transaction
    ) -> None:
        decision, notice = context.decision, context.notice
        judged = judge_status(
            ReportedStatus(TransactionStatus.APPROVED, notice.occurred_at, notice.sequence), known
        )
        if judged.outcome is Outcome.CONFLICT:
            await self._contradict(context, known, TransactionStatus.APPROVED, judged.why)
            return
        with_movement = known._replace(movement_id=known.movement_id or notice.movement_id)
        after = decision.advance(
            with_movement, TransactionStatus.APPROVED, context.details, context.trust.word
        )
        add_to_payment(decision, parent, after)
        context.add_outcome(Outcome.APPLIED, judged.why, after)

    def _create_linked(
        self,
        context: NoticeContext,
        parent: Transaction,
        known: Transaction | None,
        amount: int,
        movement_id: str | None = None,
    ) -> None:
        """Create what is linked. An open one of another amount is ended: amounts never change."""
        decision, notice = context.decision, context.notice
        assert notice.status is not None
        movement_id = movement_id or notice.movement_id
        if known is not None:
            reason = NoticeDetails(reason="amount_changed")
            decision.advance(decision.current(known), TransactionStatus.CANCELLED, reason)
            movement_id = movement_id or known.id
        new = linked_transaction(
            parent, notice.kind, amount, id_=decision.new_id("trx"), now=decision.now
        )
        new = new._replace(
            source_id=context.compiled.source.id,
            provider=context.compiled.provider.name,
            psp_transaction_id=notice.psp_transaction_id,
            psp_reference=notice.psp_reference,
            movement_id=movement_id,
        )
        linked = decision.open_transaction(new)
        if notice.status is not TransactionStatus.PENDING:
            details = context.details
            if notice.is_closing:  # what opened it comes later, and must not open it again
                details = details._replace(reason=NEVER_OPENED)
            linked = decision.advance(linked, notice.status, details, context.trust.word)
        if linked.status is TransactionStatus.APPROVED:
            add_to_payment(decision, parent, linked)
        why = f"{notice.kind.value} of {parent.id}: {linked.status.value}."
        context.add_outcome(Outcome.APPLIED, why, linked)

    def _note_same_debit(
        self, context: NoticeContext, debit: Transaction, known: Transaction | None
    ) -> None:
        """Book nothing: the provider tells one debit twice. What was opened for it ends."""
        decision, mark = context.decision, same_debit_mark(context.notice)
        decision.update_transaction(decision.current(debit), debit._replace(movement_id=mark))
        if known is not None and known.status not in TERMINAL:
            details = NoticeDetails(reason=f"booked_as_{debit.kind.value}", message=debit.id)
            decision.advance(decision.current(known), TransactionStatus.CANCELLED, details)
        context.add_outcome(Outcome.DUPLICATE, f"The same debit is booked as {debit.id}.", debit)

    def _claim_recorded(
        self,
        context: NoticeContext,
        recorded: Transaction,
        known: Transaction | None,
        amount: int,
    ) -> None:
        """Give the provider's id to what was recorded without one. Nothing is booked twice."""
        notice, decision = context.notice, context.decision
        if known is not None:  # it was opened, and is booked as what was recorded
            amount = amount if notice.amount is not None else known.amount
            details = NoticeDetails(reason=f"booked_as_{recorded.kind.value}", message=recorded.id)
            decision.advance(decision.current(known), TransactionStatus.CANCELLED, details)
        named = with_claim(recorded, notice, amount, decision.now)
        decision.update_transaction(decision.current(recorded), named)
        why = f"It is recorded as {recorded.id} already."
        context.add_outcome(Outcome.DUPLICATE, why, recorded)

    async def _must_wait_behind(self, context: NoticeContext, notice: TransactionNotice) -> bool:
        """Tell whether an earlier callback about the same refund or the like is still waiting."""
        callback = context.decision.callback
        if callback is None or notice.psp_transaction_id is None:
            return False
        awaiting = await self._reads.callbacks_awaiting(
            context.decision.app_id, [notice.psp_transaction_id]
        )
        return any(earlier.id < callback.id for earlier in awaiting)

    # ── a payment ────────────────────────────────────────────────────────────────────────────────

    async def _decide_payment(self, context: NoticeContext, payment: Transaction) -> None:
        """Decide about a payment: by its attempts, where the notice tells of one."""
        notice = context.notice
        if notice.status is None or context.reason_unproven is not None:
            await self._decide_status(context, payment)
        elif notice.status is TransactionStatus.APPROVED:
            await self._decide_capture(context, payment)
        elif notice.status in NEGATIVE and notice.capture_id is not None:
            await self._undo_capture(context, payment)
        elif notice.status in NEGATIVE and self._ends_attempt_only(context, payment):
            self._end_attempt(context, payment)
        elif notice.substate == AUTHORIZED.substate and payment.status not in TERMINAL:
            await self._authorize(context, payment)
        else:
            await self._decide_status(context, payment)

    async def _decide_capture(self, context: NoticeContext, payment: Transaction) -> None:
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
        if is_failed_capture(payment, capture.report):
            result = await self._steps.ask_about_failed_capture(context.decision, payment, capture)
            self._add_capture_outcome(context, result, judged.why)
            return
        is_reopened = payment.reason == ATTEMPTS_ENDED and payment.status in NEGATIVE
        if judged.outcome is Outcome.APPLIED or is_reopened:
            if is_reopened:  # only silence had ended it
                details = capture.details._replace(supersedes=payment.sequence)
                capture = capture._replace(details=details)
            result = await self._steps.capture(context.decision, payment, capture)
            self._add_capture_outcome(context, result, judged.why)
        elif judged.outcome is Outcome.DUPLICATE:
            result = await self._steps.capture_more(context.decision, payment, capture)
            if result.mismatch is None and not result.is_credited:
                context.add_outcome(Outcome.DUPLICATE, judged.why, payment)
            else:
                self._add_capture_outcome(context, result, "More is captured")
        else:
            await self._decide_status(context, payment)

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
        claimed = _claimed_amount(notice, payment)
        if isinstance(claimed, AmountMismatch):
            context.add_outcome(Outcome.MISMATCH, claimed.why, payment)
            return
        if is_failed_capture(payment, report):
            context.add_outcome(Outcome.DUPLICATE, "That capture has failed already.", payment)
            return
        after = without_capture(payment, report, claimed or 0)
        if after is None:
            why = f"Capture {notice.capture_id} has failed; it was not reported before."
            _wait_for_transaction(context, why, payment)
            return
        undone = await self._steps.undo_capture(context.decision, payment, after, context.details)
        context.add_outcome(Outcome.APPLIED, f"Capture {notice.capture_id} has failed.", undone)

    def _ends_attempt_only(self, context: NoticeContext, payment: Transaction) -> bool:
        """Tell whether a negative status ends an attempt, and leaves the payment as it is."""
        notice, report = context.notice, context.report
        if is_other_attempt(payment, report):
            return notice.ends_attempt or has_open_attempt(payment)
        if notice.ends_attempt and (
            notice.psp_transaction_id is None or _is_older(notice, payment)
        ):
            return True  # whichever attempt or try it was, it is not the one that has captured
        is_open = payment.status not in TERMINAL
        attempt = attempt_of(payment, report)
        if attempt is not None and attempt.captured:
            # What was not captured may expire. What was captured stays.
            is_rest = notice.ends_attempt and notice.status is TransactionStatus.CANCELLED
            return is_open or is_rest
        return notice.ends_attempt and is_open

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
            _update_details(context, payment, is_repeat=True)
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
            if transaction.kind is TransactionKind.PAYMENT:
                transaction = with_report(transaction, context.report)
            after = context.decision.advance(
                transaction, notice.status, context.details, context.trust.word
            )
            context.add_outcome(Outcome.APPLIED, judged.why, after)

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
        if transaction.status in TERMINAL and notice.is_hint:
            is_approved = transaction.status is TransactionStatus.APPROVED
            may_reopen = is_payment and transaction.reason == ATTEMPTS_ENDED
            may_look_up = may_reopen or (is_approved and _may_look_up_refunds(context))
            if may_look_up:
                look_up = transaction._replace(check_at=decision.now, checks=0)
                decision.update_transaction(transaction, look_up)
            if may_look_up or is_payment:
                return
        elif is_payment:  # a look-up answers for payments only
            awaiting = _await_confirmation(context, _held(context, transaction))
            transaction = decision.update_transaction(transaction, awaiting)
        is_moving = not is_payment and notice.status is TransactionStatus.APPROVED
        if notice.status is None or (notice.is_hint and not is_moving):
            return
        if not is_payment or context.policy is not ConfirmationPolicy.PULL:
            if notice.may_be_repeat:  # each is asked about, though nothing else tells two apart
                why += _body_mark(context)
            conflict = unconfirmed_conflict(notice, notice.status, why, transaction.currency)
            await self._steps.open_conflict(decision, transaction, conflict)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def _wait_for_transaction(
    context: NoticeContext, why: str, parent: Transaction | None = None
) -> None:
    """Let the callback wait until a transaction appears, or its payment is Approved.

    Later callbacks about the same refund or dispute wait behind it; but a chargeback never waits
    behind its reversal.
    """
    decision, notice, references = context.decision, context.notice, context.notice.references
    parent_ids: tuple[str, ...] = () if parent is None else (parent.id,)
    may_be_passed = notice.kind in (TransactionKind.PAYMENT, TransactionKind.CHARGEBACK_REVERSAL)
    if notice.psp_transaction_id is not None and not may_be_passed:
        parent_ids = (*parent_ids, notice.psp_transaction_id)
    awaited = (*references.ours, *references.psp, *parent_ids)
    decision.wait_for(awaited, context.references, _next_retry(decision))
    decision.add_outcome(Outcome.UNMATCHED, why)


def _wait_for_chargeback(context: NoticeContext, why: str, payment: Transaction) -> None:
    """Let a reversal wait for its chargeback. Later callbacks about the dispute pass it."""
    context.decision.wait_for((payment.id,), context.references, _next_retry(context.decision))
    context.decision.add_outcome(Outcome.UNMATCHED, why)


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


def _may_look_up_refunds(context: NoticeContext) -> bool:
    """Tell whether the provider says in a look-up what went back."""
    compiled = context.compiled
    return bool(compiled.config.get("lookupUrl")) and "refunded" in lookup_pointers(compiled)


def _update_details(context: NoticeContext, transaction: Transaction, *, is_repeat: bool) -> None:
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
    """Return a payment that holds the attempt of a signed hint: a look-up asks about that one."""
    own_id = context.notice.psp_transaction_id
    if context.trust is not Trust.SIGNED or own_id is None or not context.notice.is_hint:
        return payment
    report = AttemptReport(
        status=TransactionStatus.PENDING,
        at=context.decision.now,
        psp_transaction_id=own_id,
        other_ids=context.notice.references.psp,
        source_id=context.compiled.source.id,
    )
    return with_report(payment, report)._replace(psp_transaction_id=own_id)


def _unmapped_text(notice: TransactionNotice) -> str:
    return f"The status {notice.raw_status[:100]!r} is not mapped; nothing was guessed."


def _named(notice: TransactionNotice) -> str:
    return f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()


def _is_older(notice: TransactionNotice, payment: Transaction) -> bool:
    """Tell whether a notice is older than the payment's last status, by the provider's time."""
    if notice.occurred_at is None or payment.news_at is None:
        return False
    return notice.occurred_at < payment.news_at


def _body_mark(context: NoticeContext) -> str:
    """Return what tells a callback's bytes from those of another one."""
    callback = context.decision.callback
    key = None if callback is None else callback.dedupe_key
    return "" if key is None else f" (bytes {key[-8:]})"


def _is_booked(notice: TransactionNotice, known: Transaction) -> bool:
    """Tell whether a notice says that money moved, and that it is booked already."""
    return notice.status is known.status is TransactionStatus.APPROVED


def _moves(notice: TransactionNotice, known: Transaction) -> bool:
    """Tell whether a notice says that money moves which has not moved yet."""
    return (
        notice.status is TransactionStatus.APPROVED
        and known.status is not TransactionStatus.APPROVED
    )


def _claimed_amount(notice: TransactionNotice, parent: Transaction) -> int | AmountMismatch | None:
    """Return how much goes back, in minor units; None if the notice does not say it.

    A mismatch if it is in another currency or cannot be read.
    """
    if notice.amount is None:
        return None
    read = read_amount(notice.amount, parent.currency)
    if isinstance(read, AmountMismatch):
        return read._replace(why=f"{_named(notice)}: {read.why}")
    if read.currency != parent.currency:
        why = f"{_named(notice)} is in {read.currency}, the payment in {parent.currency}."
        return AmountMismatch(why)
    return read.minor


def _may_be_uncredited(context: NoticeContext, payment: Transaction) -> bool:
    return may_be_uncredited(payment, context.notice.references.psp)
