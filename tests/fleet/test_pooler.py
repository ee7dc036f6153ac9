"""Behind a pooler that hands a connection out for one transaction."""

from __future__ import annotations

import asyncio
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from bench.postgres_server import free_port

from tests.fleet.local_fleet import APP, LocalFleet, eventually
from tests.patience import PATIENCE_S
from tillbell.clock import SystemClock
from tillbell.storage.postgres.database import PostgresDatabase

COUNT = 30


@pytest.fixture
def pooled_url(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """A database of its own behind PgBouncer with two server connections."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(program).exists():
        pytest.skip("no pgbouncer: apt-get install pgbouncer")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS pooled WITH (FORCE)")
        connection.execute("CREATE DATABASE pooled")
    server, port = urlsplit(postgres_url), free_port()
    folder = tmp_path / "pooler"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\npooled = host={server.hostname} port={server.port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
        f"server_reset_query_always = 0\nuser = nobody\nlogfile = {folder}/log\n"
    )
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    assert pwd.getpwnam("nobody")
    process = subprocess.Popen([program, "-q", str(settings)], stderr=subprocess.DEVNULL)
    yield f"postgresql://postgres@127.0.0.1:{port}/pooled"
    process.terminate()
    process.wait(20)


async def _is_up(url: str) -> bool:
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


async def test_two_gateways_work_behind_it(pooled_url: str, tmp_path: Path) -> None:
    await eventually(lambda: _is_up(pooled_url))
    async with LocalFleet(pooled_url, tmp_path, database_pooler=True) as fleet:
        first, second = await fleet.start(), await fleet.start()
        await fleet.agreed(2)
        endpoints = [await fleet.endpoint(first, f"/{n}") for n in range(4)]
        for endpoint in endpoints:
            await fleet.knows(second, endpoint.id)
        published = [fleet.publish(g) for g in (first, second) for _ in range(COUNT // 2)]
        messages = await asyncio.gather(*published)
        await asyncio.wait_for(fleet.receiver.wait_for(COUNT * 4), PATIENCE_S)

        assert [await fleet.attempts_of(message) for message in messages] == [4] * COUNT
        assert len(await first.database.deliveries_of_message(APP.id, messages[0].id)) == 4


async def test_nothing_is_set_on_connections_that_others_get(pooled_url: str) -> None:
    await eventually(lambda: _is_up(pooled_url))
    store = PostgresDatabase(pooled_url, SystemClock(), has_pooler=True)
    await store.open()
    await store.check()
    await store.counts()
    await store.close()
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as other:
        for setting in ("default_transaction_read_only", "statement_timeout", "lock_timeout"):
            assert other.execute(f"SHOW {setting}".encode()).fetchone() in [("off",), ("0",)]
