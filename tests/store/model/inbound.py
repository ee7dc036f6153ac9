"""The model's writes of callbacks and money: each rule is written out once, plainly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from tests.store.model.inbound_reads import ModelInboundReads
from tests.store.model.outbound_reads import ModelMessages
from tillbell.clock import DAY, Micros
from tillbell.ids import first_of
from tillbell.model.callbacks import REEVALUATED, Callback, Outcome
from tillbell.model.records import Record
from tillbell.model.transactions import (
    NEGATIVE,
    TERMINAL,
    Effect,
    EffectKind,
    Transaction,
    TransactionKind,
    TransactionStatus,
)
from tillbell.storage.ports.inbound import (
    CallbackConclusion,
    ChangesCommitted,
    ChangeSet,
    PreconditionFailed,
    ReceivedCallback,
    RecordWrite,
    StoredCallback,
    TransactionWrite,
)

K = TypeVar("K")
V = TypeVar("V")


class KeyHolder(NamedTuple):
    """Who holds a dedupe key, since when; `is_open`: the next copy may count in its place."""

    callback_id: str
    app_id: str
    taken_at: Micros
    is_open: bool = False


class ModelInbound(ModelInboundReads, ModelMessages):
    """`InboundStore` over dicts."""

    records: dict[tuple[str, str, str], Record]

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[tuple[str, str], KeyHolder] = {}

    # ── receive ──────────────────────────────────────────────────────────────────────────────────

    async def receive(self, arrival: ReceivedCallback) -> StoredCallback:
        """See `InboundStore.receive`."""
        callback = arrival.callback
        if callback.dedupe_key is not None and callback.outcome is None:
            key = callback.source_id, callback.dedupe_key
            holder = self.keys.get(key)
            if holder is not None and holder.callback_id == callback.id:
                return await self._with_candidates(self.known_callbacks[callback.id], arrival)
            if holder is None or holder.is_open:
                self._stop_waiting(holder.callback_id if holder else "")
                self.keys[key] = KeyHolder(callback.id, callback.app_id, callback.received_at)
            else:
                callback = callback._replace(
                    outcome=Outcome.DUPLICATE,
                    why=f"The same callback was received before: {holder.callback_id}.",
                    duplicate_of=holder.callback_id,
                    processed_at=callback.received_at,
                )
        assert callback.id not in self.known_callbacks
        self.known_callbacks[callback.id] = callback
        if arrival.request is not None:
            self.requests[callback.id] = arrival.request, arrival.is_bulk
        return await self._with_candidates(callback, arrival)

    async def _with_candidates(
        self, callback: Callback, arrival: ReceivedCallback
    ) -> StoredCallback:
        if arrival.searched is None:
            return StoredCallback(callback, [])
        owner = callback.app_id or "", callback.source_id
        return StoredCallback(callback, await self.candidate_transactions(*owner, arrival.searched))

    def _stop_waiting(self, callback_id: str) -> None:
        self.waits.pop(callback_id, None)
        if callback_id in self.known_callbacks:
            earlier = self.known_callbacks[callback_id]
            self.known_callbacks[callback_id] = earlier._replace(retry_at=None)

    async def reopen_callback(self, app_id: str, callback_id: str) -> bool:
        """See `InboundStore.reopen_callback`."""
        callback = self.known_callbacks.get(callback_id)
        if callback is None or callback.app_id != app_id or callback.outcome is None:
            return False
        self._stop_waiting(callback_id)
        self._set_open(callback_id, is_open=False)
        self.known_callbacks[callback_id] = callback._replace(
            outcome=None,
            why="",
            duplicate_of=None,
            transaction_id=None,
            message_ids=(),
            processed_at=None,
            retry_at=None,
        )
        return True

    def _set_open(self, callback_id: str, *, is_open: bool) -> None:
        for key, holder in self.keys.items():
            if holder.callback_id == callback_id:
                self.keys[key] = holder._replace(is_open=is_open)

    # ── change ───────────────────────────────────────────────────────────────────────────────────

    async def commit_changes(self, change: ChangeSet) -> ChangesCommitted | PreconditionFailed:
        """See `InboundStore.commit_changes`."""
        why = next(self._failures(change), None)
        if why is not None:
            return PreconditionFailed(why)
        told = change.conclusion
        assert told is None or told.retry_at is None or told.outcome is Outcome.UNMATCHED
        assert {c.id for c in change.conflicts}.isdisjoint(self.known_conflicts)
        assert {a.id for a in change.audit}.isdisjoint(a.id for a in self.audits)
        assert {p.message.id for p in change.publications}.isdisjoint(self.known_messages)
        self._take_steps(change.transaction_writes)
        if change.conclusion is not None:
            self._conclude(change.conclusion)
            owned = change.conclusion.app_id, change.conclusion.at
            self.seen |= dict.fromkeys(change.item_keys, owned)
        self.known_conflicts |= {c.id: c for c in change.conflicts}
        for resolved in change.resolved:
            self.known_conflicts[resolved.id] = self.known_conflicts[resolved.id]._replace(
                resolved_at=resolved.resolved_at,
                resolution=resolved.resolution,
                resolved_by=resolved.resolved_by,
                resolution_reason=resolved.resolution_reason,
            )
        for record, _ in change.record_writes:
            self.records[type(record).__name__, record.scope, record.id] = record
        for record in change.removed_records:
            del self.records[type(record).__name__, record.scope, record.id]
        for publication in change.publications:
            self.keep(publication)
        self.audits += change.audit
        return ChangesCommitted()

    def _failures(self, change: ChangeSet) -> Iterator[str]:
        """Say what no longer holds, in this order."""
        if change.conclusion is not None:
            callback = self.known_callbacks.get(change.conclusion.callback_id)
            may_be = (None, change.conclusion.replaces)
            if callback is None or (callback.outcome not in may_be and callback.retry_at is None):
                yield "concluded"
        for step in change.transaction_writes:
            yield from self._failures_of_step(step)
        if self._is_over_refunded(change):
            yield "refunds"
        yield from self._failures_beside(change)

    def _failures_beside(self, change: ChangeSet) -> Iterator[str]:
        for publication in change.publications:
            if self.published_as(publication.message) is not None:
                yield "event_id"
        for kept in change.record_writes:
            yield from self._failures_of_record(kept)
        for record in change.removed_records:
            present = self.records.get((type(record).__name__, record.scope, record.id))
            if present is None or present.version != record.version:
                yield "version"
        for conflict in change.resolved:
            known = self.known_conflicts.get(conflict.id)
            if known is None or known.resolved_at is not None:
                yield "resolved"
        if not self.seen.keys().isdisjoint(change.item_keys):
            yield "seen"

    def _failures_of_step(self, step: TransactionWrite) -> Iterator[str]:
        new = step.transaction
        present = self.known_transactions.get(new.id)
        others = [t for t in self.known_transactions.values() if t.id != new.id]
        if (present.version if present else 0) != step.expected_version:
            yield "version"
        uids = {(t.app_id, t.uid) for t in others if t.uid is not None}
        if present is None and (new.app_id, new.uid) in uids:
            yield "uid"
        links = {_link(t) for t in others if None not in (t.parent_id, t.psp_transaction_id)}
        if _link(new) in links:
            yield "psp_transaction_id"

    def _is_over_refunded(self, change: ChangeSet) -> bool:
        refunds = [
            s for s in change.transaction_writes if s.transaction.kind is TransactionKind.REFUND
        ]
        new = [e for s in change.transaction_writes for e in s.effects]
        for parent_id in {s.transaction.parent_id for s in refunds}:
            children = {s.transaction.id for s in refunds if s.transaction.parent_id == parent_id}
            amount = sum(
                e.amount for e in new if e.transaction_id in children and e.kind is EffectKind.DEBIT
            )
            earlier = self._captured(parent_id, list(self.known_effects.values()))
            left = self._captured(parent_id, new) if earlier is None else earlier
            if amount and amount > (left or 0) - self._refunded(parent_id):
                return True
        return False

    def _captured(self, transaction_id: str | None, effects: list[Effect]) -> int | None:
        amounts = [
            e.amount
            for e in effects
            if e.transaction_id == transaction_id and e.kind is EffectKind.CREDIT
        ]
        return amounts[0] if amounts else None

    def _refunded(self, parent_id: str | None) -> int:
        children = {
            t.id
            for t in self.known_transactions.values()
            if t.parent_id == parent_id and t.kind is TransactionKind.REFUND
        }
        return sum(
            e.amount
            for e in self.known_effects.values()
            if e.transaction_id in children and e.kind is EffectKind.DEBIT
        )

    def _failures_of_record(self, kept: RecordWrite) -> Iterator[str]:
        record = kept.record
        key = type(record).__name__, record.scope, record.id
        present = self.records.get(key)
        if (present.version if present is not None else 0) != kept.expected_version:
            yield "version"
        others = [r for k, r in self.records.items() if k[:2] == key[:2] and k != key]
        if record.uid is not None and record.uid in {r.uid for r in others}:
            yield "uid"

    def _conclude(self, conclusion: CallbackConclusion) -> None:
        id_ = conclusion.callback_id
        self.known_callbacks[id_] = self.known_callbacks[id_]._replace(
            outcome=conclusion.outcome,
            why=conclusion.why,
            processed_at=conclusion.at,
            transaction_id=conclusion.transaction_id,
            message_ids=conclusion.message_ids,
            retry_at=conclusion.retry_at,
        )
        self.waits.pop(id_, None)
        if conclusion.retry_at is not None:
            self.waits[id_] = frozenset(conclusion.awaited_references)
        self._set_open(id_, is_open=conclusion.outcome in REEVALUATED)

    # ── the law of money ─────────────────────────────────────────────────────────────────────────

    def _take_steps(self, steps: tuple[TransactionWrite, ...]) -> None:
        """Take all steps, or fail and take none."""
        before = self.known_transactions, self.known_transitions, self.known_effects
        self.known_transactions = dict(self.known_transactions)
        self.known_transitions = dict(self.known_transitions)
        self.known_effects = dict(self.known_effects)
        try:
            for step in steps:
                self._take(step)
            for effect in (e for s in steps for e in s.effects):
                self._cause(effect)
        except AssertionError:
            self.known_transactions, self.known_transitions, self.known_effects = before
            raise

    def _take(self, step: TransactionWrite) -> None:
        new, present = step.transaction, self.known_transactions.get(step.transaction.id)
        assert new.version > step.expected_version
        assert present is None or _nature(new) == _nature(present)
        assert (new.kind is TransactionKind.PAYMENT) == (new.parent_id is None)
        assert new.parent_id is None or self.known_transactions[new.parent_id].app_id == new.app_id
        status, sequence = (present.status, present.sequence) if present else (None, 0)
        for transition in step.transitions:
            assert (transition.transaction_id, transition.sequence) == (new.id, sequence + 1)
            assert transition.previous_status == status
            assert transition.supersedes == (sequence if status in TERMINAL else None)
            status, sequence = transition.status, transition.sequence
            self.known_transitions[new.id, sequence] = transition
        assert (new.status, new.sequence) == (status, sequence)
        self.known_transactions[new.id] = new

    def _cause(self, effect: Effect) -> None:
        transaction = self.known_transactions[effect.transaction_id]
        assert (effect.transaction_id, effect.kind) not in self.known_effects
        if effect.kind is EffectKind.RESERVE:
            assert effect.sequence == 1
        else:
            allowed = (
                NEGATIVE if effect.kind is EffectKind.RELEASE else {TransactionStatus.APPROVED}
            )
            assert effect.sequence == transaction.sequence
            assert transaction.status in allowed
        self.known_effects[effect.transaction_id, effect.kind] = effect
        if transaction.kind is TransactionKind.REFUND and effect.kind is EffectKind.DEBIT:
            captured = self._captured(transaction.parent_id, list(self.known_effects.values()))
            assert self._refunded(transaction.parent_id) <= (captured or 0)

    # ── by the calendar, and with an application ─────────────────────────────────────────────────

    async def purge_inbound(
        self, *, requests_before: Micros, callbacks_before: Micros, now: Micros, limit: int
    ) -> int:
        """See `InboundStore.purge_inbound`."""
        old = {
            True: max(first_of("cbk", requests_before), first_of("cbk", now - DAY)),
            False: first_of("cbk", requests_before),
        }
        requests = [id_ for id_, (_, is_bulk) in self.requests.items() if id_ < old[is_bulk]]
        callbacks = [
            c.id
            for c in self.known_callbacks.values()
            if c.id < first_of("cbk", callbacks_before) and c.outcome and c.retry_at is None
        ]
        keys = [k for k, holder in self.keys.items() if holder.taken_at < now - 400 * DAY]
        items = [item for item, (_, at) in self.seen.items() if at < now - 2 * DAY]
        left = limit
        left -= _drop(self.requests, sorted(requests)[:left])
        gone = sorted(callbacks)[:left]
        _drop(self.requests, gone)
        left -= _drop(self.known_callbacks, gone)
        left -= _drop(self.keys, sorted(keys, key=lambda k: self.keys[k].taken_at)[:left])
        left -= _drop(self.seen, sorted(items, key=lambda i: self.seen[i][1])[:left])
        return limit - left

    def remove_inbound(self, app_id: str) -> None:
        """Delete all that came in for an application and what it did."""
        callbacks = [c.id for c in self.known_callbacks.values() if c.app_id == app_id]
        transactions = {t.id for t in self.known_transactions.values() if t.app_id == app_id}
        _drop(self.known_callbacks, callbacks)
        _drop(self.requests, callbacks)
        _drop(self.waits, callbacks)
        _drop(self.keys, [k for k, holder in self.keys.items() if holder.app_id == app_id])
        _drop(self.seen, [item for item, (owner, _) in self.seen.items() if owner == app_id])
        _drop(self.known_transactions, list(transactions))
        _drop(self.known_transitions, [k for k in self.known_transitions if k[0] in transactions])
        _drop(self.known_effects, [k for k in self.known_effects if k[0] in transactions])
        conflicts = [c.id for c in self.known_conflicts.values() if c.app_id == app_id]
        _drop(self.known_conflicts, conflicts)
        self.audits = [entry for entry in self.audits if entry.app_id != app_id]


def _drop(rows: dict[K, V], keys: list[K]) -> int:
    return len([rows.pop(key) for key in keys if key in rows])


def _link(transaction: Transaction) -> tuple[str | None, ...]:
    """Return what is unique among linked transactions."""
    source_id, psp = transaction.source_id or "", transaction.psp_transaction_id
    return transaction.parent_id, transaction.kind, psp, source_id, transaction.movement_id


def _nature(transaction: Transaction) -> tuple[object, ...]:
    """Return what of a transaction never changes."""
    t = transaction
    of = t.app_id, t.parent_id, t.created_at
    return (*of, t.direction, t.kind, t.amount, t.currency)
