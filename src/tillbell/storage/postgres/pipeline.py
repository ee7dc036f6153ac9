"""A pipeline: statements of one transaction that are sent without waiting for each other's results.

It is the pipeline mode of PostgreSQL's protocol (libpq, chapter "Pipeline Mode"), on libpq's own
calls. Each wait for the server releases Python's lock and must get it back from a busy event loop,
so a commit of a dozen statements waits twice instead of twelve times. Reading a result waits for
all statements that were sent until then. A statement that fails also fails all after it, and the
commit.
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
    """The result of one statement. Reading it waits for the server."""

    def __init__(self, pipeline: Pipeline, transformer: abc.Transformer) -> None:
        self._pipeline = pipeline
        self._transformer = transformer
        self.result: PGresult | None = None

    @property
    def rowcount(self) -> int:
        """How many rows changed."""
        return self._wait().command_tuples or 0

    def fetchall(self) -> list[Row]:
        """Return the rows."""
        result = self._wait()
        self._transformer.set_pgresult(result)
        rows: list[Row] = self._transformer.load_rows(0, result.ntuples, tuple)
        return rows

    def _wait(self) -> PGresult:
        if self.result is None:
            self._pipeline.sync()
        assert self.result is not None, "a sync brings all results, or raises"
        return self.result


class _Statement(NamedTuple):
    text: str
    types: tuple[int, ...]


class _SentStatement(NamedTuple):
    """A request to run a statement, or (without result) to prepare it."""

    statement: _Statement
    result: PipelineResult | None = None


class Pipeline:
    """The pipeline of one connection, opened for one transaction after another.

    No pooler may stand between, because statements stay prepared. A wait for the server raises
    `OperationalError` after `timeout_s`.
    """

    def __init__(self, connection: psycopg.Connection[Any], timeout_s: float) -> None:
        self._pg: PGconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._timeout_s = timeout_s
        self._names: dict[_Statement, bytes] = {}  # of statements that are or will be prepared
        self._numbers = itertools.count()
        self._sent: deque[_SentStatement] = deque()
        self._socket = -1
        self._poll = select.poll()
        self.is_open = False
        self.is_broken = False

    def open(self) -> None:
        """Open it; `OperationalError` if the server has ended the connection in the meantime."""
        self._socket, self._poll = self._pg.socket, select.poll()
        self._poll.register(self._socket, select.POLLIN)
        while self._poll.poll(0):  # we asked nothing: the server says that it ends the connection
            self._pg.consume_input()
        self._pg.enter_pipeline_mode()
        self.is_open = True

    def send(self, text: str, bindings: Sequence[Any]) -> PipelineResult:
        """Send a statement, and prepare it before if it is new."""
        types, values, formats = _encoded(bindings)
        statement = _Statement(text, types)
        name = self._names.get(statement)
        if name is None:
            name = self._names[statement] = b"tillbell_%d" % next(self._numbers)
            self._pg.send_prepare(name, text.encode(), types)
            self._sent.append(_SentStatement(statement))
        self._pg.send_query_prepared(name, values, formats, pq.Format.BINARY)
        result = PipelineResult(self, self._transformer)
        self._sent.append(_SentStatement(statement, result))
        return result

    def query_each(self, text: str, bindings: Sequence[Sequence[Any]]) -> list[PipelineResult]:
        """Run a statement outside a transaction, once for each row of bindings, and wait."""
        self.open()
        try:
            results = [self.send(text, row) for row in bindings]
            self.sync()
        finally:
            self.close()
        return results

    def sync(self) -> None:
        """Wait for the results of all sent statements; raise the first error among them."""
        self.is_broken = True  # until all results are here
        self._pg.pipeline_sync()
        deadline = _monotonic() + self._timeout_s
        failed: PGresult | None = None
        while (result := self._next(deadline)) is None or (
            result.status != pq.ExecStatus.PIPELINE_SYNC
        ):
            if result is None:  # the end of one statement's results
                continue
            sent = self._sent.popleft()
            if sent.result is not None:
                sent.result.result = result
            if result.status in _FAILED:
                failed = failed or result
                if sent.result is None or failed is result:  # perhaps it is not prepared any more
                    self._names.pop(sent.statement, None)
        self.is_broken = False
        if failed is not None:
            raise errors.error_from_result(failed)

    def close(self) -> None:
        """Close it if it is open. Statements still under way are run, and their errors ignored."""
        if self.is_open and self._sent and not self.is_broken:
            with suppress(psycopg.Error):  # the caller gives the transaction up in any case
                self.sync()
        if self.is_open and not self.is_broken:  # a broken connection cannot leave the mode
            self.is_open = False
            self._pg.exit_pipeline_mode()

    def _next(self, deadline: float) -> PGresult | None:
        """Wait for the next result; None ends those of one statement."""
        while self._pg.is_busy():
            unsent = self._pg.flush()
            self._poll.modify(self._socket, select.POLLIN | (select.POLLOUT if unsent else 0))
            remaining_s = deadline - _monotonic()
            events = self._poll.poll(max(remaining_s, 0) * 1_000)
            if not events:
                raise psycopg.OperationalError(f"no answer for {self._timeout_s:g} s")
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
    """How values of a type are sent."""

    oid: int  # 0: the type that the statement expects
    format: pq.Format
    write: Callable[[Any], bytes | None]


def _unchanged(value: bytes | None) -> bytes | None:
    return value


def _text(value: str) -> bytes:
    return value.replace("\0", "\ufffd").encode()  # PostgreSQL accepts no NUL in texts


_ENCODERS: dict[type, _Encoder] = {
    type(None): _Encoder(0, pq.Format.TEXT, _unchanged),
    str: _Encoder(0, pq.Format.TEXT, _text),
    int: _Encoder(20, pq.Format.BINARY, struct.Struct(">q").pack),
    bytes: _Encoder(17, pq.Format.BINARY, _unchanged),
    **{
        kind: _Encoder(oid, pq.Format.BINARY, _unchanged)
        for kind, (_, oid) in binary_arrays.OIDS.items()
    },
}


def _encoder(kind: type) -> _Encoder:
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        encoder = _ENCODERS[kind] = _inherited(kind)
    return encoder


def _inherited(kind: type) -> _Encoder:
    for base in kind.__mro__:
        if base in _ENCODERS:
            return _ENCODERS[base]
    raise TypeError(f"no such binding: {kind.__name__}")
