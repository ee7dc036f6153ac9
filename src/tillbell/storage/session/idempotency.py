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
from tillbell.errors import ConflictError
from tillbell.storage.session.transaction import DbTransaction, Operation

UNANSWERED = b""


class IdempotencyKeyInUse(ConflictError):
    """A request with this Idempotency-Key is running elsewhere; try again later."""

    code = "idempotency_key_in_use"


class IdempotencyUse:
    """One use of a key."""

    def __init__(self, key: str, fingerprint: str, at: Micros) -> None:
        self.key = key
        self.fingerprint = fingerprint
        self.at = at
        self.is_attached = False  # to a write
        self.was_used_before = False  # somebody else has used the key


_present: ContextVar[IdempotencyUse | None] = ContextVar("mark", default=None)


@contextmanager
def carrying(mark: IdempotencyUse) -> Iterator[None]:
    """Let the first write that is submitted meanwhile bring the mark."""
    token = _present.set(mark)
    try:
        yield
    finally:
        _present.reset(token)


def with_idempotency(work: Operation) -> Operation:
    """Return the work, with the present mark if no other write has it: then it runs alone.

    It raises `IdempotencyKeyInUse` if the key was used before, and does nothing.
    """
    mark = _present.get()
    if mark is None or mark.is_attached:
        return work
    mark.is_attached = True

    @wraps(work)
    def marked(transaction: DbTransaction, requests: Sequence[Any]) -> Sequence[Any]:
        mark.is_attached = True  # also when it is begun anew, after another process crossed it
        try:
            _use(transaction, mark)
            return work(transaction, requests)
        except BaseException:  # all of it is undone
            mark.is_attached = False
            raise

    return marked


def _use(transaction: DbTransaction, mark: IdempotencyUse) -> None:
    if transaction.query("find_idempotency", (mark.key,)):
        mark.was_used_before = True
        raise IdempotencyKeyInUse
    row = mark.key, mark.fingerprint, UNANSWERED, mark.at
    transaction.query("insert_idempotency", row)
