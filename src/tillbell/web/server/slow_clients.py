"""Patience: how long we wait for a client, and for how many header bytes.

uvicorn waits for ever for a client that sends its request one byte a minute. This
protocol gives each a time for the headers, one for the body and one for reading
our answer, none of which a dripping client can lengthen (C9).

It must cost nothing when a request arrives whole, so there are no timers: a
connection notes by when it must have moved on, only while it has not, and one
sweep a second over all connections cuts off those that are overdue.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tillbell.logs import log_event
from tillbell.web.server.write_coalescing import BufferedTransport

HEADER_BYTES_MAX = 32_768
TARGET = "tillbell.target"  # where the target as sent is left in the ASGI scope
_HEADERS, _BODY, _ANSWER = "headers", "body", "answer"


class ClientTimeouts(NamedTuple):
    """What a client is allowed."""

    header_timeout_s: float = 15
    body_timeout_s: float = 30  # also for reading our answer
    sweep_every_s: float = 1


class DeadlineConfig(uvicorn.Config):
    """uvicorn's configuration, and our limits."""

    limits = ClientTimeouts()


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with deadlines and a bound on the header."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = cast("DeadlineConfig", self.config).limits
        self._header_bytes = 0
        self._part: str | None = _HEADERS  # what the client owes us; None: nothing
        self._of: object = None  # of which request
        self._overdue_at = self.loop.time() + self._limits.header_timeout_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; answers leave in one piece."""
        joined = BufferedTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", joined))

    def on_headers_complete(self) -> None:
        """Begin the request; leave its target in the scope as it was sent."""
        self.scope[TARGET] = self.url  # type: ignore[literal-required]
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, never past the bound while it is inside a header."""
        if len(data) + self._header_bytes <= HEADER_BYTES_MAX:
            HttpToolsProtocol.data_received(self, data)
            self._check_deadline(len(data))
            return
        while data and not self.transport.is_closing():
            room = HEADER_BYTES_MAX - self._header_bytes
            piece, data = data[:room], data[room:]
            HttpToolsProtocol.data_received(self, piece)
            self._check_deadline(len(piece))
            if self._header_bytes >= HEADER_BYTES_MAX:
                self._refuse(b"431 Request Header Fields Too Large")

    def _check_deadline(self, size: int) -> None:
        """Note whether the request is whole; if not, by when its present part must be."""
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            self._header_bytes += size
            self._owes(_HEADERS, cycle, self._limits.header_timeout_s)
            return
        self._header_bytes = 0
        if cycle.more_body:
            self._owes(_BODY, cycle, self._limits.body_timeout_s)
        elif cycle.response_complete:  # bytes between requests, which end no idle time
            self._owes(_HEADERS, cycle, self._limits.header_timeout_s)
        else:
            self._part = None

    def _owes(self, part: str, of: object, patience_s: float) -> None:
        """Set the time for a part when it begins; more bytes of the same one do not lengthen it."""
        if self._part != part or self._of is not of:
            self._part, self._of = part, of
            self._overdue_at = self.loop.time() + patience_s

    def pause_writing(self) -> None:
        """Give a client that does not read our answer a time to do so."""
        super().pause_writing()
        self._owes(_ANSWER, self.cycle, self._limits.body_timeout_s)

    def resume_writing(self) -> None:
        """Go on: it reads."""
        super().resume_writing()
        self._part = None

    def cut_off_if_overdue(self, now_s: float) -> None:
        """Close the connection if the client has used up our patience."""
        if self._part is None or now_s < self._overdue_at:
            return
        log_event("request.timed_out", waited_for=self._part)
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # it does not read either: a close would wait for it
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        self.transport.close()
