"""Erasure of a person from rows that stay: texts are replaced, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence

from tillbell.model.audit import AuditedAct
from tillbell.model.callbacks import Callback
from tillbell.model.messages import Message
from tillbell.model.transactions import AuditEntry, MoneyConflict, Transition
from tillbell.rules.audit_chain import row_hash
from tillbell.storage.engine.methods import write
from tillbell.storage.operations import callback_rows
from tillbell.storage.operations.audit_log import write_audit
from tillbell.storage.operations.message_rows import from_labels
from tillbell.storage.session.audit_chain import act_members
from tillbell.storage.session.transaction import DbTransaction

# Of an act's members: the actor's name, target, reason, changes, details.
_TEXTS = (4, 8, 9, 13, 14)


@write()
def erase_money_texts(
    db: DbTransaction,
    app_id: str,
    transitions: Sequence[Transition],
    entries: Sequence[AuditEntry],
    conflicts: Sequence[MoneyConflict],
) -> None:
    """Replace texts of the books; triggers let nothing else of them change."""
    db.query("begin_erasure", (app_id,))
    db.execute_each("erase_transition", [_transition_texts(app_id, t) for t in transitions])
    rows = [callback_rows.audit_row(entry) for entry in entries]
    db.execute_each("erase_audit_entry", [(app_id, row[0], *row[-2:]) for row in rows])
    db.execute_each(
        "erase_conflict",
        [(app_id, c.id, c.why, c.reference, c.resolution_reason) for c in conflicts],
    )
    db.query("end_erasure", (app_id,))


def _transition_texts(app_id: str, transition: Transition) -> tuple[object, ...]:
    details = callback_rows.transition_row(transition)[-1]
    place = app_id, transition.transaction_id, transition.sequence
    return (*place, transition.reason, transition.raw_status, transition.message, details)


@write()
def erase_callback_texts(db: DbTransaction, callback: Callback, dedupe_key: str | None) -> None:
    """Replace texts of a callback, and free its dedupe key if that is erased too."""
    texts = callback.why, callback.verdict_why, callback.dedupe_key
    db.query("erase_callback", (callback.app_id, callback.id, *texts))
    if dedupe_key is not None and callback.dedupe_key is None:
        db.query("erase_dedupe_key", (callback.app_id, callback.source_id, dedupe_key))


@write()
def erase_message_labels(db: DbTransaction, message: Message) -> None:
    """Replace the labels of a message, and the order key of its deliveries."""
    labels = from_labels(message.channels), from_labels(message.tags), message.order_key
    db.query("erase_message", (message.app_id, message.id, message.event_id, *labels))
    db.query("erase_order_key", (message.app_id, message.id, message.order_key))


@write()
def redact_acts(db: DbTransaction, acts: Sequence[AuditedAct], redaction: AuditedAct) -> None:
    """Replace texts of entries of the audit log, and add the entry that says so."""
    hashes: dict[str, str] = {}
    for act in acts:
        stored = db.query_one("audit_row", (act.app_id, act.id))
        if stored is None:  # it was deleted for its age
            continue
        sequence, hash_ = stored
        members = act_members(act)
        hashes[act.id] = row_hash(hash_, (sequence, *members))
        texts = [members[place] for place in _TEXTS]
        db.query("redact_act", (act.app_id, act.id, *texts, hashes[act.id]))
    if hashes:
        write_audit(db, [redaction._replace(details={"rows": hashes})])
