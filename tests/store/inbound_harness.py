"""Callbacks, transactions and change sets for tests of the inbound port."""

from __future__ import annotations

from typing import Any

from tests.store.outbound_harness import BODY, OutboundHarness
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.sources import Source, Trust
from tillbell.model.transactions import (
    TERMINAL,
    AuditEntry,
    Direction,
    Effect,
    EffectKind,
    MoneyConflict,
    Transaction,
    TransactionKind,
    TransactionStatus,
    Transition,
)
from tillbell.storage.ports.inbound import (
    CallbackConclusion,
    ChangesCommitted,
    ChangeSet,
    ReceivedCallback,
    TransactionWrite,
)
from tillbell.storage.ports.outbound import Publication

REQUEST = b"sealed bytes"
PENDING, ON_HOLD, PROCESSING, APPROVED, DECLINED, FAILED, CANCELLED, REJECTED = TransactionStatus
RESERVE, CREDIT, DEBIT, RELEASE = EffectKind
APPLIED, DUPLICATE, UNMATCHED = Outcome.APPLIED, Outcome.DUPLICATE, Outcome.UNMATCHED


class InboundHarness:
    """One application with two sources, in a store."""

    def __init__(self, outbound: OutboundHarness) -> None:
        self.outbound = outbound
        self.store = outbound.store
        self.source, self.second = outbound.new("src"), outbound.new("src")

    # ── callbacks ────────────────────────────────────────────────────────────────────────────────

    def callback(self, key: str | None = None, **fields: Any) -> Callback:
        return Callback(
            id=self.outbound.new("cbk"),
            dedupe_key=key,
            received_at=self.outbound.now,
            **{
                "app_id": self.outbound.app,
                "source_id": self.source,
                "provider": "chipcard",
                "method": "POST",
                "size": len(REQUEST),
                "trust": Trust.SIGNED,
                "verdict_why": "The signature is right.",
                **fields,
            },
        )

    async def receive(self, key: str | None = None, **fields: Any) -> Callback:
        """Store a callback with its request."""
        received = ReceivedCallback(self.callback(key, **fields), REQUEST)
        return (await self.store.receive(received)).callback

    def conclusion(
        self, callback: Callback, outcome: Outcome = APPLIED, **fields: Any
    ) -> CallbackConclusion:
        now = self.outbound.now
        return CallbackConclusion(callback.app_id, callback.id, outcome, "because", now, **fields)

    async def conclude(
        self, callback: Callback, outcome: Outcome = APPLIED, **fields: Any
    ) -> Callback:
        """Give a callback its conclusion; return it as it is then."""
        await self.do(conclusion=self.conclusion(callback, outcome, **fields))
        return await self.reread(callback)

    async def reread(self, callback: Callback) -> Callback:
        found = await self.store.callback(callback.app_id, callback.id)
        assert found is not None
        return found

    # ── transactions ─────────────────────────────────────────────────────────────────────────────

    def transaction(self, **fields: Any) -> Transaction:
        """Make a pay-in as it is when it is created."""
        return Transaction(
            id=self.outbound.new("trx"),
            created_at=self.outbound.now,
            updated_at=self.outbound.now,
            **{
                "app_id": self.outbound.app,
                "direction": Direction.PAY_IN,
                "kind": TransactionKind.PAYMENT,
                "status": PENDING,
                "amount": 10_000,
                "currency": "EUR",
                "source_id": self.source,
                **fields,
            },
        )

    def opening(
        self, new: Transaction, *statuses: TransactionStatus, effects: Any = ()
    ) -> TransactionWrite:
        """Make the first step: Pending, and at once what follows."""
        first = Transition(new.id, 1, None, PENDING, self.outbound.now)
        step = self.step(new, *statuses, effects=effects)
        after = step.transaction._replace(version=1)
        return TransactionWrite(after, 0, (first, *step.transitions), step.effects)

    def step(
        self, before: Transaction, *statuses: TransactionStatus, effects: Any = (), **fields: Any
    ) -> TransactionWrite:
        """Make the step that follows, with its effects."""
        now, transitions = self.outbound.now, []
        status, sequence, previous = before.status, before.sequence, before.previous_status
        for to in statuses:
            overruled = sequence if status in TERMINAL else None
            previous, status, sequence = status, to, sequence + 1
            transitions.append(
                Transition(before.id, sequence, previous, to, now, supersedes=overruled)
            )
        changed = {
            "status": status,
            "sequence": sequence,
            "previous_status": previous,
            "version": before.version + 1,
            "updated_at": now,
        }
        after = before._replace(**{**changed, **fields})
        caused = [self.effect(after, kind) for kind in effects]
        return TransactionWrite(after, before.version, tuple(transitions), tuple(caused))

    def effect(self, of: Transaction, kind: EffectKind, **fields: Any) -> Effect:
        sequence = 1 if kind is RESERVE else of.sequence
        effect = Effect(of.id, kind, sequence, of.amount, of.currency, self.outbound.now)
        return effect._replace(**fields)

    async def create(
        self, *statuses: TransactionStatus, effects: Any = (), **fields: Any
    ) -> Transaction:
        """Store a new transaction."""
        step = self.opening(self.transaction(**fields), *statuses, effects=effects)
        await self.do(transaction_writes=(step,))
        return step.transaction

    async def move(
        self, before: Transaction, *statuses: TransactionStatus, effects: Any = (), **fields: Any
    ) -> Transaction:
        """Store the step that follows."""
        step = self.step(before, *statuses, effects=effects, **fields)
        await self.do(transaction_writes=(step,))
        return step.transaction

    async def captured(self, **fields: Any) -> Transaction:
        """Store a pay-in that was approved and credited."""
        return await self.create(APPROVED, effects=(CREDIT,), **fields)

    def refund(self, parent: Transaction, amount: int, **fields: Any) -> Transaction:
        return self.transaction(
            **{
                "kind": TransactionKind.REFUND,
                "direction": Direction.PAY_OUT,
                "parent_id": parent.id,
                "amount": amount,
                **fields,
            }
        )

    def refunding(self, parent: Transaction, amount: int, **fields: Any) -> TransactionWrite:
        """Make the step of a refund that is told when it has happened."""
        return self.opening(self.refund(parent, amount, **fields), APPROVED, effects=(DEBIT,))

    # ── what else a change holds ──────────────────────────────────────────────────────────────────

    async def do(self, **parts: Any) -> None:
        """Make a change that nothing crosses."""
        assert await self.store.commit_changes(ChangeSet(**parts)) == ChangesCommitted()

    def publication(self, **fields: Any) -> Publication:
        """Make a message that waits for the endpoint."""
        message = self.outbound.message(**{"event_type": "transaction.approved", **fields})
        return Publication(
            message, {"": BODY}, [self.outbound.waiting(message, self.outbound.endpoint)]
        )

    def record(self, **fields: Any) -> Source:
        """Make a record that has a version."""
        given = {"id": self.outbound.new("src"), "provider": "kopa", "token": "t", **fields}
        return Source(**{"scope": self.outbound.app, "name": "shop", "token_hash": "h", **given})

    def conflict(self, of: Transaction, **fields: Any) -> MoneyConflict:
        id_, now = self.outbound.new("cfl"), self.outbound.now
        return MoneyConflict(id_, of.app_id, of.id, DECLINED, of.status, now, "normal", **fields)

    def audit_entry(self, target: str, **fields: Any) -> AuditEntry:
        id_, app = self.outbound.new("aud"), self.outbound.app
        entry = AuditEntry(id_, app, self.outbound.now, "key_1", "transaction.hold", target, "why")
        return entry._replace(**fields)
