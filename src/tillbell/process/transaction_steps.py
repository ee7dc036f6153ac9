"""What a reported status does to a transaction, whether a callback or a look-up reports it."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.model.callbacks import ProviderAmount
from tillbell.model.transactions import (
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.money import format_amount
from tillbell.process.decision import Decision
from tillbell.rules.payments.amounts import AmountMismatch, ReadAmount, read_amount
from tillbell.rules.payments.attempts import (
    AttemptReport,
    attempt_of,
    has_failed_capture,
    is_other_attempt,
    with_report,
)
from tillbell.rules.payments.booking import NoticeDetails, add_provider_ids, linked_transaction
from tillbell.rules.payments.conflicts import (
    mismatch_conflict,
    same_conflict,
    settled_text,
)
from tillbell.rules.payments.linked import FAILED_CAPTURE, credited_amount, with_linked
from tillbell.storage.ports.inbound import InboundReads
from tillbell.storage.ports.outbound import Page

_CONFLICTS = Page(limit=100)
PARTIALLY_CAPTURED = "partially_captured"


class ReportedCapture(NamedTuple):
    """A payment that was paid, as a provider says it.

    `amount` is what it names; None: it names none, so all that was asked for is meant.
    `credits_part`: what is captured is credited, also if it is less than was asked for.
    `awaits_rest`: less than was asked for is no mismatch, because the rest may still come.
    """

    report: AttemptReport
    amount: ProviderAmount | None
    details: NoticeDetails
    trust: str
    credits_part: bool = False
    awaits_rest: bool = False


class CaptureResult(NamedTuple):
    """The transaction after a capture, how the amount differs, and whether money was credited.

    `awaits_rest`: a part is captured, and the rest may still come.
    """

    transaction: Transaction
    mismatch: AmountMismatch | None = None
    is_credited: bool = False
    awaits_rest: bool = False


class TransactionSteps:
    """Takes a reported step, or opens a conflict for a person. It records on the decision alone."""

    def __init__(self, reads: InboundReads) -> None:
        self._reads = reads

    # ── what is captured ─────────────────────────────────────────────────────────────────────────

    async def capture(
        self, decision: Decision, payment: Transaction, capture: ReportedCapture
    ) -> CaptureResult:
        """Approve a payment if its attempts have captured what was asked for.

        Less is credited only if the source says so; else a conflict asks a person, unless the
        rest may still come. More is always approved with the amount that was asked for, and a
        conflict asks about the rest: it holds what accepting it credits.
        """
        read = _captured_amount(capture.amount, payment)
        if isinstance(read, AmountMismatch):
            read = await self._ask(decision, payment, capture, read)
            return CaptureResult(payment, read)
        reported = _reported(payment, capture, read)
        total = reported.captured
        mismatch = _difference(total, payment)
        if total >= payment.amount or (capture.credits_part and total > 0):
            credited = min(total, payment.amount)
            await self._close_mismatches(decision, payment)
            after = decision.advance(
                reported, TransactionStatus.APPROVED, capture.details, capture.trust, credited
            )
            if mismatch is None or total == credited:
                return CaptureResult(after, is_credited=True)
            mismatch = mismatch._replace(minor=total - credited)
            mismatch = await self._ask(decision, after, capture, mismatch)
            return CaptureResult(after, mismatch, is_credited=True)
        if total != payment.captured:
            await self._close_mismatches(decision, payment)
        reported = add_provider_ids(reported, capture.details)
        after = decision.update_transaction(
            payment, reported._replace(substate=PARTIALLY_CAPTURED, if_silent=None)
        )
        if capture.awaits_rest:
            return CaptureResult(after, mismatch, awaits_rest=True)
        assert mismatch is not None, "less than was asked for differs from it"
        mismatch = await self._ask(decision, after, capture, mismatch)
        return CaptureResult(after, mismatch)

    async def capture_more(
        self, decision: Decision, payment: Transaction, capture: ReportedCapture
    ) -> CaptureResult:
        """Note what an Approved payment has captured. What is more than before asks a person.

        Each conflict is about one increase, so that keeping one says nothing about the others.
        Where the source credits parts, an increase is credited up to the amount.
        """
        read = _captured_amount(capture.amount, payment)
        is_new = attempt_of(payment, capture.report) is None
        has_amount = capture.amount is not None or (
            is_new and is_other_attempt(payment, capture.report)
        )
        if isinstance(read, AmountMismatch) and is_new:
            after = decision.update_transaction(payment, with_report(payment, capture.report))
            read = await self._ask(decision, after, capture, read)
            return CaptureResult(after, read)
        if not has_amount or isinstance(read, AmountMismatch):
            return CaptureResult(_keep_ids(decision, payment, capture.details))
        reported = add_provider_ids(
            with_report(payment, _with_amount(capture, read)), capture.details
        )
        credited = credited_amount(payment)
        increase = reported.captured - max(credited, payment.captured)
        if increase <= 0:
            return CaptureResult(decision.update_transaction(payment, reported))
        room = max(0, payment.amount - credited) if capture.credits_part else 0
        if has_failed_capture(payment) and reported.captured <= payment.amount:
            room = increase  # it is made again
        credit = min(increase, room)
        if credit:
            after = add_capture(decision, payment, reported, credit, capture.details)
        else:
            after = decision.update_transaction(payment, reported)
        if credit == increase:
            return CaptureResult(after, is_credited=True)
        mismatch = _more_than_credited(reported, credited + credit, increase - credit)
        mismatch = await self._ask(decision, after, capture, mismatch)
        return CaptureResult(after, mismatch, is_credited=credit > 0)

    async def undo_capture(
        self,
        decision: Decision,
        payment: Transaction,
        after: Transaction,
        details: NoticeDetails,
    ) -> Transaction:
        """Store a payment `after` a capture has failed, and debit what that had brought in."""
        surplus = credited_amount(payment) - after.captured
        if after.captured <= after.amount:
            await self._close_mismatches(decision, payment)
        if payment.status is not TransactionStatus.APPROVED or surplus <= 0:
            return decision.update_transaction(payment, after)
        reversal = linked_transaction(
            payment, TransactionKind.REVERSAL, surplus, id_=decision.new_id("trx"), now=decision.now
        )
        opened = decision.open_transaction(
            reversal._replace(psp_transaction_id=details.psp_reference, movement_id=FAILED_CAPTURE)
        )
        decision.advance(opened, TransactionStatus.APPROVED, details)
        credited = credited_amount(payment) - surplus
        return decision.update_transaction(payment, after._replace(credited=credited))

    async def ask_about_failed_capture(
        self, decision: Decision, payment: Transaction, capture: ReportedCapture
    ) -> CaptureResult:
        """Ask a person about a capture that has failed and is reported again. No money moves."""
        read = _captured_amount(capture.amount, payment)
        if isinstance(read, AmountMismatch):
            return CaptureResult(payment, read)
        why = f"Capture {capture.report.capture_id} has failed, and is reported once more."
        is_credited = payment.status is TransactionStatus.APPROVED
        minor = read if is_credited else payment.captured + read
        mismatch = AmountMismatch(why, minor=minor, currency=payment.currency)
        mismatch = await self._ask(decision, payment, capture, mismatch)
        return CaptureResult(payment, mismatch)

    # ── conflicts ────────────────────────────────────────────────────────────────────────────────

    async def open_conflict(
        self, decision: Decision, transaction: Transaction, conflict: MoneyConflict
    ) -> MoneyConflict | None:
        """Open a conflict, unless the same one is open or was settled by a person.

        Return that one if it was settled.
        """
        asked = await self.conflicts(transaction)
        own = [c for c in decision.opened_conflicts if c.transaction_id == transaction.id]
        same = same_conflict(conflict, (*own, *asked), transaction.direction)
        if same is None:
            decision.open_conflict(transaction, conflict)
            return None
        decision.asked_again.add(same.id)
        return same if same.resolved_at is not None else None

    async def conflicts(self, transaction: Transaction) -> list[MoneyConflict]:
        """Return the stored conflicts of a transaction, newest first."""
        return await self._reads.conflicts(transaction.app_id, _CONFLICTS, transaction.id)

    async def open_conflicts(self, transaction: Transaction) -> list[MoneyConflict]:
        """Return the conflicts of a transaction that are stored and not resolved."""
        return await self._reads.conflicts(
            transaction.app_id, _CONFLICTS, transaction.id, open_only=True
        )

    async def _ask(
        self,
        decision: Decision,
        payment: Transaction,
        capture: ReportedCapture,
        mismatch: AmountMismatch,
    ) -> AmountMismatch:
        """Ask a person about an amount; return why it differs, and that it was answered."""
        reference = capture.report.psp_transaction_id
        conflict = mismatch_conflict(TransactionStatus.APPROVED, mismatch, reference)
        settled = await self.open_conflict(decision, payment, conflict)
        return mismatch if settled is None else mismatch._replace(why=settled_text(settled))

    async def _close_mismatches(self, decision: Decision, payment: Transaction) -> None:
        """Resolve what was asked about less, because more has been captured."""
        if all(a.status is not TransactionStatus.APPROVED for a in payment.attempts):
            return  # nothing was captured, so nobody was asked
        for conflict in await self.open_conflicts(payment):
            is_about_part = conflict.kind == "mismatch" and conflict.amount is not None
            if is_about_part and conflict.currency == payment.currency:
                why = "What is captured has changed since."
                decision.settle_conflict(conflict, payment, "keep", why)


def add_linked(
    decision: Decision,
    payment: Transaction,
    linked: Transaction,
    details: NoticeDetails,
    trust: str | None = None,
) -> Transaction:
    """Create a linked transaction that moves its amount now, and add it to the payment's sums."""
    opened = decision.open_transaction(linked)
    after = decision.advance(opened, TransactionStatus.APPROVED, details, trust)
    add_to_payment(decision, payment, after)
    return after


