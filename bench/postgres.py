"""A PostgreSQL server of the bench's own, as an operator would set it up, and what it used.

It is durable: `fsync`, `full_page_writes` and `synchronous_commit` are on. What differs from the
server's defaults are the sizes that everybody raises, so that checkpoints do not fall into a run.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import processes
from bench.postgres_server import PostgresServer, programs

SETTINGS = (
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=15min",
    "autovacuum_naptime=10s",
    "random_page_cost=1.1",
    "effective_io_concurrency=64",
    "track_io_timing=on",
)


class BenchDatabase:
    """One database on a running server, and the use of that server."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self._server = server
        self.name = name
        self.url = server.url(name)

    def cpu_s(self) -> float:
        """Return the seconds of CPU that the server's processes have used."""
        return processes.cpu_s(self._server.pid)

    def wal_bytes(self) -> int:
        """Return the bytes written to the WAL since the server was created."""
        (wal,) = self.ask("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
        return int(str(wal))

    def ask(self, statement: str) -> tuple[object, ...]:
        """Run one statement and return its first row."""
        return self._server.execute(statement, self.name)[0]


class Databases:
    """Makes empty databases on one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    def cpu_s(self) -> float:
        """Return the seconds of CPU that the server's processes have used."""
        return processes.cpu_s(self._server.pid)

    @contextmanager
    def empty(self) -> Iterator[BenchDatabase]:
        """Create an empty database, and delete it on exit."""
        name = f"bench{next(self._numbers)}"
        self._server.execute(f"CREATE DATABASE {name}")
        try:
            yield BenchDatabase(self._server, name)
        finally:
            self._server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def databases(*settings: str) -> Iterator[Databases]:
    """Run a server with these settings too; on exit it is stopped and its folder deleted."""
    server = PostgresServer(_programs(), *SETTINGS, *settings, is_durable=True)
    try:
        yield Databases(server)
    finally:
        server.remove()


def why_not() -> str:
    """Return what is missing to run a server; "" if nothing is."""
    if programs() is None:
        return "no PostgreSQL: install the dev dependencies or set TEST_POSTGRES_BIN"
    return ""


def version() -> str:
    """Return the name and version of the server."""
    command = [str(_programs() / "postgres"), "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return f"PostgreSQL {said.partition(') ')[2].split()[0]}"  # postgres (PostgreSQL) 18.4


def _programs() -> Path:
    folder = programs()
    if folder is None:
        raise RuntimeError(why_not())
    return folder
