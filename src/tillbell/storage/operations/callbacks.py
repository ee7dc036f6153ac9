"""The writes of what comes in: receive, and take a conclusion back.

Each function does the work of one run inside the writer's transaction: all of it, or it raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, Outcome
from tillbell.storage.operations import callback_rows
from tillbell.storage.ports.inbound import ReceivedCallback
from tillbell.storage.session.connection import json_rows
from tillbell.storage.session.transaction import DbTransaction

Key = tuple[str, str, str]  # application, source, dedupe key


class _DedupeKeyHolder(NamedTuple):
    """Which callback holds a dedupe key, and whether the next one may take it over."""

    callback_id: str
    is_open: bool


def receive(transaction: DbTransaction, arrivals: Sequence[ReceivedCallback]) -> list[Callback]:
    """Store callbacks; those that are known as duplicates of the first."""
    keys = _DedupeKeys(transaction, [arrival.callback for arrival in arrivals])
    judged = [keys.judge(arrival.callback) for arrival in arrivals]
    requests = [
        (callback.app_id, callback.id, arrival.request, arrival.is_bulk)
        for arrival, callback in zip(arrivals, judged, strict=True)
        if callback is not None and arrival.request is not None
    ]
    fresh = [callback_rows.callback_row(callback) for callback in judged if callback is not None]
    transaction.execute_bulk("insert_callback", fresh)
    transaction.execute_bulk("insert_request", requests)
    keys.write()
    return [
        callback or _stored(transaction, arrival.callback)
        for arrival, callback in zip(arrivals, judged, strict=True)
    ]


class _DedupeKeys:
    """Dedupe keys that are held: on disk, or since earlier in this run."""

    def __init__(self, transaction: DbTransaction, callbacks: Sequence[Callback]) -> None:
        self._transaction = transaction
        self._taken: list[tuple[str, str, str, str, Micros]] = []
        self._displaced: list[tuple[str, str]] = []
        wanted = sorted({key for callback in callbacks if (key := _key(callback)) is not None})
        transaction.lock(("dedupe key", *key) for key in wanted)
        keys = {"keys": json_rows(wanted)}
        found = transaction.query("dedupe_key_owners", keys) if wanted else []
        self._holders = {tuple(row[:3]): _DedupeKeyHolder(row[3], bool(row[4])) for row in found}

    def judge(self, callback: Callback) -> Callback | None:
        """Return it as it is to be stored, and note what it takes; None: it is stored already."""
        key = _key(callback)
        if key is None:
            return callback
        holder = self._holders.get(key)
        if holder is None or holder.is_open:
            self._holders[key] = _DedupeKeyHolder(callback.id, is_open=False)
            self._taken.append((*key, callback.id, callback.received_at))
            self._displaced += [(callback.app_id, holder.callback_id)] if holder else []
            return callback
        if holder.callback_id == callback.id:
            return None  # the same write again, after an unknown commit
        return callback._replace(
            outcome=Outcome.DUPLICATE,
            why=f"The same was received before: {holder.callback_id}.",
            duplicate_of=holder.callback_id,
            processed_at=callback.received_at,
        )

    def write(self) -> None:
        """Hand the keys over. Whoever had one before waits no longer: the new one has its news."""
        self._transaction.execute_bulk("put_dedupe_key", self._taken)
        for name in ("clear_callback_retry", "delete_callback_waits"):
            self._transaction.execute_each(name, self._displaced)


def _key(callback: Callback) -> Key | None:
    """Return the key that a callback takes; one that comes with an outcome takes none."""
    if callback.dedupe_key is None or callback.outcome is not None:
        return None
    return callback.app_id, callback.source_id, callback.dedupe_key


def _stored(transaction: DbTransaction, callback: Callback) -> Callback:
    (row,) = transaction.query("callback", {"id": callback.id, "app_id": callback.app_id})
    return callback_rows.callback(row)


def reopen_callback(transaction: DbTransaction, requests: Sequence[tuple[str, str]]) -> list[bool]:
    """Take conclusions back, of callbacks as (application, id); False where there is none."""
    return [_reopen(transaction, callback) for callback in requests]


def _reopen(transaction: DbTransaction, callback: tuple[str, str]) -> bool:
    app_id, id_ = callback
    transaction.lock([("callback", id_)])
    key = transaction.query_one("reopen_callback", callback)
    if key is None:
        return False
    transaction.query("delete_callback_waits", callback)
    transaction.query("open_dedupe_key", (app_id, *key, id_, False))
    return True
