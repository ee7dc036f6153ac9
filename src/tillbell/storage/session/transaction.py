"""A transaction: what the work of one commit may use, and how the writer drives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tillbell.errors import StoreUnavailable
from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.session.connection import (
    Bindings,
    ConcurrentWrite,
    DbConnection,
    LaterCount,
    LaterRows,
    NotCommitted,
    Row,
)
from tillbell.storage.session.counters import TotalsDelta

Fault = Callable[[str], object]  # called at each named point; tests make it raise
TRIES_MAX = 20  # of one piece of work against other processes


class DbTransaction:
    """Named statements on the writing link, and the tally of this commit."""

    def __init__(self, link: DbConnection) -> None:
        self._connection = link
        self.query = link.query
        self.query_later = link.query_later
        self.execute_each = link.execute_each
        self.totals_delta = TotalsDelta()
        self.endpoints_to_wake: set[str] = (
            set()
        )  # endpoints that have something to send which nobody holds
        self.ordered_lanes: set[LaneKey] = set()  # lanes with order keys

    def query_one(self, name: str, bindings: Bindings = ()) -> Row | None:
        """Run a statement and return its first row."""
        found = self.query(name, bindings)
        return found[0] if found else None

    def execute_bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> LaterCount:
        """Run a statement that takes many rows."""
        return self._connection.execute_bulk(name, bindings) if bindings else lambda: 0

    def query_bulk_later(self, name: str, bindings: Sequence[Sequence[Any]]) -> LaterRows:
        """Run a statement that takes many rows; those that it gives come in any order."""
        return self._connection.query_bulk_later(name, bindings) if bindings else list

    def lock(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Keep other processes from deciding on these until the commit has ended."""
        self._connection.lock(keys)


Operation = Callable[[DbTransaction, Sequence[Any]], Sequence[Any]]


class DbSession:
    """The writing link, from commit to commit. Used by the writer's thread only."""

    def __init__(self, connect: Callable[[], DbConnection], fault: Fault) -> None:
        self._connect = connect
        self._fault = fault
        self._connection: DbConnection | None = None
        self._totals_delta = TotalsDelta()
        self._endpoints_to_wake: set[str] = set()
        self.ordered_lanes: set[LaneKey] = set()  # lanes in which order keys were ever seen
        self._savepoint = "savepoint"

    def commit_optimistically(
        self, works: Sequence[tuple[Operation, Sequence[Any]]]
    ) -> list[Sequence[Any]] | None:
        """Do all of a commit as if nothing could go wrong; None: something did, all is undone.

        So nobody waits to know whether it did before the next statement is sent, and there is
        nothing to go back to but the beginning.
        """
        self.begin(at_once=True)
        assert self._connection is not None
        try:
            outcomes = [self._do(work, requests) for work, requests in works]
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - whoever is at fault hears when each is done again
            self._connection.rollback()
            return None
        try:
            self.commit()
        except NotCommitted:
            self._connection.rollback()
            return None
        return outcomes

    def begin(self, *, at_once: bool = False) -> None:
        """Begin a transaction, on a new link if the last one failed or is found broken."""
        self._fault("begin")
        if self._connection is None or not self._begins(self._connection, at_once=at_once):
            self._connection = self._connect()
            self._connection.begin(at_once=at_once)
        self._totals_delta = TotalsDelta()
        self._endpoints_to_wake = set()
        self._savepoint = "savepoint"

    def _begins(self, link: DbConnection, *, at_once: bool) -> bool:
        try:
            link.begin(at_once=at_once)
        except StoreUnavailable:  # broken since the last commit: nothing was on it
            self.reset()
            return False
        return True

    def run_operation(self, work: Operation, requests: Sequence[Any]) -> Sequence[Any]:
        """Do a piece of work: all of it, or it raises and nothing has changed."""
        for left in reversed(range(TRIES_MAX)):
            try:
                return self._try(work, requests)
            except ConcurrentWrite:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _try(self, work: Operation, requests: Sequence[Any]) -> Sequence[Any]:
        assert self._connection is not None
        self._connection.query(self._savepoint)
        self._savepoint = "next_savepoint"
        try:
            return self._do(work, requests)
        except BaseException:
            self._undo(self._connection)
            raise

    def _do(self, work: Operation, requests: Sequence[Any]) -> Sequence[Any]:
        assert self._connection is not None
        self._fault(work.__name__)
        transaction = DbTransaction(self._connection)
        outcomes = work(transaction, requests)
        self._totals_delta.merge(transaction.totals_delta)
        self._endpoints_to_wake |= transaction.endpoints_to_wake
        self.ordered_lanes |= transaction.ordered_lanes
        return outcomes

    def _undo(self, link: DbConnection) -> None:
        if not link.in_transaction:
            raise StoreUnavailable("The database gave up the transaction.")
        link.query("rollback_to_savepoint")

    def commit(self) -> None:
        """Make it durable; `NotCommitted` if nothing was done, as `whole` allows for."""
        assert self._connection is not None
        if self._totals_delta:
            rows = self._totals_delta.rows()
            if rows:
                self._connection.execute_bulk("add_totals", rows)
            if self._totals_delta.has_removed:
                self._connection.execute_each("drop_empty_totals", [row[:3] for row in rows])
        if self._endpoints_to_wake:
            self._connection.notify(",".join(sorted(self._endpoints_to_wake)))
        self._fault("before commit")
        self._connection.commit()
        self._fault("after commit")

    def reset(self) -> None:
        """Forget a link whose transaction failed: the next one starts afresh."""
        link, self._connection = self._connection, None
        if link is not None:
            link.close()

    close = reset
