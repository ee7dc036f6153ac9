"""Connections to PostgreSQL: how they are opened, and what the errors of the driver mean.

Only this file, `database.py` and `pipeline.py` know the driver. Statements are written with `?1`
and `:name`, as for SQLite; here they become `$1`. A bulk statement takes one array for each column,
which costs the server a tenth of the same rows in VALUES.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import struct
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol

import psycopg
from psycopg import errors
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper

from tillbell.clock import SystemClock
from tillbell.errors import Misconfigured, NumberTooLarge, StoreUnavailable
from tillbell.storage.ports.cluster import NOTIFY_ALL
from tillbell.storage.postgres import binary_arrays
from tillbell.storage.postgres.pipeline import Pipeline
from tillbell.storage.session.connection import (
    Bindings,
    ConcurrentWrite,
    DbConnection,
    LockTimeout,
    NotCommitted,
    Row,
)
from tillbell.storage.session.statements import Where, load

sql = load("postgres")

CONNECT_TIMEOUT_S = 5
# A network that drops all packets is noticed within some eight seconds, less than a lease.
_ALIVE: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 7_000,  # milliseconds
}
STATEMENT_S = 65.0  # longer than the server lets a statement run: so the server is gone
NOTIFICATION_MAX = 7_900  # bytes; the server takes 8,000
_UNREADABLE = (
    "The address of the PostgreSQL database cannot be read. It looks like "
    "postgresql://user:password@host:5432/database; special characters of user and "
    "password are written as %XX (@ is %40)."
)
_monotonic = SystemClock().monotonic
_NUMBERED = re.compile(r"\?(\d+)")
_NAMED = re.compile(r"(?<!:):(?!:)([a-z_]+\d*)\b")
_ARRAY = re.compile(r"\?(\d+)::(\w+)\[\]")
_ROWS = re.compile(r"^(SELECT|WITH)\b|\bRETURNING\b")
# Another process wrote the same at the same moment: the operation must begin anew.
_RACED = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure)
# The server cannot be reached, is damaged, full or being replaced: no statement is wrong.
_ENVIRONMENT = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    errors.ReadOnlySqlTransaction,
    errors.InFailedSqlTransaction,
)


# A binding, or what a statement adds up, has more than 64 bits.
_TOO_LARGE = (OverflowError, struct.error, errors.NumericValueOutOfRange)


class _Flag(Int8BinaryDumper):
    """Truth values are 0 and 1, as in SQLite."""

    def dump(self, obj: Any) -> bytes:
        """Write a truth value."""
        return b"\0\0\0\0\0\0\0\1" if obj else bytes(8)


class _EncodedArray(Dumper):
    """An array that is encoded already (binary_arrays.py)."""

    format = psycopg.pq.Format.BINARY

    def dump(self, obj: Any) -> Any:
        """Return the array."""
        return obj


class DeadlineConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits `timeout_s` for an answer, and then raises `OperationalError`."""

    timeout_s = STATEMENT_S

    def wait(self, gen: Generator[Any, Any, Any], *more: Any, **options: Any) -> Any:
        """Run the steps of the driver until the server has answered."""
        return super().wait(_until(gen, self.timeout_s), *more, **options)


def _until(steps: Generator[Any, Any, Any], timeout_s: float) -> Generator[Any, Any, Any]:
    """Go through steps that wait for the socket, at most a tenth of a second each."""
    end = _monotonic() + timeout_s
    ready = None
    while True:
        try:
            wanted = steps.send(ready)
        except StopIteration as finished:
            return finished.value
        ready = yield wanted
        if not ready and _monotonic() > end:
            raise psycopg.OperationalError(f"no answer for {timeout_s:g} s")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the environment into those of connection.py, and a number that is too large
    into `NumberTooLarge`. Other errors stay as they are.
    """
    try:
        yield
    except _RACED as error:
        raise ConcurrentWrite(str(error)) from error
    except errors.LockNotAvailable as error:
        raise LockTimeout(f"The database is in use. {' '.join(str(error).split())}") from error
    except _ENVIRONMENT as error:
        raise StoreUnavailable(f"The database failed: {' '.join(str(error).split())}") from error
    except _TOO_LARGE as error:
        raise NumberTooLarge from error


class _Answer(Protocol):
    """The driver's result of one statement, or the one that a pipeline will have."""

    @property
    def rowcount(self) -> int:
        """How many rows changed."""

    def fetchall(self) -> list[Row]:
        """Return the rows."""


class PostgresResult:
    """A `StatementResult`: the answers to one statement, or to several that were one call."""

    __slots__ = ("_answers",)

    def __init__(self, *answers: _Answer) -> None:
        self._answers = answers

    @property
    def rowcount(self) -> int:
        """How many rows changed."""
        with translated():
            return sum(answer.rowcount for answer in self._answers)

    def rows(self) -> list[Row]:
        """Return the rows that the statement gave."""
        with translated():
            return [row for answer in self._answers for row in answer.fetchall()]


