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
from tillbell.model.sources import Confirm, Trust
from tillbell.model.transactions import TERMINAL, Conflict, Kind, Status, Transaction
from tillbell.process.decision import Desk
from tillbell.receive.source_cache import LiveSource
from tillbell.rules.payments.amounts import Differs, Read, difference, read_sum
from tillbell.rules.payments.booking import Told, learn, link
from tillbell.rules.payments.conflicts import contradiction, is_among, mismatch, unconfirmed
from tillbell.rules.payments.matching import Unmatched, match
from tillbell.rules.payments.transitions import News, compare
from tillbell.rules.payments.trust import accepts_late, confirm_of, doubt
from tillbell.storage.ports.inbound import BookViews
from tillbell.storage.ports.outbound import Page

WAIT = 72 * HOUR
FIRST_RETRY = 30 * SECOND
GRACE = 15 * MINUTE
_ALL = Page(limit=100)


class Case(NamedTuple):
    """A notice, who sent it, how well that is proven, and the desk it is decided on."""

    desk: Desk
    live: LiveSource
    trust: Trust
    notice: TransactionNotice

    @property
    def doubt(self) -> str | None:
        """Why it may not move money yet."""
        return doubt(self.trust, confirm_of(self.live.config), is_hint=self.notice.is_hint)

    @property
    def told(self) -> Told:
        """What it says beside the status."""
        notice = self.notice
        settled = read_sum(notice.settlement, "") if notice.settlement is not None else None
        return Told(
            substate=notice.substate,
            reason=notice.reason,
            raw_status=notice.raw_status,
            message=notice.message,
            psp_transaction_id=notice.psp_transaction_id,
            psp_reference=notice.psp_reference,
            settlement=(settled.minor, settled.currency) if isinstance(settled, Read) else None,
            occurred_at=notice.occurred_at,
            sequence=notice.sequence,
            details=notice.details,
            source_id=self.live.source.id,
            provider=self.live.provider.name,
        )

    def say(self, outcome: Outcome, why: str, about: Transaction) -> None:
        """Give the notice its outcome."""
        self.desk.say(outcome, why, about.id)


class Settler:
    """Decides about transactions. It changes nothing but the desk it is given."""

    def __init__(self, views: BookViews, ids: IdMaker) -> None:
        self._views = views
        self._ids = ids

    async def settle(self, case: Case) -> None:
        """Put on the desk what follows from a notice."""
        notice, source = case.notice, case.live.source
        is_payment = notice.kind is Kind.PAYMENT
        own_id = notice.psp_transaction_id if is_payment else None
        names = notice.references
        if own_id is not None:
            names = names._replace(psp=(*names.psp, own_id))
        found = await self._views.candidates(source.scope, source.id, names)
        case.desk.saw(found)
        matched = match(found, names, source.id, own_id)
        if isinstance(matched, Unmatched):
            if not notice.is_optional:
                _wait(case, matched.why)
            return
        matched = case.desk.current(matched)
        if is_payment:
            await self._judge(case, matched)
        else:
            await self._settle_linked(case, matched)

    # ── what belongs to another transaction ──────────────────────────────────────────────────────

    async def _settle_linked(self, case: Case, parent: Transaction) -> None:
        notice = case.notice
        stored = await self._views.children(parent.app_id, parent.id)
        siblings = case.desk.children(parent.id, stored)
        known = next((one for one in siblings if _is_same(one, notice)), None)
        if known is None and notice.status is None:
            case.say(Outcome.UNMAPPED, _unknown(notice), parent)
        elif known is None and parent.status is not Status.APPROVED:
            _wait(case, f"Its payment {parent.id} is {parent.status.value}, not Approved.", parent)
        elif known is None and case.doubt is not None:
            await self._doubt(case, parent, case.doubt)
        else:
            amount = _amount_of(notice, known, parent, siblings)
            if isinstance(amount, Differs):
                await self._mismatch(case, known or parent, amount)
            elif known is not None:
                await self._judge(case, case.desk.current(known))
            else:
                self._open_linked(case, parent, amount)

    def _open_linked(self, case: Case, parent: Transaction, amount: int) -> None:
        desk, notice = case.desk, case.notice
        assert notice.status is not None
        new = link(parent, notice.kind, amount, self._ids.new("trx", desk.now), desk.now)
        named = new._replace(
            psp_transaction_id=notice.psp_transaction_id, psp_reference=notice.psp_reference
        )
        child = desk.open(named)
        if notice.status is not Status.PENDING:
            child = desk.advance(child, notice.status, case.told, case.trust.word)
        why = f"{notice.kind.value} of {parent.id}: {child.status.value}."
        case.say(Outcome.APPLIED, why, child)

    # ── news of a transaction ────────────────────────────────────────────────────────────────────

    async def _judge(self, case: Case, found: Transaction) -> None:
        notice, why = case.notice, case.doubt
        if notice.status is None:
            if notice.is_hint:
                await self._doubt(case, found, why or "")
            else:
                case.say(Outcome.UNMAPPED, _unknown(notice), found)
            return
        judged = compare(News(notice.status, notice.occurred_at, notice.sequence), found)
        if judged.outcome not in (Outcome.APPLIED, Outcome.CONFLICT):
            if why is None:
                _learn(case, found, is_repeat=judged.outcome is Outcome.DUPLICATE)
            case.say(judged.outcome, judged.why, found)
        elif why is not None:
            await self._doubt(case, found, why)
        elif judged.outcome is Outcome.CONFLICT:
            await self._contradict(case, found, judged.why)
        else:
            await self._apply(case, found, judged.why)

    async def _apply(self, case: Case, found: Transaction, why: str) -> None:
        notice = case.notice
        assert notice.status is not None
        if notice.status is Status.APPROVED:
            differs = difference(notice.amount, found.amount, found.currency)
            if differs is not None and not differs.is_more:
                await self._mismatch(case, found, differs)
                return
            if differs is not None:
                await self._disagree(case.desk, found, mismatch(notice.status, differs))
                why = f"{why}. {differs.why}"
        after = case.desk.advance(found, notice.status, case.told, case.trust.word)
        case.say(Outcome.APPLIED, why, after)

    async def _mismatch(self, case: Case, found: Transaction, differs: Differs) -> None:
        assert case.notice.status is not None
        await self._disagree(case.desk, found, mismatch(case.notice.status, differs))
        case.say(Outcome.MISMATCH, differs.why, found)

    async def _contradict(self, case: Case, found: Transaction, why: str) -> None:
        notice, desk = case.notice, case.desk
        assert notice.status is not None
        case.say(Outcome.CONFLICT, why, found)
        told = read_sum(notice.amount, found.currency) if notice.amount else None
        made = contradiction(found, notice.status, why)
        if isinstance(told, Read):
            made = made._replace(amount=told.minor, currency=told.currency)
        await self._disagree(desk, found, made)
        if notice.status is Status.APPROVED and accepts_late(case.live.config, found):
            desk.keep(found, found._replace(check_at=desk.now, checks=0))

    async def _doubt(self, case: Case, found: Transaction, why: str) -> None:
        """Do not believe it yet: ask the provider or a person, or wait whether more comes."""
        notice, desk = case.notice, case.desk
        case.say(Outcome.NOTED, why, found)
        if found.status in TERMINAL and notice.kind is Kind.PAYMENT and notice.is_hint:
            return
        is_payment = notice.kind is Kind.PAYMENT  # a look-up tells of payments only
        if is_payment:
            found = desk.keep(found, _awaiting(case, found))
        if notice.status is None or notice.is_hint:
            return
        if not is_payment or confirm_of(case.live.config) is not Confirm.PULL:
            await self._disagree(desk, found, unconfirmed(notice, notice.status, why))

    async def _disagree(self, desk: Desk, found: Transaction, made: Conflict) -> None:
        """Ask a person, unless the same waits for one already."""
        waiting = await self._views.conflicts(found.app_id, _ALL, found.id, open_only=True)
        if not is_among(made, waiting):
            desk.disagree(found, made)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def _wait(case: Case, why: str, parent: Transaction | None = None) -> None:
    """Let the callback wait until a transaction appears, or its payment is approved."""
    desk, references = case.desk, case.notice.references
    own = () if parent is None else (parent.id,)
    desk.waits_for = (*desk.waits_for, *references.ours, *references.psp, *own)
    desk.retry_at = _next_look(desk)
    desk.say(Outcome.UNMATCHED, why)


