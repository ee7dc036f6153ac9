"""PgBouncer, which hands a connection out for one transaction."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from bench.postgres_server import free_port

from tests.memory import MEMORY
from tests.patience import PATIENCE_S


@contextlib.contextmanager
def pooled(server_url: str, folder: Path) -> Iterator[str]:
    """A database of its own behind PgBouncer with two server connections."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(program).exists():
        pytest.skip("no pgbouncer: apt-get install pgbouncer")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS pooled WITH (FORCE)")
        connection.execute("CREATE DATABASE pooled")
    server, port = urlsplit(server_url), free_port()
    home = folder / "pooler"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    settings = home / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\npooled = host={server.hostname} port={server.port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
        f"server_reset_query_always = 0\nuser = nobody\nlogfile = {home}/log\n"
    )
    for parent in (folder, *folder.parents[:3]):
        if parent not in (Path("/"), Path("/tmp"), MEMORY):
            parent.chmod(parent.stat().st_mode | 0o011)
    assert pwd.getpwnam("nobody")
    process = subprocess.Popen([program, "-q", str(settings)], stderr=subprocess.DEVNULL)
    yield f"postgresql://postgres@127.0.0.1:{port}/pooled"
    process.terminate()
    process.wait(PATIENCE_S)


async def is_up(url: str) -> bool:
    """Tell whether a server or pooler answers."""
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False
