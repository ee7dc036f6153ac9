"""Status checks: looks again at transactions that have been open for long.

| a transaction | check |
| --- | --- |
| whose source has a look-up | asks the provider, and believes its answer |
| cancelled by the payer, then silence | after the grace time it becomes what was said |
| open for long | after 5 min, 1 h, then daily for five days; then a person is asked |

A pay-out never fails by silence: the money may have left.
"""

from __future__ import annotations

import asyncio
from functools import partial

from tillbell.clock import DAY, HOUR, MINUTE, Micros
from tillbell.errors import NotFound, StoreUnavailable
from tillbell.logs import log_event
from tillbell.model.callbacks import Outcome, ProviderAmount
from tillbell.model.sources import Trust
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    Direction,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.money import format_amount
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.provider_lookup import (
    LookupFailure,
    LookupResult,
    ProviderLookup,
    is_of_attempt,
    lookup_pointers,
)
from tillbell.process.transaction_steps import (
    ReportedCapture,
    TransactionSteps,
    add_linked,
    add_to_payment,
)
from tillbell.providers.kit.words import AUTHORIZED
from tillbell.receive.source_cache import CompiledSource, SourceCache
from tillbell.rules.payments.amounts import (
    AmountMismatch,
    ReadAmount,
    check_amount,
    read_amount,
)
from tillbell.rules.payments.attempts import (
    ATTEMPT_GRACE,
    ATTEMPTS_ENDED,
    AttemptReport,
    attempt_of,
    has_open_attempt,
    with_captured,
    with_report,
)
from tillbell.rules.payments.booking import NoticeDetails, linked_transaction
from tillbell.rules.payments.conflicts import (
    JANITOR,
    STUCK,
    contradiction_conflict,
    is_question_about_captured,
    is_question_of_lookup,
    mismatch_conflict,
    new_conflict,
)
from tillbell.rules.payments.linked import (
    BY_CONFLICT,
    LOOK_UP,
    amount_left_of_all,
    credited_amount,
    expected_refund,
    is_expected,
    may_be_uncredited,
)
from tillbell.rules.payments.standing import taken_back
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.rules.payments.trust import accepts_late_success
from tillbell.storage.ports.outbound import Page

# How long before check 1, 2, … of a transaction.
SCHEDULE: tuple[Micros, ...] = (5 * MINUTE, HOUR, DAY, DAY, DAY, DAY, DAY)
BATCH_SIZE = 100
CONCURRENCY = 16  # look-ups at the same time
ATTEMPTS_ASKED = 4  # of one payment, beside the one that it holds
AFTER_HINT = 5 * MINUTE, HOUR  # how long before look-up 1, 2 after a hint about what has ended
NO_AMOUNT = "The look-up says Approved and no amount: name where it is (setting lookup)."
CONFIRMED = "confirmed"  # the trust of a step that the provider's look-up has confirmed


