"""Rows of callbacks and money to records and back, as `message_rows.py` says."""

from __future__ import annotations

from collections.abc import Callable
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
    PaymentAttempt,
    Transaction,
    TransactionKind,
    TransactionStatus,
    Transition,
)
from tillbell.storage.operations.message_rows import Row, from_labels, to_labels

_MESSAGE_IDS = Callback._fields.index("message_ids")
_METADATA = Transaction._fields.index("metadata")
_PAYMENT_ATTEMPTS = Transaction._fields.index("attempts")
_TRANSITION_DETAILS = Transition._fields.index("details")
_CONFLICT_CANDIDATES = MoneyConflict._fields.index("candidates")
_AUDIT_DETAILS = AuditEntry._fields.index("details")

_object = msgspec.json.Decoder(dict[str, Any])
_attempts = msgspec.json.Decoder(tuple[PaymentAttempt, ...])


def _to_object(text: str | None) -> dict[str, Any]:
    return _object.decode(text) if text else {}


def _from_object(members: dict[str, Any]) -> str | None:
    """Write a JSON object; NULL when it is empty."""
    return msgspec.json.encode(members).decode() if members else None


def _status(text: str | None) -> TransactionStatus | None:
    return None if text is None else TransactionStatus(text)


def _with(record: Row, column: int, value: str | None) -> Row:
    return (*record[:column], value, *record[column + 1 :])


def callback(row: Row) -> Callback:
    """Read a callback."""
    callback = Callback._make(row)
    return callback._replace(
        trust=None if callback.trust is None else Trust(callback.trust),
        outcome=None if callback.outcome is None else Outcome(callback.outcome),
        message_ids=to_labels(row[_MESSAGE_IDS]),
    )


def callback_row(callback: Callback) -> Row:
    """Write a callback."""
    return _with(callback, _MESSAGE_IDS, from_labels(callback.message_ids))


def transaction(row: Row) -> Transaction:
    """Read a transaction. The hottest of these: its record is made once, without `_replace`."""
    values = list(row)
    for column, read in _TRANSACTION_READS:
        values[column] = read(values[column])
    return Transaction._make(values)


def _payment_attempts(text: str | None) -> tuple[PaymentAttempt, ...]:
    return _attempts.decode(text) if text else ()


_STATUSES: dict[str | None, TransactionStatus] = {each.value: each for each in TransactionStatus}
_TRANSACTION_READS: tuple[tuple[int, Callable[[Any], Any]], ...] = tuple(
    (Transaction._fields.index(name), read)
    for name, read in (
        ("direction", {each.value: each for each in Direction}.__getitem__),
        ("kind", {each.value: each for each in TransactionKind}.__getitem__),
        ("status", _STATUSES.__getitem__),
        ("previous_status", _STATUSES.get),
        ("metadata", _to_object),
        ("reserves", bool),
        ("if_silent", _STATUSES.get),
        ("attempts", _payment_attempts),
    )
)


def transaction_row(transaction: Transaction) -> Row:
    """Write a transaction."""
    row = list(transaction)
    row[_METADATA] = _from_object(transaction.metadata)
    attempts = transaction.attempts
    row[_PAYMENT_ATTEMPTS] = msgspec.json.encode(attempts).decode() if attempts else None
    return tuple(row)


def transition(row: Row) -> Transition:
    """Read a transition."""
    transition = Transition._make(row)
    return transition._replace(
        previous_status=_status(transition.previous_status),
        status=TransactionStatus(transition.status),
        details=_to_object(row[_TRANSITION_DETAILS]),
    )


def transition_row(transition: Transition) -> Row:
    """Write a transition."""
    return _with(transition, _TRANSITION_DETAILS, _from_object(transition.details))


def effect(row: Row) -> Effect:
    """Read an effect."""
    effect = Effect._make(row)
    return effect._replace(kind=EffectKind(effect.kind))


def conflict(row: Row) -> MoneyConflict:
    """Read a conflict."""
    conflict = MoneyConflict._make(row)
    return conflict._replace(
        status=TransactionStatus(conflict.status),
        current=TransactionStatus(conflict.current),
        candidates=to_labels(row[_CONFLICT_CANDIDATES]),
    )


def conflict_row(conflict: MoneyConflict) -> Row:
    """Write a conflict."""
    return _with(conflict, _CONFLICT_CANDIDATES, from_labels(conflict.candidates))


def audit_entry(row: Row) -> AuditEntry:
    """Read an audit entry."""
    return AuditEntry._make(row)._replace(details=_to_object(row[_AUDIT_DETAILS]))


def audit_row(entry: AuditEntry) -> Row:
    """Write an audit entry."""
    return _with(entry, _AUDIT_DETAILS, _from_object(entry.details))
