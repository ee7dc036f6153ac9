"""A PostgreSQL server of the bench's own, as an operator would set it up, and what it used.

It is durable: `fsync`, `full_page_writes` and `synchronous_commit` are on. What differs from the
server's defaults are the sizes that everybody raises, so that checkpoints do not fall into a run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.postgres import PostgresServer, programs

from bench import processes

SETTINGS = (
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=15min",
    "autovacuum_naptime=10s",
    "random_page_cost=1.1",
    "effective_io_concurrency=64",
    "track_io_timing=on",
)


class Use(NamedTuple):
    """What a server used since it was started."""

    cpu_s: float
    wal_bytes: int
    commits: int

    def since(self, before: Use) -> Use:
        """Return the difference."""
        return Use(
            self.cpu_s - before.cpu_s,
            self.wal_bytes - before.wal_bytes,
            self.commits - before.commits,
        )


class BenchDatabase:
    """One database on a running server, and how much of the server was used."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        server.execute(f"CREATE DATABASE {name}")
        self._server = server
        self.name = name
        self.url = server.url(name)

    def use(self) -> Use:
        """Read the server's counters."""
        (commits,) = self.ask(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        return Use(processes.cpu_s(self._server.pid), self.wal_bytes(), int(str(commits)))

    def wal_bytes(self) -> int:
        """How much was written to the log since the server was made."""
        (wal,) = self.ask("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
        return int(str(wal))

    def ask(self, statement: str) -> tuple[object, ...]:
        """Run one statement and return its first row."""
        return self._server.execute(statement, self.name)[0]

    def run(self, statement: str) -> None:
        """Run one statement."""
        self._server.execute(statement, self.name)

    @property
    def version(self) -> str:
        """Which server it is."""
        return f"PostgreSQL {self.ask('SHOW server_version')[0]}"


class Databases:
    """Makes empty databases on one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    def new(self) -> BenchDatabase:
        """Make an empty one."""
        return BenchDatabase(self._server, f"bench{next(self._numbers)}")


@contextmanager
def databases() -> Iterator[Databases]:
    """Run a server for as long as it is used; nothing of it is left behind."""
    found = programs()
    if found is None:
        raise RuntimeError("no PostgreSQL: install the dev dependencies or set TEST_POSTGRES_BIN")
    server = PostgresServer(found, *SETTINGS, is_durable=True)
    try:
        yield Databases(server)
    finally:
        server.remove()
