"""Marks: that an idempotency key was used, stored by the commit that does what it was used for.

The answer to a request is known only after its commit, and a process may end in between. Then the
mark alone is there, and the request is not done a second time: not after a crash, and not by
another process at the same moment.

A mark goes with the first write that is submitted under it: a request does what it does in one. If
that write is refused nothing of it is stored, and the mark goes with the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from tillbell.clock import Micros
from tillbell.errors import Conflict
from tillbell.storage.session.transaction import Transaction, Work

UNANSWERED = b""


class KeyTaken(Conflict):
    """A request with this Idempotency-Key is running elsewhere; try again later."""

    code = "idempotency_key_in_use"


class Mark:
    """One use of a key."""

    def __init__(self, key: str, fingerprint: str, at: Micros) -> None:
        self.key = key
        self.fingerprint = fingerprint
        self.at = at
        self.is_given = False  # to a write
        self.is_taken = False  # somebody else has used the key


_present: ContextVar[Mark | None] = ContextVar("mark", default=None)


@contextmanager
def under(mark: Mark) -> Iterator[None]:
    """Let the first write that is submitted meanwhile bring the mark."""
    token = _present.set(mark)
    try:
        yield
    finally:
        _present.reset(token)


def marking(work: Work) -> Work:
    """Return the work, with the present mark if no other write has it: then it runs alone.

    It raises `KeyTaken` if the key was used before, and does nothing.
    """
    mark = _present.get()
    if mark is None or mark.is_given:
        return work
    mark.is_given = True

    @wraps(work)
    def marked(transaction: Transaction, requests: Sequence[Any]) -> Sequence[Any]:
        mark.is_given = True  # also when it is begun anew, after another process crossed it
        try:
            _use(transaction, mark)
            return work(transaction, requests)
        except BaseException:  # all of it is undone
            mark.is_given = False
            raise

    return marked


def _use(transaction: Transaction, mark: Mark) -> None:
    if transaction.rows("find_idempotency", (mark.key,)):
        mark.is_taken = True
        raise KeyTaken
    row = mark.key, mark.fingerprint, UNANSWERED, mark.at
    transaction.rows("insert_idempotency", row)
