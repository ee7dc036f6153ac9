"""The store under test. A second database joins by a name and a line here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests import stores
from tests.store.crashable_store import CrashablePostgres, CrashableSqlite, CrashableStore
from tests.store.inbound_harness import InboundHarness
from tests.store.outbound_harness import OutboundHarness
from tillbell.storage.ports.database import Database
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

STORES = ("sqlite", "postgres")


@pytest.fixture
def make_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Callable[[str], Database]:
    """Make an empty store of that name."""

    def make(name: str) -> Database:
        if name == "postgres":
            return PostgresDatabase(request.getfixturevalue("used_schema")(), clock)
        stores.copy_tables(tmp_path / stores.FILE)
        return SqliteDatabase(tmp_path / stores.FILE, clock)

    return make


@pytest.fixture
def make_crashable(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Callable[[str], CrashableStore]:
    """Make an empty store of that name that can be crashed."""

    def make(name: str) -> CrashableStore:
        if name == "postgres":
            return CrashablePostgres(request.getfixturevalue("used_schema")(), clock)
        return CrashableSqlite(tmp_path, clock)

    return make


@pytest.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, make_store: Callable[[str], Database]
) -> AsyncIterator[Database]:
    database = make_store(request.param)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def outbound(store: Database, clock: ManualClock) -> OutboundHarness:
    return OutboundHarness(store, clock)


@pytest.fixture
def inbound(outbound: OutboundHarness) -> InboundHarness:
    return InboundHarness(outbound)
