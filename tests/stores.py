"""Which store the gateways of tests use: SQLite, or PostgreSQL with TEST_STORE=postgres."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tillbell.clock import SystemClock
from tillbell.storage.postgres.database import PostgresDatabase

IS_POSTGRES = os.environ.get("TEST_STORE") == "postgres"
_urls: dict[Path, str] = {}


def nowhere() -> str:
    """Refuse: conftest.py has not started a server."""
    raise AssertionError("TEST_STORE=postgres needs the fixture of tests/conftest.py")


make_database: Callable[[], str] = nowhere


def settings_of(folder: Path) -> dict[str, str]:
    """Return the settings that name the store of a folder: the same again for the same folder."""
    if not IS_POSTGRES:
        return {}
    if folder not in _urls:
        _urls[folder] = make_database()
    return {"database_url": _urls[folder]}


class CopiedDatabases:
    """Copies of a database that has all tables: a copy is quicker than to make the tables."""

    def __init__(self, server_url: str) -> None:
        """Make the database that is copied; `server_url` names another one of that server."""
        self._server_url = server_url
        self._template = f"template{os.getpid()}"
        self._numbers = itertools.count()
        self._copies: list[str] = []
        self._connection = psycopg.connect(server_url, autocommit=True)
        self._execute(f"CREATE DATABASE {self._template}")
        asyncio.run(_make_tables(self._url(self._template)))

    def make(self) -> str:
        """Make one more; return its URL."""
        name = f"copy{os.getpid()}_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        self._copies.append(name)
        return self._url(name)

    def drop_unused(self) -> None:
        """Drop those that nobody is connected to: each takes some megabytes."""
        connected = self._connection.execute("SELECT DISTINCT datname FROM pg_stat_activity")
        used = {name for (name,) in connected}
        for name in [copy for copy in self._copies if copy not in used]:
            self._execute(f"DROP DATABASE {name}")
            self._copies.remove(name)

    def close(self) -> None:
        """Drop all that was made."""
        for name in (*self._copies, self._template):
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")
        self._connection.close()

    def _execute(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def _url(self, name: str) -> str:
        return urlsplit(self._server_url)._replace(path=f"/{name}").geturl()


async def _make_tables(url: str) -> None:
    database = PostgresDatabase(url, SystemClock())
    await database.open()
    await database.close()
