"""Records: what users configure, kept as JSON under kind, scope and id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from tillbell.errors import ConflictError, VersionConflict
from tillbell.model.audit import AuditedAct
from tillbell.model.endpoints import Endpoint, EndpointHealth
from tillbell.model.inboxes import Inbox
from tillbell.model.records import Application, Record
from tillbell.model.shop import ShopRecord
from tillbell.storage.engine.methods import read, read_batched, write
from tillbell.storage.operations.audit_log import write_audit
from tillbell.storage.operations.inboxes import remove_application_inboxes, remove_inbox
from tillbell.storage.operations.pages import page_bounds
from tillbell.storage.operations.retention import remove_inbound
from tillbell.storage.operations.statistics import (
    remove_application_rollups,
    remove_endpoint_rollups,
)
from tillbell.storage.ports.outbound import ALL, Page
from tillbell.storage.session.connection import DbReader, json_list, json_rows
from tillbell.storage.session.transaction import DbTransaction

R = TypeVar("R", bound=Record)


class _RecordStatements(NamedTuple):
    """The statements of one table of records."""

    get: str
    of_any_scope: str
    id_of_uid: str
    in_scope: str
    of_kind: str
    present: str
    delete: str


_CONFIGURED = _RecordStatements(
    get="record",
    of_any_scope="record_of_any_scope",
    id_of_uid="record_id_of_uid",
    in_scope="records_in_scope",
    of_kind="records_of_kind",
    present="present_record",
    delete="delete_record",
)
_OF_SHOP = _RecordStatements(
    get="shop_record",
    of_any_scope="shop_record_of_any_scope",
    id_of_uid="shop_record_id_of_uid",
    in_scope="shop_records_in_scope",
    of_kind="shop_records_of_kind",
    present="present_shop_record",
    delete="delete_shop_record",
)


def _statements(kind: type[Record]) -> _RecordStatements:
    """Return the statements of the table that holds a kind."""
    return _OF_SHOP if issubclass(kind, ShopRecord) else _CONFIGURED


@write()
def put(
    db: DbTransaction,
    *records: Record,
    expected_version: int | Sequence[int] = 0,
    audit: Sequence[AuditedAct] | None = None,
) -> None:
    """Store records, or raise `VersionConflict` or `ConflictError`."""
    db.lock(key for record in records for key in keys(record))
    if isinstance(expected_version, int):
        expected_version = [expected_version] * len(records)
    for record, version in zip(records, expected_version, strict=True):
        if version_of(db, record) != version:
            raise VersionConflict
        if is_uid_taken(db, record):
            raise ConflictError(f"The uid {record.uid!r} is taken.")
        store(db, record)
    if audit is not None:
        write_audit(db, audit)


@read
def ids_named(db: DbReader, kind: type[Record], id_or_uid: str) -> list[str]:
    """Read the ids of records in all applications."""
    statements = _statements(kind)
    if db.query(statements.of_any_scope, (kind.__name__, id_or_uid)):
        return [id_or_uid]
    return [
        str(id_)
        for (app_id,) in db.query("application_ids")
        for (id_,) in db.query(statements.id_of_uid, (kind.__name__, app_id, id_or_uid, ""))
    ]


def keys(record: Record) -> Iterator[tuple[str, ...]]:
    """Name what storing a record decides: the record, and who has its uid."""
    kind = type(record).__name__
    yield "record", kind, record.scope, record.id
    if record.uid is not None:
        yield uid_key(type(record), record.scope, record.uid)


def uid_key(kind: type[Record], scope: str, uid: str) -> tuple[str, ...]:
    """Name who has a uid."""
    return "record", kind.__name__, scope, "", uid


def version_of(db: DbTransaction, record: Record) -> int:
    """Return the version that is stored of a record, and keep it from being removed; 0: none."""
    kind = type(record)
    row = db.query_one(_statements(kind).present, (kind.__name__, record.scope, record.id))
    return decode(kind, row[0]).version if row else 0


def is_uid_taken(db: DbTransaction, record: Record) -> bool:
    """Tell whether another record of its kind and scope has its uid."""
    key = type(record).__name__, record.scope, record.uid, record.id
    statement = _statements(type(record)).id_of_uid
    return record.uid is not None and db.query_one(statement, key) is not None


class StoredRecordStates:
    """Of records that are to be written: which version is stored, and who has their uids.

    The shop's records are read with one statement for all of a kind.
    """

    def __init__(self, db: DbTransaction, records: Sequence[Record]) -> None:
        self._db = db
        self._versions: dict[tuple[type[Record], str, str], int] = {}
        self._holders: dict[tuple[type[Record], str, str], str] = {}
        groups: dict[tuple[type[ShopRecord], str], list[ShopRecord]] = {}
        for record in records:
            if isinstance(record, ShopRecord):
                groups.setdefault((type(record), record.scope), []).append(record)
        for (kind, scope), of_kind in groups.items():
            self._read(kind, scope, of_kind)

    def _read(self, kind: type[ShopRecord], scope: str, records: Sequence[ShopRecord]) -> None:
        key = {"kind": kind.__name__, "scope": scope}
        ids = key | {"ids": json_list(record.id for record in records)}
        uids = key | {"uids": json_list(record.uid for record in records if record.uid is not None)}
        for id_, doc in self._db.query("present_shop_records", ids):
            self._versions[kind, scope, str(id_)] = decode(kind, doc).version
        for uid, id_ in self._db.query("shop_record_ids_of_uids", uids):
            self._holders[kind, scope, str(uid)] = str(id_)

    def version_of(self, record: Record) -> int:
        """Return the stored version of a record; 0: there is none."""
        if not isinstance(record, ShopRecord):
            return version_of(self._db, record)
        return self._versions.get((type(record), record.scope, record.id), 0)

    def is_uid_taken(self, record: Record) -> bool:
        """Tell whether another record of its kind and scope has its uid."""
        if not isinstance(record, ShopRecord):
            return is_uid_taken(self._db, record)
        key = type(record), record.scope, record.uid or ""
        return self._holders.get(key, record.id) != record.id


def store(db: DbTransaction, *records: Record) -> None:
    """Insert or replace records."""
    _store_shop_records(db, (record for record in records if isinstance(record, ShopRecord)))
    for record in records:
        if not isinstance(record, ShopRecord):
            key = type(record).__name__, record.scope, record.id, record.uid
            db.query("put_record", (*key, msgspec.json.encode(record)))


def _store_shop_records(db: DbTransaction, records: Iterable[ShopRecord]) -> None:
    """Store records with times of change after all others of their kind.

    So what is committed later stands later in the list, and who follows it misses nothing.
    """
    last: dict[tuple[str, str], int] = {}  # change of an application and kind
    rows = []
    for record in records:
        of_kind = record.scope, type(record).__name__
        if of_kind not in last:
            row = db.query_one("last_shop_change", of_kind)
            last[of_kind] = row[0] if row is not None else -1
        last[of_kind] = max(record.updated_at, last[of_kind] + 1)
        placed = msgspec.structs.replace(record, updated_at=last[of_kind])
        key = type(record).__name__, record.scope, record.id, record.uid
        rows.append((*key, placed.updated_at, *record.columns, msgspec.json.encode(placed)))
    if rows:
        db.execute_bulk("put_shop_record", rows)


@write()
def remove(
    db: DbTransaction,
    kind: type[Record],
    id_: str,
    scope: str = "",
    audit: Sequence[AuditedAct] | None = None,
) -> bool:
    """Delete a record; with an application also all that is in its scope or came in for it."""
    was_there = delete(db, kind, id_, scope)
    if was_there and kind is Application:
        db.query("delete_scope", (id_,))
        db.query("remove_shop_records", (id_,))
        remove_inbound(db, id_)
        remove_application_rollups(db, id_)
        remove_application_inboxes(db, id_)
    if was_there and kind is Inbox:
        remove_inbox(db, id_)
    if was_there and kind is Endpoint:
        remove_endpoint_rollups(db, scope, id_)
    if audit is not None:
        write_audit(db, audit if was_there else ())
    return was_there


def delete(db: DbTransaction, kind: type[Record], id_: str, scope: str) -> bool:
    """Delete a record alone; True if it was there."""
    return db.execute_each(_statements(kind).delete, [(kind.__name__, scope, id_)]).rowcount == 1


@read_batched
def get(db: DbReader, kind: type[R], id_or_uid: str, scope: str | None = "") -> R | None:
    """Read one record."""
    if scope is None:
        rows = db.query(_statements(kind).of_any_scope, (kind.__name__, id_or_uid))
    else:
        rows = db.query(_statements(kind).get, (kind.__name__, scope, id_or_uid))
    return next((decode(kind, doc) for (doc,) in rows), None)


@read
def get_many(db: DbReader, kind: type[R], keys: Sequence[tuple[str, str]]) -> dict[str, R]:
    """Read records with one statement."""
    rows = db.query("records_named", {"kind": kind.__name__, "keys": json_rows(keys)})
    return {str(id_): decode(kind, doc) for id_, doc in rows}


@read
def list_(db: DbReader, kind: type[R], scope: str | None = "", page: Page = ALL) -> list[R]:
    """Read records in the order of their ids."""
    bounds = page_bounds(page)
    bindings = bounds.bindings | {"kind": kind.__name__, "scope": scope}
    statements = _statements(kind)
    name = statements.of_kind if scope is None else statements.in_scope
    rows = db.query(name, bindings, bounds.order)
    return bounds.in_list_order([decode(kind, doc) for (doc,) in rows])


@read
def failing_endpoints(db: DbReader, scope: str | None, page: Page) -> list[EndpointHealth]:
    """Read the health of endpoints that are failing, in the order of their ids."""
    bounds = page_bounds(page)
    rows = db.query("failing_endpoints", bounds.bindings | {"scope": scope}, bounds.order)
    return bounds.in_list_order([decode(EndpointHealth, doc) for (doc,) in rows])


def decode(kind: type[R], doc: bytes) -> R:
    """Read a record's JSON. Members it does not know are dropped, missing ones get defaults."""
    record: R = _decoder(kind).decode(doc)
    return record


@lru_cache(maxsize=64)
def _decoder(kind: type[Record]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
