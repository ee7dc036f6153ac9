"""The SQLite store: one file, one writer with group commit, a few readers.

Write-ahead log and `synchronous=FULL`: what is acknowledged is on disk. A lock keeps a second
process from using the file, because a process that starts makes all leases void.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw

from tillbell.clock import Clock, Micros
from tillbell.errors import Misconfigured, StoreUnavailable
from tillbell.storage.engine.group_commit import Writer
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.operations.store import StoreMethods
from tillbell.storage.ports.database import HistoryReads
from tillbell.storage.ports.outbound import RotationReport
from tillbell.storage.session.migrate import migrate, refuse_other_schema
from tillbell.storage.session.move_marks import refuse_moved_store
from tillbell.storage.session.transaction import DbSession, Fault
from tillbell.storage.sqlite.backup import copy
from tillbell.storage.sqlite.connection import (
    SqliteConnection,
    check_version,
    open_reader,
    open_writer,
    translated,
)
from tillbell.storage.sqlite.file_lock import FileLock
from tillbell.storage.sqlite.single_process import SingleProcessCluster

READERS = 2


class SqliteDatabase(StoreMethods, SingleProcessCluster):
    """A `Database` in one SQLite file."""

    def __init__(
        self,
        path: str | Path,
        clock: Clock,
        *,
        fault: Fault = lambda _: None,
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._fault = fault
        self.on_commit: Callable[[int], object] = lambda _: None
        self.on_notification: Callable[[str], object] = lambda _: None  # nobody notifies
        self._lock: FileLock | None = None
        self._is_open = False

    @property
    def history(self) -> HistoryReads:
        return self

    async def open(self) -> None:
        """Lock the file, check versions, migrate; `Misconfigured` if one of them fails."""
        check_version(apsw.sqlite_lib_version())
        path = self._path.resolve()
        lock: FileLock | None = FileLock(path)
        try:
            self._connect(path, lambda connection: migrate(connection, "sqlite", self._clock.now()))
        except StoreUnavailable as error:
            raise Misconfigured(f"Cannot open {path}. {error}") from error
        else:
            self._lock, lock = lock, None
        finally:
            if lock is not None:
                lock.release()

    async def open_beside(self) -> None:
        """Connect without the lock; `Misconfigured` if the file is missing or of another schema."""
        check_version(apsw.sqlite_lib_version())
        path = self._path.resolve()
        if not path.is_file():
            raise Misconfigured(f"There is no database at {path}. Start `tillbell serve` first.")
        try:
            self._connect(path, lambda connection: refuse_other_schema(connection, "sqlite"))
        except StoreUnavailable as error:
            raise Misconfigured(f"Cannot open {path}. {error}") from error

    def _connect(self, path: Path, prepare: Callable[[SqliteConnection], None]) -> None:
        connection = open_writer(path)
        try:
            prepare(connection)
            refuse_moved_store(connection, path)
        finally:
            connection.close()
        self.readers = ReadPool(lambda: open_reader(path), READERS)
        session = DbSession(lambda: open_writer(path), self._pass, self._clock.now)
        self.writer = self.housekeeper = Writer(session)
        self.writer.on_commit = self.on_commit
        self._is_open = True

    def _pass(self, point: str) -> None:
        """Pass a named point. What a test raises there counts as an error of the database."""
        with translated():
            self._fault(point)

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        await self.writer.close()
        await self.readers.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def rotate(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros
    ) -> RotationReport:
        """Do nothing: one file has no partitions."""
        del bodies_before, history_before, now
        return RotationReport()

    async def backup(self, target: str) -> None:
        await asyncio.get_running_loop().run_in_executor(
            None, copy, self._path.resolve(), Path(target)
        )