class StatusChecker:
    """Checks transactions, and decides with the provider's answer."""

    def __init__(
        self, decisions: Decisions, source_cache: SourceCache, provider_lookup: ProviderLookup
    ) -> None:
        self._decisions = decisions
        self._database = decisions.database
        self._source_cache = source_cache
        self._provider_lookup = provider_lookup
        self._steps = TransactionSteps(decisions.database)
        self._checking = asyncio.Lock()

    async def check_due(self) -> None:
        """Check the transactions whose time has come (a chore). Only one call runs at a time."""
        async with self._checking:
            slots = asyncio.Semaphore(CONCURRENCY)
            due = await self._database.transactions_to_check(
                self._decisions.clock.now(), BATCH_SIZE
            )
            await asyncio.gather(*(self._check_in_turn(slots, transaction) for transaction in due))

    async def _check_in_turn(self, slots: asyncio.Semaphore, transaction: Transaction) -> None:
        async with slots:
            try:
                await self._check(transaction)
            except StoreUnavailable as error:
                log_event("status_check.postponed", transaction=transaction.id, error=str(error))
            except Exception as error:  # noqa: BLE001 - supervised: the others must be checked
                log_event("status_check.error", transaction=transaction.id, exc_info=error)

    async def _check(self, transaction: Transaction) -> None:
        compiled = self._source_cache.compiled(transaction.source_id or "")
        asked, lookup = transaction, None
        if compiled is not None and _has_lookup(compiled, transaction):
            asked, lookup = await self._look_up(compiled, transaction)
        decide = partial(self._decide, asked, compiled, lookup)
        try:
            await self._decisions.commit(transaction.app_id, DecidedBy(actor=JANITOR), decide)
        except NotFound:
            return  # its application was removed

    async def _look_up(
        self, compiled: CompiledSource, transaction: Transaction
    ) -> tuple[Transaction, LookupResult | LookupFailure]:
        """Ask about the attempt that a payment holds; then about others that may have succeeded.

        Return the payment, with the attempt that has, and the answer.
        """
        answer = await self._provider_lookup.look_up(compiled, transaction)
        if _is_paid(answer) or transaction.status in TERMINAL:
            return transaction, answer
        for own_id in _other_open_attempts(compiled, transaction):
            other = transaction._replace(psp_transaction_id=own_id)
            of_other = await self._provider_lookup.look_up(compiled, other)
            if _is_paid(of_other):
                return other, of_other
        return transaction, answer

    async def _decide(
        self,
        checked: Transaction,
        compiled: CompiledSource | None,
        lookup: LookupResult | LookupFailure | None,
        decision: Decision,
    ) -> None:
        stored = await self._database.transaction(checked.app_id, checked.id)
        if stored is None or stored.version != checked.version:
            return  # it has changed since; the next check sees it as it is then
        asked = stored._replace(psp_transaction_id=checked.psp_transaction_id)
        transaction = decision.update_transaction(decision.current(stored), asked)
        if isinstance(lookup, LookupResult):
            transaction = await self._apply_lookup(decision, compiled, transaction, lookup)
            await self._close_answered(decision, transaction, lookup)
        elif lookup is not None and lookup.is_unmapped and transaction.status in TERMINAL:
            conflict = new_conflict(transaction.status, "unconfirmed", lookup.why)
            await self._ask_once(decision, transaction, conflict)
        elif lookup is None and _may_end_silently(transaction):
            assert transaction.if_silent is not None
            message = "No further callback came within the grace period."
            is_refused = bool(transaction.attempts) and not has_open_attempt(transaction)
            reason = ATTEMPTS_ENDED if is_refused else "no_news"
            details = NoticeDetails(reason=reason, message=message)
            transaction = decision.advance(transaction, transaction.if_silent, details)
        if transaction.status in TERMINAL:
            current = decision.as_current(transaction)
            _schedule_repeat(decision, stored, current, _repeats(compiled, lookup))
            return
        is_asked = any(c.kind != STUCK for c in await self._steps.open_conflicts(transaction))
        _schedule_next(decision, transaction, is_asked=is_asked or bool(decision.opened_conflicts))

    # ── the provider's answer ────────────────────────────────────────────────────────────────────

    async def _apply_lookup(
        self,
        decision: Decision,
        compiled: CompiledSource | None,
        transaction: Transaction,
        lookup: LookupResult,
    ) -> Transaction:
        if lookup.is_authorized and transaction.status not in TERMINAL:
            return _authorize(decision, transaction, lookup)
        judged = judge_status(ReportedStatus(lookup.status), transaction)
        is_approved = lookup.status is TransactionStatus.APPROVED
        is_reopened = is_approved and transaction.reason == ATTEMPTS_ENDED
        if judged.outcome is Outcome.CONFLICT and not is_reopened:
            return await self._contradict(decision, compiled, transaction, lookup)
        if judged.outcome is Outcome.DUPLICATE and is_approved:
            return await self._compare(decision, compiled, transaction, lookup)
        if _says_no_longer_paid(lookup, transaction):
            return await self._contradict(decision, compiled, transaction, lookup)
        if judged.outcome is not Outcome.APPLIED and not is_reopened:
            return transaction
        supersedes = transaction.sequence if is_reopened else None  # only silence had ended it
        details = NoticeDetails(raw_status=lookup.raw_status, supersedes=supersedes)
        report = _report(decision, transaction, lookup)
        if lookup.status in NEGATIVE and _ends_attempt_only(compiled, transaction, report):
            return _end_attempt(decision, transaction, report, details)
        if not is_approved:
            return decision.advance(transaction, lookup.status, details, CONFIRMED)
        if lookup.amount is None:
            conflict = new_conflict(lookup.status, "unconfirmed", NO_AMOUNT)
            await self._steps.open_conflict(decision, transaction, conflict)
            return transaction
        capture = _capture(decision, compiled, transaction, lookup)._replace(details=details)
        transaction = await self._withdraw_more(decision, transaction, capture)
        result = await self._steps.capture(decision, transaction, capture)
        if result.transaction.status is not TransactionStatus.APPROVED:
            return result.transaction
        return await self._book_what_went_back(decision, result.transaction, lookup)

    async def _compare(
        self,
        decision: Decision,
        compiled: CompiledSource | None,
        payment: Transaction,
        lookup: LookupResult,
    ) -> Transaction:
        """Book what the provider counts of an Approved payment beyond the books, or ask."""
        if lookup.amount is not None:
            capture = _capture(decision, compiled, payment, lookup)
            payment = await self._withdraw_more(decision, payment, capture)
            result = await self._steps.capture_more(decision, payment, capture)
            payment = result.transaction
            await self._ask_about_less(decision, payment, capture)
        return await self._book_what_went_back(decision, payment, lookup)

    async def _withdraw_more(
        self, decision: Decision, payment: Transaction, capture: ReportedCapture
    ) -> Transaction:
        """Resolve what earlier look-ups asked about more, if this one counts less than they did.

        Return the payment as it was before those; what is more than that is asked about anew.
        """
        counted, attempt = _minor(capture.amount, payment), attempt_of(payment, capture.report)
        if counted is None or attempt is None or counted >= attempt.captured:
            return payment
        open_conflicts = await self._steps.open_conflicts(payment)
        withdrawn = [c for c in open_conflicts if is_question_about_captured(c, payment.currency)]
        for conflict in withdrawn:
            why = "The look-up counts less since."
            decision.settle_conflict(conflict, payment, "keep", why)
        before = attempt.captured - sum(conflict.amount or 0 for conflict in withdrawn)
        if withdrawn and payment.status is not TransactionStatus.APPROVED:
            before = counted  # the question was about all that was captured
        lowered = with_captured(payment, attempt, before)
        return decision.update_transaction(payment, lowered)

    async def _ask_about_less(
        self, decision: Decision, payment: Transaction, capture: ReportedCapture
    ) -> None:
        """Ask a person if the provider counts less than was credited, or another currency."""
        counted = _minor(capture.amount, payment)
        if counted is None:
            await self._ask_once(decision, payment, _other_currency(payment, capture.amount))
            return
        attempt, currency = attempt_of(payment, capture.report), payment.currency
        credited = credited_amount(payment)
        if attempt is not None and attempt.captured:
            credited = min(credited, attempt.captured)
        if counted >= credited:
            return
        linked = await self._database.linked_transactions(payment.app_id, payment.id)
        taken_back = sum(t.amount for t in linked if t.movement_id == BY_CONFLICT)
        missing = credited - taken_back - counted
        if missing > 0:
            why = (
                f"The look-up counts {format_amount(counted, currency)} {currency} as paid, "
                f"{format_amount(credited - taken_back, currency)} is credited."
            )
            mismatch = AmountMismatch(why, missing, currency)
            conflict = mismatch_conflict(TransactionStatus.FAILED, mismatch)
            await self._ask_once(decision, payment, conflict)

    async def _book_what_went_back(
        self, decision: Decision, payment: Transaction, lookup: LookupResult
    ) -> Transaction:
        """Book refunds and chargebacks that the provider counts and no callback has reported.

        A person is asked if that is more than is left, or if refunds are counted no more.
        """
        refunded = _minor(lookup.refunded, payment)
        charged_back = _minor(lookup.charged_back, payment)
        if refunded is not None and refunded < payment.refunded:
            await self._ask_about_lost_refunds(decision, payment, refunded)
        known_chargebacks = payment.charged_back - payment.reinstated
        for kind, amount in (
            (
                TransactionKind.REFUND,
                None if refunded is None else refunded - payment.refunded - payment.reversed_,
            ),
            (
                TransactionKind.CHARGEBACK,
                None if charged_back is None else charged_back - known_chargebacks,
            ),
        ):
            if not amount or (amount < 0 and kind is TransactionKind.REFUND):
                continue
            is_more = kind is TransactionKind.REFUND and may_be_uncredited(payment)
            current = decision.current(payment)
            if is_more or amount > amount_left_of_all(current):
                await self._ask_about_more(decision, payment, kind, amount)
                continue
            booked = TransactionKind.CHARGEBACK_REVERSAL if amount < 0 else kind
            details = NoticeDetails(reason="look_up")
            if kind is TransactionKind.REFUND and await self._book_expected(
                decision, payment, amount, details
            ):
                continue
            linked = linked_transaction(
                payment, booked, abs(amount), id_=decision.new_id("trx"), now=decision.now
            )
            linked = linked._replace(movement_id=LOOK_UP)
            add_linked(decision, current, linked, details, CONFIRMED)
        return decision.current(payment)

    async def _book_expected(
        self, decision: Decision, payment: Transaction, amount: int, details: NoticeDetails
    ) -> bool:
        """Book the refund of an amount that a person expects; return whether there is one."""
        linked = await self._database.linked_transactions(payment.app_id, payment.id)
        expected = expected_refund(decision.current_linked(payment.id, linked), amount)
        if expected is None:
            return False
        counted = decision.current(expected)._replace(movement_id=LOOK_UP)
        booked = decision.advance(counted, TransactionStatus.APPROVED, details, CONFIRMED)
        add_to_payment(decision, payment, booked)
        return True

    async def _ask_about_more(
        self, decision: Decision, payment: Transaction, kind: TransactionKind, amount: int
    ) -> None:
        """Ask a person about what a look-up counts and is not booked."""
        text = f"{format_amount(amount, payment.currency)} {payment.currency}"
        why = f"{kind.value}: the look-up counts {text} more than is booked of the payment."
        mismatch = AmountMismatch(why, amount, payment.currency)
        await self._ask_once(
            decision, payment, mismatch_conflict(TransactionStatus.APPROVED, mismatch)
        )

    async def _ask_about_lost_refunds(
        self, decision: Decision, payment: Transaction, counted: int
    ) -> None:
        """Ask a person about refunds that are booked, and that a look-up does not count any more.

        They are the newest ones, as far as they make up the difference.
        """
        missing, currency = payment.refunded - counted, payment.currency
        why = (
            f"The look-up counts {format_amount(counted, currency)} {currency} as refunded, "
            f"{format_amount(payment.refunded, currency)} is booked."
        )
        linked = await self._database.linked_transactions(payment.app_id, payment.id)
        for refund in reversed(linked):
            is_booked = refund.status is TransactionStatus.APPROVED
            if refund.kind is not TransactionKind.REFUND or not is_booked or not missing:
                continue
            amount = min(missing, refund.amount)
            missing -= amount
            lost = ProviderAmount(str(amount), currency, is_minor=True)
            failed = TransactionStatus.FAILED
            await self._ask_once(
                decision, refund, contradiction_conflict(refund, failed, why, lost)
            )

    async def _ask_once(
        self, decision: Decision, transaction: Transaction, conflict: MoneyConflict
    ) -> None:
        """Open a conflict, unless it is open, or a person has answered this very question."""
        asked = await self._database.conflicts(transaction.app_id, Page(limit=100), transaction.id)
        same = [c for c in asked if c.why == conflict.why and c.resolved_by != JANITOR]
        if not same:
            decision.open_conflict(transaction, conflict)
        decision.asked_again.update(known.id for known in same)

    async def _close_answered(
        self, decision: Decision, payment: Transaction, lookup: LookupResult
    ) -> None:
        """Resolve what earlier look-ups have asked, and this one does not ask again."""
        if lookup.status is not TransactionStatus.APPROVED:
            return
        about = [payment]
        if lookup.refunded is not None and payment.refunded:
            linked = await self._database.linked_transactions(payment.app_id, payment.id)
            about += [t for t in linked if t.kind is TransactionKind.REFUND]
        for transaction in about:
            for conflict in await self._steps.open_conflicts(transaction):
                if (
                    conflict.id not in decision.asked_again
                    and not decision.is_settled(conflict)
                    and is_question_of_lookup(conflict)
                    and _says_what_is_asked(lookup, conflict, payment)
                ):
                    current = decision.current(transaction)
                    why = "The look-up agrees with what is booked since."
                    decision.settle_conflict(conflict, current, "keep", why)

    async def _contradict(
        self,
        decision: Decision,
        compiled: CompiledSource | None,
        transaction: Transaction,
        lookup: LookupResult,
    ) -> Transaction:
        """Ask a person; or approve a late success that is proven twice and may be accepted."""
        conflict = None
        if _is_approved_as_expected(lookup, transaction):
            conflict = await self._signed_late_success(transaction)
        may_accept = compiled is not None and accepts_late_success(compiled.config, transaction)
        if conflict is None or not may_accept:
            word = lookup.raw_status[:100]
            why = f"The provider look-up says {lookup.status.value} ({word})."
            contradiction = contradiction_conflict(
                transaction, lookup.status, why, lookup.amount, transaction.psp_transaction_id
            )
            await self._steps.open_conflict(decision, transaction, contradiction)
            return transaction
        reason = "The provider confirmed it (accept_verified)."
        decision.settle_conflict(conflict, transaction, "accept", reason)
        details = NoticeDetails(raw_status=lookup.raw_status, supersedes=transaction.sequence)
        return decision.advance(transaction, TransactionStatus.APPROVED, details, CONFIRMED)

    async def _signed_late_success(self, transaction: Transaction) -> MoneyConflict | None:
        """Return the open conflict in which a signed callback reported a late success."""
        for conflict in await self._steps.open_conflicts(transaction):
            kind_and_status = conflict.kind, conflict.status
            is_late_success = kind_and_status == ("contradiction", TransactionStatus.APPROVED)
            if not is_late_success or conflict.amount not in (None, transaction.amount):
                continue
            callback = await self._database.callback(transaction.app_id, conflict.callback_id or "")
            if callback is not None and callback.trust is Trust.SIGNED:
                return conflict
        return None


