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
    """One step of the schema. `pre` steps suit the program before and after them."""

    number: int
    name: str
    statements: str


def known_migrations(dialect: str) -> list[Migration]:
    """Return the steps this program knows, in order."""
    folder = resources.files("tillbell.storage") / dialect / "migrations"
    return sorted(
        Migration(int(match[1]), file.name, file.read_text("utf-8"))
        for file in folder.iterdir()
        if (match := _NAME.fullmatch(file.name))
    )


def is_behind(link: DbConnection, dialect: str) -> bool:
    """Tell whether a copy of a database lacks steps that this program knows."""
    ((is_ours, _),) = link.query("schema_exists")
    return not is_ours or len(link.query("applied_migrations")) < len(known_migrations(dialect))


def migrate(link: DbConnection, dialect: str, now: Micros) -> None:
    """Bring a database to this program's schema, or say why not (`Misconfigured`).

    Who comes second waits. `LockTimeout`, and nothing is changed, if somebody holds a table.
    """
    link.query("begin_migration")
    try:
        _migrate(link, known_migrations(dialect), now)
    except BaseException:
        link.rollback()
        raise
    link.commit()


def _migrate(link: DbConnection, steps: list[Migration], now: Micros) -> None:
    link.lock([("migrations",)])
    link.query("begin_migration_step")
    for step in steps[_applied(link, steps) :]:
        link.execute_script(step.statements)
        link.query("insert_migration", (step.number, step.name, now))


def _applied(link: DbConnection, steps: list[Migration]) -> int:
    """Return how many steps the database has; a new one is given its table of them."""
    ((is_ours, tables),) = link.query("schema_exists")
    if not is_ours:
        if tables:
            raise Misconfigured("The database belongs to another program.")
        link.query("create_migrations")
    applied = [number for number, _ in link.query("applied_migrations")]
    if len(applied) > len(steps):
        raise Misconfigured(
            f"The database was written by a newer Tillbell (schema {applied[-1]}, "
            f"this one knows {len(steps)}). Install that version or a newer one."
        )
    return len(applied)
