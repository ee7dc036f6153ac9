"""Reads of the books: the queries behind `InboundReads`, each on one connection of the readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, References
from tillbell.model.transactions import AuditEntry, Effect, MoneyConflict, Transaction, Transition
from tillbell.storage.operations import callback_rows
from tillbell.storage.operations.message_reads import Reader, bounds
from tillbell.storage.ports.inbound import CallbackFilter, TransactionFilter
from tillbell.storage.ports.outbound import Page
from tillbell.storage.session.connection import json_list

CANDIDATES = 50
# By which index a list is read: the numbers of `either {by}` in inbound_reads.sql.
BY_APP = 0
BY_OUTCOME, BY_REFUSAL, BY_SOURCE, BY_TRANSACTION = 1, 2, 3, 4  # callbacks
BY_STATUS, BY_USER, BY_PARENT = 1, 2, 3  # transactions
BY_BEING_OPEN, OF_TRANSACTION = 1, 2  # conflicts
BY_TARGET = 1  # audit


# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


def callback(reader: Reader, app_id: str, callback_id: str) -> Callback | None:
    """Read a callback."""
    found = reader("callback", {"app_id": app_id, "id": callback_id})
    return callback_rows.callback(found[0]) if found else None


def callback_request(reader: Reader, app_id: str, callback_id: str) -> bytes | None:
    """Read a callback's sealed bytes."""
    found = reader("callback_request", (app_id, callback_id))
    return found[0][0] if found else None


