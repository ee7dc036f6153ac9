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
"""

from __future__ import annotations

from tillbell.callbacks import Confirm, Outcome, TransactionNotice, Trust
from tillbell.clock import HOUR, MINUTE, Micros
from tillbell.flow.desk import Desk
from tillbell.flow.sources import LiveSource
from tillbell.ids import IdMaker
from tillbell.rules.amounts import Differs, Read, difference, read_sum
from tillbell.rules.booking import Told
from tillbell.rules.matching import Unmatched, match
from tillbell.rules.transitions import News, compare, direction_of_linked, severity
from tillbell.rules.trusting import confirm_of, doubt
from tillbell.storage.base import Page
from tillbell.storage.books import BookViews
from tillbell.transactions import TERMINAL, Conflict, Kind, Status, Transaction

WAIT = 72 * HOUR
FIRST_RETRY = 10 * MINUTE
GRACE = 15 * MINUTE
_ALL = Page(limit=100)


class Settler:
    """Decides about transactions. It changes nothing but the desk it is given."""

    def __init__(self, views: BookViews, ids: IdMaker) -> None:
        self._views = views
        self._ids = ids

    async def settle(
        self, desk: Desk, live: LiveSource, trust: Trust, notice: TransactionNotice
    ) -> None:
        """Put on the desk what follows from a notice."""
        source = live.source
        names = notice.references
        if notice.kind is Kind.PAYMENT and notice.psp_transaction_id is not None:
            names = names._replace(psp=(*names.psp, notice.psp_transaction_id))
        found = await self._views.candidates(source.scope, source.id, names)
        own_id = notice.psp_transaction_id if notice.kind is Kind.PAYMENT else None
        matched = match(found, names, source.id, own_id)
        if isinstance(matched, Unmatched):
            if not notice.is_optional:
                _wait(desk, notice, matched.why)
            return
        matched = desk.current(matched)
        if notice.kind is not Kind.PAYMENT:
            await self._settle_linked(desk, live, trust, notice, matched)
        else:
            await self._judge(desk, live, trust, notice, matched)

    # ── what belongs to another transaction ──────────────────────────────────────────────────────

    async def _settle_linked(
        self,
        desk: Desk,
        live: LiveSource,
        trust: Trust,
        notice: TransactionNotice,
        parent: Transaction,
    ) -> None:
        stored = await self._views.children(parent.id)
        siblings = desk.children(parent.id, stored)
        known = next((one for one in siblings if _is_same(one, notice)), None)
        if known is not None:
            await self._judge(desk, live, trust, notice, desk.current(known))
            return
        if notice.status is None:
            desk.say(Outcome.UNMAPPED, _unknown(notice), parent.id)
        elif parent.status is not Status.APPROVED:
            why = f"Its payment {parent.id} is {parent.status.value}, not Approved."
            _wait(desk, notice, why, parent)
        elif (doubted := _doubted(live, trust, notice)) is not None:
            await self._doubt(desk, live, notice, parent, doubted)
        else:
            self._open_linked(desk, trust, notice, parent, siblings)

    def _open_linked(
        self,
        desk: Desk,
        trust: Trust,
        notice: TransactionNotice,
        parent: Transaction,
        siblings: list[Transaction],
    ) -> None:
        assert notice.status is not None
        amount = _amount_of(notice, parent, siblings)
        if isinstance(amount, Differs):
            desk.disagree(parent, mismatch_conflict(notice.status, amount))
            desk.say(Outcome.MISMATCH, amount.why, parent.id)
            return
        child = desk.open(
            Transaction(
                id=self._ids.new("trx", desk.now),
                app_id=parent.app_id,
                direction=direction_of_linked(notice.kind, parent.direction),
                kind=notice.kind,
                status=Status.PENDING,
                amount=amount,
                currency=parent.currency,
                created_at=desk.now,
                updated_at=desk.now,
                psp_transaction_id=notice.psp_transaction_id,
                psp_reference=notice.psp_reference,
                provider=parent.provider,
                source_id=parent.source_id,
                user_id=parent.user_id,
                merchant_reference=parent.merchant_reference,
                order_id=parent.order_id,
                parent_id=parent.id,
            )
        )
        if notice.status is not Status.PENDING:
            child = desk.advance(child, notice.status, _told(notice), trust.word)
        desk.say(Outcome.APPLIED, f"{notice.kind.value} of {parent.id}: {child.status}.", child.id)

    # ── news of a transaction ────────────────────────────────────────────────────────────────────

    async def _judge(
        self,
        desk: Desk,
        live: LiveSource,
        trust: Trust,
        notice: TransactionNotice,
        found: Transaction,
    ) -> None:
        why = _doubted(live, trust, notice)
        if notice.status is None and not notice.is_hint:
            desk.say(Outcome.UNMAPPED, _unknown(notice), found.id)
            return
        if notice.status is None:
            await self._doubt(desk, live, notice, found, why or "")
            return
        judged = compare(News(notice.status, notice.occurred_at, notice.sequence), found)
        if judged.outcome not in (Outcome.APPLIED, Outcome.CONFLICT):
            if why is None:
                desk.learn(found, _told(notice))
            desk.say(judged.outcome, judged.why, found.id)
        elif why is not None:
            await self._doubt(desk, live, notice, found, why)
        elif judged.outcome is Outcome.CONFLICT:
            await self._contradict(desk, notice, found, judged.why)
        else:
            self._apply(desk, trust, notice, found, judged.why)

    def _apply(
        self, desk: Desk, trust: Trust, notice: TransactionNotice, found: Transaction, why: str
    ) -> None:
        assert notice.status is not None
        if notice.status is Status.APPROVED:
            differs = difference(notice.amount, found.amount, found.currency)
            if differs is not None:
                desk.disagree(found, mismatch_conflict(notice.status, differs))
                if not differs.is_more:
                    desk.say(Outcome.MISMATCH, differs.why, found.id)
                    return
                why = f"{why}. {differs.why}"
        after = desk.advance(found, notice.status, _told(notice), trust.word)
        desk.say(Outcome.APPLIED, why, after.id)

    async def _contradict(
        self, desk: Desk, notice: TransactionNotice, found: Transaction, why: str
    ) -> None:
        assert notice.status is not None
        if not await self._is_open(found, "contradiction", notice.status):
            told = read_sum(notice.amount, found.currency) if notice.amount else None
            conflict = blank_conflict(notice.status, "contradiction", why)._replace(
                severity=severity(found, notice.status)
            )
            if isinstance(told, Read):
                conflict = conflict._replace(amount=told.minor, currency=told.currency)
            desk.disagree(found, conflict)
        desk.say(Outcome.CONFLICT, why, found.id)

    async def _doubt(
        self,
        desk: Desk,
        live: LiveSource,
        notice: TransactionNotice,
        found: Transaction,
        why: str,
    ) -> None:
        """Do not believe it yet: ask the provider or a person, or wait whether more comes."""
        desk.say(Outcome.NOTED, why, found.id)
        if found.status in TERMINAL and notice.kind is Kind.PAYMENT and notice.is_hint:
            return
        if notice.if_silent is not None and found.status not in TERMINAL:
            silent = found._replace(if_silent=notice.if_silent, check_at=desk.now + GRACE)
            found = desk.keep(found, silent)
        if confirm_of(live.config) is Confirm.PULL:
            desk.keep(found, found._replace(check_at=desk.now, checks=0))
        elif (
            notice.status is not None
            and not notice.is_hint
            and not await self._is_open(found, "unconfirmed", notice.status)
        ):
            desk.disagree(found, blank_conflict(notice.status, "unconfirmed", why))

    async def _is_open(self, found: Transaction, kind: str, status: Status) -> bool:
        """Tell whether the same disagreement waits for a person already."""
        waiting = await self._views.conflicts(found.app_id, _ALL, found.id, open_only=True)
        return any((one.kind, one.status) == (kind, status) for one in waiting)


def _doubted(live: LiveSource, trust: Trust, notice: TransactionNotice) -> str | None:
    return doubt(trust, confirm_of(live.config), is_hint=notice.is_hint)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def _wait(
    desk: Desk, notice: TransactionNotice, why: str, parent: Transaction | None = None
) -> None:
    """Let the callback wait until a transaction appears, or its payment is approved."""
    own = () if parent is None else (parent.id,)
    desk.waits_for = (*desk.waits_for, *notice.references.ours, *notice.references.psp, *own)
    desk.retry_at = _next_look(desk)
    desk.say(Outcome.UNMATCHED, why)


def _next_look(desk: Desk) -> Micros | None:
    """Say when to look again: after as long as it has waited, at most for 72 hours in all."""
    waited = desk.now - desk.received_at
    at = desk.now + max(FIRST_RETRY, waited)
    return min(at, desk.received_at + WAIT) if waited < WAIT else None


def _told(notice: TransactionNotice) -> Told:
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
    )


def _unknown(notice: TransactionNotice) -> str:
    return f"The status {notice.raw_status[:100]!r} is in no table; nothing was guessed."


def _is_same(one: Transaction, notice: TransactionNotice) -> bool:
    return one.kind is notice.kind and one.psp_transaction_id == notice.psp_transaction_id


def _amount_of(
    notice: TransactionNotice, parent: Transaction, siblings: list[Transaction]
) -> int | Differs:
    """Return what is given back: all of it unless the notice says; never more than is left."""
    told = read_sum(notice.amount, parent.currency) if notice.amount else None
    if isinstance(told, Differs):
        return told
    amount = told.minor if told is not None else parent.amount
    if told is not None and told.currency != parent.currency:
        return Differs(f"It is in {told.currency}, the payment in {parent.currency}.")
    given = sum(
        one.amount for one in siblings if one.kind is notice.kind and one.status is Status.APPROVED
    )
    if amount > parent.amount - given:
        why = f"It gives back more than is left of the payment {parent.id}."
        return Differs(why, amount, parent.currency)
    return amount


def blank_conflict(status: Status, kind: str, why: str) -> Conflict:
    """Begin a conflict; the desk fills in what it is about."""
    return Conflict("", "", "", status, status, 0, "normal", kind, why=why)


def mismatch_conflict(status: Status, differs: Differs) -> Conflict:
    """Begin a conflict about an amount."""
    made = blank_conflict(status, "mismatch", differs.why)
    return made._replace(amount=differs.minor, currency=differs.currency)
