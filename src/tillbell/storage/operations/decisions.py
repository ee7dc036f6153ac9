"""The write of a decision: all that it does to money, callbacks and messages, in one commit.

The change sets of one run are checked and written together, in groups whose keys do not overlap. A
change set whose preconditions fail is left out before anything is written, so nothing is undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tillbell.model.callbacks import REEVALUATED
from tillbell.model.transactions import Transaction
from tillbell.storage.engine.methods import write_batched
from tillbell.storage.operations import callback_rows, messages, records
from tillbell.storage.operations.audit_log import write_audit
from tillbell.storage.operations.message_rows import from_labels
from tillbell.storage.operations.preconditions import (
    ABSENT,
    Preconditions,
    StoredCallbackState,
    StoredTransactionState,
    independent_groups,
)
from tillbell.storage.ports.inbound import (
    CallbackConclusion,
    ChangesCommitted,
    ChangeSet,
    PreconditionFailed,
    TransactionWrite,
)
from tillbell.storage.session.transaction import DbTransaction

COMMITTED = ChangesCommitted()


@write_batched()
def commit_changes(
    db: DbTransaction, change_sets: Sequence[ChangeSet]
) -> list[ChangesCommitted | PreconditionFailed]:
    """Store decisions, except those of which a precondition fails."""
    groups = independent_groups(change_sets)
    return [result for group in groups for result in _commit_group(db, group)]


def _commit_group(
    db: DbTransaction, group: Sequence[ChangeSet]
) -> list[ChangesCommitted | PreconditionFailed]:
    stored = Preconditions(db, group)
    results = [stored.failure(changes) or COMMITTED for changes in group]
    valid = [c for c, result in zip(group, results, strict=True) if result is COMMITTED]
    _write_transactions(db, [write for c in valid for write in c.transaction_writes], stored)
    _conclude(db, [c.conclusion for c in valid if c.conclusion is not None], stored)
    messages.insert_publications(db, [p for c in valid for p in c.publications])
    records.store(db, *(write.record for c in valid for write in c.record_writes))
    for changes in valid:
        _write_others(db, changes)
    return results


# ── money ────────────────────────────────────────────────────────────────────────────────────────


def _write_transactions(
    db: DbTransaction, writes: Sequence[TransactionWrite], stored: Preconditions
) -> None:
    for write in writes:
        assert_continues(write, stored.transactions.get(write.transaction.id, ABSENT))
    transactions = [callback_rows.transaction_row(w.transaction) for w in writes]
    transitions = [
        (w.transaction.app_id, *callback_rows.transition_row(transition))
        for w in writes
        for transition in w.transitions
    ]
    effects = [(w.transaction.app_id, *effect) for w in writes for effect in w.effects]
    payment_attempts = [row for w in writes for row in _payment_attempt_rows(w.transaction)]
    db.execute_bulk("put_transaction", transactions)
    if payment_attempts:
        db.execute_bulk("insert_payment_attempt", payment_attempts)
    db.execute_bulk("insert_transition", transitions)
    db.execute_bulk("insert_effect", effects)
    for write in writes:
        db.rollup_delta.count_effects(write.transaction, write.effects)


def _payment_attempt_rows(transaction: Transaction) -> Iterator[tuple[str, str, str, str]]:
    """Name the ids that lead to a payment, but for the one that is in its own row."""
    held = transaction.psp_transaction_id, transaction.source_id
    for attempt in transaction.attempts:
        for psp_id in attempt.ids:
            if (psp_id, attempt.source_id) != held:
                yield transaction.app_id, psp_id, attempt.source_id or "", transaction.id


def assert_continues(write: TransactionWrite, stored: StoredTransactionState) -> None:
    """Refuse a write that does not lead from what is stored to what it says."""
    transaction, transitions = write.transaction, write.transitions
    assert transaction.version > write.expected_version, "a change raises the version"
    assert {t.transaction_id for t in transitions} <= {transaction.id}
    assert {e.transaction_id for e in write.effects} <= {transaction.id}
    last = transitions[-1] if transitions else stored
    assert (transaction.sequence, transaction.status) == (last.sequence, last.status), (
        "sequence and status are those of the last transition"
    )


# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


def _conclude(
    db: DbTransaction, conclusions: Sequence[CallbackConclusion], stored: Preconditions
) -> None:
    db.execute_bulk("store_conclusion", [_conclusion_row(c) for c in conclusions])
    for conclusion in conclusions:
        callback = stored.callbacks[conclusion.callback_id]
        db.rollup_delta.count_conclusion(conclusion.app_id, callback.source_id, conclusion.outcome)
        if callback.is_waiting or conclusion.retry_at is not None:
            _store_waits(db, conclusion)
        if conclusion.outcome in REEVALUATED or callback.outcome in REEVALUATED:
            _open_dedupe_key(db, conclusion, callback)


def _conclusion_row(conclusion: CallbackConclusion) -> tuple[object, ...]:
    return (
        conclusion.app_id,
        conclusion.callback_id,
        conclusion.outcome,
        conclusion.why,
        conclusion.at,
        conclusion.transaction_id,
        from_labels(conclusion.message_ids),
        conclusion.retry_at,
    )


def _store_waits(db: DbTransaction, conclusion: CallbackConclusion) -> None:
    app_id, callback_id = conclusion.app_id, conclusion.callback_id
    db.query("delete_callback_waits", (app_id, callback_id))
    if conclusion.retry_at is not None:
        references = dict.fromkeys(conclusion.awaited_references)
        waits = [(app_id, reference, callback_id) for reference in references]
        db.execute_each("insert_callback_wait", waits)


def _open_dedupe_key(
    db: DbTransaction, conclusion: CallbackConclusion, stored: StoredCallbackState
) -> None:
    """Free the dedupe key if the callback did not count, so that the next copy can."""
    is_open = conclusion.outcome in REEVALUATED
    key = conclusion.app_id, stored.source_id, stored.dedupe_key, conclusion.callback_id
    db.query("open_dedupe_key", (*key, is_open))


# ── what is rare ─────────────────────────────────────────────────────────────────────────────────


def _write_others(db: DbTransaction, changes: ChangeSet) -> None:
    if changes.conflicts:
        conflicts = [callback_rows.conflict_row(conflict) for conflict in changes.conflicts]
        db.execute_bulk("insert_conflict", conflicts)
    if changes.resolved:
        resolutions = [
            (c.app_id, c.id, c.resolved_at, c.resolution, c.resolved_by, c.resolution_reason)
            for c in changes.resolved
        ]
        db.execute_each("resolve_conflict", resolutions)
    for record in changes.removed_records:
        records.delete(db, type(record), record.id, record.scope)
    if changes.item_keys:
        _store_item_keys(db, changes)
    if changes.audit:
        db.execute_bulk("insert_audit", [callback_rows.audit_row(entry) for entry in changes.audit])
    if changes.acts:
        write_audit(db, changes.acts)


def _store_item_keys(db: DbTransaction, changes: ChangeSet) -> None:
    assert changes.conclusion is not None, "items come in a callback"
    owner = changes.conclusion.app_id, changes.conclusion.at
    items = dict.fromkeys(changes.item_keys)
    db.execute_bulk("insert_item_key", [(*item, *owner) for item in items])
