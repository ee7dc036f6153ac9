"""A protocol that refuses a request with two meanings, and ends a connection so that it is told.

A refusal comes after the answers to the requests before it, which are served. Then the server says
that it sends no more (a half close), and reads on for a moment: a connection that is closed while
bytes of the client are unread is reset, and the client may lose the answer (RFC 9112 9.6).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tillbell.error_codes import ErrorCode
from tillbell.ids import new_request_id
from tillbell.web.edge.problems import name_request, render_code
from tillbell.web.server.request_rules import (
    CHUNK_MAX,
    FIELDS_MAX,
    MalformedRequest,
    announced_chunk,
    check_head,
    check_protocol,
    is_mostly_framing,
    origin_form,
    without_upgrade,
)
from tillbell.web.server.write_coalescing import BufferedTransport

LINGER_S = 2.0
TARGET = "tillbell.target"  # place in the ASGI scope of the request target as it was sent
LINES = "tillbell.lines"  # and of the header lines as they were sent, where somebody wants them
_WANTS_LINES = b"/inbox/"  # what the target then holds
_NOT_HTTP = "This is not an HTTP/1.1 request."
_KEPT = 4_096  # bytes of a chunked body in which the size of its last chunk stands


class StrictProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with our rules for the head."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._has_head = False  # what follows belongs to the body
        self._lines: list[tuple[bytes, bytes]] = []  # of the head, if somebody wants them
        self._fault = _NOT_HTTP
        self._refusal: bytes | None = None  # the last answer, once a request was refused
        self._ends_at: float | None = None  # when the connection is closed, as loop time
        self._is_chunked = False  # the body that is being received
        self._received = b""  # the last bytes of a chunked body
        self._chunk_bytes: int | None = None  # that were received of the chunk; None: in none
        self._body_bytes = 0  # that were received of the body
        self._framed_bytes = 0  # that were received of a chunked body with its framing

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, with a transport that joins writes."""
        buffered = BufferedTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", buffered))

    # ── what the parser reads ────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the connection ends."""
        if self._refusal is not None:
            return
        if b"pgrade" in data and (self.cycle is None or not self.cycle.more_body):
            data = without_upgrade(data)
        framed = self.headers if self._is_chunked else None
        super().data_received(data)
        if self._is_chunked:
            self._check_chunk(data)
            self._framed_bytes += len(data) if self.headers is framed else 0
            if is_mostly_framing(self._framed_bytes, self._body_bytes):
                self.refuse(400, "malformed", "The chunks are too small, or the trailer too long.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._has_head = self._is_chunked = False
        self._lines = []
        self._received = b""
        self._body_bytes = self._framed_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head. Those that follow the body are not of the request."""
        if self._has_head:
            return
        if len(self.headers) >= FIELDS_MAX:
            limit = f"The header may have at most {FIELDS_MAX} fields."
            self.refuse(431, "header_too_large", limit)
            raise MalformedRequest(limit)
        if _WANTS_LINES in self.url:
            self._lines.append((name, value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head, then begin the request; put its target into the scope."""
        self._has_head = True
        method = self.parser.get_method()
        try:
            version = self.parser.get_http_version()
            self._is_chunked = check_head(version, method, self.headers)
            check_protocol(is_upgrade=self.parser.should_upgrade())
            self.url = origin_form(method, self.url, self.headers)
        except MalformedRequest as error:
            self._fault = str(error)
            raise
        self.scope[TARGET] = self.url  # type: ignore[literal-required]
        if self._lines:
            self.scope[LINES] = self._lines  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Begin a chunk."""
        self._chunk_bytes = 0

    def on_chunk_complete(self) -> None:
        """End a chunk."""
        self._chunk_bytes = None

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body_bytes += len(body)
        if self._chunk_bytes is not None:
            self._chunk_bytes += len(body)
        super().on_body(body)

    def _check_chunk(self, data: bytes) -> None:
        """Refuse a chunk that announces more than any body may have, which would be waited for."""
        self._received += data
        in_chunk = self._chunk_bytes is not None
        line_end = len(self._received) - (self._chunk_bytes or 0)
        line = self._received[: max(0, line_end)]
        if announced_chunk(line, is_line_whole=in_chunk) >= CHUNK_MAX:
            self.refuse(400, "malformed", "A chunk announces more bytes than a body may have.")
        self._received = self._received[-_KEPT:]

    def on_message_complete(self) -> None:
        """End the body."""
        super().on_message_complete()
        self._is_chunked = False

    # ── refusing ─────────────────────────────────────────────────────────────────────────────────

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read; `msg` is uvicorn's text."""
        del msg
        self.refuse(400, "malformed", self._fault)

    def refuse(self, status: int, code: ErrorCode, detail: str) -> None:
        """End the connection with an error, after the answers to requests that are whole."""
        if self._refusal is None:
            self._refusal = _problem(status, code, detail)
            if not self._is_answering:
                self._end(self._refusal)

    def on_response_complete(self) -> None:
        """Go on with the next request; after the last one a refusal follows."""
        super().on_response_complete()
        if self._refusal is not None and not self._is_answering:
            self._end(self._refusal)

    @property
    def _is_answering(self) -> bool:
        """Whether a request that is whole is still to be answered."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _end(self, answer: bytes) -> None:
        cycle = self.cycle
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # the rest of its body is not read
            cycle.message_event.set()
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(answer)
        self.transport.write_eof()
        self._ends_at = self.loop.time() + LINGER_S

    def shutdown(self) -> None:
        """Begin to stop; a connection that has ended is closed at once."""
        if self._ends_at is not None:
            self.transport.abort()
        else:
            super().shutdown()

    def cut_off_if_overdue(self, now_s: float) -> None:
        """Close a connection that has ended, though its client keeps it open."""
        if self._ends_at is not None and now_s >= self._ends_at:
            self.transport.abort()


def _problem(status: int, code: ErrorCode, detail: str) -> bytes:
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
