"""A transaction: what the work of one commit may use, and how the writer drives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tillbell.errors import StoreUnavailable
from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.session.connection import (
    Asked,
    Bindings,
    Changed,
    Link,
    NotCommitted,
    Raced,
    Row,
)
from tillbell.storage.session.counters import Tally

Fault = Callable[[str], object]  # called at each named point; tests make it raise
TRIES = 20  # of one piece of work against other processes


class Transaction:
    """Named statements on the writing link, and the tally of this commit."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.rows = link.rows
        self.ask = link.ask
        self.many = link.many
        self.tally = Tally()
        self.woken: set[str] = set()  # endpoints that have something to send which nobody holds
        self.ordered: set[LaneKey] = set()  # lanes with order keys

    def row(self, name: str, bindings: Bindings = ()) -> Row | None:
        """Run a statement and return its first row."""
        found = self.rows(name, bindings)
        return found[0] if found else None

    def bulk(self, name: str, bindings: Sequence[Sequence[Any]]) -> Changed:
        """Run a statement that takes many rows."""
        return self._link.bulk(name, bindings) if bindings else lambda: 0

    def bulk_ask(self, name: str, bindings: Sequence[Sequence[Any]]) -> Asked:
        """Run a statement that takes many rows; those that it gives come in any order."""
        return self._link.bulk_ask(name, bindings) if bindings else list

    def lock(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Keep other processes from deciding on these until the commit has ended."""
        self._link.lock(keys)


Work = Callable[[Transaction, Sequence[Any]], Sequence[Any]]


class Session:
    """The writing link, from commit to commit. Used by the writer's thread only."""

    def __init__(self, connect: Callable[[], Link], fault: Fault) -> None:
        self._connect = connect
        self._fault = fault
        self._link: Link | None = None
        self._tally = Tally()
        self._woken: set[str] = set()
        self.ordered: set[LaneKey] = set()  # lanes in which order keys were ever seen
        self._savepoint = "savepoint"

    def whole(self, works: Sequence[tuple[Work, Sequence[Any]]]) -> list[Sequence[Any]] | None:
        """Do all of a commit as if nothing could go wrong; None: something did, all is undone.

        So nobody waits to know whether it did before the next statement is sent, and there is
        nothing to go back to but the beginning.
        """
        self.begin(at_once=True)
        assert self._link is not None
        try:
            outcomes = [self._do(work, requests) for work, requests in works]
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - whoever is at fault hears when each is done again
            self._link.rollback()
            return None
        try:
            self.commit()
        except NotCommitted:
            self._link.rollback()
            return None
        return outcomes

    def begin(self, *, at_once: bool = False) -> None:
        """Begin a transaction, on a new link if the last one failed or is found broken."""
        self._fault("begin")
        if self._link is None or not self._begins(self._link, at_once=at_once):
            self._link = self._connect()
            self._link.begin(at_once=at_once)
        self._tally = Tally()
        self._woken = set()
        self._savepoint = "savepoint"

    def _begins(self, link: Link, *, at_once: bool) -> bool:
        try:
            link.begin(at_once=at_once)
        except StoreUnavailable:  # broken since the last commit: nothing was on it
            self.reset()
            return False
        return True

    def run(self, work: Work, requests: Sequence[Any]) -> Sequence[Any]:
        """Do a piece of work: all of it, or it raises and nothing has changed."""
        for left in reversed(range(TRIES)):
            try:
                return self._try(work, requests)
            except Raced:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _try(self, work: Work, requests: Sequence[Any]) -> Sequence[Any]:
        assert self._link is not None
        self._link.rows(self._savepoint)
        self._savepoint = "next_savepoint"
        try:
            return self._do(work, requests)
        except BaseException:
            self._undo(self._link)
            raise

    def _do(self, work: Work, requests: Sequence[Any]) -> Sequence[Any]:
        assert self._link is not None
        self._fault(work.__name__)
        transaction = Transaction(self._link)
        outcomes = work(transaction, requests)
        self._tally.add(transaction.tally)
        self._woken |= transaction.woken
        self.ordered |= transaction.ordered
        return outcomes

    def _undo(self, link: Link) -> None:
        if not link.in_transaction:
            raise StoreUnavailable("The database gave up the transaction.")
        link.rows("undo")

    def commit(self) -> None:
        """Make it durable; `NotCommitted` if nothing was done, as `whole` allows for."""
        assert self._link is not None
        if self._tally:
            rows = self._tally.rows()
            if rows:
                self._link.bulk("add_totals", rows)
            if self._tally.has_removed:
                self._link.many("drop_empty_totals", [row[:3] for row in rows])
        if self._woken:
            self._link.notify(",".join(sorted(self._woken)))
        self._fault("before commit")
        self._link.commit()
        self._fault("after commit")

    def reset(self) -> None:
        """Forget a link whose transaction failed: the next one starts afresh."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    close = reset
