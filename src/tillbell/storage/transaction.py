"""A transaction: what the work of one commit may use, and how the writer drives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tillbell.errors import StoreUnavailable
from tillbell.storage.bulk import chunks, widened
from tillbell.storage.connection import Connection, translated
from tillbell.storage.sql import sql
from tillbell.storage.tally import Tally

Row = tuple[Any, ...]
Fault = Callable[[str], object]  # called at each named point; tests make it raise


class Transaction:
    """Named statements on the writing connection, and the tally of this commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.tally = Tally()

    def rows(self, name: str, bindings: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        return list(self._connection.execute(sql(name), bindings))

    def row(self, name: str, bindings: Sequence[Any] = ()) -> Row | None:
        """Run a statement and return its first row."""
        found = self.rows(name, bindings)
        return found[0] if found else None

    def many(self, name: str, bindings: Iterable[Sequence[Any]]) -> int:
        """Run a statement for each; return how many rows changed in all."""
        before = self._connection.total_changes()
        self._connection.executemany(sql(name), bindings)
        return self._connection.total_changes() - before

    def bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> int:
        """Do the same for a statement with one VALUES, in few steps (bulk.py)."""
        before = self._connection.total_changes()
        for count, flat in chunks(bindings):
            text = widened(sql(name), count, len(flat) // count)
            self._connection.execute(text, flat)
        return self._connection.total_changes() - before


Work = Callable[[Transaction, Sequence[Any]], Sequence[Any]]


class Session:
    """The writing connection, from commit to commit. Used by the writer's thread only."""

    def __init__(self, connect: Callable[[], Connection], fault: Fault) -> None:
        self._connect = connect
        self._fault = fault
        self._connection: Connection | None = None
        self._tally = Tally()

    def begin(self) -> None:
        """Begin a transaction, on a new connection if the last one failed."""
        with translated():
            self._fault("begin")
            if self._connection is None:
                self._connection = self._connect()
            self._connection.execute(sql("begin"))
        self._tally = Tally()

    def run(self, work: Work, requests: Sequence[Any]) -> Sequence[Any]:
        """Do a piece of work: all of it, or it raises and nothing has changed."""
        assert self._connection is not None
        transaction = Transaction(self._connection)
        with translated():
            self._fault(work.__name__)
            self._connection.execute(sql("savepoint"))
            try:
                outcomes = work(transaction, requests)
            except BaseException:
                self._undo()
                raise
            self._connection.execute(sql("keep"))
        self._tally.add(transaction.tally)
        return outcomes

    def _undo(self) -> None:
        assert self._connection is not None
        if not self._connection.in_transaction:
            raise StoreUnavailable("The database gave up the transaction.")
        self._connection.execute(sql("undo"))
        self._connection.execute(sql("keep"))

    def commit(self) -> None:
        """Make it durable."""
        assert self._connection is not None
        with translated():
            if self._tally:
                transaction = Transaction(self._connection)
                rows = self._tally.rows()
                transaction.many("add_totals", rows)
                if self._tally.has_removed:
                    transaction.many("drop_empty_totals", [row[:3] for row in rows])
            self._fault("before commit")
            self._connection.execute(sql("commit"))
            self._fault("after commit")

    def reset(self) -> None:
        """Forget a connection whose transaction failed: the next one starts afresh."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(True)

    close = reset
