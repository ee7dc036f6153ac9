"""JIT compiles a statement anew each time, which takes longer than each of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bench.postgres_server import PostgresServer, programs

from tests.fleet.local_fleet import eventually
from tests.fleet.pooler import is_up, pooled
from tillbell.clock import SystemClock
from tillbell.storage.engine.methods import read, read_batched, write, write_by_housekeeper
from tillbell.storage.postgres import connection as connections
from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.session.connection import DbReader

DEBIAN = Path("/usr/lib/postgresql")
EXPLAIN = "EXPLAIN (ANALYZE, FORMAT JSON) SELECT sum(n) FROM generate_series(1, 10) AS s (n)"


@pytest.fixture(scope="module")
def compiling_url() -> Iterator[str]:
    """A server that compiles all it can: Debian's, if it is installed."""
    debian = sorted(DEBIAN.glob("*/lib/llvmjit.so"))
    bin_ = debian[-1].parent.parent / "bin" if debian else programs()
    if bin_ is None:
        pytest.skip("no PostgreSQL: install the dev dependencies or postgresql")
    server = PostgresServer(bin_, "jit=on", "jit_above_cost=0")
    yield server.url()
    server.remove()


@pytest.fixture(autouse=True)
def _setting_is_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    known = connections.sql
    asked = "SELECT current_setting('jit')"
    monkeypatch.setattr(
        connections, "sql", lambda name, *f: asked if name == "jit" else known(name, *f)
    )


def _setting(db: DbReader) -> str:
    ((setting,),) = db.query("jit")
    return str(setting)


WAYS: tuple[Callable[[Any], Any], ...] = (
    read(_setting),
    read_batched(_setting),
    write(optimistic=True)(_setting),
    write()(_setting),
    write_by_housekeeper()(_setting),
)


@pytest.mark.parametrize("has_pooler", [False, True])
async def test_it_is_off_on_every_connection(
    postgres_url: str, fresh_schema: Callable[[], str], tmp_path: Path, has_pooler: bool
) -> None:
    with pooled(postgres_url, tmp_path) if has_pooler else nullcontext(postgres_url) as server:
        url = server if has_pooler else fresh_schema()
        await eventually(lambda: is_up(url))
        store = PostgresDatabase(url, SystemClock(), has_pooler=has_pooler)
        store.replica_url = url
        await store.open()
        settings = [await way(store) for way in WAYS]
        settings.append(await WAYS[0](store.history))
        await store.close()

    assert settings == ["off"] * 6


@pytest.mark.slow
def test_a_server_that_compiles_does_not_compile_ours(compiling_url: str) -> None:
    with psycopg.connect(compiling_url, autocommit=True) as other:
        ((is_available,),) = other.execute("SELECT pg_jit_available()").fetchall()
        assert _is_compiled(other) is is_available
    ours = connect_postgres(compiling_url)
    assert not _is_compiled(ours.connection)
    ours.close()


def _is_compiled(connection: psycopg.Connection[Any]) -> bool:
    return "'JIT'" in repr(connection.execute(EXPLAIN.encode()).fetchall())
