"""A store that can be crashed: another process would go on with what is on disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

import psycopg

from tillbell.storage.ports.database import Database
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock


class CrashableStore(Protocol):
    """A database that is opened, crashed and opened again."""

    async def begin(self) -> Database:
        """Open the first."""
        ...

    async def crash(self, old: Database) -> Database:
        """Go on with what is on disk, without a word to the process that wrote it."""
        ...


class CrashableSqlite:
    """Each crash leaves a copy of the files as they were."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self._folder = folder
        self._clock = clock
        self._number = 0

    async def begin(self) -> Database:
        """Open the first."""
        database = SqliteDatabase(self._folder / f"{self._number}.db", self._clock)
        await database.open()
        return database

    async def crash(self, old: Database) -> Database:
        """Go on with what is on disk."""
        for suffix in ("", "-wal"):
            source = self._folder / f"{self._number}.db{suffix}"
            shutil.copy(source, self._folder / f"{self._number + 1}.db{suffix}")
        self._number += 1
        database = await self.begin()
        await old.close()
        return database


class CrashablePostgres:
    """Each crash ends the old connections at the server, as when their process has died."""

    def __init__(self, url: str, clock: ManualClock) -> None:
        self._url = url
        self._clock = clock

    async def begin(self) -> Database:
        """Open the first."""
        database = PostgresDatabase(self._url, self._clock)
        await database.open()
        return database

    async def crash(self, old: Database) -> Database:
        """Go on with what is on disk."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE application_name = 'tillbell' AND pid <> pg_backend_pid()"
            )
        await old.close()
        return await self.begin()
