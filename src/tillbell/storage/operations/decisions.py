"""The write of a decision: all that it does to money, callbacks and messages, in one commit.

Changes of one run are judged and written together, in waves of such that do not touch each other.
What crosses is left out before anything is written, so nothing must be undone.
"""

from __future__ import annotations

from collections.abc import Sequence

from tillbell.clock import Micros
from tillbell.model.callbacks import REEVALUATED
from tillbell.storage.operations import callback_rows, messages, records
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


def commit_changes(
    transaction: DbTransaction, changes: Sequence[ChangeSet]
) -> list[ChangesCommitted | PreconditionFailed]:
    """Make decisions true, except those that rest on what has changed meanwhile."""
    return [
        outcome
        for wave in independent_groups(changes)
        for outcome in _commit_group(transaction, wave)
    ]


def _commit_group(
    transaction: DbTransaction, changes: Sequence[ChangeSet]
) -> list[ChangesCommitted | PreconditionFailed]:
    ground = Preconditions(transaction, changes)
    outcomes = [ground.failure(change) or COMMITTED for change in changes]
    true = [c for c, outcome in zip(changes, outcomes, strict=True) if outcome is COMMITTED]
    _write_steps(transaction, [step for c in true for step in c.transaction_writes], ground)
    _conclude(transaction, [c.conclusion for c in true if c.conclusion is not None], ground)
    messages.insert_publications(transaction, [p for c in true for p in c.publications])
    for one in true:
        _write_others(transaction, one)
    return outcomes


# ── money ────────────────────────────────────────────────────────────────────────────────────────


def _write_steps(
    transaction: DbTransaction, steps: Sequence[TransactionWrite], ground: Preconditions
) -> None:
    for step in steps:
        assert_continues(step, ground.transactions.get(step.transaction.id, ABSENT))
    owned = [(s.transaction.app_id, s) for s in steps]
    transitions = [
        (app, *callback_rows.transition_row(t)) for app, s in owned for t in s.transitions
    ]
    transaction.execute_bulk(
        "put_transaction", [callback_rows.transaction_row(s.transaction) for s in steps]
    )
    transaction.execute_bulk("insert_transition", transitions)
    transaction.execute_bulk(
        "insert_effect", [(app, *effect) for app, s in owned for effect in s.effects]
    )


def assert_continues(step: TransactionWrite, present: StoredTransactionState) -> None:
    """Refuse a step that does not lead from what is to what it says."""
    to, transitions = step.transaction, step.transitions
    assert to.version > step.expected_version, "a change raises the version"
    assert {t.transaction_id for t in transitions} <= {to.id}
    assert {e.transaction_id for e in step.effects} <= {to.id}
    last = (transitions[-1].sequence, transitions[-1].status) if transitions else present[1:]
    assert (to.sequence, to.status) == last, "sequence and status are those of the last transition"


# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


def _conclude(
    transaction: DbTransaction, conclusions: Sequence[CallbackConclusion], ground: Preconditions
) -> None:
    transaction.execute_bulk("store_conclusion", [_conclusion_row(c) for c in conclusions])
    for conclusion in conclusions:
        known = ground.callbacks[conclusion.callback_id]
        if known.is_waiting or conclusion.retry_at is not None:
            _store_waits(transaction, conclusion)
        if conclusion.outcome in REEVALUATED or known.outcome in REEVALUATED:
            _open_dedupe_key(transaction, conclusion, known)


def _conclusion_row(conclusion: CallbackConclusion) -> tuple[object, ...]:
    *first, message_ids, retry_at, _, _ = conclusion
    return (*first, from_labels(message_ids), retry_at)


def _store_waits(transaction: DbTransaction, conclusion: CallbackConclusion) -> None:
    app_id, id_ = conclusion.app_id, conclusion.callback_id
    transaction.query("delete_callback_waits", (app_id, id_))
    if conclusion.retry_at is not None:
        references = dict.fromkeys(conclusion.awaited_references)
        transaction.execute_each(
            "insert_callback_wait", [(app_id, reference, id_) for reference in references]
        )


def _open_dedupe_key(
    transaction: DbTransaction, conclusion: CallbackConclusion, known: StoredCallbackState
) -> None:
    """Let the next copy count when this one did not, and no longer when at last it did."""
    is_open = conclusion.outcome in REEVALUATED
    key = conclusion.app_id, known.source_id, known.dedupe_key, conclusion.callback_id
    transaction.query("open_dedupe_key", (*key, is_open))


# ── what is seldom ───────────────────────────────────────────────────────────────────────────────


def _write_others(transaction: DbTransaction, change: ChangeSet) -> None:
    if change.conflicts:
        transaction.execute_bulk("insert_conflict", change.conflicts)
    if change.resolved:
        transaction.execute_each(
            "resolve_conflict", [(c.app_id, c.id, *c[-4:]) for c in change.resolved]
        )
    for kept in change.record_writes:
        records.store(transaction, kept.record)
    if change.item_keys:
        _store_item_keys(transaction, change)
    if change.audit:
        transaction.execute_bulk(
            "insert_audit", [callback_rows.audit_row(entry) for entry in change.audit]
        )
    if change.idempotency is not None:
        transaction.query("insert_idempotency", (*change.idempotency, created_at(change)))


def _store_item_keys(transaction: DbTransaction, change: ChangeSet) -> None:
    assert change.conclusion is not None, "items are seen in a callback"
    owned = change.conclusion.app_id, change.conclusion.at
    items = dict.fromkeys(change.item_keys)
    transaction.execute_bulk("insert_item_key", [(*item, *owned) for item in items])


def created_at(change: ChangeSet) -> Micros:
    """Return when a change was decided."""
    moments = [step.transaction.updated_at for step in change.transaction_writes]
    moments += [entry.at for entry in change.audit]
    moments += [publication.message.created_at for publication in change.publications]
    moments += [kept.record.updated_at for kept in change.record_writes]
    moments += [c.resolved_at or c.at for c in (*change.conflicts, *change.resolved)]
    if change.conclusion is not None:
        moments.append(change.conclusion.at)
    return max(moments)
