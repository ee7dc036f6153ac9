"""Deadlines for slow clients, and a limit on the size of request headers.

uvicorn waits for ever for a client that sends its request one byte a minute. This
protocol has one deadline for the headers, one for the body and one for reading our
answer. Sending a few more bytes does not extend them.

uvicorn also reads all requests that a client sends without waiting for answers. This protocol
reads on when few of them wait.

It must cost nothing if a request arrives whole, so there are no timers: a connection
with an incomplete request stores its deadline, and a sweep over all connections, once
a second, closes those that are overdue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import uvicorn

from tillbell.logs import log_event
from tillbell.web.edge.direct_messages import DirectAnswer
from tillbell.web.edge.paths import is_upload
from tillbell.web.server.strict_requests import StrictProtocol
from tillbell.web.server.usual_requests import DirectCallback, DirectRequest
from tillbell.web.server.write_coalescing import BufferedTransport

HEADER_BYTES_MAX = 32_768
PIPELINED_MAX = 16  # requests that wait for the answers to earlier ones before we stop to read
PIECE_MAX = 8_192  # bytes that are parsed before the limits are looked at again
_HEADERS, _BODY, _REST, _ANSWER = "headers", "body", "rest of a refused body", "answer"
_IDLE = "next request"
Begin = Callable[[DirectRequest | DirectCallback, DirectAnswer], asyncio.Future[Any] | None]


class ClientTimeouts(NamedTuple):
    """How long a client may take."""

    header_timeout_s: float = 15
    body_timeout_s: float = 30  # also for reading our answer
    rest_timeout_s: float = 5  # for the rest of a body that was answered before it had arrived
    sweep_every_s: float = 1
    idle_s: float = 75  # between an answer and the next request


class DeadlineConfig(uvicorn.Config):
    """uvicorn's configuration with our deadlines."""

    limits = ClientTimeouts()
    direct: Begin | None = None  # answers what needs no ASGI (direct_requests.py)


class DeadlineProtocol(StrictProtocol):
    """The protocol with deadlines and a limit on the header."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = cast("DeadlineConfig", self.config).limits
        self._header_bytes = 0
        self._began = False  # a head, in the piece that is parsed
        self._held = b""  # received, and parsed when fewer requests wait
        self._part: str | None = _HEADERS  # that we wait for; None: we wait for nothing
        self._request: object = None  # whose part it is
        self._overdue_at = self.loop.time() + self._limits.header_timeout_s

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse the request if its header exceeds the limit."""
        if self._held:
            self._held += data  # read before reading was held
        elif len(data) <= PIECE_MAX - self._header_bytes and not self.pipeline:
            super().data_received(data)
            self._check_deadline(len(data))
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        """Feed the parser piece by piece, as long as there is room for more requests."""
        start = 0
        while start < len(data) and self._refusal is None and not self.transport.is_closing():
            if len(self.pipeline) >= PIPELINED_MAX:
                self._held = data[start:]
                cast("BufferedTransport", self.transport).hold_reading()
                if self._part is not _ANSWER:
                    self.wait_for_nothing()
                return
            piece = data[start : start + min(PIECE_MAX, HEADER_BYTES_MAX - self._header_bytes)]
            start += len(piece)
            super().data_received(piece)
            self._check_deadline(len(piece))
            if self._header_bytes >= HEADER_BYTES_MAX:
                limit = f"The header may have at most {HEADER_BYTES_MAX} bytes."
                self.refuse(431, "header_too_large", limit)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._began = True

    def _check_deadline(self, size: int) -> None:
        """Set or clear the deadline, by which part of the request is incomplete."""
        cycle = self.cycle
        has_head = cycle is not None and cycle.scope is self.scope
        if has_head:
            self._header_bytes = 0
        elif self._began:
            self._header_bytes = size  # at most: those before it are in this piece too
        else:
            self._header_bytes += size
        self._began = False
        if self._part is _ANSWER:
            return  # only reading counts
        if not has_head:
            self._expect(_HEADERS, cycle, self._limits.header_timeout_s)
        elif cycle.more_body and cycle.response_complete:
            self._expect(_REST, cycle, self._limits.rest_timeout_s)
        elif cycle.more_body:
            self._expect(_BODY, cycle, self._limits.body_timeout_s)
            if is_upload(cycle.scope["method"], cycle.scope["path"]):  # each part has the time
                self._overdue_at = self.loop.time() + self._limits.body_timeout_s
        elif cycle.response_complete:  # bytes between requests do not count as activity
            self._expect(_HEADERS, cycle, self._limits.header_timeout_s)
        else:
            self._part = None

    def _expect(self, part: str, request: object, timeout_s: float) -> None:
        """Set the deadline when a part begins; more bytes of the same part do not extend it."""
        if self._part != part or self._request is not request:
            self._part, self._request = part, request
            self._overdue_at = self.loop.time() + timeout_s

    def wait_for_nothing(self) -> None:
        """Clear the deadline: a whole request is there, and it is for us to act."""
        self._part = None

    def wait_for_request(self, timeout_s: float) -> None:
        """Close the connection unless a request begins in time."""
        self._part, self._overdue_at = _IDLE, self.loop.time() + timeout_s

    def on_response_complete(self) -> None:
        """Read requests that were held; set the deadline for a body that was answered early."""
        super().on_response_complete()
        if self._held and len(self.pipeline) < PIPELINED_MAX and not self.transport.is_closing():
            held, self._held = self._held, b""
            cast("BufferedTransport", self.transport).release_reading()
            self._feed(held)
        cycle = self.cycle
        if self._part is not _ANSWER and cycle.more_body and cycle.response_complete:
            self._expect(_REST, cycle, self._limits.rest_timeout_s)

    def pause_writing(self) -> None:
        """Set the deadline for a client that does not read our answer."""
        super().pause_writing()
        self._expect(_ANSWER, self.cycle, self._limits.body_timeout_s)

    def resume_writing(self) -> None:
        """Clear the deadline: the client has read. What else is incomplete has a new one."""
        super().resume_writing()
        if self._part is _ANSWER:
            self._part = None
            self._check_deadline(0)

    def cut_off_if_overdue(self, now_s: float) -> None:
        """Close the connection if its deadline has passed."""
        super().cut_off_if_overdue(now_s)
        if self._ends_at is not None or self._part is None or now_s < self._overdue_at:
            return
        if self._part is _IDLE:
            self.transport.close()
            return
        log_event("request.timed_out", waited_for=self._part)
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # a close would wait until the client reads
        elif self._part is _REST:
            self.transport.close()
        else:
            self._part = None
            self.refuse(408, "request_timeout", "The request did not arrive in time.")
