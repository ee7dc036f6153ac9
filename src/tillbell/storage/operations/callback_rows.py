"""Rows of the books to nouns and back. Columns are in the order of `sql/columns.sql`."""

from __future__ import annotations

from typing import Any

import msgspec

from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.sources import Trust
from tillbell.model.transactions import (
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
from tillbell.storage.operations.message_rows import Row, from_labels, to_labels

_METADATA = Transaction._fields.index("metadata")
_RESERVES = Transaction._fields.index("reserves")

_object = msgspec.json.Decoder(dict[str, Any])


def _to_object(text: str | None) -> dict[str, Any]:
    return _object.decode(text) if text else {}


def _from_object(members: dict[str, Any]) -> str | None:
    """Write a JSON object; NULL when it is empty."""
    return msgspec.json.encode(members).decode() if members else None


def _status(text: str | None) -> TransactionStatus | None:
    return None if text is None else TransactionStatus(text)


def callback(row: Row) -> Callback:
    """Read a callback."""
    found = Callback._make(row)
    return found._replace(
        trust=None if found.trust is None else Trust(found.trust),
        outcome=None if found.outcome is None else Outcome(found.outcome),
        message_ids=to_labels(row[14]),
    )


def callback_row(callback: Callback) -> Row:
    """Write a callback."""
    return (*callback[:14], from_labels(callback.message_ids), *callback[15:])


def transaction(row: Row) -> Transaction:
    """Read a transaction."""
    found = Transaction._make(row)
    return found._replace(
        direction=Direction(found.direction),
        kind=TransactionKind(found.kind),
        status=TransactionStatus(found.status),
        previous_status=_status(found.previous_status),
        metadata=_to_object(row[_METADATA]),
        reserves=bool(found.reserves),
        if_silent=_status(found.if_silent),
    )


def transaction_row(transaction: Transaction) -> Row:
    """Write a transaction."""
    rest = transaction[_RESERVES:]
    return (*transaction[:_METADATA], _from_object(transaction.metadata), *rest)


def transition(row: Row) -> Transition:
    """Read a step."""
    previous, status = _status(row[2]), TransactionStatus(row[3])
    return Transition._make((*row[:2], previous, status, *row[4:-1], _to_object(row[-1])))


def transition_row(transition: Transition) -> Row:
    """Write a step."""
    return (*transition[:-1], _from_object(transition.details))


def effect(row: Row) -> Effect:
    """Read an effect."""
    return Effect._make((row[0], EffectKind(row[1]), *row[2:]))


def conflict(row: Row) -> MoneyConflict:
    """Read a conflict."""
    return MoneyConflict._make(
        (*row[:3], TransactionStatus(row[3]), TransactionStatus(row[4]), *row[5:])
    )


def audit_entry(row: Row) -> AuditEntry:
    """Read an audit entry."""
    return AuditEntry._make((*row[:-1], _to_object(row[-1])))


def audit_row(entry: AuditEntry) -> Row:
    """Write an audit entry."""
    return (*entry[:-1], _from_object(entry.details))
