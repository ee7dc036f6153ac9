"""Linked transactions: decides about notices of refunds, disputes and the like of a payment."""

from __future__ import annotations

from collections.abc import Sequence

from tillbell.model.callbacks import Outcome, TransactionNotice
from tillbell.model.transactions import (
    TERMINAL,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.money import format_amount
from tillbell.process.notice_context import (
    NoticeContext,
    body_mark,
    claimed_amount,
    is_just_received,
    named,
    next_retry,
    unmapped_text,
    wait_for_transaction,
)
from tillbell.process.status_notices import StatusDecider
from tillbell.process.transaction_steps import (
    TransactionSteps,
    add_to_payment,
)
from tillbell.rules.payments.amounts import AmountMismatch
from tillbell.rules.payments.booking import NoticeDetails, linked_transaction
from tillbell.rules.payments.conflicts import is_question_about, kept_as_unpaid
from tillbell.rules.payments.linked import (
    LOOK_UP,
    MORE_THAN_IS_LEFT,
    NEVER_OPENED,
    LinkedNews,
    amount_left_of_all,
    amount_refunded,
    amount_to_reinstate,
    expected_refund,
    held_chargebacks,
    is_amount_unknown,
    is_before_its_debit,
    is_held,
    match_linked,
    may_be_uncredited,
    same_debit_mark,
    with_claim,
    with_taken,
)
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.storage.ports.inbound import InboundReads


class LinkedDecider:
    """Decides about refunds and the like. It records on the decision alone."""

    def __init__(self, reads: InboundReads) -> None:
        self._reads = reads
        self._statuses = StatusDecider(reads)
        self._steps = TransactionSteps(reads)

    async def decide(
        self, context: NoticeContext, parent: Transaction, *, is_accepted: bool
    ) -> None:
        """Decide about what is linked to a payment. `is_accepted`: a person says that it is so."""
        stored = await self._reads.linked_transactions(parent.app_id, parent.id)
        siblings = context.decision.current_linked(parent.id, stored)
        claimed = claimed_amount(context.notice, parent)
        if context.notice.is_total and isinstance(claimed, int):
            news = LinkedNews(parent, None, siblings, claimed, is_accepted=is_accepted)
            await self._decide_total(context, news)
        elif context.notice.is_total:
            why = f"{named(context.notice)}: the sum of all refunds is not known exactly."
            mismatch = claimed if isinstance(claimed, AmountMismatch) else AmountMismatch(why)
            await self._statuses.open_mismatch(context, parent, mismatch)
        else:
            await self._decide_one(context, parent, siblings, is_accepted=is_accepted)

    async def _decide_one(
        self,
        context: NoticeContext,
        parent: Transaction,
        siblings: Sequence[Transaction],
        *,
        is_accepted: bool,
    ) -> None:
        """Decide about one refund or the like."""
        notice, claimed = context.notice, claimed_amount(context.notice, parent)
        stated = claimed if isinstance(claimed, int) else None
        provider = context.compiled.provider.name
        own = [s for s in siblings if s.psp_transaction_id is None or s.provider == provider]
        matched = match_linked(notice, own, stated, parent.amount)
        known = matched.known
        if known is None and notice.status is None:
            context.add_outcome(Outcome.UNMAPPED, unmapped_text(notice), parent)
        elif context.reason_unproven is not None and (matched.same_debit or matched.recorded):
            await self._statuses.ask_for_proof(context, parent, context.reason_unproven)
        elif matched.same_debit is not None:
            self._note_same_debit(context, matched.same_debit, known)
        elif matched.recorded is not None:
            self._claim_recorded(context, matched.recorded, known, stated or parent.amount)
        elif notice.is_closing and known is not None and _has_moved(known):
            context.add_outcome(Outcome.NOTED, "It has ended already.", known)
        elif known is None and await self._must_wait_behind(context, notice):
            why = f"An earlier callback about {notice.psp_transaction_id} waits."
            context.decision.waits_behind = notice.psp_transaction_id
            wait_for_transaction(context, why, parent)
        elif known is None and parent.status is not TransactionStatus.APPROVED:
            await self._wait_for_approval(context, parent, stated)
        elif context.reason_unproven is not None and (known is None or _moves(notice, known)):
            await self._statuses.ask_for_proof(context, known or parent, context.reason_unproven)
        elif isinstance(claimed, AmountMismatch):
            await self._statuses.open_mismatch(context, known or parent, claimed)
        else:
            news = LinkedNews(parent, known, siblings, claimed, is_accepted=is_accepted)
            await self._move_linked(context, with_taken(news, notice))
            await self._book_what_fits(context, parent, siblings)

    async def _decide_total(self, context: NoticeContext, news: LinkedNews) -> None:
        """Book what a provider counts as refunded, and no callback has told within a while.

        Callbacks about single refunds that come later are about what is booked so.
        """
        payment, notice = news.parent, context.notice
        missing = news.amount - amount_refunded(news.siblings)
        if missing <= 0:
            context.add_outcome(Outcome.NOTED, "All that is refunded is known.", payment)
        elif payment.status is not TransactionStatus.APPROVED:
            await self._wait_for_approval(context, payment, missing)
        elif context.reason_unproven is not None:
            await self._statuses.ask_for_proof(context, payment, context.reason_unproven)
        elif not news.is_accepted and is_just_received(context.decision):
            why = f"{named(notice)} waits for callbacks that name what is refunded."
            wait_for_transaction(context, why, payment)
        else:
            counted = context._replace(notice=notice._replace(movement_id=LOOK_UP))
            expected = expected_refund(news.siblings, missing)
            await self._move_linked(counted, news._replace(claimed=missing, known=expected))

    async def _wait_for_approval(
        self, context: NoticeContext, payment: Transaction, amount: int | None
    ) -> None:
        """Wait until a payment is Approved. If that takes too long, ask a person.

        Of what a person does not book, nothing goes back.
        """
        asked = await self._steps.conflicts(payment)
        conflict = kept_as_unpaid(payment, asked, context.notice.references.psp)
        if conflict is not None:
            why = f"A person keeps {payment.id} as {payment.status.value} ({conflict.id}): "
            why += "what was paid is not booked, so nothing of it goes back."
            context.add_outcome(Outcome.NOTED, why, payment)
            return
        why = f"Its payment {payment.id} is {payment.status.value}, not Approved."
        is_moving = context.notice.status is TransactionStatus.APPROVED
        if is_moving and context.reason_unproven is None and next_retry(context.decision) is None:
            mismatch = AmountMismatch(f"{named(context.notice)}: {why}", amount, payment.currency)
            await self._statuses.open_mismatch(context, payment, mismatch)
        else:
            wait_for_transaction(context, why, payment)

    async def _move_linked(self, context: NoticeContext, news: LinkedNews) -> None:
        notice, parent, known = context.notice, news.parent, news.known
        if notice.may_be_repeat and known is not None and _is_booked(notice, known):
            await self._decide_possible_repeat(context, known, news)
            return
        if known is not None and not _moves(notice, known):
            await self._statuses.decide(context, context.decision.current(known))
            await self._close_question(context, parent, known)
            return
        amount = news.amount
        is_moving = notice.status is TransactionStatus.APPROVED and not news.is_accepted
        is_reversal = notice.kind is TransactionKind.CHARGEBACK_REVERSAL
        if is_moving and is_reversal:
            news = await self._with_held_chargeback(context, news)
            if is_before_its_debit(notice, news) and self._awaits_chargeback(context, parent):
                return
        mismatch = _mismatch(context, news) if is_moving else None
        parent = news.parent
        if mismatch is not None:
            await self._statuses.open_mismatch(context, known or parent, mismatch)
        elif is_moving and not is_reversal and _is_more_than_left(news):
            await self._hold(context, news)
        elif known is None or (known.status not in TERMINAL and amount != known.amount):
            self._create_linked(context, parent, known, amount)
        else:
            await self._approve_linked(context, parent, context.decision.current(known))
        if known is not None:
            await self._close_question(context, parent, known)

    def _awaits_chargeback(self, context: NoticeContext, payment: Transaction) -> bool:
        """Tell whether a reversal waits for what it gives back, or is only noted."""
        notice = context.notice
        if next_retry(context.decision) is not None:
            why = f"{named(notice)} waits for a chargeback of {payment.id} that it gives back."
            wait_for_chargeback(context, why, payment)
        elif notice.is_optional:
            why = f"No chargeback of {payment.id} has taken what {named(notice)} may give back."
            context.add_outcome(Outcome.NOTED, why, payment)
        else:
            return False
        return True

    # ── more than is left ────────────────────────────────────────────────────────────────────────

    async def _hold(self, context: NoticeContext, news: LinkedNews) -> None:
        """Ask a person about what takes more than is left of its payment.

        It is kept as a Pending one: it is booked when a person accepts it, or when it fits.
        """
        decision, notice, payment = context.decision, context.notice, news.parent
        why = f"{named(notice)} gives back more than is left of the payment {payment.id}."
        mismatch = AmountMismatch(why, news.amount, payment.currency)
        is_asked = await self._statuses.open_mismatch(context, payment, mismatch)
        known = news.known
        if not is_asked or (known is not None and is_held(known) and known.amount == news.amount):
            return
        if known is None or known.amount != news.amount:
            held = self._open_linked(context, payment, known, news.amount)
        else:
            held = decision.current(known)
        marked = held._replace(
            substate=MORE_THAN_IS_LEFT, movement_id=held.movement_id or notice.movement_id
        )
        decision.update_transaction(held, marked)

    async def _with_held_chargeback(self, context: NoticeContext, news: LinkedNews) -> LinkedNews:
        """Book a chargeback that waits, if its reversal gives back what there was no room for."""
        most = amount_left_of_all(news.parent) + news.amount
        held = next(
            (
                sibling
                for sibling in held_chargebacks(context.notice, news.siblings)
                if news.amount <= sibling.amount <= most
            ),
            None,
        )
        if held is None:
            return news
        payment = await self._book_held(context, news.parent, held)
        siblings = context.decision.current_linked(payment.id, news.siblings)
        return news._replace(parent=payment, siblings=siblings)

    async def _book_what_fits(
        self, context: NoticeContext, payment: Transaction, siblings: Sequence[Transaction]
    ) -> None:
        """Book what waits because it took more than was left, as far as it fits now."""
        for linked in context.decision.current_linked(payment.id, siblings):
            current = context.decision.current(payment)
            if is_held(linked) and linked.amount <= amount_left_of_all(current):
                await self._book_held(context, current, linked)

    async def _book_held(
        self, context: NoticeContext, payment: Transaction, held: Transaction
    ) -> Transaction:
        """Book what waits; return the payment."""
        decision = context.decision
        details = NoticeDetails(reason="fits_now")
        booked = decision.advance(decision.current(held), TransactionStatus.APPROVED, details)
        add_to_payment(decision, payment, booked)
        await self._close_question(context, payment, held)
        return decision.current(payment)

    async def _close_question(
        self, context: NoticeContext, payment: Transaction, held: Transaction
    ) -> None:
        """Resolve what was asked about one that waited, if it waits no more."""
        after = context.decision.as_current(held)
        if not is_held(held) or is_held(after):
            return
        is_booked = after.status is TransactionStatus.APPROVED
        opened = [c for c in context.decision.opened_conflicts if c.resolved_at is None]
        for conflict in (*opened, *await self._steps.open_conflicts(payment)):
            if is_question_about(conflict, held):
                choice = "accept" if is_booked else "keep"
                why = f"{held.id} is {after.status.value} by what came later."
                context.decision.settle_conflict(conflict, payment, choice, why)

    # ── what is booked ───────────────────────────────────────────────────────────────────────────

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
                f"{named(context.notice)} of {written} {known.currency} is booked, and is told "
                f"again{body_mark(context)}: a repeat in other bytes, or one more."
            )
            mismatch = AmountMismatch(why, amount, known.currency)
            await self._statuses.open_mismatch(context, known, mismatch)

    async def _approve_linked(
        self, context: NoticeContext, parent: Transaction, known: Transaction
    ) -> None:
        decision, notice = context.decision, context.notice
        judged = judge_status(
            ReportedStatus(TransactionStatus.APPROVED, notice.occurred_at, notice.sequence), known
        )
        if judged.outcome is Outcome.CONFLICT:
            await self._statuses.contradict(context, known, TransactionStatus.APPROVED, judged.why)
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
        """Create what is linked, with the status that the notice says."""
        decision, notice = context.decision, context.notice
        assert notice.status is not None
        if notice.is_closing:  # so that a debit of the same id is another one
            movement_id = NEVER_OPENED
        linked = self._open_linked(context, parent, known, amount, movement_id)
        if notice.status is not TransactionStatus.PENDING:
            details = context.details
            if notice.is_closing:  # what opened it comes later, and must not open it again
                details = details._replace(reason=NEVER_OPENED)
            linked = decision.advance(linked, notice.status, details, context.trust.word)
        if linked.status is TransactionStatus.APPROVED:
            add_to_payment(decision, parent, linked)
        why = f"{notice.kind.value} of {parent.id}: {linked.status.value}."
        context.add_outcome(Outcome.APPLIED, why, linked)

    def _open_linked(
        self,
        context: NoticeContext,
        parent: Transaction,
        known: Transaction | None,
        amount: int,
        movement_id: str | None = None,
    ) -> Transaction:
        """Open what is linked. An open one of another amount is ended: amounts never change."""
        decision, notice = context.decision, context.notice
        movement_id = movement_id or notice.movement_id
        if known is not None and known.status not in TERMINAL:
            reason = NoticeDetails(reason="amount_changed")
            decision.advance(decision.current(known), TransactionStatus.CANCELLED, reason)
        if known is not None:  # another one of the same id
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
        return decision.open_transaction(new)

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


