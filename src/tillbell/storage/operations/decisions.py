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
from tillbell.storage.operations.preconditions import ABSENT, Ground, Known, Present, waves
from tillbell.storage.ports.inbound import Change, Conclusion, Crossed, Done, Step
from tillbell.storage.session.transaction import Transaction

DONE = Done()


def change(transaction: Transaction, changes: Sequence[Change]) -> list[Done | Crossed]:
    """Make decisions true, except those that rest on what has changed meanwhile."""
    return [outcome for wave in waves(changes) for outcome in _wave(transaction, wave)]


def _wave(transaction: Transaction, changes: Sequence[Change]) -> list[Done | Crossed]:
    ground = Ground(transaction, changes)
    outcomes = [ground.crossed(change) or DONE for change in changes]
    true = [c for c, outcome in zip(changes, outcomes, strict=True) if outcome is DONE]
    _write_steps(transaction, [step for c in true for step in c.steps], ground)
    _conclude(transaction, [c.conclusion for c in true if c.conclusion is not None], ground)
    messages.insert(transaction, [p for c in true for p in c.publications])
    for one in true:
        _write_the_rest(transaction, one)
    return outcomes


# ── money ────────────────────────────────────────────────────────────────────────────────────────


def _write_steps(transaction: Transaction, steps: Sequence[Step], ground: Ground) -> None:
    for step in steps:
        assert_continues(step, ground.transactions.get(step.transaction.id, ABSENT))
    owned = [(s.transaction.app_id, s) for s in steps]
    transitions = [
        (app, *callback_rows.transition_row(t)) for app, s in owned for t in s.transitions
    ]
    transaction.bulk(
        "put_transaction", [callback_rows.transaction_row(s.transaction) for s in steps]
    )
    transaction.bulk("insert_transition", transitions)
    transaction.bulk("insert_effect", [(app, *effect) for app, s in owned for effect in s.effects])


def assert_continues(step: Step, present: Present) -> None:
    """Refuse a step that does not lead from what is to what it says."""
    to, transitions = step.transaction, step.transitions
    assert to.version > step.expected_version, "a change raises the version"
    assert {t.transaction_id for t in transitions} <= {to.id}
    assert {e.transaction_id for e in step.effects} <= {to.id}
    last = (transitions[-1].sequence, transitions[-1].status) if transitions else present[1:]
    assert (to.sequence, to.status) == last, "sequence and status are those of the last transition"


# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


def _conclude(transaction: Transaction, conclusions: Sequence[Conclusion], ground: Ground) -> None:
    transaction.bulk("conclude", [_conclusion_row(c) for c in conclusions])
    for conclusion in conclusions:
        known = ground.callbacks[conclusion.callback_id]
        if known.is_waiting or conclusion.retry_at is not None:
            _wait(transaction, conclusion)
        if conclusion.outcome in REEVALUATED or known.outcome in REEVALUATED:
            _open_key(transaction, conclusion, known)


def _conclusion_row(conclusion: Conclusion) -> tuple[object, ...]:
    *first, message_ids, retry_at, _, _ = conclusion
    return (*first, from_labels(message_ids), retry_at)


def _wait(transaction: Transaction, conclusion: Conclusion) -> None:
    app_id, id_ = conclusion.app_id, conclusion.callback_id
    transaction.rows("end_waits", (app_id, id_))
    if conclusion.retry_at is not None:
        references = dict.fromkeys(conclusion.waits_for)
        transaction.many("wait_for", [(app_id, reference, id_) for reference in references])


def _open_key(transaction: Transaction, conclusion: Conclusion, known: Known) -> None:
    """Let the next copy count when this one did not, and no longer when at last it did."""
    is_open = conclusion.outcome in REEVALUATED
    key = conclusion.app_id, known.source_id, known.dedupe_key, conclusion.callback_id
    transaction.rows("open_key", (*key, is_open))


# ── what is seldom ───────────────────────────────────────────────────────────────────────────────


def _write_the_rest(transaction: Transaction, change: Change) -> None:
    if change.conflicts:
        transaction.bulk("insert_conflict", change.conflicts)
    if change.resolved:
        transaction.many("resolve_conflict", [(c.app_id, c.id, *c[-4:]) for c in change.resolved])
    for kept in change.records:
        records.store(transaction, kept.record)
    if change.seen:
        _see(transaction, change)
    if change.audit:
        transaction.bulk("insert_audit", [callback_rows.audit_row(entry) for entry in change.audit])
    if change.idempotency is not None:
        transaction.rows("insert_idempotency", (*change.idempotency, moment(change)))


def _see(transaction: Transaction, change: Change) -> None:
    assert change.conclusion is not None, "items are seen in a callback"
    owned = change.conclusion.app_id, change.conclusion.at
    items = dict.fromkeys(change.seen)
    transaction.bulk("see_item", [(*item, *owned) for item in items])


def moment(change: Change) -> Micros:
    """Return when a change was decided."""
    moments = [step.transaction.updated_at for step in change.steps]
    moments += [entry.at for entry in change.audit]
    moments += [publication.message.created_at for publication in change.publications]
    moments += [kept.record.updated_at for kept in change.records]
    moments += [c.resolved_at or c.at for c in (*change.conflicts, *change.resolved)]
    if change.conclusion is not None:
        moments.append(change.conclusion.at)
    return max(moments)
