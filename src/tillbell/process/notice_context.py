"""A notice in its context, and what all that decide about notices have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import HOUR, SECOND, Micros
from tillbell.model.callbacks import Outcome, References, TransactionNotice
from tillbell.model.sources import ConfirmationPolicy, Trust
from tillbell.model.transactions import (
    Transaction,
    TransactionKind,
)
from tillbell.process.decision import Decision
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.amounts import AmountMismatch, ReadAmount, read_amount
from tillbell.rules.payments.attempts import (
    AttemptReport,
)
from tillbell.rules.payments.booking import NoticeDetails
from tillbell.rules.payments.conflicts import BYTES_MARK
from tillbell.rules.payments.matching import MatchingSource, payment_references
from tillbell.rules.payments.trust import confirmation_policy, reason_unproven

UNMATCHED_WAIT_MAX = 72 * HOUR
FIRST_RETRY_AFTER = 30 * SECOND


class NoticeContext(NamedTuple):
    """A notice, its source, how well it is proven, and the decision that it leads to."""

    decision: Decision
    compiled: CompiledSource
    trust: Trust
    notice: TransactionNotice
    is_again: bool = False  # its callback was decided before, and waited
    candidates: Sequence[Transaction] | None = None  # what it may mean, if that was looked for

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
        return payment_references(self.notice)

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


def wait_for_transaction(
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
    decision.wait_for(awaited, context.references, next_retry(decision))
    decision.add_outcome(Outcome.UNMATCHED, why)


def next_retry(decision: Decision) -> Micros | None:
    """Return when to decide again: after as long as it has waited; None after 72 hours in all."""
    now, callback = decision.now, decision.callback
    received_at = callback.received_at if callback is not None else now
    waited = now - received_at
    if waited >= UNMATCHED_WAIT_MAX:
        return None
    return min(now + max(FIRST_RETRY_AFTER, waited), received_at + UNMATCHED_WAIT_MAX)


def is_just_received(decision: Decision) -> bool:
    """Tell whether a callback came so lately that others about the same may still come."""
    callback = decision.callback
    return callback is not None and decision.now < callback.received_at + FIRST_RETRY_AFTER


def unmapped_text(notice: TransactionNotice) -> str:
    """Return what is noted of a word that is not mapped."""
    return f"The status {notice.raw_status[:100]!r} is not mapped; nothing was guessed."


def named(notice: TransactionNotice) -> str:
    """Return the kind and the provider's id of what a notice is about."""
    return f"{notice.kind.value} {notice.psp_transaction_id or ''}".rstrip()


def body_mark(context: NoticeContext) -> str:
    """Return what tells a callback's bytes from those of another one."""
    callback = context.decision.callback
    key = None if callback is None else callback.dedupe_key
    return "" if key is None else f"{BYTES_MARK}{key[-8:]})"


def claimed_amount(notice: TransactionNotice, parent: Transaction) -> int | AmountMismatch | None:
    """Return how much goes back, in minor units; None if the notice does not say it.

    A mismatch if it is in another currency or cannot be read.
    """
    if notice.amount is None:
        return None
    read = read_amount(notice.amount, parent.currency)
    if isinstance(read, AmountMismatch):
        return read._replace(why=f"{named(notice)}: {read.why}")
    if read.currency != parent.currency:
        why = f"{named(notice)} is in {read.currency}, the payment in {parent.currency}."
        return AmountMismatch(why)
    return read.minor
