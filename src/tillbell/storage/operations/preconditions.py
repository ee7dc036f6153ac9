"""Preconditions of change sets: read once for many, and checked whether they still hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tillbell.model.shop import Order
from tillbell.model.transactions import EffectKind, TransactionKind
from tillbell.storage.operations import records
from tillbell.storage.operations.messages import find_event_ids
from tillbell.storage.ports.inbound import (
    CallbackConclusion,
    ChangeSet,
    PreconditionFailed,
    RecordWrite,
    TransactionWrite,
)
from tillbell.storage.session.connection import KnownResult, StatementResult, json_list, json_rows
from tillbell.storage.session.transaction import DbTransaction


class StoredTransactionState(NamedTuple):
    """How far a transaction is."""

    version: int
    sequence: int
    status: str


class StoredCallbackState(NamedTuple):
    """What a conclusion must know of its callback."""

    source_id: str
    dedupe_key: str | None
    outcome: str | None
    retry_at: int | None

    @property
    def is_waiting(self) -> bool:
        """Whether it ended as unmatched, for now."""
        return self.retry_at is not None


ABSENT = StoredTransactionState(version=0, sequence=0, status="")


# ── groups ───────────────────────────────────────────────────────────────────────────────────────


def independent_groups(change_sets: Sequence[ChangeSet]) -> Iterator[list[ChangeSet]]:
    """Cut change sets into groups in which none rests on what another one writes."""
    group: list[ChangeSet] = []
    keys_of_group: set[tuple[str, ...]] = set()
    for changes in change_sets:
        keys = set(keys_of(changes))
        if not keys_of_group.isdisjoint(keys):
            yield group
            group, keys_of_group = [], set()
        group.append(changes)
        keys_of_group |= keys
    yield group


def keys_of(changes: ChangeSet) -> Iterator[tuple[str, ...]]:
    """Name all that a change set rests on or writes, and that others may write too."""
    for transaction in (write.transaction for write in changes.transaction_writes):
        yield "transaction", transaction.id
        if transaction.parent_id is not None:
            yield "transaction", transaction.parent_id  # its refunds are counted together
        if transaction.uid is not None:
            yield "uid", transaction.app_id, transaction.uid
    if changes.conclusion is not None:
        yield "callback", changes.conclusion.callback_id
    for message in (publication.message for publication in changes.publications):
        if message.event_id is not None:
            yield "event", message.app_id, message.event_id
    yield from _keys_of_records(changes)
    for conflict in changes.resolved:
        yield "conflict", conflict.id
    for source_id, item_key in changes.item_keys:
        yield "item", source_id, item_key


def _keys_of_records(changes: ChangeSet) -> Iterator[tuple[str, ...]]:
    written = (write.record for write in changes.record_writes)
    for record in (*written, *changes.removed_records):
        yield from records.keys(record)
    for app_id, uid in changes.absent_orders:
        yield records.uid_key(Order, app_id, uid)


# ── what is stored ───────────────────────────────────────────────────────────────────────────────


class Preconditions:
    """What the change sets of one group rest on."""

    def __init__(self, db: DbTransaction, group: Sequence[ChangeSet]) -> None:
        self._db = db
        db.lock(key for changes in group for key in keys_of(changes))
        transactions = [w.transaction for changes in group for w in changes.transaction_writes]
        conclusions = [c.conclusion for c in group if c.conclusion is not None]
        # All are sent before a result is read, which may wait for the server.
        transaction_states = self._query_pairs(
            "transaction_states", [(t.app_id, t.id) for t in transactions]
        )
        callback_states = self._query_pairs(
            "callback_states", [(c.app_id, c.callback_id) for c in conclusions]
        )
        orders = self._query_pairs(
            "orders_of_uids", [order for changes in group for order in changes.absent_orders]
        )
        payments = db.query_bulk_later(
            "payments_of_orders",
            sorted({(app_id, uid) for c in group for app_id, uid, _ in c.payments_read}),
        )
        events = find_event_ids(db, (p.message for changes in group for p in changes.publications))
        self.transactions = {
            id_: StoredTransactionState(*state) for id_, *state in transaction_states.rows()
        }
        self.callbacks = {
            id_: StoredCallbackState(*state) for id_, *state in callback_states.rows()
        }
        self._orders = {(app_id, uid) for app_id, uid, id_ in orders.rows() if id_ is not None}
        writes = [write.record for changes in group for write in changes.record_writes]
        self._records = records.StoredRecordStates(db, writes)
        self._payments: dict[tuple[str, str], set[tuple[str, int]]] = {}
        for app_id, uid, id_, version in payments.rows():
            self._payments.setdefault((app_id, uid), set()).add((str(id_), int(version)))
        self._events = {(app_id, event_id) for app_id, event_id, _ in events.rows()}

    def _query_pairs(self, name: str, pairs: list[tuple[str, str]]) -> StatementResult:
        return self._db.query_later(name, {"pairs": json_rows(pairs)}) if pairs else KnownResult()

    def failure(self, changes: ChangeSet) -> PreconditionFailed | None:
        """Return the first precondition of a change set that does not hold."""
        why = next(self._failures(changes), None)
        return None if why is None else PreconditionFailed(why)

    def _failures(self, changes: ChangeSet) -> Iterator[str]:
        if changes.conclusion is not None:
            yield from self._of_conclusion(changes.conclusion)
        for write in changes.transaction_writes:
            yield from self._of_transaction(write)
        yield from self._of_refunds(changes)
        for message in (publication.message for publication in changes.publications):
            if (message.app_id, message.event_id) in self._events:
                yield "event_id"
        for record_write in changes.record_writes:
            yield from self._of_record(record_write)
        for record in changes.removed_records:
            if records.version_of(self._db, record) != record.version:
                yield "version"
        yield from self._of_orders(changes)
        for conflict in changes.resolved:
            if self._db.query_one("open_conflict", (conflict.app_id, conflict.id)) is None:
                yield "resolved"
        yield from self._of_items(changes)

    def _of_conclusion(self, conclusion: CallbackConclusion) -> Iterator[str]:
        callback = self.callbacks.get(conclusion.callback_id)
        may_follow = callback is not None and (
            callback.outcome in (None, conclusion.replaces) or callback.is_waiting
        )
        if not may_follow:
            yield "concluded"

    def _of_transaction(self, write: TransactionWrite) -> Iterator[str]:
        transaction = write.transaction
        if self.transactions.get(transaction.id, ABSENT).version != write.expected_version:
            yield "version"
        if transaction.uid is not None and write.expected_version == 0:
            uid = transaction.app_id, transaction.uid
            if self._db.query_one("transaction_id_of_uid", uid):
                yield "uid"
        if transaction.parent_id is not None and transaction.psp_transaction_id is not None:
            psp = transaction.psp_transaction_id, transaction.source_id, transaction.movement_id
            key = transaction.app_id, transaction.parent_id, transaction.kind, *psp
            same = self._db.query_one("same_linked_transaction", key)
            if same not in (None, (transaction.id,)):
                yield "psp_transaction_id"

    def _of_refunds(self, changes: ChangeSet) -> Iterator[str]:
        for (app_id, payment_id), amount in refunds(changes).items():
            row = self._db.query_one("refundable_amount", (app_id, payment_id))
            refundable = row[0] if row else captured(changes, payment_id)
            if amount > refundable:
                yield "refunds"

    def _of_record(self, write: RecordWrite) -> Iterator[str]:
        if self._records.version_of(write.record) != write.expected_version:
            yield "version"
        if self._records.is_uid_taken(write.record):
            yield "uid"

    def _of_orders(self, changes: ChangeSet) -> Iterator[str]:
        """Check that no order missed a payment that came at the same time."""
        if not self._orders.isdisjoint(changes.absent_orders):
            yield "order"
        for app_id, uid, versions in changes.payments_read:
            if self._payments.get((app_id, uid), set()) != versions:
                yield "version"

    def _of_items(self, changes: ChangeSet) -> Iterator[str]:
        app_id = changes.conclusion.app_id if changes.conclusion is not None else ""
        for source_id in {source_id for source_id, _ in changes.item_keys}:
            keys = json_list(key for source, key in changes.item_keys if source == source_id)
            bindings = {"app_id": app_id, "source_id": source_id, "item_keys": keys}
            if self._db.query("known_item_keys", bindings):
                yield "seen"


def refunds(changes: ChangeSet) -> dict[tuple[str, str], int]:
    """Return how much a change set refunds of each payment, given as (application, id).

    What a person books is not limited: the provider has made that refund.
    """
    sums: dict[tuple[str, str], int] = {}
    for write in changes.transaction_writes:
        transaction = write.transaction
        if transaction.kind is TransactionKind.REFUND and transaction.parent_id is not None:
            payment = transaction.app_id, transaction.parent_id
            manual = {t.sequence for t in write.transitions if t.actor is not None}
            debits = sum(
                e.amount
                for e in write.effects
                if e.kind is EffectKind.DEBIT and e.sequence not in manual
            )
            sums[payment] = sums.get(payment, 0) + debits
    return {payment: amount for payment, amount in sums.items() if amount}


def captured(changes: ChangeSet, transaction_id: str) -> int:
    """Return how much a change set itself credits for a transaction."""
    effects = [e for write in changes.transaction_writes for e in write.effects]
    return sum(
        e.amount
        for e in effects
        if e.transaction_id == transaction_id and e.kind is EffectKind.CREDIT
    )
