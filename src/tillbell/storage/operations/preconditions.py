"""What changes rest on: read once for many, and asked whether it still holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tillbell.model.transactions import EffectKind, TransactionKind
from tillbell.storage.operations import records
from tillbell.storage.operations.messages import find_event_ids, find_idempotency
from tillbell.storage.ports.inbound import (
    CallbackConclusion,
    ChangeSet,
    PreconditionFailed,
    RecordWrite,
    TransactionWrite,
)
from tillbell.storage.ports.outbound import Publication
from tillbell.storage.session.connection import LaterRows, json_list, json_rows
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


ABSENT = StoredTransactionState(0, 0, "")


# ── waves ────────────────────────────────────────────────────────────────────────────────────────


def independent_groups(changes: Sequence[ChangeSet]) -> Iterator[list[ChangeSet]]:
    """Cut changes into runs in which none rests on what another one writes."""
    wave: list[ChangeSet] = []
    taken: set[tuple[str, ...]] = set()
    for change in changes:
        mine = set(keys_of(change))
        if not taken.isdisjoint(mine):
            yield wave
            wave, taken = [], set()
        wave.append(change)
        taken |= mine
    yield wave


def keys_of(change: ChangeSet) -> Iterator[tuple[str, ...]]:
    """Name all that a change rests on or writes, and that others may write too."""
    for transaction, *_ in change.transaction_writes:
        yield "transaction", transaction.id
        if transaction.parent_id is not None:
            yield "transaction", transaction.parent_id  # its refunds are counted together
        if transaction.uid is not None:
            yield "uid", transaction.app_id, transaction.uid
    if change.conclusion is not None:
        yield "callback", change.conclusion.callback_id
    for publication in change.publications:
        if publication.message.event_id is not None:
            yield "event", publication.message.app_id, publication.message.event_id
    for answered in (change.idempotency, *(p.idempotency for p in change.publications)):
        if answered is not None:
            yield "idempotency", answered[0]
    yield from _other_keys_of(change)


def _other_keys_of(change: ChangeSet) -> Iterator[tuple[str, ...]]:
    for record, _ in change.record_writes:
        yield from records.keys(record)
    for conflict in change.resolved:
        yield "conflict", conflict.id
    for source_id, item_key in change.item_keys:
        yield "item", source_id, item_key


# ── what is there ────────────────────────────────────────────────────────────────────────────────


class Preconditions:
    """What one wave rests on."""

    def __init__(self, transaction: DbTransaction, changes: Sequence[ChangeSet]) -> None:
        self._transaction = transaction
        transaction.lock(key for change in changes for key in keys_of(change))
        steps = [(t.app_id, t.id) for change in changes for t, *_ in change.transaction_writes]
        told = [change.conclusion for change in changes if change.conclusion is not None]
        concluded = [(one.app_id, one.callback_id) for one in told]
        publications = [p for change in changes for p in change.publications]
        # All is asked before anything is looked at: to look is to wait.
        transactions = self._query_pairs("transaction_states", steps)
        callbacks = self._query_pairs("callback_states", concluded)
        events = find_event_ids(transaction, (p.message for p in publications))
        self.transactions = {id_: StoredTransactionState(*row) for id_, *row in transactions()}
        self.callbacks = {id_: StoredCallbackState(*row) for id_, *row in callbacks()}
        self._events = {(app_id, event_id) for app_id, event_id, _ in events()}

    def _query_pairs(self, name: str, pairs: list[tuple[str, str]]) -> LaterRows:
        return self._transaction.query_later(name, {"pairs": json_rows(pairs)}) if pairs else list

    def failure(self, change: ChangeSet) -> PreconditionFailed | None:
        """Say what no longer holds of what this change rests on."""
        why = next(self._failures(change), None)
        return None if why is None else PreconditionFailed(why)

    def _failures(self, change: ChangeSet) -> Iterator[str]:
        if change.idempotency is not None:
            yield from self._of_key(change.idempotency)
        if change.conclusion is not None:
            yield from self._of_conclusion(change.conclusion)
        for step in change.transaction_writes:
            yield from self._of_step(step)
        yield from self._of_refunds(change)
        for publication in change.publications:
            yield from self._of_publication(publication)
        for kept in change.record_writes:
            yield from self._of_record(kept)
        for conflict in change.resolved:
            if self._transaction.query_one("open_conflict", (conflict.app_id, conflict.id)) is None:
                yield "resolved"
        yield from self._of_items(change)

    def _of_key(self, idempotency: tuple[str, str, bytes]) -> Iterator[str]:
        if find_idempotency(self._transaction, idempotency[0]) is not None:
            yield "idempotency"

    def _of_conclusion(self, conclusion: CallbackConclusion) -> Iterator[str]:
        known = self.callbacks.get(conclusion.callback_id)
        may_follow = known is not None and (
            known.outcome in (None, conclusion.replaces) or known.is_waiting
        )
        if not may_follow:
            yield "concluded"

    def _of_step(self, step: TransactionWrite) -> Iterator[str]:
        transaction = step.transaction
        present = self.transactions.get(transaction.id, ABSENT)
        if present.version != step.expected_version:
            yield "version"
        if transaction.uid is not None and step.expected_version == 0:
            uid = transaction.app_id, transaction.uid
            if self._transaction.query_one("transaction_id_of_uid", uid):
                yield "uid"
        if transaction.parent_id is not None and transaction.psp_transaction_id is not None:
            psp = transaction.psp_transaction_id, transaction.source_id
            twin = transaction.app_id, transaction.parent_id, transaction.kind, *psp
            if self._transaction.query_one("same_linked_transaction", twin) not in (
                None,
                (transaction.id,),
            ):
                yield "psp_transaction_id"

    def _of_refunds(self, change: ChangeSet) -> Iterator[str]:
        for (app_id, parent_id), amount in refunds(change).items():
            row = self._transaction.query_one("refundable_amount", (app_id, parent_id))
            left = row[0] if row else captured(change, parent_id)
            if amount > left:
                yield "refunds"

    def _of_publication(self, publication: Publication) -> Iterator[str]:
        message = publication.message
        if (message.app_id, message.event_id) in self._events:
            yield "event_id"
        if publication.idempotency is not None:
            yield from self._of_key(publication.idempotency)

    def _of_record(self, kept: RecordWrite) -> Iterator[str]:
        if records.version_of(self._transaction, kept.record) != kept.expected_version:
            yield "version"
        if records.is_uid_taken(self._transaction, kept.record):
            yield "uid"

    def _of_items(self, change: ChangeSet) -> Iterator[str]:
        app_id = change.conclusion.app_id if change.conclusion is not None else ""
        for source_id in {source_id for source_id, _ in change.item_keys}:
            keys = json_list(key for source, key in change.item_keys if source == source_id)
            wanted = {"app_id": app_id, "source_id": source_id, "item_keys": keys}
            if self._transaction.query("known_item_keys", wanted):
                yield "seen"


def refunds(change: ChangeSet) -> dict[tuple[str, str], int]:
    """Return how much a change refunds of each payment, given as (application, id)."""
    sums: dict[tuple[str, str], int] = {}
    for transaction, _, _, effects in change.transaction_writes:
        if transaction.kind is TransactionKind.REFUND and transaction.parent_id is not None:
            debits = sum(e.amount for e in effects if e.kind is EffectKind.DEBIT)
            payment = transaction.app_id, transaction.parent_id
            sums[payment] = sums.get(payment, 0) + debits
    return {payment: amount for payment, amount in sums.items() if amount}


def captured(change: ChangeSet, transaction_id: str) -> int:
    """Return how much a change itself credits for a transaction."""
    effects = [e for step in change.transaction_writes for e in step.effects]
    return sum(
        e.amount
        for e in effects
        if e.transaction_id == transaction_id and e.kind is EffectKind.CREDIT
    )
