"""A burst: statements of one transaction that are sent without waiting for each other's answers.

The pipeline mode of PostgreSQL's protocol (libpq, chapter "Pipeline Mode"), on libpq's own calls.
Each wait for the server gives Python's lock away and must get it back from a busy event loop, so a
commit of a dozen statements waits twice instead of twelve times. An answer that is looked at makes
us wait for all that were sent until then. One that failed fails all after it, and the commit.
"""

from __future__ import annotations

import itertools
import select
import struct
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import abc, errors, pq
from psycopg.adapt import Transformer
from psycopg.pq.abc import PGconn, PGresult

from tillbell.clock import SystemClock
from tillbell.storage.postgres import binary_arrays
from tillbell.storage.session.connection import Row

_monotonic = SystemClock().monotonic
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)
_READABLE = select.POLLIN | select.POLLERR | select.POLLHUP


class PipelineResult:
    """What the server says to one statement. To look at it is to wait for it."""

    def __init__(self, burst: Pipeline, transformer: abc.Transformer) -> None:
        self._pipeline = burst
        self._transformer = transformer
        self.result: PGresult | None = None

    @property
    def rowcount(self) -> int:
        """How many rows changed."""
        return self._waited_for().command_tuples or 0

    def fetchall(self) -> list[Row]:
        """Return the rows."""
        self._transformer.set_pgresult(self._waited_for())
        found: list[Row] = self._transformer.load_rows(0, self._waited_for().ntuples, tuple)
        return found

    def _waited_for(self) -> PGresult:
        if self.result is None:
            self._pipeline.sync()
        assert self.result is not None, "an exchange brings all answers, or raises"
        return self.result


class _Statement(NamedTuple):
    text: str
    types: tuple[int, ...]


class _SentStatement(NamedTuple):
    """What the server was asked: to run a statement, or (no answer) to prepare it."""

    statement: _Statement
    answer: PipelineResult | None = None


class Pipeline:
    """The bursts of one connection, one at a time. The connection must be ours alone."""

    def __init__(self, connection: psycopg.Connection[Any], patience_s: float) -> None:
        self._pg: PGconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._patience_s = patience_s
        self._names: dict[_Statement, bytes] = {}  # of what the server has prepared, or will have
        self._numbers = itertools.count()
        self._sent: deque[_SentStatement] = deque()
        self._socket = -1
        self._poll = select.poll()
        self.is_open = False
        self.is_broken = False

    def open(self) -> None:
        """Begin. `OperationalError` if the server has gone away since the last one."""
        self._socket, self._poll = self._pg.socket, select.poll()
        self._poll.register(self._socket, select.POLLIN)
        while self._poll.poll(0):  # nobody asked: it says that it ends
            self._pg.consume_input()
        self._pg.enter_pipeline_mode()
        self.is_open = True

    def send(self, text: str, bindings: Sequence[Any]) -> PipelineResult:
        """Send a statement."""
        types, values, formats = _encoded(bindings)
        statement = _Statement(text, types)
        name = self._names.get(statement)
        if name is None:
            name = self._names[statement] = b"tillbell_%d" % next(self._numbers)
            self._pg.send_prepare(name, text.encode(), types)
            self._sent.append(_SentStatement(statement))
        self._pg.send_query_prepared(name, values, formats, pq.Format.BINARY)
        answer = PipelineResult(self, self._transformer)
        self._sent.append(_SentStatement(statement, answer))
        return answer

    def query_each(self, text: str, bindings: Sequence[Sequence[Any]]) -> list[PipelineResult]:
        """Send a statement that is alone, once for each, and wait for the answers."""
        self.open()
        try:
            answers = [self.send(text, row) for row in bindings]
            self.sync()
        finally:
            self.close()
        return answers

    def sync(self) -> None:
        """Wait for all that were sent; raise what the first of them that failed says."""
        self.is_broken = True  # unless it comes to its end
        self._pg.pipeline_sync()
        deadline = _monotonic() + self._patience_s
        failed: PGresult | None = None
        while (result := self._next(deadline)) is None or (
            result.status != pq.ExecStatus.PIPELINE_SYNC
        ):
            if result is None:  # the end of one answer
                continue
            sent = self._sent.popleft()
            if sent.answer is not None:
                sent.answer.result = result
            if result.status in _FAILED:
                failed = failed or result
                if sent.answer is None or failed is result:  # perhaps it is not prepared any more
                    self._names.pop(sent.statement, None)
        self.is_broken = False
        if failed is not None:
            raise errors.error_from_result(failed)

    def close(self) -> None:
        """End, if it has begun. What was not waited for is done; whether it failed is not asked."""
        if self.is_open and self._sent and not self.is_broken:
            with suppress(psycopg.Error):  # whoever gives up does so because of it, or in spite
                self.sync()
        if self.is_open and not self.is_broken:  # with that nothing can be done any more
            self.is_open = False
            self._pg.exit_pipeline_mode()

    def _next(self, deadline: float) -> PGresult | None:
        """Wait for the next result; None ends those of one statement."""
        while self._pg.is_busy():
            unsent = self._pg.flush()
            self._poll.modify(self._socket, select.POLLIN | (select.POLLOUT if unsent else 0))
            left_s = deadline - _monotonic()
            events = self._poll.poll(max(left_s, 0) * 1_000)
            if not events:
                raise psycopg.OperationalError(f"no answer for {self._patience_s:g} s")
            if events[0][1] & _READABLE:
                self._pg.consume_input()
        if self._pg.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError(self._pg.get_error_message())
        return self._pg.get_result()


def _encoded(
    bindings: Sequence[Any],
) -> tuple[tuple[int, ...], list[bytes | None], list[pq.Format]]:
    """Return types, values and formats of bindings."""
    encoders = [_encoder(type(value)) for value in bindings]
    return (
        tuple([encoder.oid for encoder in encoders]),
        [encoder.write(value) for encoder, value in zip(encoders, bindings, strict=True)],
        [encoder.format for encoder in encoders],
    )


class _Encoder(NamedTuple):
    """How values of a type are sent; 0: of the type that the statement wants."""

    oid: int
    format: pq.Format
    write: Callable[[Any], bytes | None]


def _as_it_is(value: bytes | None) -> bytes | None:
    return value


def _text(value: str) -> bytes:
    return value.replace("\0", "\ufffd").encode()  # PostgreSQL knows no NUL


_ENCODERS: dict[type, _Encoder] = {
    type(None): _Encoder(0, pq.Format.TEXT, _as_it_is),
    str: _Encoder(0, pq.Format.TEXT, _text),
    int: _Encoder(20, pq.Format.BINARY, struct.Struct(">q").pack),
    bytes: _Encoder(17, pq.Format.BINARY, _as_it_is),
    **{
        kind: _Encoder(oid, pq.Format.BINARY, _as_it_is)
        for kind, (_, oid) in binary_arrays.OIDS.items()
    },
}


def _encoder(kind: type) -> _Encoder:
    found = _ENCODERS.get(kind)
    if found is None:
        found = _ENCODERS[kind] = _inherited(kind)
    return found


def _inherited(kind: type) -> _Encoder:
    for base in kind.__mro__:
        if base in _ENCODERS:
            return _ENCODERS[base]
    raise TypeError(f"no such binding: {kind.__name__}")
