"""A transaction of the database: what the operations of one commit use, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tillbell.clock import Micros
from tillbell.errors import StoreUnavailable
from tillbell.model.audit import AuditedAct
from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.session.audit_chain import append_acts
from tillbell.storage.session.connection import (
    Bindings,
    ConcurrentWrite,
    DbConnection,
    KnownResult,
    NotCommitted,
    Row,
    StatementResult,
)
from tillbell.storage.session.counters import TotalsDelta
from tillbell.storage.session.rollups import RollupDelta, RollupShard

Fault = Callable[[str], object]  # called at each named point; tests make it raise
TRIES_MAX = 20  # of one operation against other processes
_NOTHING = KnownResult()


class DbTransaction:
    """Named statements on the writing connection, and what this commit does beside them."""

    def __init__(self, connection: DbConnection) -> None:
        self._connection = connection
        self.query = connection.query
        self.query_where = connection.query_where
        self.query_later = connection.query_later
        self.execute_each = connection.execute_each
        self.lock = connection.lock
        self.totals_delta = TotalsDelta()
        self.rollup_delta = RollupDelta()
        self.audited_acts: list[AuditedAct] = []  # what is added to the audit log
        self.has_own_acts = False  # this write knows itself what it adds there, if anything
        # Endpoints with something to send that no process holds.
        self.endpoints_to_wake: set[str] = set()
        self.ordered_lanes: set[LaneKey] = set()  # lanes with order keys

    def query_one(self, name: str, bindings: Bindings = ()) -> Row | None:
        """Run a statement and return its first row."""
        rows = self.query(name, bindings)
        return rows[0] if rows else None

    def execute_bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> StatementResult:
        """Run a statement that takes many rows."""
        return self._connection.execute_bulk(name, bindings) if bindings else _NOTHING

    def query_bulk_later(self, name: str, bindings: Sequence[Sequence[Any]]) -> StatementResult:
        """Run a statement that takes many rows and gives rows, in any order."""
        return self._connection.query_bulk_later(name, bindings) if bindings else _NOTHING


@dataclass(frozen=True, eq=False)
class Operation:
    """A kind of write, and how group commit treats it.

    `run` does one or more equal writes inside a commit: all of them, or it raises and is undone.
    It gets a request for each and returns a result for each.
    """

    name: str
    run: Callable[[DbTransaction, Sequence[Any]], Sequence[Any]]
    # Those of one commit are run together. There are many, and none depends on another one.
    batched: bool = False
    # It rarely fails, so a commit of only such operations is tried without savepoints.
    optimistic: bool = False
    # No request waits for it, and an attempt would be lost if its result were given up.
    no_timeout: bool = False


class DbSession:
    """The writing connection, from commit to commit. Used by the writer's thread only."""

    def __init__(
        self, connect: Callable[[], DbConnection], fault: Fault, now: Callable[[], Micros]
    ) -> None:
        self._connect = connect
        self._fault = fault
        self._now = now
        self._connection: DbConnection | None = None
        self._totals_delta = TotalsDelta()
        self._rollup_delta = RollupDelta()
        self._rollup_shard = RollupShard()
        self._audited_acts: list[AuditedAct] = []
        self._endpoints_to_wake: set[str] = set()
        self.ordered_lanes: set[LaneKey] = set()  # lanes in which order keys were ever used
        self._savepoint = "savepoint"

    def commit_optimistically(
        self, runs: Sequence[tuple[Operation, Sequence[Any]]]
    ) -> list[Sequence[Any]] | None:
        """Do a whole commit without savepoints; None if something failed, and all is undone.

        So no statement waits for the result of the one before it.
        """
        self.begin(at_once=True)
        assert self._connection is not None
        try:
            results = [self._do(operation, requests) for operation, requests in runs]
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - it is raised again when each run is done by itself
            self._connection.rollback()
            return None
        try:
            self.commit()
        except NotCommitted:
            self._connection.rollback()
            return None
        return results

    def begin(self, *, at_once: bool = False) -> None:
        """Begin a transaction, on a new connection if the last one failed or is broken."""
        self._fault("begin")
        if self._connection is None or not self._begins(self._connection, at_once=at_once):
            self._connection = self._connect()
            self._connection.begin(at_once=at_once)
        self._totals_delta = TotalsDelta()
        self._rollup_delta = RollupDelta()
        self._audited_acts = []
        self._endpoints_to_wake = set()
        self._savepoint = "savepoint"

    def _begins(self, connection: DbConnection, *, at_once: bool) -> bool:
        try:
            connection.begin(at_once=at_once)
        except StoreUnavailable:  # broken since the last commit: nothing was on it
            self.close()
            return False
        return True

    def run_operation(self, operation: Operation, requests: Sequence[Any]) -> Sequence[Any]:
        """Do one run of equal writes: all of it, or it raises and nothing has changed.

        Only a single write is tried again after a concurrent one: of many the caller tries parts,
        so that one that always fails is not repeated with all others.
        """
        for tries_left in reversed(range(TRIES_MAX if len(requests) == 1 else 1)):
            try:
                return self._try(operation, requests)
            except ConcurrentWrite:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def _try(self, operation: Operation, requests: Sequence[Any]) -> Sequence[Any]:
        assert self._connection is not None
        self._connection.query(self._savepoint)
        self._savepoint = "next_savepoint"
        try:
            return self._do(operation, requests)
        except BaseException:
            self._undo(self._connection)
            raise

    def _do(self, operation: Operation, requests: Sequence[Any]) -> Sequence[Any]:
        assert self._connection is not None
        self._fault(operation.name)
        db = DbTransaction(self._connection)
        results = operation.run(db, requests)
        self._totals_delta.merge(db.totals_delta)
        self._rollup_delta.merge(db.rollup_delta)
        self._audited_acts += db.audited_acts
        self._endpoints_to_wake |= db.endpoints_to_wake
        self.ordered_lanes |= db.ordered_lanes
        return results

    def _undo(self, connection: DbConnection) -> None:
        if not connection.in_transaction:
            raise StoreUnavailable("The database rolled the transaction back.")
        connection.query("rollback_to_savepoint")

    def commit(self) -> None:
        """Make it durable; `NotCommitted` if a statement of `commit_optimistically` failed."""
        assert self._connection is not None
        if self._totals_delta:
            rows = self._totals_delta.rows()
            if rows:
                self._connection.execute_bulk("add_totals", rows)
            if self._totals_delta.has_removed:
                keys = [(app_id, endpoint_id, hour) for app_id, endpoint_id, hour, *_ in rows]
                self._connection.execute_each("drop_empty_totals", keys)
        if self._rollup_delta:
            rollups = self._rollup_shard.rows(self._rollup_delta, self._now())
            self._connection.execute_bulk("put_rollups", rollups)
        if self._endpoints_to_wake:
            self._connection.notify(",".join(sorted(self._endpoints_to_wake)))
        if self._audited_acts:  # the last: it locks the head of the chain
            append_acts(self._connection, self._audited_acts)
        self._fault("before commit")
        self._connection.commit()
        self._fault("after commit")
        if self._rollup_delta:
            self._rollup_shard.committed()

    def close(self) -> None:
        """Close the connection, as after a transaction that failed; the next write opens one."""
        connection, self._connection = self._connection, None
        self._rollup_shard = RollupShard()
        if connection is not None:
            connection.close()