def _next_look(desk: Desk) -> Micros | None:
    """Say when to look again: after as long as it has waited, at most for 72 hours in all."""
    waited = desk.now - desk.received_at
    at = desk.now + max(FIRST_RETRY, waited)
    return min(at, desk.received_at + WAIT) if waited < WAIT else None


def _awaiting(case: Case, found: Transaction) -> Transaction:
    """Plan what is to confirm unproven news: silence, or the provider when it is asked."""
    now, silent, live = case.desk.now, case.notice.if_silent, case.live
    after = found._replace(
        source_id=found.source_id or live.source.id, provider=found.provider or live.provider.name
    )
    if silent is not None and found.status not in TERMINAL:
        return after._replace(if_silent=silent, check_at=now + GRACE)
    after = after._replace(if_silent=None)  # the payer thought again
    if confirm_of(live.config) is Confirm.PULL:
        return after._replace(check_at=now, checks=0)
    return after


def _learn(case: Case, found: Transaction, *, is_repeat: bool) -> None:
    """Keep what news that is no step tells: ids; of the same status how far it is."""
    after = learn(found, case.told)
    if is_repeat and found.status not in TERMINAL:
        after = after._replace(substate=case.notice.substate or found.substate)
    case.desk.keep(found, after)


def _unknown(notice: TransactionNotice) -> str:
    return f"The status {notice.raw_status[:100]!r} is in no table; nothing was guessed."


def _is_same(one: Transaction, notice: TransactionNotice) -> bool:
    return one.kind is notice.kind and one.psp_transaction_id == notice.psp_transaction_id


def _amount_of(
    notice: TransactionNotice,
    known: Transaction | None,
    parent: Transaction,
    siblings: list[Transaction],
) -> int | Differs:
    """Return what is given back: all of it unless the notice says; never more than is left."""
    whole = known.amount if known is not None else parent.amount
    told = read_sum(notice.amount, parent.currency) if notice.amount else None
    if isinstance(told, Differs):
        return told
    if told is not None and told.currency != parent.currency:
        return Differs(f"It is in {told.currency}, the payment in {parent.currency}.")
    amount = told.minor if told is not None else whole
    is_approved = known is not None and known.status is Status.APPROVED
    given = sum(
        one.amount for one in siblings if one.kind is notice.kind and one.status is Status.APPROVED
    )
    if not is_approved and notice.status is Status.APPROVED and amount > parent.amount - given:
        why = f"It gives back more than is left of the payment {parent.id}."
        return Differs(why, amount, parent.currency)
    return amount
