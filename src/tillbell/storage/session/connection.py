"""One connection to a database, as the operations of every database use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tillbell.errors import StoreUnavailable
from tillbell.storage.session.statements import Where

Row = tuple[Any, ...]
Bindings = Sequence[Any] | Mapping[str, Any]


def json_list(values: Iterable[str]) -> str:
    """Write values as the JSON array that statements look things up by.

    No stored text holds a NUL, which PostgreSQL does not accept. A value with a NUL finds nothing.
    """
    return msgspec.json.encode([without_nul(value) for value in values]).decode()


def json_rows(rows: Iterable[Sequence[str]]) -> str:
    """Write rows of texts as a JSON array of arrays, as `json_list` does."""
    return msgspec.json.encode([[without_nul(value) for value in row] for row in rows]).decode()


def without_nul(text: str) -> str:
    """Return a text as it is stored."""
    return text.replace("\0", "\ufffd")


class ConcurrentWrite(Exception):
    """Another process wrote the same at the same moment. The operation must begin anew.

    A database with one writer never raises it.
    """


class NotCommitted(Exception):
    """An earlier statement had failed, so nothing of the transaction was stored."""


class LockTimeout(StoreUnavailable):
    """Another connection held a lock for longer than we wait for one."""


class StatementResult(Protocol):
    """What a statement did. Reading it may wait for the server."""

    @property
    def rowcount(self) -> int:
        """How many rows changed."""
        ...

    def rows(self) -> list[Row]:
        """Return the rows that it gave."""
        ...


class KnownResult:
    """A `StatementResult` that is there already."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rowcount: int = 0, rows: list[Row] | None = None) -> None:
        self.rowcount = rowcount
        self._rows = rows or []

    def rows(self) -> list[Row]:
        """Return the rows that the statement gave."""
        return self._rows


class DbReader(Protocol):
    """Runs statements that read."""

    def query(self, name: str, bindings: Bindings = (), *forms: str) -> list[Row]:
        """Run a statement, in those of its forms, and return its rows."""
        ...

    def query_where(
        self, name: str, where: Where, bindings: Mapping[str, Any], *forms: str
    ) -> list[Row]:
        """Run a list with the conditions of a filter (`Statements.with_where`)."""
        ...


class DbConnection(DbReader, Protocol):
    """Named statements on one connection.

    Errors of the environment (disk, network, server) are `StoreUnavailable`, a number of more than
    64 bits is `NumberTooLarge`; a wrong statement is the driver's own error.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open that can go on."""
        ...

    def begin(self, *, at_once: bool = False) -> None:
        """Begin a transaction that writes.

        `at_once`: its statements need not wait for each other. One that fails may then raise only
        when a later result is read, or at the commit; and all that is left is to roll back.
        """
        ...

    def commit(self) -> None:
        """Make it durable; `NotCommitted` if a statement had failed whose result was not read."""
        ...

    def rollback(self) -> None:
        """Undo the transaction."""
        ...

    def query_later(self, name: str, bindings: Bindings = ()) -> StatementResult:
        """Run a statement whose result is read only after others have been run."""
        ...

    def query_bulk_later(self, name: str, bindings: Sequence[Sequence[Any]]) -> StatementResult:
        """Do the same for one that takes many rows: those of all bindings, in any order."""
        ...

    def execute_each(self, name: str, bindings: Iterable[Sequence[Any]]) -> StatementResult:
        """Run a statement once for each row of bindings; `rowcount` is that of all."""
        ...

    def execute_bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> StatementResult:
        """Do the same in few steps, for a statement that takes many rows."""
        ...

    def lock(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Keep other processes from deciding on these keys until this commit has ended."""
        ...

    def notify(self, text: str) -> None:
        """Notify other processes when this commit has ended."""
        ...

    def execute_script(self, text: str) -> None:
        """Run statements without bindings, one after another: a migration."""
        ...

    def close(self) -> None:
        """Close the connection; an open transaction is undone."""
        ...
