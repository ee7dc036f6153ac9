"""A link: one connection, as its database speaks. What the works of every database rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tillbell.errors import StoreUnavailable

Row = tuple[Any, ...]
Bindings = Sequence[Any] | Mapping[str, Any]
# How many rows changed, and what rows were found, for who looks: to look may be to wait.
LaterCount = Callable[[], int]
LaterRows = Callable[[], list[Row]]


def json_list(values: Iterable[str]) -> str:
    """Write values as the JSON array that statements look things up by.

    No text that is stored has a NUL, which PostgreSQL does not know: one that is asked for finds
    nothing.
    """
    return msgspec.json.encode([value.replace("\0", "\ufffd") for value in values]).decode()


def json_rows(rows: Iterable[Sequence[str]]) -> str:
    """Write rows of texts as a JSON array of arrays, as `json_list` does."""
    kept = [[value.replace("\0", "\ufffd") for value in row] for row in rows]
    return msgspec.json.encode(kept).decode()


class ConcurrentWrite(Exception):
    """Another process did the same at the same moment. The work begins anew on what is there now.

    A database with one writer never says so.
    """


class NotCommitted(Exception):
    """A statement that was sent before had failed: nothing of the transaction was done."""


class LockTimeout(StoreUnavailable):
    """Somebody else holds what was wanted, for longer than we cared to wait."""


class DbConnection(Protocol):
    """Named statements on one connection.

    Errors of the environment (disk, network, server) are `StoreUnavailable`; a wrong statement is
    the driver's own error.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open that can go on."""
        ...

    def begin(self, *, at_once: bool = False) -> None:
        """Begin a transaction that writes.

        `at_once`: its statements need not wait for each other. One that fails may do so only when
        an answer of a later one is looked at, or at the commit; and all that is left is to roll
        back.
        """
        ...

    def commit(self) -> None:
        """Make it durable; `NotCommitted` if a statement failed of which nobody knew yet."""
        ...

    def rollback(self) -> None:
        """Give it up."""
        ...

    def query(self, name: str, bindings: Bindings = (), *chosen: int) -> list[Row]:
        """Run a statement, in one of its forms, and return its rows."""
        ...

    def execute_each(self, name: str, bindings: Iterable[Sequence[Any]]) -> LaterCount:
        """Run a statement for each."""
        ...

    def execute_bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> LaterCount:
        """Do the same for a statement that takes many rows, in few steps."""
        ...

    def query_later(self, name: str, bindings: Bindings = ()) -> LaterRows:
        """Run a statement whose rows are looked at only after others have been run."""
        ...

    def query_bulk_later(self, name: str, bindings: Sequence[Sequence[Any]]) -> LaterRows:
        """Do the same for one that takes many rows: those of all bindings, in any order."""
        ...

    def lock(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Keep other processes from deciding on these until this commit has ended."""
        ...

    def notify(self, text: str) -> None:
        """Tell other processes, when this commit has ended, that there is something to look at."""
        ...

    def execute_script(self, text: str) -> None:
        """Run statements without bindings, end to end: a migration."""
        ...

    def close(self) -> None:
        """End; an open transaction is given up."""
        ...
