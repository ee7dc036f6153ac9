"""Reads of callbacks and money: the port's `InboundReads`, promised there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, References, Repeats
from tillbell.model.transactions import AuditEntry, Effect, MoneyConflict, Transaction, Transition
from tillbell.storage.engine.methods import read, read_batched
from tillbell.storage.operations import callback_rows
from tillbell.storage.operations.pages import page_bounds
from tillbell.storage.ports.inbound import CallbackFilter, TransactionFilter
from tillbell.storage.ports.outbound import Page
from tillbell.storage.session.connection import DbReader, json_list

CANDIDATES_MAX = 50

# ── callbacks ────────────────────────────────────────────────────────────────────────────────────


@read_batched
def callback(db: DbReader, app_id: str, callback_id: str) -> Callback | None:
    """Read a callback."""
    rows = db.query("callback", {"app_id": app_id, "id": callback_id})
    return next(map(callback_rows.callback, rows), None)


@read_batched
def callback_request(db: DbReader, app_id: str, callback_id: str) -> bytes | None:
    """Read a callback's sealed request."""
    rows = db.query("callback_request", (app_id, callback_id))
    return next((request for (request,) in rows), None)


@read
def callbacks(db: DbReader, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
    """Read a page of callbacks: of several outcomes a page each, which are merged."""
    bounds = page_bounds(page, "cbk", filter_.after, filter_.before)
    bindings: dict[str, Any] = bounds.bindings | {
        "app_id": app_id,
        "source_id": filter_.source_id,
        "provider": filter_.provider,
        "is_refused": filter_.is_refused,
        "transaction_id": filter_.transaction_id,
    }
    index = _index_of_callbacks(filter_)
    merged = [
        callback_rows.callback(row)
        for outcome in ((None,) if filter_.outcomes is None else set(filter_.outcomes))
        for row in db.query("callbacks", bindings | {"outcome": outcome}, bounds.order, index)
    ]
    merged.sort(key=lambda callback: callback.id, reverse=bounds.order == "descending")
    return bounds.in_list_order(merged[: bounds.limit])


def _index_of_callbacks(filter_: CallbackFilter) -> str:
    if filter_.transaction_id is not None:
        return "by_transaction"
    if filter_.is_refused:
        return "by_refusal"
    if filter_.outcomes is not None:
        return "by_outcome"
    return "by_app" if filter_.source_id is None else "by_source"


@read
def sealed_requests(db: DbReader, after: str, limit: int) -> list[tuple[str | None, str, bytes]]:
    """Read sealed requests."""
    rows = db.query("sealed_requests", (after, limit))
    return [(app_id, callback_id, request) for app_id, callback_id, request in rows]


@read
def unprocessed_callbacks(db: DbReader, after: str, limit: int) -> list[Callback]:
    """Read callbacks that are not yet processed."""
    rows = db.query("unprocessed_callbacks", {"after": after, "limit": limit})
    return [callback_rows.callback(row) for row in rows]


@read_batched
def callbacks_awaiting(db: DbReader, app_id: str, references: Sequence[str]) -> list[Callback]:
    """Read unmatched callbacks that wait for a reference."""
    rows = db.query("callbacks_awaiting", {"app_id": app_id, "references": json_list(references)})
    return [callback_rows.callback(row) for row in rows]


@read
def callbacks_to_retry(db: DbReader, now: Micros, limit: int) -> list[Callback]:
    """Read unmatched callbacks whose time has come."""
    rows = db.query("callbacks_to_retry", {"now": now, "limit": limit})
    return [callback_rows.callback(row) for row in rows]


@read_batched
def new_item_keys(db: DbReader, app_id: str, source_id: str, item_keys: Sequence[str]) -> set[str]:
    """Leave out the item keys that are known."""
    bindings = {"app_id": app_id, "source_id": source_id, "item_keys": json_list(item_keys)}
    return set(item_keys) - {key for (key,) in db.query("known_item_keys", bindings)}


# ── transactions ─────────────────────────────────────────────────────────────────────────────────


@read_batched
def transaction(db: DbReader, app_id: str, id_or_uid: str) -> Transaction | None:
    """Read a transaction."""
    rows = db.query("transaction", {"app_id": app_id, "key": id_or_uid})
    return next(map(callback_rows.transaction, rows), None)


@read_batched
def candidate_transactions(
    db: DbReader, app_id: str, source_id: str | None, references: References
) -> list[Transaction]:
    """Read the transactions that references may mean."""
    bindings = candidate_bindings(app_id, source_id, references)
    return [callback_rows.transaction(row) for row in db.query("candidate_transactions", bindings)]


def candidate_bindings(
    app_id: str | None, source_id: str | None, references: References
) -> dict[str, Any]:
    """Return the bindings of `candidate_transactions`."""
    return {
        "app_id": app_id,
        "source_id": source_id,
        "ours": json_list(references.ours),
        "psp": json_list(references.psp),
        "limit": CANDIDATES_MAX,
    }


@read
def repeats(db: DbReader, app_id: str, callback_ids: Sequence[str]) -> dict[str, Repeats]:
    """Read how often callbacks were repeated."""
    rows = db.query("repeats", {"app_id": app_id, "callbacks": json_list(callback_ids)})
    return {id_: Repeats(count, last_at) for id_, count, last_at in rows}


@read_batched
def linked_transactions(db: DbReader, app_id: str, transaction_id: str) -> list[Transaction]:
    """Read linked transactions."""
    rows = db.query("linked_transactions", (app_id, transaction_id))
    return [callback_rows.transaction(row) for row in rows]


@read
def transactions(
    db: DbReader, app_id: str, filter_: TransactionFilter, page: Page
) -> list[Transaction]:
    """Read a page of transactions."""
    return transactions_of(db, app_id, filter_, page)


def transactions_of(
    db: DbReader, app_id: str, filter_: TransactionFilter, page: Page
) -> list[Transaction]:
    """Read a page of an application's transactions."""
    bounds = page_bounds(page, "trx", filter_.after, filter_.before)
    bindings: dict[str, Any] = bounds.bindings | {
        "app_id": app_id,
        "status": filter_.status,
        "direction": filter_.direction,
        "kind": filter_.kind,
        "user_id": filter_.user_id,
        "parent_id": filter_.parent_id,
        "reference": filter_.reference,
    }
    if filter_.reference is not None:
        rows = db.query("transactions_of_reference", bindings, bounds.order)
    else:
        rows = db.query("transactions", bindings, bounds.order, _index_of_transactions(filter_))
    return bounds.in_list_order([callback_rows.transaction(row) for row in rows])


def _index_of_transactions(filter_: TransactionFilter) -> str:
    if filter_.parent_id is not None:
        return "by_parent"
    if filter_.user_id is not None:
        return "by_user"
    return "by_app" if filter_.status is None else "by_status"


@read
def transactions_to_check(db: DbReader, now: Micros, limit: int) -> list[Transaction]:
    """Read transactions whose status check is due."""
    rows = db.query("transactions_to_check", {"now": now, "limit": limit})
    return [callback_rows.transaction(row) for row in rows]


@read_batched
def transitions(db: DbReader, app_id: str, transaction_id: str) -> list[Transition]:
    """Read a transaction's transitions."""
    rows = db.query("transitions", (app_id, transaction_id))
    return [callback_rows.transition(row) for row in rows]


@read_batched
def effects(db: DbReader, app_id: str, transaction_id: str) -> list[Effect]:
    """Read a transaction's effects."""
    return [callback_rows.effect(row) for row in db.query("effects", (app_id, transaction_id))]


# ── conflicts and audit ──────────────────────────────────────────────────────────────────────────


@read_batched
def conflict(db: DbReader, app_id: str, conflict_id: str) -> MoneyConflict | None:
    """Read a conflict."""
    return next(map(callback_rows.conflict, db.query("conflict", (conflict_id, app_id))), None)


@read
def conflicts(
    db: DbReader,
    app_id: str,
    page: Page,
    transaction_id: str | None = None,
    *,
    open_only: bool = False,
) -> list[MoneyConflict]:
    """Read a page of conflicts."""
    bounds = page_bounds(page)
    bindings: dict[str, Any] = bounds.bindings | {
        "app_id": app_id,
        "transaction_id": transaction_id,
        "open_only": open_only,
    }
    index = "by_being_open" if open_only else "by_app"
    if transaction_id is not None:
        index = "by_transaction"
    rows = db.query("conflicts", bindings, bounds.order, index)
    return bounds.in_list_order([callback_rows.conflict(row) for row in rows])


@read
def audit(db: DbReader, app_id: str, page: Page, target: str | None = None) -> list[AuditEntry]:
    """Read a page of audit entries."""
    bounds = page_bounds(page)
    bindings = bounds.bindings | {"app_id": app_id, "target": target}
    index = "by_app" if target is None else "by_target"
    rows = db.query("audit", bindings, bounds.order, index)
    return bounds.in_list_order([callback_rows.audit_entry(row) for row in rows])
