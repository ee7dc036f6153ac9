"""Record changes: the one way to store configuration.

A change is a plain function of the record as it is stored. It does not use the record in memory,
which another process may have changed a moment ago. The result is stored only over the version
that it was made from; if that version has changed meanwhile, the function is called again with
what is stored then. So of two changes at the same time neither is lost, and a record that was
removed does not come back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from tillbell.clock import Clock
from tillbell.deliver.audit import NOUNS, AuditWriter
from tillbell.errors import ConflictError, NotFound, VersionConflict
from tillbell.ids import IdMaker
from tillbell.model.endpoints import Endpoint
from tillbell.model.inboxes import Inbox
from tillbell.model.records import ApiKey, Application, EventType, Record
from tillbell.model.sources import Source
from tillbell.storage.ports.outbound import Page, Registry

R = TypeVar("R", bound=Record)

# What processes keep in memory.
CACHED: tuple[type[Record], ...] = (Application, Endpoint, EventType, ApiKey, Source, Inbox)
PAGE = 500
TRIES_MAX = 20  # of one change, while others change the same record


class ChangedRecord(NamedTuple, Generic[R]):
    """A record after a change, and before it; None: the change created it."""

    record: R
    before: R | None


class RecordChanges(ABC):
    """Stores records and keeps a cache of them up to date. Lives on one event loop.

    `on_stored` is awaited after each change of a record that processes keep in memory.
    """

    def __init__(self, registry: Registry, clock: Clock, ids: IdMaker) -> None:
        self._registry = registry
        self._clock = clock
        self._audit = AuditWriter(clock, ids)
        self._changes = 0  # counts what was put into the cache or removed from it
        self._refreshes = 0  # counts what was read again
        self.on_stored: Callable[[], Awaitable[None]] = _nothing

    @abstractmethod
    def _cache(self, record: Record) -> None:
        """Put a record into the cache, as it is stored now."""

    @abstractmethod
    def _evict(self, kind: type[Record], scope: str, id_: str) -> None:
        """Remove a record from the cache: it is not stored any more."""

    async def read_all(self, kind: type[R], scope: str | None = None) -> list[R]:
        """Read every record of a kind from the store, page by page."""
        records: list[R] = []
        while True:
            after = records[-1].id if records else None
            page = Page(limit=PAGE, iterator=after, ascending=True)
            batch = await self._registry.list(kind, scope, page)
            records += batch
            if len(batch) < PAGE:
                return records

    async def add(self, *records: Record) -> None:
        """Store new records in one commit.

        `ConflictError` if one exists already or a uid is taken; then nothing is stored.
        """
        await self._store([ChangedRecord(record, None) for record in records])

    async def change(
        self, kind: type[R], scope: str, id_or_uid: str, apply: Callable[[R], R]
    ) -> ChangedRecord[R]:
        """Change a record. `NotFound` if it does not exist.

        `apply` takes the stored record and returns the new one, or the same object if nothing is
        to change. It may raise, and it is called again if another change was faster.
        `ConflictError` if the new uid is taken, or if the record changes all the time.
        """

        def apply_to_existing(stored: R | None) -> R:
            if stored is None:
                raise NotFound
            return apply(stored)

        return await self.change_or_add(kind, scope, id_or_uid, apply_to_existing)

    async def change_or_add(
        self, kind: type[R], scope: str, id_or_uid: str, apply: Callable[[R | None], R]
    ) -> ChangedRecord[R]:
        """Change a record or create it: `apply` takes None if it does not exist."""
        for _ in range(TRIES_MAX):
            before = await self._registry.get(kind, id_or_uid, scope)
            after = apply(before)
            if after is before:
                return ChangedRecord(after, before)
            changed = self._next_version(after, before)
            try:
                await self._store([changed])
            except VersionConflict:
                continue
            except ConflictError:
                if before is None and await self._registry.get(kind, id_or_uid, scope) is not None:
                    continue  # another one has just created it
                raise
            return changed
        raise _changed_all_the_time()

    async def change_all(
        self, kind: type[R], scope: str, apply: Callable[[Sequence[R]], Iterable[R]]
    ) -> list[ChangedRecord[R]]:
        """Change or create records of a kind in one commit; return what has changed.

        `apply` takes all that are stored and returns those that are to be stored. It may raise, and
        it is called again if another change was faster.
        """
        for _ in range(TRIES_MAX):
            stored = {record.id: record for record in await self.read_all(kind, scope)}
            changes = [
                self._next_version(after, stored.get(after.id))
                for after in apply(list(stored.values()))
                if after is not stored.get(after.id)
            ]
            try:
                if changes:
                    await self._store(changes)
            except VersionConflict:
                continue
            except ConflictError:
                if await self._is_made_by_others(kind, scope, changes):
                    continue
                raise
            return changes
        raise _changed_all_the_time()

    async def _is_made_by_others(
        self, kind: type[R], scope: str, changes: Sequence[ChangedRecord[R]]
    ) -> bool:
        """Tell whether one that was to be created has been created meanwhile."""
        created = [after.uid for after, before in changes if before is None and after.uid]
        return bool({record.uid for record in await self.read_all(kind, scope)} & set(created))

    def _next_version(self, after: R, before: R | None) -> ChangedRecord[R]:
        """Return a changed record as it is stored next; a new one as it is."""
        if before is not None:
            version, now = before.version + 1, self._clock.now()
            after = msgspec.structs.replace(after, version=version, updated_at=now)
        return ChangedRecord(after, before)

    async def remove(self, kind: type[Record], id_: str, scope: str = "") -> bool:
        """Delete a record; with an application all that is in it. False if it did not exist."""
        before = await self._registry.get(kind, id_, scope) if kind in NOUNS else None
        audit = self._audit.of_change(before, None) if kind in NOUNS else None
        removed = await self._registry.remove(kind, id_, scope, audit)
        self._changes += 1
        self._evict(kind, scope, id_)
        if removed and kind in CACHED:
            await self.on_stored()
        return removed

    async def refresh(self, kind: type[Record], scope: str, id_: str) -> None:
        """Bring the cache up to date with a record that another process may have changed."""
        while True:
            before = self._changes
            record = await self._registry.get(kind, id_, scope)
            if before == self._changes:  # else the record read may be older than the cached one
                break
        self._changes += 1
        self._refreshes += 1
        if record is not None:
            self._cache(record)
        else:
            self._evict(kind, scope, id_)

    async def note_export(self, list_: str, app_id: str | None, query: dict[str, str]) -> None:
        """Write into the audit log that rows of a list are exported."""
        entry = self._audit.of_export(list_, app_id or "", query)
        await self._registry.put(audit=[entry])

    async def note_secret_read(self, record: Record) -> None:
        """Write into the audit log that a record's secret is shown."""
        entry = self._audit.of_secret_read(record)
        await self._registry.put(audit=[entry])

    async def note_test(self, record: Record, problem: str | None) -> None:
        """Write into the audit log that a record was tested, and how it ended; None: well."""
        entry = self._audit.of_test(record, problem)
        await self._registry.put(audit=[entry])

    async def _store(self, changes: Sequence[ChangedRecord[Any]]) -> None:
        """Store records in one commit, with their entries in the audit log."""
        refreshes = self._refreshes
        records = [change.record for change in changes]
        versions = [change.before.version if change.before else 0 for change in changes]
        audit = None  # what is not configuration: the request says what was done
        if any(type(record) in NOUNS for record in records):
            audit = [
                entry for after, before in changes for entry in self._audit.of_change(before, after)
            ]
        await self._registry.put(*records, expected_version=versions, audit=audit)
        self._changes += 1
        for record in records:
            self._cache(record)
        if refreshes != self._refreshes:  # what was read again meanwhile may have been newer
            for record in records:
                await self.refresh(type(record), record.scope, record.id)
        if any(type(record) in CACHED for record in records):
            await self.on_stored()


def _changed_all_the_time() -> ConflictError:
    return ConflictError("It was changed by other requests at the same time; try again.")


async def _nothing() -> None:
    """Do nothing."""