class PostgresConnection(DbConnection):
    """A connection to a PostgreSQL server."""

    def __init__(self, connection: DeadlineConnection) -> None:
        self.connection = connection
        self._is_configured = False
        self._pipeline: Pipeline | None = None
        self._reads_in_transactions = False

    @property
    def in_transaction(self) -> bool:
        """Whether one is open; an error inside leaves it open until its savepoint."""
        status = self.connection.info.transaction_status
        return status in (
            psycopg.pq.TransactionStatus.INTRANS,
            psycopg.pq.TransactionStatus.INERROR,
        )

    def begin(self, *, at_once: bool = False) -> None:
        if at_once and self._pipeline is not None and self._is_configured:
            with translated():
                self._pipeline.open()
        self.query("begin_configured" if self._is_configured else "begin")

    def commit(self) -> None:
        if self._pipeline is None or not self._pipeline.is_open:
            self.query("commit")
            return
        with translated():
            self._pipeline.send(_native("commit", ()).text, ())
            try:
                self._pipeline.sync()
            except _ENVIRONMENT:
                raise
            except psycopg.Error as error:
                raise NotCommitted(str(error)) from error
            self._pipeline.close()

    def rollback(self) -> None:
        if self._pipeline is not None and self._pipeline.is_open:
            with translated():
                self._pipeline.close()
            if self._pipeline.is_broken:
                raise StoreUnavailable("The connection to the database is broken.")
        self.query("rollback")

    def enable_pipeline(self) -> None:
        """Use a pipeline. No pooler may stand between, because statements stay prepared."""
        self._pipeline = Pipeline(self.connection, self.connection.timeout_s)

    def configure_writer(self) -> None:
        """Set once what `begin` would set for each transaction. No pooler may stand between."""
        self.query("configure_writer")
        self._is_configured = True

    def read_in_transactions(self) -> None:
        """Read each statement in a transaction, for which settings are made: see `begin_read`."""
        self._reads_in_transactions = True

    def query(self, name: str, bindings: Bindings = (), *forms: str) -> list[Row]:
        return self._query(_native(name, forms), bindings)

    def query_where(
        self, name: str, where: Where, bindings: Mapping[str, Any], *forms: str
    ) -> list[Row]:
        return self._query(_native_filtered(name, forms, where), bindings)

    def _query(self, native: _NativeStatement, bindings: Bindings) -> list[Row]:
        values = _in_order(bindings, native.names)
        if self._reads_in_transactions:
            return self._read_in_transaction(native, values)
        result = self._execute(native, values)
        return result.rows() if native.gives_rows else []

    def _read_in_transaction(self, native: _NativeStatement, bindings: Sequence[Any]) -> list[Row]:
        self._execute(_native("begin_read", ()), ())
        try:
            return self._execute(native, bindings).rows()
        finally:
            self._execute(_native("rollback", ()), ())

    def query_later(self, name: str, bindings: Bindings = ()) -> PostgresResult:
        """Run a statement whose result is read only after others have been run."""
        native = _native(name, ())
        return self._execute(native, _in_order(bindings, native.names))

    def execute_each(self, name: str, bindings: Iterable[Sequence[Any]]) -> PostgresResult:
        """Run a statement once for each row of bindings."""
        native, rows = _native(name, ()), [tuple(row) for row in bindings]
        if not rows:
            return PostgresResult()
        with translated():
            if self._pipeline is None:
                with self.connection.cursor() as cursor:
                    cursor.executemany(native.text, rows)
                return PostgresResult(cursor)
            if self._pipeline.is_open:
                return PostgresResult(*[self._pipeline.send(native.text, row) for row in rows])
            return PostgresResult(*self._pipeline.query_each(native.text, rows))

    def execute_bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> PostgresResult:
        """Run a statement that takes one array for each column."""
        native = _native(name, ())
        columns = zip(native.columns, zip(*bindings, strict=True), strict=True)
        with translated():
            arrays = [binary_arrays.MAKERS[kind](values) for kind, values in columns]
        return self._execute(native, arrays)

    query_bulk_later = execute_bulk

    def lock(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Take advisory locks in one order, so that two processes seldom wait for each other."""
        numbers = sorted({_number(key) for key in keys})
        if numbers:
            self._execute(_native("lock_keys", ()), [binary_arrays.numbers(numbers)])

    def notify(self, text: str) -> None:
        """Notify other processes, with `*` if the text is too long for a notification."""
        short = text if len(text) < NOTIFICATION_MAX else NOTIFY_ALL
        self._execute(_native("notify", ()), [short])

    def notifications(self, wait_s: float) -> list[str]:
        """Return notifications as soon as there are some; none after `wait_s`."""
        with translated():
            notifications = self.connection.notifies(timeout=wait_s, stop_after=1)
            return list(dict.fromkeys(n.payload for n in notifications))

    def execute_script(self, text: str) -> None:
        with translated():
            self.connection.execute(text)

    def close(self) -> None:
        with contextlib.suppress(psycopg.Error):  # it may be broken, which is why it is closed
            self.connection.close()

    def _execute(self, native: _NativeStatement, bindings: Sequence[Any]) -> PostgresResult:
        text = native.text
        with translated():
            if self._pipeline is not None and native.is_single:
                if self._pipeline.is_open:
                    return PostgresResult(self._pipeline.send(text, bindings))
                return PostgresResult(*self._pipeline.query_each(text, [bindings]))
            try:
                if not bindings:  # not prepared: there may be several statements
                    return PostgresResult(self.connection.execute(text, prepare=False))
                return PostgresResult(self.connection.execute(text, bindings))
            except psycopg.DataError:
                if not _has_nul(bindings):
                    raise
            # The driver refused a NUL, which PostgreSQL accepts in no text.
            clean = [_without_nul(value) for value in bindings]
            return PostgresResult(self.connection.execute(text, clean))


def connect_postgres(url: str, *, has_pooler: bool = False) -> PostgresConnection:
    """Connect. `StoreUnavailable` if the server does not answer in time.

    `Misconfigured` if the URL cannot be read. With a pooler nothing is prepared, and nothing is set
    for longer than a transaction, because the next statement may run on another connection.
    """
    with translated():
        connection = _connect(url)
        _adapt(connection.adapters)
        if has_pooler:
            connection.prepare_threshold = None
            return PostgresConnection(connection)
    configured = PostgresConnection(connection)
    try:
        configured.query("configure_connection")
    except BaseException:
        configured.close()
        raise
    return configured


def check_address(url: str) -> None:
    """Raise `Misconfigured` if a URL cannot be read."""
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise Misconfigured(_UNREADABLE) from None


def _connect(url: str) -> DeadlineConnection:
    try:
        return DeadlineConnection.connect(
            url,
            **_ALIVE,
            autocommit=True,  # the session begins and ends transactions by named statements
            connect_timeout=CONNECT_TIMEOUT_S,
            cursor_factory=psycopg.RawCursor,
            application_name="tillbell",
        )
    except psycopg.ProgrammingError:  # its text may quote a part of the password
        raise Misconfigured(_UNREADABLE) from None


def _adapt(adapters: AdaptersMap) -> None:
    # All integers are sent in one width. Otherwise each mix of widths is a statement of its own.
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(bool, _Flag)
    for kind, (_, oid) in binary_arrays.OIDS.items():
        adapters.register_dumper(kind, type(kind.__name__, (_EncodedArray,), {"oid": oid}))


class _NativeStatement(NamedTuple):
    """A statement with the placeholders of PostgreSQL."""

    text: str
    names: tuple[str, ...]  # of its bindings, in order
    columns: tuple[str, ...]  # the element types of its bindings, if they are arrays
    gives_rows: bool
    is_single: bool  # not several statements in one text


@cache
def _native(name: str, forms: tuple[str, ...]) -> _NativeStatement:
    """Return a statement with PostgreSQL's placeholders."""
    return _with_placeholders(sql(name, *forms))


@lru_cache(maxsize=500)
def _native_filtered(name: str, forms: tuple[str, ...], where: Where) -> _NativeStatement:
    """Return a list with the conditions of a filter, in the same way."""
    return _with_placeholders(sql.with_where(name, forms, where))


def _with_placeholders(text: str) -> _NativeStatement:
    names = tuple(dict.fromkeys(_NAMED.findall(text)))
    kinds = {int(number): kind for number, kind in _ARRAY.findall(text)}
    text = _NAMED.sub(lambda match: f"${names.index(match[1]) + 1}", text)
    return _NativeStatement(
        _NUMBERED.sub(r"$\1", text),
        names,
        tuple(kinds[number] for number in sorted(kinds)),
        _ROWS.search(text) is not None,
        ";" not in text.rstrip("; \n"),
    )


def _in_order(bindings: Bindings, names: tuple[str, ...]) -> Sequence[Any]:
    if isinstance(bindings, Mapping):
        return [bindings[name] for name in names]
    return bindings


def _number(key: tuple[str, ...]) -> int:
    """Return a key as a number of 64 bits, the same in every process."""
    digest = hashlib.blake2b("\0".join(key).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)


def _has_nul(bindings: Sequence[Any]) -> bool:
    return any(_without_nul(value) != value for value in bindings)


def _without_nul(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
