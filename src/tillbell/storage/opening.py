"""The store that a database URL names."""

from __future__ import annotations

from tillbell.clock import Clock
from tillbell.errors import Misconfigured
from tillbell.storage.ports.database import Database
from tillbell.storage.sqlite.database import SqliteDatabase

POSTGRES = ("postgresql", "postgres")


def is_shared(url: str) -> bool:
    """Tell whether processes on any machine may use this store together."""
    return url.partition("://")[0] in POSTGRES


def store_at(
    url: str,
    clock: Clock,
    *,
    has_pooler: bool = False,
    partition_days: int = 7,
    replica_url: str = "",
) -> Database:
    """Return the store at `sqlite:///path` or `postgresql://…`, not opened yet.

    `Misconfigured` if its driver is not installed.
    """
    if not is_shared(url):
        return SqliteDatabase(url.removeprefix("sqlite:///"), clock)
    try:
        from tillbell.storage.postgres.database import PostgresDatabase
    except ImportError as error:
        raise Misconfigured(
            "database_url: PostgreSQL needs its driver: pip install 'tillbell[postgres]'"
        ) from error
    database = PostgresDatabase(url, clock, has_pooler=has_pooler, partition_days=partition_days)
    database.replica_url = replica_url
    return database
