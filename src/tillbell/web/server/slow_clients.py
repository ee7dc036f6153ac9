"""Deadlines for slow clients, and a limit on the size of request headers.

uvicorn waits for ever for a client that sends its request one byte a minute. This
protocol has one deadline for the headers, one for the body and one for reading our
answer. Sending a few more bytes does not extend them.

It must cost nothing if a request arrives whole, so there are no timers: a connection
with an incomplete request stores its deadline, and a sweep over all connections, once
a second, closes those that are overdue.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, NamedTuple, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tillbell.ids import new_request_id
from tillbell.logs import log_event
from tillbell.web.edge.problems import name_request, render_code
from tillbell.web.server.write_coalescing import BufferedTransport

HEADER_BYTES_MAX = 32_768
TARGET = "tillbell.target"  # place in the ASGI scope of the request target as it was sent
_HEADERS, _BODY, _ANSWER = "headers", "body", "answer"


class ClientTimeouts(NamedTuple):
    """How long a client may take."""

    header_timeout_s: float = 15
    body_timeout_s: float = 30  # also for reading our answer
    sweep_every_s: float = 1


class DeadlineConfig(uvicorn.Config):
    """uvicorn's configuration with our deadlines."""

    limits = ClientTimeouts()


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with deadlines and a limit on the header."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = cast("DeadlineConfig", self.config).limits
        self._header_bytes = 0
        self._part: str | None = _HEADERS  # that we wait for; None: we wait for nothing
        self._request: object = None  # whose part it is
        self._overdue_at = self.loop.time() + self._limits.header_timeout_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, with a transport that joins writes."""
        buffered = BufferedTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", buffered))

    def on_headers_complete(self) -> None:
        """Begin a request; put its target into the scope as it was sent."""
        self.scope[TARGET] = self.url  # type: ignore[literal-required]
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse the request if its header exceeds the limit."""
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
                self._refuse(
                    431,
                    "header_too_large",
                    f"The header may have at most {HEADER_BYTES_MAX} bytes.",
                )

    def _check_deadline(self, size: int) -> None:
        """Set or clear the deadline, by which part of the request is incomplete."""
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            self._header_bytes += size
            self._expect(_HEADERS, cycle, self._limits.header_timeout_s)
            return
        self._header_bytes = 0
        if cycle.more_body:
            self._expect(_BODY, cycle, self._limits.body_timeout_s)
        elif cycle.response_complete:  # bytes between requests do not count as activity
            self._expect(_HEADERS, cycle, self._limits.header_timeout_s)
        else:
            self._part = None

    def _expect(self, part: str, request: object, timeout_s: float) -> None:
        """Set the deadline when a part begins; more bytes of the same part do not extend it."""
        if self._part != part or self._request is not request:
            self._part, self._request = part, request
            self._overdue_at = self.loop.time() + timeout_s

    def pause_writing(self) -> None:
        """Set the deadline for a client that does not read our answer."""
        super().pause_writing()
        self._expect(_ANSWER, self.cycle, self._limits.body_timeout_s)

    def resume_writing(self) -> None:
        """Clear the deadline: the client reads."""
        super().resume_writing()
        self._part = None

    def cut_off_if_overdue(self, now_s: float) -> None:
        """Close the connection if its deadline has passed."""
        if self._part is None or now_s < self._overdue_at:
            return
        log_event("request.timed_out", waited_for=self._part)
        self._refuse(408, "request_timeout", "The request did not arrive in time.")

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP; `msg` is uvicorn's text."""
        del msg
        self.transport.write(_problem(400, "malformed", "This is not an HTTP/1.1 request."))
        self.transport.close()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # a close would wait until the client reads
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_problem(status, code, detail))
        self.transport.close()


def _problem(status: int, code: str, detail: str) -> bytes:
    """Write a whole response in the shape of our errors; no part of the gateway has the request."""
    request_id = new_request_id()
    answer = name_request(render_code(status, code, detail, []), request_id)
    lines = [
        b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode()),
        *(name + b": " + value for name, value in answer.headers),
        b"x-request-id: " + request_id.encode(),
        b"content-length: %d" % len(answer.body),
        b"connection: close",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + answer.body
