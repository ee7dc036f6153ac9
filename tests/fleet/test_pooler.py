"""Behind a pooler that hands a connection out for one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.fleet.local_fleet import APP, LocalFleet, eventually
from tests.fleet.pooler import is_up, pooled
from tests.patience import PATIENCE_S
from tillbell.clock import SystemClock
from tillbell.storage.postgres.database import PostgresDatabase

COUNT = 30


@pytest.fixture
def pooled_url(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """A database of its own behind PgBouncer."""
    with pooled(postgres_url, tmp_path) as url:
        yield url


async def test_two_gateways_work_behind_it(pooled_url: str, tmp_path: Path) -> None:
    await eventually(lambda: is_up(pooled_url))
    async with LocalFleet(pooled_url, tmp_path, database_pooler=True) as fleet:
        first, second = await fleet.start(), await fleet.start()
        await fleet.agreed(2)
        endpoints = [await fleet.endpoint(first, f"/{n}") for n in range(4)]
        view = await second.config_cache.view(APP.id)
        assert view is not None
        assert set(view.compiled_endpoints) == {endpoint.id for endpoint in endpoints}
        published = [fleet.publish(g) for g in (first, second) for _ in range(COUNT // 2)]
        messages = await asyncio.gather(*published)
        await asyncio.wait_for(fleet.receiver.wait_for(COUNT * 4), PATIENCE_S)

        assert [await fleet.attempts_of(message) for message in messages] == [4] * COUNT
        assert len(await first.database.deliveries_of_message(APP.id, messages[0].id)) == 4


async def test_nothing_is_set_on_connections_that_others_get(pooled_url: str) -> None:
    await eventually(lambda: is_up(pooled_url))
    store = PostgresDatabase(pooled_url, SystemClock(), has_pooler=True)
    await store.open()
    await store.check()
    await store.counts()
    await store.close()
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as other:
        for setting in ("default_transaction_read_only", "statement_timeout", "lock_timeout"):
            assert other.execute(f"SHOW {setting}".encode()).fetchone() in [("off",), ("0",)]
        assert other.execute("SHOW jit").fetchone() == ("on",)