def add_to_payment(decision: Decision, payment: Transaction, linked: Transaction) -> Transaction:
    """Add an approved linked transaction to the sums of its payment; return the payment."""
    current = decision.current(payment)
    summed = with_linked(current, linked.kind, linked.amount)
    return decision.update_transaction(current, summed)


def add_capture(
    decision: Decision,
    before: Transaction,
    payment: Transaction,
    amount: int,
    details: NoticeDetails,
) -> Transaction:
    """Credit what a payment has captured beyond its approval; return the payment."""
    extra = linked_transaction(
        payment, TransactionKind.CAPTURE, amount, id_=decision.new_id("trx"), now=decision.now
    )
    updated = decision.update_transaction(before, payment)
    opened = decision.open_transaction(extra)
    without_ids = details._replace(psp_transaction_id=None, psp_reference=None, supersedes=None)
    after = decision.advance(opened, TransactionStatus.APPROVED, without_ids)
    return add_to_payment(decision, updated, after)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def _captured_amount(amount: ProviderAmount | None, payment: Transaction) -> int | AmountMismatch:
    if amount is None:
        return payment.amount
    read = read_amount(amount, payment.currency)
    if isinstance(read, ReadAmount) and read.currency == payment.currency:
        return read.minor
    if isinstance(read, ReadAmount):
        return _other_currency(read, payment)
    return read