def wait_for_chargeback(context: NoticeContext, why: str, payment: Transaction) -> None:
    """Let a reversal wait for its chargeback. Later callbacks about the dispute pass it."""
    context.decision.wait_for((payment.id,), context.references, next_retry(context.decision))
    context.decision.add_outcome(Outcome.UNMATCHED, why)


def _is_booked(notice: TransactionNotice, known: Transaction) -> bool:
    """Tell whether a notice says that money moved, and that it is booked already."""
    return notice.status is known.status is TransactionStatus.APPROVED


def _has_moved(known: Transaction) -> bool:
    """Tell whether a dispute has moved its money, or has ended without."""
    return known.status in TERMINAL or is_held(known)


def _moves(notice: TransactionNotice, known: Transaction) -> bool:
    """Tell whether a notice says that money moves which has not moved yet."""
    return (
        notice.status is TransactionStatus.APPROVED
        and known.status is not TransactionStatus.APPROVED
    )


def _is_more_than_left(news: LinkedNews) -> bool:
    """Tell whether something takes more than is left. What has ended is contradicted instead.

    What a person did not accept as more than is left is asked about as that again.
    """
    known = news.known
    has_ended = known is not None and known.status in TERMINAL
    if known is not None and has_ended and known.substate != MORE_THAN_IS_LEFT:
        return False
    return news.amount > amount_left_of_all(news.parent)


def _mismatch(context: NoticeContext, news: LinkedNews) -> AmountMismatch | None:
    """Return why a person is asked how much of a payment goes back, or comes back of it."""
    notice, payment, name = context.notice, news.parent, named(context.notice)
    is_reversal = notice.kind is TransactionKind.CHARGEBACK_REVERSAL
    if is_amount_unknown(notice, news):
        why = f"{name} names no amount, and may be a part of the payment {payment.id}."
        return AmountMismatch(why)
    if not is_reversal and _may_be_uncredited(context, payment):
        why = f"{name} may give back what {payment.id} captured and was not credited."
        return AmountMismatch(why, news.amount, payment.currency)
    if not is_reversal or news.amount <= amount_to_reinstate(notice, news.siblings):
        return None
    why = f"{name} gives back more than a chargeback has taken."
    return AmountMismatch(why, news.amount, payment.currency)


def _may_be_uncredited(context: NoticeContext, payment: Transaction) -> bool:
    return may_be_uncredited(payment, context.notice.references.psp)
