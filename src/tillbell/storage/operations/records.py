"""Records: what users configure, kept as JSON under kind, scope and id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from tillbell.errors import ConflictError, VersionConflict
from tillbell.model.records import Application, Record
from tillbell.storage.operations.inbound_retention import remove_inbound
from tillbell.storage.operations.message_reads import Reader, bounds
from tillbell.storage.ports.outbound import Page
from tillbell.storage.session.transaction import DbTransaction

R = TypeVar("R", bound=Record)


class RecordPut(NamedTuple):
    """Records to store, and the version that is there of each; 0: it must not be there."""

    records: Sequence[Record]
    expected_version: int


def put(transaction: DbTransaction, requests: Sequence[RecordPut]) -> list[None]:
    """Store records, or raise `VersionConflict` or `Conflict`."""
    transaction.lock(key for put_ in requests for record in put_.records for key in keys(record))
    for records, expected in requests:
        for record in records:
            _put(transaction, record, expected)
    return [None] * len(requests)


def keys(record: Record) -> Iterator[tuple[str, ...]]:
    """Name what storing a record decides: the record, and who has its uid."""
    kind = type(record).__name__
    yield "record", kind, record.scope, record.id
    if record.uid is not None:
        yield "record", kind, record.scope, "", record.uid


def _put(transaction: DbTransaction, record: Record, expected: int) -> None:
    if version_of(transaction, record) != expected:
        raise VersionConflict
    if is_uid_taken(transaction, record):
        raise ConflictError(f"The uid {record.uid!r} is taken.")
    store(transaction, record)


def version_of(transaction: DbTransaction, record: Record) -> int:
    """Return the version that is stored of a record, and keep it from being removed; 0: none."""
    kind = type(record)
    row = transaction.query_one("present_record", (kind.__name__, record.scope, record.id))
    return decode(kind, row[0]).version if row else 0


def is_uid_taken(transaction: DbTransaction, record: Record) -> bool:
    """Tell whether another record of its kind and scope has its uid."""
    key = type(record).__name__, record.scope, record.uid, record.id
    return record.uid is not None and transaction.query_one("record_id_of_uid", key) is not None


def store(transaction: DbTransaction, record: Record) -> None:
    """Insert or replace a record."""
    key = type(record).__name__, record.scope, record.id, record.uid
    transaction.query("put_record", (*key, msgspec.json.encode(record)))


class RecordRemoval(NamedTuple):
    """Which record goes."""

    kind: type[Record]
    scope: str
    id_: str


def remove(transaction: DbTransaction, requests: Sequence[RecordRemoval]) -> list[bool]:
    """Delete records; with an application all that is in its scope, and its books."""
    return [_remove(transaction, removal) for removal in requests]


def _remove(transaction: DbTransaction, removal: RecordRemoval) -> bool:
    row = removal.kind.__name__, removal.scope, removal.id_
    was_there = transaction.execute_each("delete_record", [row])() == 1
    if was_there and removal.kind is Application:
        transaction.query("delete_scope", (removal.id_,))
        remove_inbound(transaction, removal.id_)
    return was_there


def get(reader: Reader, kind: type[R], id_or_uid: str, scope: str | None) -> R | None:
    """Read one record."""
    if scope is None:
        found = reader("record_of_any_scope", (kind.__name__, id_or_uid))
    else:
        found = reader("record", (kind.__name__, scope, id_or_uid))
    return decode(kind, found[0][0]) if found else None


def list_(reader: Reader, kind: type[R], scope: str | None, page: Page) -> list[R]:
    """Read records in the order of their ids."""
    cut = bounds(page)
    bindings = cut.bindings | {"kind": kind.__name__, "scope": scope}
    name = "records_of_kind" if scope is None else "records_in_scope"
    return cut.in_order([decode(kind, doc) for (doc,) in reader(name, bindings, cut.ascending)])


def decode(kind: type[R], doc: bytes) -> R:
    """Read a record's JSON. Members it does not know are dropped, missing ones get defaults."""
    found: R = _decoder(kind).decode(doc)
    return found


@lru_cache(maxsize=64)
def _decoder(kind: type[Record]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
