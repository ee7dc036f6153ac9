"""The act of a request: an entry of the audit log for the commit that does what is asked for.

Most changes make an entry of their own, which says what was before and after. A request whose first
write has none leaves this one, which names the request. So no route that changes anything can
forget the log. A request that writes nothing leaves no entry.

The web edge opens it (`open_request_act`), the guard of the routes fills it in, and the methods of
the store (`engine/methods.py`) take it from there, as they do with idempotency keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tillbell.model.audit import AuditedAct
from tillbell.storage.ports.inbound import PreconditionFailed
from tillbell.storage.ports.outbound import ResendCounts
from tillbell.storage.session.transaction import DbTransaction, Operation


class RequestAct:
    """The act of the request that runs; None: it is not known yet, or the request only reads."""

    def __init__(self) -> None:
        self.act: AuditedAct | None = None


_request_act: ContextVar[RequestAct | None] = ContextVar("request_act", default=None)


@contextmanager
def open_request_act() -> Iterator[None]:
    """Let the first write that is submitted meanwhile leave an entry, once there is an act."""
    token = _request_act.set(RequestAct())
    try:
        yield
    finally:
        _request_act.reset(token)


def fill_request_act(act: AuditedAct) -> None:
    """Say what the request that runs does."""
    request = _request_act.get()
    if request is not None:
        request.act = act


def take_request_act() -> AuditedAct | None:
    """Return the act of the request that runs here, for a write that stores it itself."""
    request = _request_act.get()
    if request is None:
        return None
    act, request.act = request.act, None
    return act


def request_act() -> RequestAct | None:
    """Return the act of the request that runs here, unless a write has it already."""
    request = _request_act.get()
    return None if request is None or request.act is None else request


def _is_refusal(result: Any) -> bool:
    """Tell whether an operation says that it has written nothing.

    Another was first, or none of the rows that it is about is there.
    """
    if isinstance(result, ResendCounts):
        return not result.moved
    return isinstance(result, PreconditionFailed) or (isinstance(result, int) and not result)


def with_request_act(operation: Operation, request: RequestAct) -> Operation:
    """Attach an act to an operation, which is then run alone.

    If the write is refused, or writes nothing, the act goes with the next one.
    """
    act, request.act = request.act, None
    assert act is not None

    def run(db: DbTransaction, requests: Sequence[Any]) -> Sequence[Any]:
        request.act = None  # also when it begins anew after a concurrent write
        try:
            results = operation.run(db, requests)
        except BaseException:  # all of it is undone
            request.act = act
            raise
        if all(map(_is_refusal, results)):
            request.act = act
        elif not db.has_own_acts:
            db.audited_acts.append(act)
        return results

    return Operation(operation.name, run)
