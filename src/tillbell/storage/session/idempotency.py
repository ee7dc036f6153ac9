"""Idempotency keys: the commit that does what a request asks for also stores that its key was used.

The answer to a request is known only after its commit, and a process may end in between. Then the
use is stored without an answer, and the request is not done a second time: not after a crash, and
not by another process at the same moment.

A key goes with the first write of its request. If that write is refused nothing of it is stored,
and the key goes with the next one.

`web/edge/idempotency.py` sets the key of the request that it lets in (`carrying`). The methods of
the store (`engine/methods.py`) take it from there and hand it to the writer with the first write.
Between the two it is a context variable: docs/decisions/0013 says why it is not a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tillbell.clock import Micros
from tillbell.error_codes import ErrorCode
from tillbell.errors import ConflictError
from tillbell.storage.ports.outbound import IdempotencyUse
from tillbell.storage.session.transaction import DbTransaction, Operation


class IdempotencyKeyInUse(ConflictError):
    """A request with this Idempotency-Key is running elsewhere; try again later."""

    code: ErrorCode = "idempotency_key_in_use"


class RequestKey:
    """The idempotency key of the request that runs, and what became of it."""

    def __init__(self, use: IdempotencyUse, at: Micros) -> None:
        self.use = use
        self.at = at
        self.is_attached = False  # to a write
        self.was_used_before = False  # by another request: this one does nothing


_request_key: ContextVar[RequestKey | None] = ContextVar("request_key", default=None)


@contextmanager
def carrying(key: RequestKey) -> Iterator[None]:
    """Let the first write that is submitted meanwhile store the use of the key."""
    token = _request_key.set(key)
    try:
        yield
    finally:
        _request_key.reset(token)


def request_key() -> RequestKey | None:
    """Return the key of the request that runs here, unless a write has it already."""
    key = _request_key.get()
    return None if key is None or key.is_attached else key


def with_idempotency(operation: Operation, key: RequestKey) -> Operation:
    """Attach a key to an operation, which is then run alone.

    It raises `IdempotencyKeyInUse`, and does nothing, if the key was used before.
    """
    key.is_attached = True

    def run(db: DbTransaction, requests: Sequence[Any]) -> Sequence[Any]:
        key.is_attached = True  # also when it begins anew after a concurrent write
        try:
            _store_use(db, key)
            return operation.run(db, requests)
        except BaseException:  # all of it is undone
            key.is_attached = False
            raise

    return Operation(operation.name, run)


def _store_use(db: DbTransaction, key: RequestKey) -> None:
    if db.query("find_idempotency", (key.use.key,)):
        key.was_used_before = True
        raise IdempotencyKeyInUse
    db.execute_bulk("insert_idempotency", [(*key.use, key.at)])
