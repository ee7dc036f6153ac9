"""A burst: statements of one transaction that are sent without waiting for each other's answers.

The pipeline mode of PostgreSQL's protocol (libpq, chapter "Pipeline Mode"), on libpq's own calls.
Each wait for the server gives Python's lock away and must get it back from a busy event loop, so a
commit of a dozen statements waits twice instead of twelve times. An answer that is looked at makes
us wait for all that were sent until then. One that failed fails all after it, and the commit.
"""

from __future__ import annotations

import select
import struct
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, pq
from psycopg.pq.abc import PGconn, PGresult

from tillbell.clock import SystemClock
from tillbell.storage import columns
from tillbell.storage.link import Row

_monotonic = SystemClock().monotonic
_int8 = struct.Struct(">q").pack
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)
_READABLE = select.POLLIN | select.POLLERR | select.POLLHUP
_TEXT_OID, _INT8_OID, _BYTEA_OID = 0, 20, 17  # 0: as the statement has it


def _signed(raw: bytes) -> int:
    return int.from_bytes(raw, "big", signed=True)


# By the type's number (pg_type.dat): what statements of ours return.
_LOADERS: dict[int, Callable[[bytes], Any]] = {
    16: lambda raw: raw == b"\1",  # bool
    17: bytes,  # bytea
    20: _signed,
    21: _signed,
    23: _signed,
    25: lambda raw: raw.decode(),  # text
    2278: lambda _: None,  # void
}


class Answer:
    """What the server says to one statement. To look at it is to wait for it."""

    def __init__(self, burst: Burst) -> None:
        self._burst = burst
        self.result: PGresult | None = None

    @property
    def rowcount(self) -> int:
        """How many rows changed."""
        return self._waited_for().command_tuples or 0

    def fetchall(self) -> list[Row]:
        """Return the rows."""
        result = self._waited_for()
        loaders = [_LOADERS[result.ftype(column)] for column in range(result.nfields)]
        get = result.get_value
        return [
            tuple(
                None if (raw := get(row, column)) is None else load(raw)
                for column, load in enumerate(loaders)
            )
            for row in range(result.ntuples)
        ]

    def _waited_for(self) -> PGresult:
        if self.result is None:
            self._burst.exchange()
        assert self.result is not None, "an exchange brings all answers, or raises"
        return self.result


class _Statement(NamedTuple):
    text: str
    types: tuple[int, ...]


class _Sent(NamedTuple):
    """What an answer is expected to."""

    answer: Answer | None = None
    prepared: _Statement | None = None


class Burst:
    """The bursts of one connection, one at a time. The connection must be ours alone."""

    def __init__(self, connection: PGconn, patience_s: float) -> None:
        self._pg = connection
        self._patience_s = patience_s
        self._names: dict[_Statement, bytes] = {}  # of what the server has prepared, or will have
        self._sent: deque[_Sent] = deque()
        self._socket = -1
        self._poll = select.poll()
        self.is_open = False

    def open(self) -> None:
        """Begin. `OperationalError` if the server has gone away since the last one."""
        self._socket, self._poll = self._pg.socket, select.poll()
        self._poll.register(self._socket, select.POLLIN)
        while self._poll.poll(0):  # nobody asked: it says that it ends
            self._pg.consume_input()
        self._pg.enter_pipeline_mode()
        self.is_open = True

    def send(self, text: str, bindings: Sequence[Any]) -> Answer:
        """Send a statement."""
        types, values, formats = _encoded(bindings)
        statement = _Statement(text, types)
        name = self._names.get(statement)
        if name is None:
            name = self._names[statement] = b"tillbell_%d" % len(self._names)
            self._pg.send_prepare(name, text.encode(), types)
            self._sent.append(_Sent(prepared=statement))
        self._pg.send_query_prepared(name, values, formats, pq.Format.BINARY)
        answer = Answer(self)
        self._sent.append(_Sent(answer))
        return answer

    def exchange(self) -> None:
        """Wait for all that were sent; raise what the first of them that failed says."""
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
                if sent.prepared is not None:
                    del self._names[sent.prepared]
        if failed is not None:
            raise errors.error_from_result(failed)

    def close(self) -> None:
        """End, if it has begun. What was not waited for is done; whether it failed is not asked."""
        if not self.is_open:
            return
        if self._sent:
            with suppress(psycopg.Error):  # whoever gives up does so because of it, or in spite
                self.exchange()
        self.is_open = False
        self._pg.exit_pipeline_mode()

    def _next(self, deadline: float) -> PGresult | None:
        """Wait for the next result; None ends those of one statement."""
        unsent = self._pg.flush()
        while unsent or self._pg.is_busy():
            self._poll.modify(self._socket, select.POLLIN | (select.POLLOUT if unsent else 0))
            left_s = deadline - _monotonic()
            events = self._poll.poll(max(left_s, 0) * 1_000)
            if not events:
                raise psycopg.OperationalError(f"no answer for {self._patience_s:g} s")
            if events[0][1] & _READABLE:
                self._pg.consume_input()
            unsent = self._pg.flush()
        if self._pg.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError(self._pg.get_error_message())
        return self._pg.get_result()


def _encoded(
    bindings: Sequence[Any],
) -> tuple[tuple[int, ...], list[bytes | None], list[pq.Format]]:
    """Return types, values and formats of bindings."""
    found = [_encode(value) for value in bindings]
    types = tuple(type_ for type_, _ in found)
    formats = [pq.Format.TEXT if type_ == _TEXT_OID else pq.Format.BINARY for type_ in types]
    return types, [value for _, value in found], formats


def _encode(value: Any) -> tuple[int, bytes | None]:
    match value:
        case None:
            return _TEXT_OID, None
        case str():
            return _TEXT_OID, value.replace("\0", "\ufffd").encode()  # PostgreSQL knows no NUL
        case int():
            return _INT8_OID, _int8(value)
        case columns.Texts() | columns.Numbers() | columns.Blobs():
            return columns.OIDS[type(value)][1], value
        case bytes():
            return _BYTEA_OID, value
    raise TypeError(f"no such binding: {type(value).__name__}")
