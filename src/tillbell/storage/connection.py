"""Connections to a SQLite file: how they are opened, what is refused, what their errors mean.

With `sqlite.py` the only place that knows the driver.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw

from tillbell.errors import Misconfigured, StoreUnavailable
from tillbell.storage.sql import sql

Connection = apsw.Connection

# The database is out of reach, ill or full: nobody's statement is wrong.
_ENVIRONMENT = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.IOError,
    apsw.InterruptError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.NotADBError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
    apsw.ConnectionClosedError,
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the environment into `StoreUnavailable`; let wrong programs fail."""
    try:
        yield
    except _ENVIRONMENT as error:
        raise StoreUnavailable(f"The database failed: {error}") from error


def check_version(version: str) -> None:
    """Refuse a SQLite whose WAL can be damaged by a checkpoint beside a writer.

    Fixed in 3.51.3, and in 3.50.7 and 3.44.6 of older lines (reliability A13).
    """
    number = tuple(map(int, version.split(".")))
    is_fixed = number >= (3, 51, 3) or any(
        line <= number < (line[0], line[1] + 1) for line in ((3, 50, 7), (3, 44, 6))
    )
    if not is_fixed:
        raise Misconfigured(
            f"SQLite {version} can damage a database under load; 3.51.3 or newer is needed. "
            "Install the apsw wheel, which brings its own."
        )


def open_writer(path: Path) -> Connection:
    """Open the connection that writes; the file is made if it is not there."""
    with translated():
        connection = apsw.Connection(str(path), statementcachesize=256)
        _configure(connection, "configure", "configure_writer")
    return connection


def open_reader(path: Path) -> Connection:
    """Open a connection that only reads."""
    with translated():
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        _configure(connection, "configure", "configure_reader")
    return connection


def _configure(connection: Connection, *names: str) -> None:
    # One plan whatever is bound. Without it SQLite plans joins anew at every call: 50 µs for 10.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    for name in names:
        # To the last row: the driver stops at each one, and what follows it would not be done.
        connection.execute(sql(name)).fetchall()


def copy_pages(source: Connection, target: Path, step_pages: int = 256) -> None:
    """Copy a database into a new file, a few pages at a time."""
    with (
        translated(),
        contextlib.closing(apsw.Connection(str(target))) as copied,
        copied.backup("main", source, "main") as backup,
    ):
        while not backup.done:
            backup.step(step_pages)
