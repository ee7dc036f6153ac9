"""A protocol that answers usual messages and callbacks at once, without parser and ASGI.

What `read_direct` does not take (usual_requests.py) goes to the parser: the base class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tillbell.web.edge.asgi_types import HttpAnswer
from tillbell.web.server.slow_clients import (
    Begin,
    DeadlineConfig,
    DeadlineProtocol,
)
from tillbell.web.server.usual_requests import DirectCallback, DirectRequest, read_direct
from tillbell.web.server.write_coalescing import BufferedTransport

CLOSE = (b"connection", b"close")
_NO_CONTENT = 204
_NOBODY_WAITS = asyncio.Event()


class DirectExchange:
    """A request that was taken, in place of the server's own cycle of request and response."""

    __slots__ = ("disconnected", "keep_alive", "response_complete", "scope")

    body = b""
    more_body = False
    response_started = False
    message_event = _NOBODY_WAITS

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False


class DirectProtocol(DeadlineProtocol):
    """The protocol of the server. `direct` of its configuration answers what is read at once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._begin: Begin | None = cast("DeadlineConfig", self.config).direct

    def data_received(self, data: bytes) -> None:
        """Take a usual request, or feed the parser."""
        if self._begin is not None and self._is_between_requests():
            request = read_direct(data, self.client)
            if request is not None and self._take(request, self._begin):
                return
        super().data_received(data)

    def _is_between_requests(self) -> bool:
        """Tell whether the parser has nothing of a request, and nothing is to be answered."""
        cycle = self.cycle
        return (
            (cycle is None or (cycle.response_complete and not cycle.more_body))
            and not self._header_bytes
            and self._refusal is None
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _take(self, request: DirectRequest | DirectCallback, begin: Begin) -> bool:
        exchange = DirectExchange()
        write = begin(request, partial(self._answer, exchange))
        if write is None:
            return False
        self._unset_keepalive_if_required()
        self.wait_for_nothing()
        self.scope = cast("Any", exchange.scope)
        self.cycle = cast("Any", exchange)
        self.tasks.add(cast("Any", write))  # the server's stop waits for it
        write.add_done_callback(cast("Any", self.tasks.discard))
        return True

    def _answer(self, exchange: DirectExchange, answer: HttpAnswer, request_id: bytes) -> None:
        """Write an answer and go on with the next request."""
        exchange.response_complete = True
        if exchange.disconnected:
            return
        if CLOSE in answer.headers:
            exchange.keep_alive = False
        elif not exchange.keep_alive:
            answer = answer.with_headers([CLOSE])
        whole = answer_bytes(answer, self.server_state.default_headers, request_id)
        cast("BufferedTransport", self.transport).write_whole(whole)
        if not exchange.keep_alive:
            self.transport.close()
        if self.pipeline or self._refusal is not None or self.transport.is_closing():
            self.on_response_complete()
        else:  # the same without a timer for each request
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self.wait_for_request(self.timeout_keep_alive)


class TakenOverProtocol(DirectProtocol):
    """Serves a connection of which bytes were received already."""

    def __init__(self, received: bytes, **options: Any) -> None:
        super().__init__(**options)
        self._received = received

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with what was received."""
        super().connection_made(transport)
        received, self._received = self._received, b""
        if received:
            self.data_received(received)


def answer_bytes(
    answer: HttpAnswer, headers: Iterable[tuple[bytes, bytes]], request_id: bytes
) -> bytes:
    """Write an answer, with those headers that every answer has."""
    has_body = answer.status != _NO_CONTENT
    return b"%b%b%bx-request-id: %b\r\n%b\r\n%b" % (
        STATUS_LINE[answer.status],
        _lines(tuple(headers)),
        _lines(tuple(answer.headers)),
        request_id,
        b"content-length: %d\r\n" % len(answer.body) if has_body else b"",
        answer.body if has_body else b"",
    )


@lru_cache(maxsize=256)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Write headers. Most answers have the same ones."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
