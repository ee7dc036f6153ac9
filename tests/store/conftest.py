"""The store under test. A second database joins by a name and a line here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.till import Till
from tests.store.world import World
from tillbell.storage.database import Database
from tillbell.storage.sqlite import SqliteDatabase
from tillbell.testing import ManualClock, MemoryStore

STORES = ("sqlite", "memory")


def make_store(name: str, folder: Path, clock: ManualClock) -> Database:
    if name == "memory":
        return MemoryStore()
    return SqliteDatabase(folder / "tillbell.db", clock)


@pytest.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Database]:
    database = make_store(request.param, tmp_path, clock)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def world(store: Database, clock: ManualClock) -> World:
    return World(store, clock)


@pytest.fixture
def till(world: World) -> Till:
    return Till(world)