def callbacks(reader: Reader, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
    """Read a page of callbacks. Of several outcomes a page each is read, and one made of all."""
    cut = bounds(page, "cbk", filter_.after, filter_.before)
    bindings: dict[str, Any] = cut.bindings | {
        "app_id": app_id,
        "source_id": filter_.source_id,
        "provider": filter_.provider,
        "is_refused": filter_.is_refused,
        "transaction_id": filter_.transaction_id,
    }
    by = _best_of_callbacks(filter_)
    found = [
        callback_rows.callback(row)
        for outcome in ((None,) if filter_.outcomes is None else set(filter_.outcomes))
        for row in reader("callbacks", bindings | {"outcome": outcome}, cut.ascending, by)
    ]
    found.sort(key=lambda callback: callback.id, reverse=not cut.ascending)
    return cut.in_order(found[: cut.limit])


def _best_of_callbacks(filter_: CallbackFilter) -> int:
    if filter_.transaction_id is not None:
        return BY_TRANSACTION
    if filter_.is_refused:
        return BY_REFUSAL
    if filter_.outcomes is not None:
        return BY_OUTCOME
    return BY_APP if filter_.source_id is None else BY_SOURCE


def unprocessed_callbacks(reader: Reader, after: str, limit: int) -> list[Callback]:
    """Read callbacks that are not yet processed."""
    found = reader("unprocessed_callbacks", {"after": after, "limit": limit})
    return [callback_rows.callback(row) for row in found]


def callbacks_awaiting(reader: Reader, app_id: str, references: Sequence[str]) -> list[Callback]:
    """Read unmatched callbacks that wait for a reference."""
    found = reader("callbacks_awaiting", {"app_id": app_id, "references": json_list(references)})
    return [callback_rows.callback(row) for row in found]


def callbacks_to_retry(reader: Reader, now: Micros, limit: int) -> list[Callback]:
    """Read unmatched callbacks whose time has come."""
    return [
        callback_rows.callback(row)
        for row in reader("callbacks_to_retry", {"now": now, "limit": limit})
    ]


def new_item_keys(
    reader: Reader, app_id: str, source_id: str, item_keys: Sequence[str]
) -> set[str]:
    """Leave out the items that were seen."""
    bindings = {"app_id": app_id, "source_id": source_id, "item_keys": json_list(item_keys)}
    found = reader("known_item_keys", bindings)
    return set(item_keys) - {key for (key,) in found}


# ── transactions ─────────────────────────────────────────────────────────────────────────────────


def transaction(reader: Reader, app_id: str, key: str) -> Transaction | None:
    """Read a transaction by id or uid."""
    found = reader("transaction", {"app_id": app_id, "key": key})
    return callback_rows.transaction(found[0]) if found else None


def candidate_transactions(
    reader: Reader, app_id: str, source_id: str | None, references: References
) -> list[Transaction]:
    """Read what references may mean."""
    bindings = {
        "app_id": app_id,
        "source_id": source_id,
        "ours": json_list(references.ours),
        "psp": json_list(references.psp),
        "limit": CANDIDATES,
    }
    return [callback_rows.transaction(row) for row in reader("candidate_transactions", bindings)]


def linked_transactions(reader: Reader, app_id: str, transaction_id: str) -> list[Transaction]:
    """Read linked transactions."""
    return [
        callback_rows.transaction(row)
        for row in reader("linked_transactions", (app_id, transaction_id))
    ]


def transactions(
    reader: Reader, app_id: str, filter_: TransactionFilter, page: Page
) -> list[Transaction]:
    """Read a page of transactions."""
    cut = bounds(page, "trx", filter_.after, filter_.before)
    bindings: dict[str, Any] = cut.bindings | {
        "app_id": app_id,
        "status": filter_.status,
        "direction": filter_.direction,
        "kind": filter_.kind,
        "user_id": filter_.user_id,
        "parent_id": filter_.parent_id,
        "reference": filter_.reference,
    }
    if filter_.reference is not None:
        found = reader("transactions_of_reference", bindings, cut.ascending)
    else:
        found = reader("transactions", bindings, cut.ascending, _best_of_transactions(filter_))
    return cut.in_order([callback_rows.transaction(row) for row in found])


def _best_of_transactions(filter_: TransactionFilter) -> int:
    if filter_.parent_id is not None:
        return BY_PARENT
    if filter_.user_id is not None:
        return BY_USER
    return BY_APP if filter_.status is None else BY_STATUS


def transactions_to_check(reader: Reader, now: Micros, limit: int) -> list[Transaction]:
    """Read transactions that the janitor is to look at."""
    found = reader("transactions_to_check", {"now": now, "limit": limit})
    return [callback_rows.transaction(row) for row in found]


def transitions(reader: Reader, app_id: str, transaction_id: str) -> list[Transition]:
    """Read a transaction's steps."""
    return [
        callback_rows.transition(row) for row in reader("transitions", (app_id, transaction_id))
    ]


def effects(reader: Reader, app_id: str, transaction_id: str) -> list[Effect]:
    """Read a transaction's effects."""
    return [callback_rows.effect(row) for row in reader("effects", (app_id, transaction_id))]


# ── conflicts and audit ──────────────────────────────────────────────────────────────────────────


class ConflictQuery(NamedTuple):
    """Which conflicts are listed."""

    app_id: str
    page: Page
    transaction_id: str | None
    open_only: bool


def conflict(reader: Reader, app_id: str, conflict_id: str) -> MoneyConflict | None:
    """Read one conflict."""
    found = reader("conflict", (conflict_id, app_id))
    return callback_rows.conflict(found[0]) if found else None


def conflicts(reader: Reader, wanted: ConflictQuery) -> list[MoneyConflict]:
    """Read a page of conflicts."""
    cut = bounds(wanted.page)
    bindings: dict[str, Any] = cut.bindings | {
        "app_id": wanted.app_id,
        "transaction_id": wanted.transaction_id,
        "open_only": wanted.open_only,
    }
    by = BY_BEING_OPEN if wanted.open_only else BY_APP
    by = by if wanted.transaction_id is None else OF_TRANSACTION
    found = reader("conflicts", bindings, cut.ascending, by)
    return cut.in_order([callback_rows.conflict(row) for row in found])


def audit(reader: Reader, app_id: str, page: Page, target: str | None) -> list[AuditEntry]:
    """Read a page of audit entries."""
    cut = bounds(page)
    bindings = cut.bindings | {"app_id": app_id, "target": target}
    found = reader("audit", bindings, cut.ascending, BY_APP if target is None else BY_TARGET)
    return cut.in_order([callback_rows.audit_entry(row) for row in found])
