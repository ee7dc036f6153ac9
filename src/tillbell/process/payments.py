"""Settling: what a notice about money does. Reads candidates, then decides with the rules.

| news | does |
| --- | --- |
| of no transaction | waits up to 72 hours for one to appear |
| of a word no table knows | nothing: unmapped |
| that changes nothing, or comes too late | nothing: duplicate, stale, illegal |
| not proven well enough | asks the provider, or a person |
| of another amount | asks a person; too much is credited as expected |
| against what has ended | asks a person: a conflict never moves money |
| else | one step, its effect and its message |

A refund, chargeback and the like is a transaction of its own. Who tells of it makes it, once its
payment is approved; till then the callback waits.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import HOUR, MINUTE, SECOND, Micros
from tillbell.ids import IdMaker
from tillbell.model.callbacks import Outcome, TransactionNotice
from tillbell.model.sources import ConfirmationPolicy, Trust
from tillbell.model.transactions import (
    TERMINAL,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.process.decision import Decision
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.payments.amounts import AmountMismatch, ReadAmount, check_amount, read_amount
from tillbell.rules.payments.booking import NoticeDetails, add_provider_ids, linked_transaction
from tillbell.rules.payments.conflicts import contradiction, is_already_open, mismatch, unconfirmed
from tillbell.rules.payments.matching import Unmatched, match
from tillbell.rules.payments.transitions import ReportedStatus, judge_status
from tillbell.rules.payments.trust import accepts_late_success, confirmation_policy, reason_unproven
from tillbell.storage.ports.inbound import InboundReads
from tillbell.storage.ports.outbound import Page

UNMATCHED_WAIT_MAX = 72 * HOUR
FIRST_RETRY_AFTER = 30 * SECOND
SILENCE_GRACE = 15 * MINUTE
_ALL = Page(limit=100)


class NoticeContext(NamedTuple):
    """A notice, who sent it, how well that is proven, and the desk it is decided on."""

    decision: Decision
    compiled: CompiledSource
    trust: Trust
    notice: TransactionNotice

    @property
    def reason_unproven(self) -> str | None:
        """Why it may not move money yet."""
        return reason_unproven(
            self.trust, confirmation_policy(self.compiled.config), is_hint=self.notice.is_hint
        )

    @property
    def details(self) -> NoticeDetails:
        """What it says beside the status."""
        notice = self.notice
        settled = read_amount(notice.settlement, "") if notice.settlement is not None else None
        return NoticeDetails(
            substate=notice.substate,
            reason=notice.reason,
            raw_status=notice.raw_status,
            message=notice.message,
            psp_transaction_id=notice.psp_transaction_id,
            psp_reference=notice.psp_reference,
            settlement=(settled.minor, settled.currency)
            if isinstance(settled, ReadAmount)
            else None,
            occurred_at=notice.occurred_at,
            sequence=notice.sequence,
            details=notice.details,
            source_id=self.compiled.source.id,
            provider=self.compiled.provider.name,
        )

    def add_outcome(self, outcome: Outcome, why: str, about: Transaction) -> None:
        """Give the notice its outcome."""
        self.decision.add_outcome(outcome, why, about.id)


class PaymentDecider:
    """Decides about transactions. It changes nothing but the desk it is given."""

    def __init__(self, views: InboundReads, ids: IdMaker) -> None:
        self._views = views
        self._ids = ids

    async def decide(self, case: NoticeContext) -> None:
        """Put on the desk what follows from a notice."""
        notice, source = case.notice, case.compiled.source
        is_payment = notice.kind is TransactionKind.PAYMENT
        own_id = notice.psp_transaction_id if is_payment else None
        names = notice.references
        if own_id is not None:
            names = names._replace(psp=(*names.psp, own_id))
        found = await self._views.candidate_transactions(source.scope, source.id, names)
        case.decision.note_read(found)
        matched = match(found, names, source.id, own_id)
        if isinstance(matched, Unmatched):
            if not notice.is_optional:
                _wait_for_transaction(case, matched.why)
            return
        matched = case.decision.current(matched)
        if is_payment:
            await self._decide_payment(case, matched)
        else:
            await self._decide_linked(case, matched)

    # ── what belongs to another transaction ──────────────────────────────────────────────────────

    async def _decide_linked(self, case: NoticeContext, parent: Transaction) -> None:
        notice = case.notice
        stored = await self._views.linked_transactions(parent.app_id, parent.id)
        siblings = case.decision.children(parent.id, stored)
        known = next((one for one in siblings if _is_same(one, notice)), None)
        if known is None and notice.status is None:
            case.add_outcome(Outcome.UNMAPPED, _unmapped_text(notice), parent)
        elif known is None and parent.status is not TransactionStatus.APPROVED:
            _wait_for_transaction(
                case, f"Its payment {parent.id} is {parent.status.value}, not Approved.", parent
            )
        elif known is None and case.reason_unproven is not None:
            await self._handle_unproven(case, parent, case.reason_unproven)
        else:
            amount = _linked_amount(notice, known, parent, siblings)
            if isinstance(amount, AmountMismatch):
                await self._mismatch(case, known or parent, amount)
            elif known is not None:
                await self._decide_payment(case, case.decision.current(known))
            else:
                self._open_linked(case, parent, amount)

    def _open_linked(self, case: NoticeContext, parent: Transaction, amount: int) -> None:
        desk, notice = case.decision, case.notice
        assert notice.status is not None
        new = linked_transaction(
            parent, notice.kind, amount, self._ids.new("trx", desk.now), desk.now
        )
        named = new._replace(
            psp_transaction_id=notice.psp_transaction_id, psp_reference=notice.psp_reference
        )
        child = desk.open_transaction(named)
        if notice.status is not TransactionStatus.PENDING:
            child = desk.advance(child, notice.status, case.details, case.trust.word)
        why = f"{notice.kind.value} of {parent.id}: {child.status.value}."
        case.add_outcome(Outcome.APPLIED, why, child)

    # ── news of a transaction ────────────────────────────────────────────────────────────────────

    async def _decide_payment(self, case: NoticeContext, found: Transaction) -> None:
        notice, why = case.notice, case.reason_unproven
        if notice.status is None:
            if notice.is_hint:
                await self._handle_unproven(case, found, why or "")
            else:
                case.add_outcome(Outcome.UNMAPPED, _unmapped_text(notice), found)
            return
        judged = judge_status(
            ReportedStatus(notice.status, notice.occurred_at, notice.sequence), found
        )
        if judged.outcome not in (Outcome.APPLIED, Outcome.CONFLICT):
            if why is None:
                _add_provider_ids(case, found, is_repeat=judged.outcome is Outcome.DUPLICATE)
            case.add_outcome(judged.outcome, judged.why, found)
        elif why is not None:
            await self._handle_unproven(case, found, why)
        elif judged.outcome is Outcome.CONFLICT:
            await self._handle_contradiction(case, found, judged.why)
        else:
            await self._apply(case, found, judged.why)

    async def _apply(self, case: NoticeContext, found: Transaction, why: str) -> None:
        notice = case.notice
        assert notice.status is not None
        if notice.status is TransactionStatus.APPROVED:
            differs = check_amount(notice.amount, found.amount, found.currency)
            if differs is not None and not differs.is_more:
                await self._mismatch(case, found, differs)
                return
            if differs is not None:
                await self._open_conflict(case.decision, found, mismatch(notice.status, differs))
                why = f"{why}. {differs.why}"
        after = case.decision.advance(found, notice.status, case.details, case.trust.word)
        case.add_outcome(Outcome.APPLIED, why, after)

    async def _mismatch(
        self, case: NoticeContext, found: Transaction, differs: AmountMismatch
    ) -> None:
        assert case.notice.status is not None
        await self._open_conflict(case.decision, found, mismatch(case.notice.status, differs))
        case.add_outcome(Outcome.MISMATCH, differs.why, found)

    async def _handle_contradiction(
        self, case: NoticeContext, found: Transaction, why: str
    ) -> None:
        notice, desk = case.notice, case.decision
        assert notice.status is not None
        case.add_outcome(Outcome.CONFLICT, why, found)
        told = read_amount(notice.amount, found.currency) if notice.amount else None
        made = contradiction(found, notice.status, why)
        if isinstance(told, ReadAmount):
            made = made._replace(amount=told.minor, currency=told.currency)
        await self._open_conflict(desk, found, made)
        if notice.status is TransactionStatus.APPROVED and accepts_late_success(
            case.compiled.config, found
        ):
            desk.update_transaction(found, found._replace(check_at=desk.now, checks=0))

    async def _handle_unproven(self, case: NoticeContext, found: Transaction, why: str) -> None:
        """Do not believe it yet: ask the provider or a person, or wait whether more comes."""
        notice, desk = case.notice, case.decision
        case.add_outcome(Outcome.NOTED, why, found)
        if found.status in TERMINAL and notice.kind is TransactionKind.PAYMENT and notice.is_hint:
            return
        is_payment = notice.kind is TransactionKind.PAYMENT  # a look-up tells of payments only
        if is_payment:
            found = desk.update_transaction(found, _await_confirmation(case, found))
        if notice.status is None or notice.is_hint:
            return
        if (
            not is_payment
            or confirmation_policy(case.compiled.config) is not ConfirmationPolicy.PULL
        ):
            await self._open_conflict(desk, found, unconfirmed(notice, notice.status, why))

    async def _open_conflict(self, desk: Decision, found: Transaction, made: MoneyConflict) -> None:
        """Ask a person, unless the same waits for one already."""
        waiting = await self._views.conflicts(found.app_id, _ALL, found.id, open_only=True)
        if not is_already_open(made, waiting):
            desk.open_conflict(found, made)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def _wait_for_transaction(case: NoticeContext, why: str, parent: Transaction | None = None) -> None:
    """Let the callback wait until a transaction appears, or its payment is approved."""
    desk, references = case.decision, case.notice.references
    own = () if parent is None else (parent.id,)
    desk.awaited_references = (*desk.awaited_references, *references.ours, *references.psp, *own)
    desk.retry_at = _next_retry(desk)
    desk.add_outcome(Outcome.UNMATCHED, why)


def _next_retry(desk: Decision) -> Micros | None:
    """Say when to look again: after as long as it has waited, at most for 72 hours in all."""
    waited = desk.now - desk.received_at
    at = desk.now + max(FIRST_RETRY_AFTER, waited)
    return min(at, desk.received_at + UNMATCHED_WAIT_MAX) if waited < UNMATCHED_WAIT_MAX else None


def _await_confirmation(case: NoticeContext, found: Transaction) -> Transaction:
    """Plan what is to confirm unproven news: silence, or the provider when it is asked."""
    now, silent, live = case.decision.now, case.notice.if_silent, case.compiled
    after = found._replace(
        source_id=found.source_id or live.source.id, provider=found.provider or live.provider.name
    )
    if silent is not None and found.status not in TERMINAL:
        return after._replace(if_silent=silent, check_at=now + SILENCE_GRACE)
    after = after._replace(if_silent=None)  # the payer thought again
    if confirmation_policy(live.config) is ConfirmationPolicy.PULL:
        return after._replace(check_at=now, checks=0)
    return after


def _add_provider_ids(case: NoticeContext, found: Transaction, *, is_repeat: bool) -> None:
    """Keep what news that is no step tells: ids; of the same status how far it is."""
    after = add_provider_ids(found, case.details)
    if is_repeat and found.status not in TERMINAL:
        after = after._replace(substate=case.notice.substate or found.substate)
    case.decision.update_transaction(found, after)


def _unmapped_text(notice: TransactionNotice) -> str:
    return f"The status {notice.raw_status[:100]!r} is in no table; nothing was guessed."


def _is_same(one: Transaction, notice: TransactionNotice) -> bool:
    return one.kind is notice.kind and one.psp_transaction_id == notice.psp_transaction_id


def _linked_amount(
    notice: TransactionNotice,
    known: Transaction | None,
    parent: Transaction,
    siblings: list[Transaction],
) -> int | AmountMismatch:
    """Return what is given back: all of it unless the notice says; never more than is left."""
    whole = known.amount if known is not None else parent.amount
    told = read_amount(notice.amount, parent.currency) if notice.amount else None
    if isinstance(told, AmountMismatch):
        return told
    if told is not None and told.currency != parent.currency:
        return AmountMismatch(f"It is in {told.currency}, the payment in {parent.currency}.")
    amount = told.minor if told is not None else whole
    is_approved = known is not None and known.status is TransactionStatus.APPROVED
    given = sum(
        one.amount
        for one in siblings
        if one.kind is notice.kind and one.status is TransactionStatus.APPROVED
    )
    if (
        not is_approved
        and notice.status is TransactionStatus.APPROVED
        and amount > parent.amount - given
    ):
        why = f"It gives back more than is left of the payment {parent.id}."
        return AmountMismatch(why, amount, parent.currency)
    return amount
