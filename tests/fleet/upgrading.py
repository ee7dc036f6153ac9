"""The version after this one: the same program with one more migration."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg

import tillbell
from tests.cli.conftest import Served, serve
from tests.fleet.local_fleet import KEY
from tillbell.storage.session.migrate import known_migrations

ADMIN = "tb_upgrade_key_0123456789abcdefgh"
NEXT = len(known_migrations("postgres")) + 1
# What a `pre` migration may do to tables that the old program is writing.
_MADE_UP = """
ALTER TABLE messages ADD COLUMN made_up text;
ALTER TABLE deliveries ADD COLUMN made_up text;
ALTER TABLE attempts ADD COLUMN made_up text DEFAULT 'none';
ALTER TABLE records ADD COLUMN made_up text;
ALTER TABLE members ADD COLUMN made_up text;
CREATE TABLE made_up (id text NOT NULL PRIMARY KEY);
"""


def next_version(folder: Path) -> Path:
    """Write the next version's program; return where Python finds it."""
    shutil.copytree(Path(tillbell.__file__).parent, folder / "tillbell")
    migrations = folder / "tillbell" / "storage" / "postgres" / "migrations"
    (migrations / f"{NEXT:04}_pre_made_up.sql").write_text(_MADE_UP)
    return folder


class Running:
    """A gateway in a process of its own, and how to ask it."""

    def __init__(self, served: Served) -> None:
        self.process = served.process
        headers = {"authorization": f"Bearer {ADMIN}"}
        url = f"http://127.0.0.1:{served.port}/api/v1"
        self.http = httpx.AsyncClient(base_url=url, headers=headers)

    async def publish(self, app: str, count: int) -> set[str]:
        """Publish so many messages; return their ids."""
        body = {"eventType": "order.paid", "payload": {"a": 1}}
        path = f"/app/{app}/msg"
        answers = await asyncio.gather(*(self.http.post(path, json=body) for _ in range(count)))
        assert {answer.status_code for answer in answers} == {202}
        return {str(answer.json()["id"]) for answer in answers}


@asynccontextmanager
async def running(folder: Path, url: str, **more: str) -> AsyncIterator[Running]:
    """Start a gateway on a database; with PYTHONPATH, another version of it."""
    own = {"TILLBELL_MASTER_KEY": KEY, "TILLBELL_ADMIN_KEY": ADMIN, "DATABASE_URL": url}
    served = await asyncio.to_thread(serve, folder, **own, TILLBELL_DISK_RESERVE_MB="0", **more)
    made = Running(served)
    try:
        yield made
    finally:
        await made.http.aclose()
        if made.process.poll() is None:
            await asyncio.to_thread(served.stop)
        else:
            made.process.communicate()


def steps(url: str) -> list[tuple[int, str]]:
    """Return the migrations that a database has."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT number, name FROM migrations ORDER BY number")
        return [(number, name) for number, name in rows]
