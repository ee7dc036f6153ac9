"""Migrations: numbered SQL files, applied in order, each with its number in one transaction."""

from __future__ import annotations

import re
from importlib import resources
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.errors import Misconfigured
from tillbell.storage.session.connection import DbConnection

_NAME = re.compile(r"(\d{4})_(pre|post)_(\w+)\.sql")


class Migration(NamedTuple):
    """One step of the schema. A `pre` step suits the program before it and the one after it."""

    number: int
    name: str
    statements: str


def known_migrations(dialect: str) -> list[Migration]:
    """Return the migrations of this program, in order."""
    folder = resources.files("tillbell.storage") / dialect / "migrations"
    return sorted(
        Migration(int(match[1]), file.name, file.read_text("utf-8"))
        for file in folder.iterdir()
        if (match := _NAME.fullmatch(file.name))
    )


def is_behind(connection: DbConnection, dialect: str) -> bool:
    """Whether a database lacks migrations of this program."""
    ((is_ours, _),) = connection.query("schema_exists")
    return not is_ours or len(connection.query("applied_migrations")) < len(
        known_migrations(dialect)
    )


def refuse_other_schema(connection: DbConnection, dialect: str) -> None:
    """Raise `Misconfigured` if a database has not exactly the schema of this program."""
    migrations = known_migrations(dialect)
    ((is_ours, _),) = connection.query("schema_exists")
    if not is_ours or _applied(connection, migrations) < len(migrations):
        raise Misconfigured(
            "The database has not the tables of this version. Start `tillbell serve` first."
        )


def migrate(connection: DbConnection, dialect: str, now: Micros) -> None:
    """Bring a database to the schema of this program; `Misconfigured` if that cannot be.

    A second process waits for the first. `LockTimeout`, and nothing is changed, if a table is held
    by somebody else.
    """
    connection.query("begin_migration")
    try:
        _migrate(connection, known_migrations(dialect), now)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _migrate(connection: DbConnection, migrations: list[Migration], now: Micros) -> None:
    connection.lock([("migrations",)])
    connection.query("begin_migration_step")
    for migration in migrations[_applied(connection, migrations) :]:
        connection.execute_script(migration.statements)
        connection.query("insert_migration", (migration.number, migration.name, now))


def _applied(connection: DbConnection, migrations: list[Migration]) -> int:
    """Return how many migrations a database has. A new one gets the table of its migrations."""
    ((is_ours, tables),) = connection.query("schema_exists")
    if not is_ours:
        if tables:
            raise Misconfigured(
                "The database belongs to another program. Give Tillbell a database of its own."
            )
        connection.query("create_migrations")
    applied = [number for number, _ in connection.query("applied_migrations")]
    if len(applied) > len(migrations):
        raise Misconfigured(
            f"The database was written by a newer Tillbell (schema {applied[-1]}, "
            f"this one knows {len(migrations)}). Install that version or a newer one."
        )
    return len(applied)