def _says_no_longer_paid(lookup: LookupResult, payment: Transaction) -> bool:
    """Tell whether a provider says that an Approved payment is open, and names no such sum."""
    if payment.status is not TransactionStatus.APPROVED or lookup.status in TERMINAL:
        return False
    counted = _minor(lookup.amount, payment)
    return counted is None or counted < credited_amount(payment)


def _says_what_is_asked(
    lookup: LookupResult, conflict: MoneyConflict, payment: Transaction
) -> bool:
    """Tell whether a look-up names the sum that a conflict of an earlier one is about."""
    sums = {
        TransactionKind.REFUND.value: lookup.refunded,
        TransactionKind.CHARGEBACK.value: lookup.charged_back,
    }
    is_of_refund = conflict.transaction_id != payment.id
    asked = lookup.refunded if is_of_refund else lookup.amount
    return _minor(sums.get(conflict.why.partition(":")[0], asked), payment) is not None


def _other_currency(payment: Transaction, amount: ProviderAmount | None) -> MoneyConflict:
    """Return a conflict about an amount that is not in the currency of its payment."""
    why = f"The look-up names an amount that is none in {payment.currency}."
    mismatch = AmountMismatch(why)
    read = read_amount(amount, payment.currency) if amount is not None else None
    if isinstance(read, ReadAmount):
        mismatch = AmountMismatch(why, read.minor, read.currency)
    return mismatch_conflict(TransactionStatus.APPROVED, mismatch)


