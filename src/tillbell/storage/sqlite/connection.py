"""Connections to a SQLite file: how they are opened, and what the errors of the driver mean.

Only this file and `database.py` know the driver.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import apsw

from tillbell.errors import Misconfigured, NumberTooLarge, StoreUnavailable
from tillbell.storage.session.connection import Bindings, DbConnection, KnownResult, Row
from tillbell.storage.session.statements import Where, load
from tillbell.storage.sqlite.multi_row import chunks, is_widenable, widened

sql = load("sqlite")
_filtered = lru_cache(maxsize=500)(sql.with_where)

# Small checkpoints (4 MB): all commits wait while one is made.
CHECKPOINT_PAGES = 1_000
LONG_PAGES = 4_000  # the log is restarted by force when it has grown by this much
LOCK_TIMEOUT_MS = 100  # for readers at such a restart: meanwhile nothing is written
BUSY_MS = 5_000  # for every other lock, as `configure` sets it

DriverConnection = apsw.Connection

# The database cannot be reached, is damaged or full: no statement is wrong.
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
    """Turn errors of the environment into `StoreUnavailable`, and of a binding that has more than
    64 bits into `NumberTooLarge`. Other errors stay as they are.
    """
    try:
        yield
    except _ENVIRONMENT as error:
        raise StoreUnavailable(f"The database failed: {error}") from error
    except OverflowError as error:
        raise NumberTooLarge from error


class SqliteConnection(DbConnection):
    """A connection to a SQLite file. Its one writer needs no locks of its own."""

    def __init__(self, connection: DriverConnection) -> None:
        self.connection = connection

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def begin(self, *, at_once: bool = False) -> None:
        del at_once  # no statement ever waits for an answer
        self.query("begin")

    def commit(self) -> None:
        self.query("commit")

    def rollback(self) -> None:
        self.query("rollback")

    def query(self, name: str, bindings: Bindings = (), *forms: str) -> list[Row]:
        with translated():
            return list(self.connection.execute(sql(name, *forms), bindings))

    def query_where(
        self, name: str, where: Where, bindings: Mapping[str, Any], *forms: str
    ) -> list[Row]:
        with translated():
            return list(self.connection.execute(_filtered(name, forms, where), bindings))

    def query_later(self, name: str, bindings: Bindings = ()) -> KnownResult:
        return KnownResult(rows=self.query(name, bindings))

    def query_bulk_later(self, name: str, bindings: Sequence[Sequence[Any]]) -> KnownResult:
        """Widen a look-up of `VALUES (…)`; run any other statement once for each row."""
        if is_widenable(sql(name)):
            return self._widened(name, bindings)
        return KnownResult(rows=[row for binding in bindings for row in self.query(name, binding)])

    def execute_each(self, name: str, bindings: Iterable[Sequence[Any]]) -> KnownResult:
        with translated():
            before = self.connection.total_changes()
            self.connection.executemany(sql(name), bindings)
            return KnownResult(self.connection.total_changes() - before)

    def execute_bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> KnownResult:
        """Run a statement that is widened to many rows at once (multi_row.py)."""
        return self._widened(name, bindings)

    def _widened(self, name: str, bindings: Sequence[Sequence[Any]]) -> KnownResult:
        rows: list[Row] = []
        with translated():
            before = self.connection.total_changes()
            for count, flat in chunks(bindings):
                text = widened(sql(name), count, len(flat) // count)
                rows += self.connection.execute(text, flat)
            return KnownResult(self.connection.total_changes() - before, rows)

    def lock(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Do nothing: no other process uses the file."""

    def notify(self, text: str) -> None:
        """Do nothing: no other process uses the file."""

    def execute_script(self, text: str) -> None:
        with translated():
            self.connection.execute(text)

    def close(self) -> None:
        self.connection.close(True)


class Checkpoints:
    """Keeps the write-ahead log short, after commits.

    SQLite restarts its log only when a commit finds all of it copied and no reader active. When
    reads overlap, that moment may never come, so a long log is restarted by force: the checkpoint
    waits for the present readers, and new ones read the database file. It waits at most
    `LOCK_TIMEOUT_MS`; during a long read (a backup) the log grows.
    """

    def __init__(self, connection: DriverConnection) -> None:
        self._connection = connection
        self._next = LONG_PAGES
        connection.set_wal_hook(self._committed)

    def _committed(self, _: DriverConnection, name: str, pages: int) -> int:
        # A failure here fails no commit, which is on disk already; the next one tries again.
        with contextlib.suppress(*_ENVIRONMENT):
            if pages >= self._next:
                self._restart_log(name, pages)
            elif pages >= CHECKPOINT_PAGES:
                self._connection.wal_checkpoint(name)
            else:
                self._next = LONG_PAGES
        return apsw.SQLITE_OK

    def _restart_log(self, name: str, pages: int) -> None:
        self._next = pages + LONG_PAGES
        self._connection.set_busy_timeout(LOCK_TIMEOUT_MS)
        try:
            self._connection.wal_checkpoint(name, apsw.SQLITE_CHECKPOINT_RESTART)
        finally:
            self._connection.set_busy_timeout(BUSY_MS)


def check_version(version: str) -> None:
    """Refuse a SQLite whose WAL can be damaged by a checkpoint beside a writer.

    Fixed in 3.51.3, and in 3.50.7 and 3.44.6 of older lines.
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


def open_writer(path: Path) -> SqliteConnection:
    """Open the connection that writes; the file is created if it is not there."""
    with translated():
        connection = apsw.Connection(str(path), statementcachesize=512)
        _configure(connection, "configure", "configure_writer")
        Checkpoints(connection)
    return SqliteConnection(connection)


def open_reader(path: Path) -> SqliteConnection:
    """Open a connection that only reads."""
    with translated():
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        _configure(connection, "configure", "configure_reader")
    return SqliteConnection(connection)


def _configure(connection: DriverConnection, *names: str) -> None:
    # One plan for all bindings. Otherwise SQLite plans joins again at every call: 50 µs for 10.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    for name in names:
        # All rows are read: the driver stops at each row, before the statements that follow.
        connection.execute(sql(name)).fetchall()


def copy_pages(source: SqliteConnection, target: Path, step_pages: int = 256) -> None:
    """Copy a database into a new file, a few pages at a time."""
    with (
        translated(),
        contextlib.closing(apsw.Connection(str(target))) as copied,
        copied.backup("main", source.connection, "main") as backup,
    ):
        while not backup.done:
            backup.step(step_pages)
