"""Two processes of one store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.configure.processes import Process
from tillbell.storage.ports.database import Database
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock


@pytest.fixture(params=["sqlite", "postgres"])
async def processes(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[tuple[Process, Process]]:
    """Of PostgreSQL each with connections of its own; of SQLite two memories over one file."""
    databases: list[Database]
    if request.param == "postgres":
        url = request.getfixturevalue("used_schema")()
        databases = [PostgresDatabase(url, clock) for _ in range(2)]
    else:
        databases = [SqliteDatabase(tmp_path / "store.db", clock)] * 2
    opened = list(dict.fromkeys(databases))
    for database in opened:
        await database.open()
    first, second = (Process(database, clock, tmp_path) for database in databases)
    yield first, second
    for database in opened:
        await database.close()