def _has_lookup(compiled: CompiledSource, transaction: Transaction) -> bool:
    return "lookupUrl" in compiled.config and transaction.kind is TransactionKind.PAYMENT


def _is_paid(answer: LookupResult | LookupFailure) -> bool:
    return isinstance(answer, LookupResult) and answer.status is TransactionStatus.APPROVED


def _other_open_attempts(compiled: CompiledSource, payment: Transaction) -> list[str]:
    """Return the ids of other attempts of a source's payment that may succeed, newest first."""
    if not is_of_attempt(compiled.config):
        return []
    ids = [
        attempt.psp_transaction_id
        for attempt in payment.attempts
        if attempt.status not in NEGATIVE and attempt.source_id == compiled.source.id
    ]
    others = [id_ for id_ in ids if id_ not in ("", payment.psp_transaction_id)]
    return others[: -ATTEMPTS_ASKED - 1 : -1]


def _is_approved_as_expected(lookup: LookupResult, transaction: Transaction) -> bool:
    if lookup.status is not TransactionStatus.APPROVED or lookup.amount is None:
        return False
    return check_amount(lookup.amount, transaction.amount, transaction.currency) is None


def _capture(
    decision: Decision,
    compiled: CompiledSource | None,
    payment: Transaction,
    lookup: LookupResult,
) -> ReportedCapture:
    """Return what a look-up says about the capture of a payment."""
    config = {} if compiled is None else compiled.config
    report = _report(decision, payment, lookup)
    return ReportedCapture(
        report=report,
        amount=lookup.amount if is_of_attempt(config) else _without_others(payment, report, lookup),
        details=NoticeDetails(raw_status=lookup.raw_status),
        trust=CONFIRMED,
        credits_part=config.get("partialCapture") == "credit",
    )


