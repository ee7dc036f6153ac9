"""Migrations: numbered SQL files, applied in order, each with its number in one transaction."""

from __future__ import annotations

import re
from importlib import resources
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.errors import Misconfigured
from tillbell.storage.connection import Connection, translated
from tillbell.storage.sql import sql

_NAME = re.compile(r"(\d{4})_(pre|post)_(\w+)\.sql")


class Migration(NamedTuple):
    """One step of the schema. `pre` steps suit the program before and after them."""

    number: int
    name: str
    statements: str


def known(dialect: str) -> list[Migration]:
    """Return the steps this program knows, in order."""
    folder = resources.files("tillbell.storage") / "migrations" / dialect
    return sorted(
        Migration(int(match[1]), file.name, file.read_text("utf-8"))
        for file in folder.iterdir()
        if (match := _NAME.fullmatch(file.name))
    )


def migrate(connection: Connection, now: Micros) -> None:
    """Bring a database to this program's schema, or say why not (`Misconfigured`)."""
    with translated():
        connection.execute(sql("begin"))
        try:
            _migrate(connection, now)
        except BaseException:
            connection.execute(sql("rollback"))
            raise
        connection.execute(sql("commit"))


def _migrate(connection: Connection, now: Micros) -> None:
    steps = known("sqlite")
    for step in steps[_applied(connection, steps) :]:
        connection.execute(step.statements)
        connection.execute(sql("note_migration"), (step.number, step.name, now))


def _applied(connection: Connection, steps: list[Migration]) -> int:
    """Return how many steps the database has; a new one is given its table of them."""
    ((is_ours, tables),) = connection.execute(sql("schema_exists"))
    if not is_ours:
        if tables:
            raise Misconfigured("The database file belongs to another program.")
        connection.execute(sql("create_migrations"))
    applied = [number for number, _ in connection.execute(sql("applied_migrations"))]
    if len(applied) > len(steps):
        raise Misconfigured(
            f"The database was written by a newer Tillbell (schema {applied[-1]}, "
            f"this one knows {len(steps)}). Install that version or a newer one."
        )
    return len(applied)
