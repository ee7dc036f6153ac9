"""Writes of callbacks: receive one, and take its conclusion back.

`receive` is hot: all callbacks of a commit come to it at once, and each kind of row is written in
one statement. Between two statements, and two rows that are read, SQLite's driver hands Python's
lock to the event loop, which keeps it for up to 5 ms; on PostgreSQL each result that is read is a
round trip. So it reads twice for all of them: who holds their dedupe keys, and which transactions
they may mean (`_Candidates`). The second is no part of storing a callback. It is what deciding it
begins with, and there it was one read for each, on another thread. It may be a little older than
the commit, as any read may: the decision carries the versions that it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.transactions import Transaction
from tillbell.storage.engine.methods import write, write_batched
from tillbell.storage.operations import callback_rows
from tillbell.storage.operations.callback_reads import CANDIDATES_MAX, candidate_bindings
from tillbell.storage.ports.inbound import ReceivedCallback, StoredCallback
from tillbell.storage.session.connection import Row, json_rows, without_nul
from tillbell.storage.session.transaction import DbTransaction

Key = tuple[str, str, str]  # application, source, dedupe key
ROWS_MAX = 1_000  # of `find_candidates`, as the statement says


class _DedupeKeyHolder(NamedTuple):
    """Which callback holds a dedupe key, and whether the next one may take it over."""

    callback_id: str
    is_open: bool


@write_batched()
def receive(db: DbTransaction, received: Sequence[ReceivedCallback]) -> list[StoredCallback]:
    """Store callbacks; those that are known as duplicates of the first."""
    candidates = _Candidates(db, received)
    keys = _DedupeKeys(db, [r.callback for r in received])
    new = [keys.judge(r.callback) for r in received]
    requests = [
        (callback.app_id, callback.id, r.request, r.is_bulk)
        for r, callback in zip(received, new, strict=True)
        if callback is not None and r.request is not None
    ]
    stored = [callback for callback in new if callback is not None]
    db.execute_bulk("insert_callback", [callback_rows.callback_row(c) for c in stored])
    db.rollup_delta.count_arrivals(stored)
    db.execute_bulk("insert_request", requests)
    keys.write()
    return [
        StoredCallback(callback or _stored(db, r.callback), candidates.of(number))
        for number, (r, callback) in enumerate(zip(received, new, strict=True))
    ]


class _Candidates:
    """The transactions that callbacks may mean: looked for together, before the first is stored."""

    def __init__(self, db: DbTransaction, received: Sequence[ReceivedCallback]) -> None:
        self._db = db
        self._received = received
        wanted = [row for number, r in enumerate(received) for row in _wanted_rows(number, r)]
        self._result = db.query_bulk_later("find_candidates", wanted)
        self._by_number: dict[int, dict[str, Row]] | None = None

    def of(self, number: int) -> list[Transaction]:
        """Return those of one callback, newest first."""
        if self._received[number].searched is None:
            return []
        if self._by_number is None:
            self._by_number = self._read()
        rows = self._by_number.get(number, {})
        newest = sorted(rows, reverse=True)[:CANDIDATES_MAX]
        return [callback_rows.transaction(rows[id_]) for id_ in newest]

    def _read(self) -> dict[int, dict[str, Row]]:
        rows = self._result.rows()
        if len(rows) >= ROWS_MAX:  # some may be missing: ask for each
            rows = [row for number in range(len(self._received)) for row in self._rows_of(number)]
        by_number: dict[int, dict[str, Row]] = {}
        for number, *row in rows:
            by_number.setdefault(number, {})[row[0]] = tuple(row)
        return by_number

    def _rows_of(self, number: int) -> Iterator[Row]:
        callback, references = self._received[number].callback, self._received[number].searched
        if references is not None:
            bindings = candidate_bindings(callback.app_id, callback.source_id, references)
            for row in self._db.query("candidate_transactions", bindings):
                yield number, *row


def _wanted_rows(number: int, received: ReceivedCallback) -> Iterator[Row]:
    """Name what is looked for: the callback's number, whose it is, a reference, whether ours."""
    callback, references = received.callback, received.searched
    if references is not None:
        for is_ours, names in ((1, references.ours), (0, references.psp)):
            for name in names:
                yield number, callback.app_id, callback.source_id, without_nul(name), is_ours


class _DedupeKeys:
    """Dedupe keys that are held: on disk, or since earlier in this run."""

    def __init__(self, db: DbTransaction, callbacks: Sequence[Callback]) -> None:
        self._db = db
        self._taken: list[tuple[str, str, str, str, Micros]] = []
        self._displaced: list[tuple[str, str]] = []
        keys = sorted({key for callback in callbacks if (key := _key(callback)) is not None})
        db.lock(("dedupe key", *key) for key in keys)
        rows = db.query("dedupe_key_owners", {"keys": json_rows(keys)}) if keys else []
        self._holders: dict[Key, _DedupeKeyHolder] = {
            (app_id, source_id, key): _DedupeKeyHolder(callback_id, bool(is_open))
            for app_id, source_id, key, callback_id, is_open in rows
        }

    def judge(self, callback: Callback) -> Callback | None:
        """Return a callback as it is to be stored, and note the key it takes.

        None: it is stored already, and was sent again because its commit was not acknowledged.
        """
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
            return None
        return callback._replace(
            outcome=Outcome.DUPLICATE,
            why=f"The same callback was received before: {holder.callback_id}.",
            duplicate_of=holder.callback_id,
            processed_at=callback.received_at,
        )

    def write(self) -> None:
        """Store who holds the keys now. An earlier holder stops waiting: the new one says more."""
        self._db.execute_bulk("put_dedupe_key", self._taken)
        for name in ("clear_callback_retry", "delete_callback_waits"):
            self._db.execute_each(name, self._displaced)


def _key(callback: Callback) -> Key | None:
    """Return the key that a callback takes; one that comes with an outcome takes none."""
    if callback.dedupe_key is None or callback.outcome is not None:
        return None
    return callback.app_id, callback.source_id, callback.dedupe_key


def _stored(db: DbTransaction, callback: Callback) -> Callback:
    (row,) = db.query("callback", {"id": callback.id, "app_id": callback.app_id})
    return callback_rows.callback(row)


@write()
def replace_requests(db: DbTransaction, requests: Sequence[tuple[str | None, str, bytes]]) -> None:
    """Store requests that were sealed anew."""
    db.execute_each("replace_request", list(requests))


@write()
def expunge_callback(db: DbTransaction, app_id: str, callback_id: str) -> bool:
    """Delete the request of a callback."""
    return db.execute_each("delete_request", [(app_id, callback_id)]).rowcount > 0


@write()
def reopen_callback(db: DbTransaction, app_id: str, callback_id: str) -> bool:
    """Take a callback's conclusion back; False if it has none."""
    db.lock([("callback", callback_id)])
    key = db.query_one("reopen_callback", (app_id, callback_id))
    if key is None:
        return False
    db.query("delete_callback_waits", (app_id, callback_id))
    db.query("open_dedupe_key", (app_id, *key, callback_id, False))
    return True