def _without_others(
    payment: Transaction, report: AttemptReport, lookup: LookupResult
) -> ProviderAmount | None:
    """Return an amount of all attempts without what others than the held one have captured."""
    total, attempt = _minor(lookup.amount, payment), attempt_of(payment, report)
    others = payment.captured - (0 if attempt is None else attempt.captured)
    if total is None or not others:
        return lookup.amount
    return ProviderAmount(str(max(0, total - others)), payment.currency, is_minor=True)


def _report(decision: Decision, payment: Transaction, lookup: LookupResult) -> AttemptReport:
    """Return what a look-up says about the attempt that the payment holds."""
    return AttemptReport(
        status=lookup.status,
        at=decision.now,
        psp_transaction_id=payment.psp_transaction_id,
        source_id=payment.source_id,
    )


def _authorize(decision: Decision, payment: Transaction, lookup: LookupResult) -> Transaction:
    """Take the step of an authorisation, if no callback has told it of this attempt."""
    reserved = _minor(lookup.authorized or lookup.amount, payment)
    report = _report(decision, payment, lookup)._replace(authorized=reserved or payment.amount)
    earlier = attempt_of(payment, report)
    is_known = earlier is not None and (earlier.authorized or earlier.captured)
    if is_known or (earlier is not None and earlier.status in NEGATIVE):
        return payment
    details = NoticeDetails(raw_status=lookup.raw_status, substate=AUTHORIZED.substate)
    return decision.authorize(with_report(payment, report), details, CONFIRMED)


