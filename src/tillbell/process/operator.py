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

from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.model.callbacks import Callback, Outcome, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import (
    TERMINAL,
    AuditEntry,
    Direction,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.money import format_amount
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.payments import NoticeContext, PaymentDecider
from tillbell.process.status_checks import SCHEDULE
from tillbell.receive.reprocess import ReparsedCallback, Reprocessor
from tillbell.rules.payments.booking import NoticeDetails, conflict_data, linked_transaction
from tillbell.rules.payments.conflicts import UNCONFIRMED_LINKED
from tillbell.rules.payments.transitions import (
    ReportedStatus,
    amount_left,
    judge_status,
    status_after_action,
)
from tillbell.storage.ports.outbound import Page

TRIES = 20
SECOND_KEY_ACTIONS = ("transaction.approve", "transaction.reject", "conflict.accept")
RESEND = "transaction.resend"  # changes nothing: a proposal made before it still stands
FILLED_BY_CALLBACKS = (
    "psp_transaction_id",
    "source_id",
    "provider",
)  # from callbacks, where nobody said
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


class ActionReason(NamedTuple):
    """An action: who, why."""

    actor: str
    reason: str


class AwaitingSecondKey(NamedTuple):
    """The action was proposed; another key must do the same."""

    proposed_by: str


class ManualActions:
    """See the module."""

    def __init__(self, office: Decisions, rereader: Reprocessor, *, four_eyes: bool) -> None:
        self._decisions = office
        self._reprocessor = rereader
        self._database = office.database
        self._settler = PaymentDecider(office.database, office.ids)
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
            desk = await self._decision(app_id, actor)
            made = desk.open_transaction(self._new_transaction(app_id, new, desk.now))
            if await self._decisions.commit(desk) is None:
                return made, True
        raise ConflictError(f"The uid {new.uid!r} is taken.")

    def _new_transaction(self, app_id: str, new: NewTransaction, now: int) -> Transaction:
        return Transaction(
            id=self._ids.new("trx", now),
            app_id=app_id,
            direction=new.direction,
            kind=TransactionKind.PAYMENT,
            status=TransactionStatus.PENDING,
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

    async def change_status(
        self, app_id: str, id_: str, action: str, act: ActionReason
    ) -> Transaction | AwaitingSecondKey:
        """Hold, release, approve, reject or cancel. `Conflict` if its status forbids it."""
        _need_reason(act)
        for _ in range(TRIES):
            found = await self._transaction(app_id, id_)
            target = status_after_action(action, found)
            if not isinstance(target, TransactionStatus):
                raise ConflictError(target, code="illegal_transition")
            desk = await self._decision(app_id, act.actor)
            entry = self._entry(desk, f"transaction.{action}", found.id, act)
            if await self._needs_second_key(entry):
                return await self._propose(desk, entry)
            desk.write_audit_entry(entry)
            after = desk.advance(found, target, NoticeDetails(substate=None, reason=act.reason))
            if await self._decisions.commit(desk) is None:
                return after
        raise ConflictError("It is changing all the time; try again.")

    async def reverse(
        self, app_id: str, id_: str, amount: int | None, act: ActionReason
    ) -> Transaction:
        """Record that an approved transaction was undone: a linked transaction of its own."""
        _need_reason(act)
        for _ in range(TRIES):
            found = await self._transaction(app_id, id_)
            desk = await self._decision(app_id, act.actor)
            desk.write_audit_entry(self._entry(desk, "transaction.reverse", found.id, act))
            child = await self._reversal(desk, found, amount, act.reason)
            if await self._decisions.commit(desk) is None:
                return child
        raise ConflictError("It is changing all the time; try again.")

    async def _reversal(
        self, desk: Decision, found: Transaction, amount: int | None, reason: str
    ) -> Transaction:
        if found.status is not TransactionStatus.APPROVED:
            raise ConflictError(
                f"It is {found.status.value}; only what was Approved can be reversed.",
                code="illegal_transition",
            )
        left = amount_left(found, await self._database.linked_transactions(found.app_id, found.id))
        if not left:
            raise ConflictError("Nothing is left of it to reverse.", code="illegal_transition")
        if amount is not None and not 0 < amount <= left:
            most = f"{format_amount(left, found.currency)} {found.currency}"
            raise Invalid(Problem(("body", "amount"), f"{most} is left to reverse", "amount"))
        # What is left rests on its children: whoever adds one meanwhile must cross us.
        desk.update_transaction(
            found, found._replace(updated_at=max(desk.now, found.updated_at + 1))
        )
        kind = (
            TransactionKind.REVERSAL
            if found.direction is Direction.PAY_IN
            else TransactionKind.RETURN
        )
        given = left if amount is None else amount
        child = linked_transaction(found, kind, given, self._ids.new("trx", desk.now), desk.now)
        return desk.advance(
            desk.open_transaction(child), TransactionStatus.APPROVED, NoticeDetails(reason=reason)
        )

    # ── resolve a conflict ───────────────────────────────────────────────────────────────────────

    async def resolve(
        self, app_id: str, conflict_id: str, choice: str, act: ActionReason
    ) -> MoneyConflict | AwaitingSecondKey:
        """Keep what we have, or accept what the news claimed."""
        _need_reason(act)
        for _ in range(TRIES):
            conflict = await self._conflict(app_id, conflict_id)
            found = await self._transaction(app_id, conflict.transaction_id)
            desk = await self._decision(app_id, act.actor)
            entry = self._entry(desk, f"conflict.{choice}", conflict.id, act)
            if await self._needs_second_key(entry):
                return await self._propose(desk, entry)
            is_accepted = choice == "accept"
            vouched = await self._accept_as_trusted(conflict) if is_accepted else None
            if vouched is not None:
                desk = await self._decision(app_id, act.actor, vouched.callback)
            desk.write_audit_entry(entry)
            resolved = conflict._replace(
                resolved_at=desk.now,
                resolution=choice,
                resolved_by=act.actor,
                resolution_reason=act.reason,
            )
            desk.resolve_conflict(resolved)
            after = await self._accept(desk, found, conflict, act) if is_accepted else found
            desk.publish_event("transaction.conflict", conflict_data(after, resolved), after)
            if vouched is not None:
                await self._settle_as_proven(desk, vouched)
            if await self._decisions.commit(desk) is None:
                return resolved
        raise ConflictError("It is changing all the time; try again.")

    async def _accept(
        self, desk: Decision, found: Transaction, conflict: MoneyConflict, act: ActionReason
    ) -> Transaction:
        """Do what the news claimed: a step, a superseding one, or a reversal of what was paid."""
        status = conflict.status
        if found.status is status or conflict.kind == UNCONFIRMED_LINKED:
            return found
        if found.status is TransactionStatus.APPROVED:
            if amount_left(found, await self._database.linked_transactions(found.app_id, found.id)):
                await self._reversal(desk, desk.current(found), None, act.reason)
            return found
        if judge_status(ReportedStatus(status), found).outcome is Outcome.ILLEGAL:
            raise ConflictError(f"It cannot be {status.value}.", code="illegal_transition")
        over = found.sequence if found.status in TERMINAL else None
        return desk.advance(found, status, NoticeDetails(reason=act.reason, supersedes=over))

    async def _accept_as_trusted(self, conflict: MoneyConflict) -> ReparsedCallback | None:
        """Return the callback that told of what belongs to a payment: it is processed as proven."""
        if conflict.kind != UNCONFIRMED_LINKED:
            return None
        id_ = conflict.callback_id
        told = await self._database.callback(conflict.app_id, id_) if id_ is not None else None
        again = await self._reprocessor.reparse(told) if told is not None else None
        if not isinstance(again, ReparsedCallback) or again.reading.outcome is not None:
            why = "What the provider sent cannot be read any more. Keep it, and record a reversal."
            raise ConflictError(why, code="callback_gone")
        return again

    async def _settle_as_proven(self, desk: Decision, vouched: ReparsedCallback) -> None:
        """Decide on a callback's news of money as if it were proven: a person says it is true.

        On the desk of the resolution, so that no crash can part one from the other.
        """
        for notice in vouched.reading.notices:
            if isinstance(notice, TransactionNotice):
                context = NoticeContext(desk, vouched.compiled, Trust.SIGNED, notice)
                await self._settler.decide(context)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    async def audit(self, app_id: str, action: str, target: str, act: ActionReason) -> None:
        """Write what is done elsewhere into the audit log."""
        _need_reason(act)
        desk = await self._decision(app_id, act.actor)
        desk.write_audit_entry(self._entry(desk, action, target, act))
        await self._decisions.commit(desk)

    async def _decision(
        self, app_id: str, actor: str, callback: Callback | None = None
    ) -> Decision:
        if self._decisions.publisher.refusal is not None:
            raise self._decisions.publisher.refusal
        desk = await self._decisions.begin(app_id, DecidedBy(callback, actor))
        if desk is None:
            raise NotFound("There is no such application.")
        return desk

    async def _transaction(self, app_id: str, id_: str) -> Transaction:
        found = await self._database.transaction(app_id, id_)
        if found is None:
            raise NotFound("There is no such transaction.")
        return found

    async def _conflict(self, app_id: str, conflict_id: str) -> MoneyConflict:
        found = await self._database.conflict(app_id, conflict_id)
        if found is None or found.resolved_at is not None:
            raise NotFound("There is no such open conflict.")
        return found

    def _entry(self, desk: Decision, action: str, target: str, act: ActionReason) -> AuditEntry:
        id_ = self._ids.new("aud", desk.now)
        return AuditEntry(id_, desk.app_id, desk.now, act.actor, action, target, act.reason)

    async def _needs_second_key(self, entry: AuditEntry) -> bool:
        """Tell whether nobody else has proposed this yet."""
        if not self._four_eyes or entry.action not in SECOND_KEY_ACTIONS:
            return False
        earlier = await self._database.audit(entry.app_id, Page(limit=50), entry.target)
        latest = next((one for one in earlier if one.action != RESEND), None)
        wanted = entry.action + _PROPOSED
        return latest is None or latest.action != wanted or latest.actor == entry.actor

    async def _propose(self, desk: Decision, entry: AuditEntry) -> AwaitingSecondKey:
        desk.write_audit_entry(entry._replace(action=entry.action + _PROPOSED))
        await self._decisions.commit(desk)
        return AwaitingSecondKey(entry.actor)


def _need_reason(act: ActionReason) -> None:
    if not act.reason.strip():
        raise Invalid(Problem(("body", "reason"), "say why; it goes into the audit log", "missing"))


def _same(known: Transaction, new: NewTransaction) -> Transaction:
    """Return a known transaction if it is the same matter."""
    differing = [
        name
        for name in NewTransaction._fields
        if getattr(new, name) != getattr(known, name)
        and not (name in FILLED_BY_CALLBACKS and getattr(new, name) is None)
    ]
    if differing:
        raise ConflictError(
            f"The uid {new.uid!r} is that of {known.id}, which differs in {', '.join(differing)}.",
            code="uid_taken",
        )
    return known
