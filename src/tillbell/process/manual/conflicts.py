"""Resolving conflicts: a person keeps what we have, or accepts what was reported.

| choice | leads to |
| --- | --- |
| keep | the transaction stays as it is |
| accept | the reported status and amount; it supersedes a final one |
| accept of a failure | an approved payment is reversed |
| accept of more than was credited | this part is credited by a linked capture |
| accept of a refund or the like | its callback counts as proven and books it, also beyond a limit |
| accept of an ambiguous notice | it is decided as one about the transaction that is named |
| keep of an ambiguous notice | it moves nothing, nor do later ones with that id |
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.model.callbacks import Callback, Outcome, ProviderAmount, TransactionNotice
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
from tillbell.process.notice_context import NoticeContext
from tillbell.process.payments import PaymentDecider
from tillbell.process.transaction_steps import add_capture, add_linked
from tillbell.process.which_payment import payment_reference, provider_id
from tillbell.receive.reprocess import ReparsedCallback, Reprocessor
from tillbell.rules.payments.attempts import (
    AttemptReport,
    has_failed_capture,
    is_other_attempt,
    with_captured_total,
    with_choice,
    with_report,
)
from tillbell.rules.payments.booking import NoticeDetails, conflict_data, linked_transaction
from tillbell.rules.payments.conflicts import (
    AMBIGUOUS,
    UNCONFIRMED,
    UNCONFIRMED_LINKED,
    is_question_about,
)
from tillbell.rules.payments.linked import (
    BY_CONFLICT,
    LOOK_UP,
    amount_left,
    credited_amount,
    is_held,
)
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.storage.ports.database import Database


class ConflictAnswer(NamedTuple):
    """What a person says beside "accept". `amount` is what is booked, in minor units.

    `transaction_id` (id or uid) says which transaction an ambiguous notice is about.
    """

    amount: int | None = None
    transaction_id: str | None = None

    @property
    def details(self) -> dict[str, Any]:
        """The answer, as the audit log has it."""
        named = {"amount": self.amount, "transactionId": self.transaction_id}
        return {name: value for name, value in named.items() if value is not None}


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
        self,
        app_id: str,
        conflict_id: str,
        choice: str,
        act: ActionReason,
        answer: ConflictAnswer = ConflictAnswer(),  # noqa: B008 - immutable
    ) -> MoneyConflict | AwaitingSecondKey:
        """Resolve a conflict: `choice` is "keep" or "accept".

        `NotFound` if there is none, `Invalid` if the answer does not belong to it,
        `ConflictError` if it is resolved already or what was reported cannot be accepted.
        """

        async def decide(decision: Decision) -> MoneyConflict | AwaitingSecondKey:
            conflict = await self._open_conflict(app_id, conflict_id)
            transaction = await read_transaction(self._database, app_id, conflict.transaction_id)
            is_accepted = choice == "accept"
            _check_answer(conflict, answer, is_accepted=is_accepted)
            awaiting = await self._audited.write_or_propose(
                decision, f"conflict.{choice}", conflict.id, act, answer.details
            )
            if awaiting is not None:
                return awaiting
            if conflict.kind == AMBIGUOUS:
                if is_accepted:
                    return await self._apply_to_chosen(decision, conflict, answer, act)
                return await self._dismiss(decision, transaction, conflict, act)
            reparsed = None
            if is_accepted and _is_of_callback(conflict, transaction):
                reparsed = await self._reparse(conflict)
                decision.conclude_again(reparsed.callback)
            resolved = decision.resolve_conflict(conflict, choice, act.reason)
            after = transaction
            if not is_accepted:
                await self._cancel_held(decision, transaction, conflict, act)
            elif reparsed is None:
                after = await self._accept(decision, transaction, conflict, answer, act)
            decision.publish_event("transaction.conflict", conflict_data(after, resolved), after)
            if reparsed is not None:
                amount = _provider_amount(answer, transaction)
                await self._decide_as_proven(decision, reparsed, conflict, amount)
            return resolved

        return await self._audited.commit(app_id, act, decide)

    async def _cancel_held(
        self,
        decision: Decision,
        payment: Transaction,
        conflict: MoneyConflict,
        act: ActionReason,
    ) -> None:
        """Cancel the refund or the like that waited for this answer."""
        for linked in await self._database.linked_transactions(payment.app_id, payment.id):
            if is_held(linked) and is_question_about(conflict, linked):
                details = NoticeDetails(reason=act.reason, substate=linked.substate)
                decision.advance(linked, TransactionStatus.CANCELLED, details)

    async def _open_conflict(self, app_id: str, conflict_id: str) -> MoneyConflict:
        conflict = await self._database.conflict(app_id, conflict_id)
        if conflict is None:
            raise NotFound("There is no such conflict.")
        if conflict.resolved_at is not None:
            why = f"It is resolved already: {conflict.resolution}, by {conflict.resolved_by}."
            raise ConflictError(why, code="decided")
        return conflict

    async def _accept(
        self,
        decision: Decision,
        transaction: Transaction,
        conflict: MoneyConflict,
        answer: ConflictAnswer,
        act: ActionReason,
    ) -> Transaction:
        """Do what was reported: a step, one that supersedes, or a reversal of what was paid."""
        conflict = _answered(conflict, answer, transaction)
        status = conflict.status
        if _is_about_linked(conflict, transaction):  # and a look-up has counted it
            return self._book_counted(decision, transaction, conflict, act)
        if _says_nothing_known(conflict, transaction):
            raise ConflictError(_NOTHING_KNOWN, code="amount_unknown")
        if status is TransactionStatus.APPROVED:
            return await self._approve(decision, transaction, conflict, act)
        if transaction.status is status:
            return transaction
        if transaction.status is TransactionStatus.APPROVED:
            linked = await self._database.linked_transactions(transaction.app_id, transaction.id)
            if left := amount_left(transaction, linked):
                current = decision.current(transaction)
                is_part = transaction.kind is not TransactionKind.PAYMENT
                is_part = is_part or conflict.kind == "mismatch"
                amount = min(left, conflict.amount or left) if is_part else None
                reversal = await add_reversal(decision, self._database, current, amount, act.reason)
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
        """Book the amount that was reported; of an Approved payment that much more."""
        if transaction.status is TransactionStatus.APPROVED and conflict.kind != "mismatch":
            return self._credit_more(decision, transaction, conflict, act)
        amount = _accepted_amount(conflict, transaction)
        if transaction.status is TransactionStatus.APPROVED:
            total = max(transaction.captured, credited_amount(transaction) + amount)
            payment = with_captured_total(transaction, total, decision.now)
            current = decision.current(transaction)
            return add_capture(decision, current, payment, amount, NoticeDetails(reason=act.reason))
        supersedes = transaction.sequence if transaction.status in TERMINAL else None
        details = NoticeDetails(reason=act.reason, supersedes=supersedes)
        approved = TransactionStatus.APPROVED
        decision.current(transaction)
        captured = _with_capture(transaction, conflict, decision.now)
        after = decision.advance(captured, approved, details, amount=amount)
        await add_to_parent(decision, self._database, after, amount)
        return after

    def _credit_more(
        self,
        decision: Decision,
        payment: Transaction,
        conflict: MoneyConflict,
        act: ActionReason,
    ) -> Transaction:
        """Book what an attempt has captured of a payment that was approved since it was asked."""
        captured = _with_capture(payment, conflict, decision.now)
        increase = captured.captured - max(payment.captured, credited_amount(payment))
        if increase <= 0:
            return payment
        current = decision.current(payment)
        details = NoticeDetails(reason=act.reason)
        return add_capture(decision, current, captured, increase, details)

    def _book_counted(
        self,
        decision: Decision,
        payment: Transaction,
        conflict: MoneyConflict,
        act: ActionReason,
    ) -> Transaction:
        """Book the refund or chargeback that a look-up counts, also beyond a limit."""
        amount = _accepted_amount(conflict, payment)
        kind = TransactionKind(conflict.why.partition(":")[0])
        linked = linked_transaction(
            payment, kind, amount, id_=decision.new_id("trx"), now=decision.now
        )._replace(movement_id=LOOK_UP)
        add_linked(decision, payment, linked, NoticeDetails(reason=act.reason))
        return decision.current(payment)

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
        self,
        decision: Decision,
        reparsed: ReparsedCallback,
        conflict: MoneyConflict,
        amount: ProviderAmount | None,
    ) -> None:
        """Decide the notice that a conflict is about as if it were signed.

        `amount` is what a person says; None: the notice names it. In the same decision as the
        resolution, so that a crash cannot store one without the other.
        `ConflictError` if it cannot be booked.
        """
        for notice in reparsed.reading.notices:
            if isinstance(notice, TransactionNotice) and _is_subject(notice, conflict):
                proven = notice._replace(amount=amount or notice.amount, is_hint=False)
                if proven.amount is None and proven.status is TransactionStatus.APPROVED:
                    raise ConflictError(_NO_AMOUNT, code="amount_unknown")
                context = NoticeContext(decision, reparsed.compiled, Trust.SIGNED, proven)
                await self._payments.decide(context, is_accepted=True)
        booked = {Outcome.APPLIED, Outcome.DUPLICATE}
        if _is_about_capture(conflict):  # it is counted, and may be a part of what is asked for
            booked |= {Outcome.MISMATCH, Outcome.NOTED}
        if not any(decision.has_outcome(outcome) for outcome in booked):
            raise ConflictError(f"{conflict.why} So it cannot be booked.", code="amount_unknown")

    # ── an ambiguous notice ──────────────────────────────────────────────────────────────────────

    async def _dismiss(
        self,
        decision: Decision,
        transaction: Transaction,
        conflict: MoneyConflict,
        act: ActionReason,
    ) -> MoneyConflict:
        """End the wait of a notice that is about none of the transactions."""
        callback = await self._waiting_callback(conflict)
        if callback is not None:
            decision.conclude_again(callback)
            why = f"A person says that it is of none of these payments ({conflict.id})."
            decision.add_outcome(Outcome.NOTED, why)
        resolved = decision.resolve_conflict(conflict, "keep", act.reason)
        data = conflict_data(transaction, resolved)
        decision.publish_event("transaction.conflict", data, transaction)
        return resolved

    async def _apply_to_chosen(
        self, decision: Decision, conflict: MoneyConflict, answer: ConflictAnswer, act: ActionReason
    ) -> MoneyConflict:
        """Decide a notice as one about the transaction that a person names.

        Later callbacks with the same id of the provider follow. That it is proven is not said.
        """
        if await self._waiting_callback(conflict) is None:
            why = "Its callback does not wait any more: keep the conflict, or replay the callback."
            raise ConflictError(why, code="decided")
        reparsed = await self._reparse(conflict)
        decision.conclude_again(reparsed.callback)
        chosen = await self._chosen(decision, conflict, answer, reparsed)
        notices = [n for n in reparsed.reading.notices if isinstance(n, TransactionNotice)]
        subjects = [n for n in notices if payment_reference(n) == conflict.reference]
        own_id = next(filter(None, map(provider_id, subjects)), None)
        payment = decision.current(chosen)
        if own_id is not None:
            known = with_choice(payment, own_id, reparsed.callback.source_id, decision.now)
            payment = decision.update_transaction(payment, known)
        resolved = decision.resolve_conflict(conflict, "accept", act.reason)
        data = conflict_data(payment, resolved)
        decision.publish_event("transaction.conflict", data, payment)
        trust = reparsed.callback.trust or Trust.NONE
        for notice in notices:
            context = NoticeContext(decision, reparsed.compiled, trust, notice)
            is_subject = payment_reference(notice) == conflict.reference
            await self._payments.decide(context, chosen=payment if is_subject else None)
        if own_id is None and decision.awaited_references:
            why = f"Nothing can be booked on {payment.id} now: it is {payment.status.value}."
            raise ConflictError(why, code="illegal_transition")
        return resolved

    async def _waiting_callback(self, conflict: MoneyConflict) -> Callback | None:
        """Return the callback of an ambiguous conflict, if nothing has decided it since."""
        callback = await self._database.callback(conflict.app_id, conflict.callback_id or "")
        if callback is None or callback.outcome not in (None, Outcome.UNMATCHED):
            return None
        return callback

    async def _chosen(
        self,
        decision: Decision,
        conflict: MoneyConflict,
        answer: ConflictAnswer,
        reparsed: ReparsedCallback,
    ) -> Transaction:
        """Return the payment that a person names.

        `Invalid` if the source may not move it, and it was not offered.
        """
        named = await self._database.transaction(conflict.app_id, answer.transaction_id or "")
        if named is None or named.kind is not TransactionKind.PAYMENT:
            raise _invalid("transactionId", "is no payment or pay-out of this application")
        first = next(n for n in reparsed.reading.notices if isinstance(n, TransactionNotice))
        context = NoticeContext(decision, reparsed.compiled, Trust.SIGNED, first)
        is_offered = named.id in conflict.candidates
        if not is_offered and not context.matching_source.may_move(named):
            raise _invalid("transactionId", "belongs to another source")
        return named


_NO_AMOUNT = "The provider names no amount: say how much it is (`amount`)."


_NOTHING_KNOWN = (
    "The look-up says nothing that can be booked: keep this, and record what went back (`reverse`)."
)


def _says_nothing_known(conflict: MoneyConflict, transaction: Transaction) -> bool:
    """Tell whether a look-up of a transaction that has ended said a word that is not mapped."""
    is_of_lookup = conflict.kind == UNCONFIRMED and conflict.callback_id is None
    is_same = conflict.status is conflict.current is transaction.status
    return is_of_lookup and is_same and conflict.amount is None and transaction.status in TERMINAL


def _invalid(member: str, problem: str) -> Invalid:
    return Invalid(Problem(("body", member), problem, "conflict"))


def _check_answer(conflict: MoneyConflict, answer: ConflictAnswer, *, is_accepted: bool) -> None:
    """Raise `Invalid` if an answer does not say what its conflict asks, or says more."""
    if not is_accepted:
        return
    is_ambiguous = conflict.kind == AMBIGUOUS
    if is_ambiguous and answer.transaction_id is None:
        raise _invalid("transactionId", "say which transaction it is about")
    if not is_ambiguous and answer.transaction_id is not None:
        raise _invalid("transactionId", "this conflict does not ask for a transaction")
    is_approval = conflict.status is TransactionStatus.APPROVED
    if answer.amount is not None and (is_ambiguous or not is_approval):
        raise _invalid("amount", "this conflict does not ask for an amount")


def _answered(
    conflict: MoneyConflict, answer: ConflictAnswer, transaction: Transaction
) -> MoneyConflict:
    """Return a conflict with the amount that a person says, if that person says one."""
    if answer.amount is None:
        _check_uncredited(conflict, transaction)
        return conflict
    return conflict._replace(amount=answer.amount, currency=transaction.currency)


def _provider_amount(answer: ConflictAnswer, transaction: Transaction) -> ProviderAmount | None:
    if answer.amount is None:
        return None
    return ProviderAmount(str(answer.amount), transaction.currency, is_minor=True)


def _check_uncredited(conflict: MoneyConflict, payment: Transaction) -> None:
    """Raise `ConflictError` if a payment has not captured so much that is not credited yet."""
    are_approved = conflict.status is payment.status is TransactionStatus.APPROVED
    is_about_more = conflict.kind == "mismatch" and not _is_about_linked(conflict, payment)
    is_about_more = is_about_more and are_approved
    if not is_about_more or conflict.amount is None or has_failed_capture(payment):
        return
    uncredited = payment.captured - credited_amount(payment)
    if conflict.currency == payment.currency and conflict.amount > uncredited:
        why = "It is credited already, or not captured any more: keep the conflict."
        raise ConflictError(why, code="already_credited")


def _is_subject(notice: TransactionNotice, conflict: MoneyConflict) -> bool:
    """Tell whether a conflict names a notice: by its kind and its id at the provider."""
    name = f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()
    return conflict.why.startswith((f"{name} ", f"{name}:"))


def _is_about_capture(conflict: MoneyConflict) -> bool:
    """Tell whether a conflict is about one more capture, which its callback reports."""
    return conflict.why.startswith(TransactionKind.PAYMENT.value)


def _is_of_callback(conflict: MoneyConflict, transaction: Transaction) -> bool:
    """Tell whether accepting a conflict decides its callback again, as proven."""
    return conflict.callback_id is not None and _is_about_linked(conflict, transaction)


def _is_about_linked(conflict: MoneyConflict, transaction: Transaction) -> bool:
    """Tell whether a conflict is about a refund, capture or the like that its callback reports."""
    if conflict.kind == UNCONFIRMED_LINKED:
        return True
    is_linked = transaction.kind is not TransactionKind.PAYMENT
    names_linked = conflict.why.startswith(tuple(kind.value for kind in TransactionKind))
    return conflict.kind == "mismatch" and (is_linked or names_linked)


def _with_capture(payment: Transaction, conflict: MoneyConflict, at: Micros) -> Transaction:
    """Return a payment whose attempt has captured what a conflict says.

    So a later copy of the news adds nothing. A mismatch is about what is reported already.
    """
    is_payment = payment.kind is TransactionKind.PAYMENT
    is_reported = conflict.kind == "mismatch" or conflict.currency != payment.currency
    if not is_payment or is_reported or conflict.reference is None or conflict.amount is None:
        return payment
    report = AttemptReport(
        status=TransactionStatus.APPROVED,
        at=at,
        psp_transaction_id=conflict.reference,
        captured=conflict.amount,
    )
    reported = with_report(payment, report)
    if is_other_attempt(payment, report) and payment.status is not TransactionStatus.APPROVED:
        return reported._replace(psp_transaction_id=conflict.reference)
    return reported


def _accepted_amount(conflict: MoneyConflict, transaction: Transaction) -> int:
    """Return how much is booked, in minor units. `ConflictError` if that is not known."""
    if conflict.amount is None:
        raise ConflictError(_NO_AMOUNT, code="amount_unknown")
    if not conflict.amount:
        raise ConflictError("Nothing was captured, so nothing is booked.", code="amount_unknown")
    if conflict.currency != transaction.currency:
        why = (
            f"It was paid in {conflict.currency}, the transaction is in {transaction.currency}: "
            "say how much it is (`amount`)."
        )
        raise ConflictError(why, code="currency_mismatch")
    return conflict.amount