def _ends_attempt_only(
    compiled: CompiledSource | None, payment: Transaction, report: AttemptReport
) -> bool:
    if payment.direction is Direction.PAY_OUT:
        return False  # it has no attempts
    if compiled is not None and compiled.provider.payer_may_retry:
        return True
    return has_open_attempt(with_report(payment, report))


def _end_attempt(
    decision: Decision, payment: Transaction, report: AttemptReport, details: NoticeDetails
) -> Transaction:
    """Note that the attempt which was asked about has ended. The payment ends a day after."""
    after = with_report(payment, report)
    attempt = attempt_of(after, report)
    is_over = attempt is not None and decision.now - attempt.at >= ATTEMPT_GRACE
    if is_over and not has_open_attempt(after):
        ended = details._replace(reason=ATTEMPTS_ENDED)
        return decision.advance(after, report.status, ended, CONFIRMED)
    return decision.update_transaction(payment, after)


def _minor(amount: ProviderAmount | None, payment: Transaction) -> int | None:
    """Return an amount in minor units of a payment's currency; None if it is not one."""
    read = read_amount(amount, payment.currency) if amount is not None else None
    if not isinstance(read, ReadAmount) or read.currency != payment.currency:
        return None
    return read.minor


def _may_end_silently(transaction: Transaction) -> bool:
    if transaction.if_silent is None or transaction.status in TERMINAL:
        return False
    is_pay_out = transaction.direction is Direction.PAY_OUT
    return not (is_pay_out and transaction.if_silent in NEGATIVE)


