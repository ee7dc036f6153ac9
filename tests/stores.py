"""Which store the gateways of tests use: SQLite, or PostgreSQL with TEST_STORE=postgres."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tillbell.clock import SystemClock
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.session.migrate import migrate
from tillbell.storage.sqlite.connection import open_writer

FILE = "tillbell.db"  # of a SQLite store, in its folder
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


def copy_tables(path: Path) -> None:
    """Make a SQLite store that has all tables and is empty, if there is none.

    To copy the file is quicker than all migrations. A gateway makes its master key first: it
    refuses a store without one.
    """
    if path.parent.is_dir() and not path.exists():
        path.write_bytes(_empty_sqlite())


@functools.cache
def _empty_sqlite() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        connection = open_writer(path)
        migrate(connection, "sqlite", 0)
        connection.close()
        return path.read_bytes()


# Of some forty tables a test writes to a few. To truncate all of them takes 50 times as long.
_EMPTY = """
DO $$ DECLARE stored regclass; has_rows boolean; BEGIN
    SET LOCAL session_replication_role = replica;  -- triggers that refuse to lose history are off
    FOR stored IN
        SELECT pg_class.oid FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = '{schema}' AND relkind = 'r'
          AND relname NOT IN ('migrations', 'leadership', 'audit_chain')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', stored) INTO has_rows;
        IF has_rows THEN EXECUTE format('DELETE FROM %s', stored); END IF;
    END LOOP;
    UPDATE {schema}.leadership SET holder = '', term = 0, until = 0;
    UPDATE {schema}.audit_chain SET anchor_sequence = 0, anchor_hash = repeat('0', 64),
        head_sequence = 0, head_hash = repeat('0', 64);
END $$
"""


def empty_schema(connection: psycopg.Connection, schema: str) -> None:
    """Make the tables of a schema as its migrations have left them."""
    connection.execute(_EMPTY.replace("{schema}", schema).encode())


class CopiedDatabases:
    """Copies of a database that has all tables: a copy is quicker than to make the tables.

    A copy that a test has used is emptied and used again, which is quicker than another copy.
    """

    def __init__(self, server_url: str) -> None:
        """Make the database that is copied; `server_url` names another one of that server."""
        self._server_url = server_url
        self._template = f"template{os.getpid()}"
        self._numbers = itertools.count()
        self._in_use: set[str] = set()
        self._empty: list[str] = []
        self._connection = psycopg.connect(server_url, autocommit=True)
        self._execute(f"CREATE DATABASE {self._template}")
        asyncio.run(_make_tables(self._url(self._template)))

    def make(self) -> str:
        """Return the URL of one that is empty."""
        if self._empty:
            name = self._empty.pop()
        else:
            name = f"copy{os.getpid()}_{next(self._numbers)}"
            self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        self._in_use.add(name)
        return self._url(name)

    def empty_unused(self) -> None:
        """Empty those that nobody is connected to, for the next test."""
        if not self._in_use:
            return
        connected = self._connection.execute("SELECT DISTINCT datname FROM pg_stat_activity")
        for name in self._in_use - {name for (name,) in connected}:
            with psycopg.connect(self._url(name), autocommit=True) as connection:
                empty_schema(connection, "public")
            self._in_use.remove(name)
            self._empty.append(name)

    def close(self) -> None:
        """Drop all that was made."""
        for name in (*self._in_use, *self._empty, self._template):
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
