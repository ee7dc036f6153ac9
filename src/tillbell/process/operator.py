"""Operate: what people do to transactions. Each action has a reason and lands in the audit log.

| action | on | leads to |
| --- | --- | --- |
| create | – | Pending, reserved if asked for |
| hold, release | open | On Hold, Pending |
| approve, reject | a pay-out | Processing, Rejected |
| cancel | open | Cancelled |
| keep | a conflict | what we have stays |
| accept | a conflict | what the news claimed; what had ended is superseded |
| accept | unconfirmed_linked | the callback counts as proven: the refund or the like is made |
| reverse | what was approved | a linked reversal (pay-in) or return (pay-out) |

With four eyes, approve, reject and accept only propose; the same by another key does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tillbell.errors import Conflict as Taken
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.callbacks import Callback, Outcome, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import (
    TERMINAL,
    AuditEntry,
    Conflict,
    Direction,
    Kind,
    Status,
    Transaction,
)
from tillbell.money import format_amount
from tillbell.process.decision import By, Desk
from tillbell.process.decisions import Office
from tillbell.process.payments import Case, Settler
from tillbell.process.status_checks import SCHEDULE
from tillbell.receive.reprocess import Reread, Rereader
from tillbell.rules.payments.booking import Told, conflict_data, link
from tillbell.rules.payments.conflicts import UNCONFIRMED_LINKED
from tillbell.rules.payments.transitions import News, compare, left_of, operate
from tillbell.storage.ports.outbound import Page

TRIES = 20
SECOND_WORD = ("transaction.approve", "transaction.reject", "conflict.accept")
RESEND = "transaction.resend"  # changes nothing: a proposal made before it still stands
LEARNED = ("psp_transaction_id", "source_id", "provider")  # from callbacks, where nobody said
_PROPOSED = ".proposed"


class NewTransaction(NamedTuple):
    """What its owner says of a transaction to be. `amount` is in minor units."""

    direction: Direction
    amount: int
    currency: str
    uid: str | None = None
    source_id: str | None = None
    provider: str | None = None
    psp_transaction_id: str | None = None
    user_id: str | None = None
    merchant_reference: str | None = None
    order_id: str | None = None
    metadata: Mapping[str, Any] = {}
    reserves: bool = False


class Act(NamedTuple):
    """An action: who, why."""

    actor: str
    reason: str


class Awaited(NamedTuple):
    """The action was proposed; another key must do the same."""

    by: str


class Operator:
    """See the module."""

    def __init__(self, office: Office, rereader: Rereader, *, four_eyes: bool) -> None:
        self._office = office
        self._rereader = rereader
        self._database = office.database
        self._settler = Settler(office.database, office.ids)
        self._ids = office.ids
        self._four_eyes = four_eyes

    # ── create ───────────────────────────────────────────────────────────────────────────────────

    async def create(
        self, app_id: str, new: NewTransaction, actor: str
    ) -> tuple[Transaction, bool]:
        """Create a transaction, or return the one that has this uid; say whether it is new.

        `Conflict` if that one is another matter.
        """
        for _ in range(TRIES):
            if new.uid is not None:
                known = await self._database.transaction(app_id, new.uid)
                if known is not None:
                    return _same(known, new), False
            desk = await self._desk(app_id, actor)
            made = desk.open(self._made(app_id, new, desk.now))
            if await self._office.file(desk) is None:
                return made, True
        raise Taken(f"The uid {new.uid!r} is taken.")

    def _made(self, app_id: str, new: NewTransaction, now: int) -> Transaction:
        return Transaction(
            id=self._ids.new("trx", now),
            app_id=app_id,
            direction=new.direction,
            kind=Kind.PAYMENT,
            status=Status.PENDING,
            amount=new.amount,
            currency=new.currency,
            created_at=now,
            updated_at=now,
            uid=new.uid,
            substate="created",
            psp_transaction_id=new.psp_transaction_id,
            provider=new.provider,
            source_id=new.source_id,
            user_id=new.user_id,
            merchant_reference=new.merchant_reference,
            order_id=new.order_id,
            metadata=dict(new.metadata),
            reserves=new.reserves,
            check_at=now + SCHEDULE[0],
        )

    # ── act on a transaction ─────────────────────────────────────────────────────────────────────

    async def act(self, app_id: str, id_: str, action: str, act: Act) -> Transaction | Awaited:
        """Hold, release, approve, reject or cancel. `Conflict` if its status forbids it."""
        _need_reason(act)
        for _ in range(TRIES):
            found = await self._transaction(app_id, id_)
            target = operate(action, found)
            if not isinstance(target, Status):
                raise Taken(target, code="illegal_transition")
            desk = await self._desk(app_id, act.actor)
            entry = self._entry(desk, f"transaction.{action}", found.id, act)
            if await self._needs_second(entry):
                return await self._propose(desk, entry)
            desk.note(entry)
            after = desk.advance(found, target, Told(substate=None, reason=act.reason))
            if await self._office.file(desk) is None:
                return after
        raise Taken("It is changing all the time; try again.")

    async def reverse(self, app_id: str, id_: str, amount: int | None, act: Act) -> Transaction:
        """Record that an approved transaction was undone: a linked transaction of its own."""
        _need_reason(act)
        for _ in range(TRIES):
            found = await self._transaction(app_id, id_)
            desk = await self._desk(app_id, act.actor)
            desk.note(self._entry(desk, "transaction.reverse", found.id, act))
            child = await self._reversal(desk, found, amount, act.reason)
            if await self._office.file(desk) is None:
                return child
        raise Taken("It is changing all the time; try again.")

    async def _reversal(
        self, desk: Desk, found: Transaction, amount: int | None, reason: str
    ) -> Transaction:
        if found.status is not Status.APPROVED:
            raise Taken(
                f"It is {found.status.value}; only what was Approved can be reversed.",
                code="illegal_transition",
            )
        left = left_of(found, await self._database.children(found.app_id, found.id))
        if not left:
            raise Taken("Nothing is left of it to reverse.", code="illegal_transition")
        if amount is not None and not 0 < amount <= left:
            most = f"{format_amount(left, found.currency)} {found.currency}"
            raise Invalid(Problem(("body", "amount"), f"{most} is left to reverse", "amount"))
        # What is left rests on its children: whoever adds one meanwhile must cross us.
        desk.keep(found, found._replace(updated_at=max(desk.now, found.updated_at + 1)))
        kind = Kind.REVERSAL if found.direction is Direction.PAY_IN else Kind.RETURN
        given = left if amount is None else amount
        child = link(found, kind, given, self._ids.new("trx", desk.now), desk.now)
        return desk.advance(desk.open(child), Status.APPROVED, Told(reason=reason))

    # ── resolve a conflict ───────────────────────────────────────────────────────────────────────

    async def resolve(
        self, app_id: str, conflict_id: str, choice: str, act: Act
    ) -> Conflict | Awaited:
        """Keep what we have, or accept what the news claimed."""
        _need_reason(act)
        for _ in range(TRIES):
            conflict = await self._conflict(app_id, conflict_id)
            found = await self._transaction(app_id, conflict.transaction_id)
            desk = await self._desk(app_id, act.actor)
            entry = self._entry(desk, f"conflict.{choice}", conflict.id, act)
            if await self._needs_second(entry):
                return await self._propose(desk, entry)
            is_accepted = choice == "accept"
            vouched = await self._vouched(conflict) if is_accepted else None
            if vouched is not None:
                desk = await self._desk(app_id, act.actor, vouched.callback)
            desk.note(entry)
            resolved = conflict._replace(
                resolved_at=desk.now,
                resolution=choice,
                resolved_by=act.actor,
                resolution_reason=act.reason,
            )
            desk.resolve(resolved)
            after = await self._accept(desk, found, conflict, act) if is_accepted else found
            desk.tell("transaction.conflict", conflict_data(after, resolved), after)
            if vouched is not None:
                await self._settle_as_proven(desk, vouched)
            if await self._office.file(desk) is None:
                return resolved
        raise Taken("It is changing all the time; try again.")

    async def _accept(
        self, desk: Desk, found: Transaction, conflict: Conflict, act: Act
    ) -> Transaction:
        """Do what the news claimed: a step, a superseding one, or a reversal of what was paid."""
        status = conflict.status
        if found.status is status or conflict.kind == UNCONFIRMED_LINKED:
            return found
        if found.status is Status.APPROVED:
            if left_of(found, await self._database.children(found.app_id, found.id)):
                await self._reversal(desk, desk.current(found), None, act.reason)
            return found
        if compare(News(status), found).outcome is Outcome.ILLEGAL:
            raise Taken(f"It cannot be {status.value}.", code="illegal_transition")
        over = found.sequence if found.status in TERMINAL else None
        return desk.advance(found, status, Told(reason=act.reason, supersedes=over))

    async def _vouched(self, conflict: Conflict) -> Reread | None:
        """Return the callback that told of what belongs to a payment: it is processed as proven."""
        if conflict.kind != UNCONFIRMED_LINKED:
            return None
        id_ = conflict.callback_id
        told = await self._database.callback(conflict.app_id, id_) if id_ is not None else None
        again = await self._rereader.reread(told) if told is not None else None
        if not isinstance(again, Reread) or again.reading.outcome is not None:
            why = "What the provider sent cannot be read any more. Keep it, and record a reversal."
            raise Taken(why, code="callback_gone")
        return again

    async def _settle_as_proven(self, desk: Desk, vouched: Reread) -> None:
        """Decide on a callback's news of money as if it were proven: a person says it is true.

        On the desk of the resolution, so that no crash can part one from the other.
        """
        for notice in vouched.reading.notices:
            if isinstance(notice, TransactionNotice):
                await self._settler.settle(Case(desk, vouched.live, Trust.SIGNED, notice))

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    async def note(self, app_id: str, action: str, target: str, act: Act) -> None:
        """Write what is done elsewhere into the audit log."""
        _need_reason(act)
        desk = await self._desk(app_id, act.actor)
        desk.note(self._entry(desk, action, target, act))
        await self._office.file(desk)

    async def _desk(self, app_id: str, actor: str, callback: Callback | None = None) -> Desk:
        if self._office.publisher.refusal is not None:
            raise self._office.publisher.refusal
        desk = await self._office.desk(app_id, By(callback, actor))
        if desk is None:
            raise NotFound("There is no such application.")
        return desk

    async def _transaction(self, app_id: str, id_: str) -> Transaction:
        found = await self._database.transaction(app_id, id_)
        if found is None:
            raise NotFound("There is no such transaction.")
        return found

    async def _conflict(self, app_id: str, conflict_id: str) -> Conflict:
        found = await self._database.conflict(app_id, conflict_id)
        if found is None or found.resolved_at is not None:
            raise NotFound("There is no such open conflict.")
        return found

    def _entry(self, desk: Desk, action: str, target: str, act: Act) -> AuditEntry:
        id_ = self._ids.new("aud", desk.now)
        return AuditEntry(id_, desk.app_id, desk.now, act.actor, action, target, act.reason)

    async def _needs_second(self, entry: AuditEntry) -> bool:
        """Tell whether nobody else has proposed this yet."""
        if not self._four_eyes or entry.action not in SECOND_WORD:
            return False
        earlier = await self._database.audit(entry.app_id, Page(limit=50), entry.target)
        latest = next((one for one in earlier if one.action != RESEND), None)
        wanted = entry.action + _PROPOSED
        return latest is None or latest.action != wanted or latest.actor == entry.actor

    async def _propose(self, desk: Desk, entry: AuditEntry) -> Awaited:
        desk.note(entry._replace(action=entry.action + _PROPOSED))
        await self._office.file(desk)
        return Awaited(entry.actor)


def _need_reason(act: Act) -> None:
    if not act.reason.strip():
        raise Invalid(Problem(("body", "reason"), "say why; it goes into the audit log", "missing"))


def _same(known: Transaction, new: NewTransaction) -> Transaction:
    """Return a known transaction if it is the same matter."""
    differing = [
        name
        for name in NewTransaction._fields
        if getattr(new, name) != getattr(known, name)
        and not (name in LEARNED and getattr(new, name) is None)
    ]
    if differing:
        raise Taken(
            f"The uid {new.uid!r} is that of {known.id}, which differs in {', '.join(differing)}.",
            code="uid_taken",
        )
    return known