def _question_about_open(transaction: Transaction) -> MoneyConflict:
    """Return what a person is asked about a transaction that is open for long."""
    if not is_expected(transaction):
        why = "The transaction has been open for days."
        return new_conflict(transaction.status, STUCK, why)
    amount = f"{format_amount(transaction.amount, transaction.currency)} {transaction.currency}"
    why = (
        f"A refund of {amount} was expected by now, and no provider has told of it. Accept books "
        "it as paid back. If it will not come, keep this and cancel the refund."
    )
    conflict = new_conflict(TransactionStatus.APPROVED, STUCK, why)
    return conflict._replace(amount=transaction.amount, currency=transaction.currency)


def _repeats(
    compiled: CompiledSource | None, lookup: LookupResult | LookupFailure | None
) -> tuple[Micros, ...]:
    """Return after how long one that has ended is looked up again until something new is told.

    A look-up may fail, or its answer may be older than the hint that it was made for.
    """
    if isinstance(lookup, LookupFailure):
        return () if lookup.is_unmapped else SCHEDULE
    tells_refunds = compiled is not None and "refunded" in lookup_pointers(compiled)
    return AFTER_HINT if lookup is not None and tells_refunds else ()


def _schedule_repeat(
    decision: Decision, before: Transaction, after: Transaction, repeats: tuple[Micros, ...]
) -> None:
    """Set when a transaction that has ended is looked up again; none if all is told."""
    if _told(before) != _told(after):
        place, checks = 0, len(repeats)  # there may be more: it is asked once
    else:
        place, checks = after.checks, after.checks + 1
    next_at = decision.now + repeats[place] if place < len(repeats) else None
    if after.check_at is not None or next_at is not None:
        scheduled = after._replace(check_at=next_at, checks=checks, if_silent=None)
        decision.update_transaction(after, scheduled)


def _told(transaction: Transaction) -> tuple[TransactionStatus, int, int]:
    return transaction.status, transaction.captured, taken_back(transaction)


def _schedule_next(decision: Decision, transaction: Transaction, *, is_asked: bool) -> None:
    """Set the time of the next check; after the last one open a conflict for a person.

    `is_asked`: a person is asked about it already. Then it is checked daily until that is answered.
    """
    checks = transaction.checks + 1
    next_at = decision.now + SCHEDULE[checks] if checks < len(SCHEDULE) else None
    if next_at is None and is_asked:
        checks, next_at = transaction.checks, decision.now + DAY
    elif next_at is None:
        decision.open_conflict(transaction, _question_about_open(transaction))
    scheduled = transaction._replace(check_at=next_at, checks=checks)
    decision.update_transaction(transaction, scheduled)