def _other_currency(read: ReadAmount, payment: Transaction) -> AmountMismatch:
    claimed = f"{format_amount(read.minor, read.currency)} {read.currency}"
    expected = f"{format_amount(payment.amount, payment.currency)} {payment.currency}"
    why = f"It says {claimed}, we expect {expected}."
    return AmountMismatch(why, minor=read.minor, currency=read.currency)


def _difference(total: int, payment: Transaction) -> AmountMismatch | None:
    if total == payment.amount:
        return None
    currency = payment.currency
    return AmountMismatch(
        f"It says {format_amount(total, currency)} {currency}, "
        f"we expect {format_amount(payment.amount, currency)} {currency}.",
        minor=total,
        currency=currency,
        is_more=total > payment.amount,
    )


def _more_than_credited(payment: Transaction, credited: int, increase: int) -> AmountMismatch:
    currency = payment.currency
    why = (
        f"{format_amount(payment.captured, currency)} {currency} is captured in all, "
        f"{format_amount(credited, currency)} is credited."
    )
    return AmountMismatch(why, minor=increase, currency=currency, is_more=True)


def _with_amount(capture: ReportedCapture, minor: int) -> AttemptReport:
    return capture.report._replace(captured=minor)


def _reported(payment: Transaction, capture: ReportedCapture, minor: int) -> Transaction:
    """Return the payment with the capture. The attempt that captured is the one it holds."""
    reported = with_report(payment, _with_amount(capture, minor))
    if is_other_attempt(payment, capture.report):
        return reported._replace(psp_transaction_id=capture.report.psp_transaction_id)
    return reported


def _keep_ids(decision: Decision, payment: Transaction, details: NoticeDetails) -> Transaction:
    return decision.update_transaction(payment, add_provider_ids(payment, details))
