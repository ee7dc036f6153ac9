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
    """One database on a running server, and how much of the server was used."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self._server = server
        self.name = name
        self.url = server.url(name)

    def cpu_s(self) -> float:
        """How many seconds of CPU the server's processes used since they were started."""
        return processes.cpu_s(self._server.pid)

    def wal_bytes(self) -> int:
        """How much was written to the log since the server was made."""
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

    @contextmanager
    def empty(self) -> Iterator[BenchDatabase]:
        """Make an empty one, and delete it when it was used."""
        name = f"bench{next(self._numbers)}"
        self._server.execute(f"CREATE DATABASE {name}")
        try:
            yield BenchDatabase(self._server, name)
        finally:
            self._server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def databases(*settings: str) -> Iterator[Databases]:
    """Run a server for as long as it is used, with what else is set; it leaves nothing behind."""
    server = PostgresServer(_programs(), *SETTINGS, *settings, is_durable=True)
    try:
        yield Databases(server)
    finally:
        server.remove()


def why_not() -> str:
    """Say what is missing to run a server; "" if nothing is."""
    if programs() is None:
        return "no PostgreSQL: install the dev dependencies or set TEST_POSTGRES_BIN"
    return ""


def version() -> str:
    """Which server it is."""
    command = [str(_programs() / "postgres"), "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return f"PostgreSQL {said.partition(') ')[2].split()[0]}"  # postgres (PostgreSQL) 18.4


def _programs() -> Path:
    found = programs()
    if found is None:
        raise RuntimeError(why_not())
    return found
