"""A protocol that reads the usual request to create a message at once, without parser and ASGI.

`read_direct` takes a request only if it came as a whole and its head is of a form that every parser
reads alike: one line for a field, `name: value`, printable ASCII, no name twice, and none of the
fields that change how a request is read. What it does not take goes to the parser (the base class),
byte for byte, which has the rules for everything that is allowed, and the refusals.

So the two never disagree: the form is a part of what the parser takes and means the same there.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tillbell.web.edge.asgi_types import HttpAnswer
from tillbell.web.edge.direct_messages import DirectRequest
from tillbell.web.server.request_rules import is_host
from tillbell.web.server.slow_clients import (
    HEADER_BYTES_MAX,
    Begin,
    DeadlineConfig,
    DeadlineProtocol,
)

_START = b"POST /api/v1/app/"
_HEAD = re.compile(
    rb"POST /api/v1/app/([A-Za-z0-9_.-]{1,256}+)/msg(?:\?([A-Za-z0-9_.=&-]*+))? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]++: [\x20-\x7e]++\r\n)++)\r\n"
)
_FIELDS = re.compile(rb"([^:]+): ([^\r]+)\r\n")
# What changes how the body, the connection or the request itself is read.
_UNUSUAL = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_KEEP_ALIVE = b"keep-alive"
_LENGTH = re.compile(rb"[0-9]{1,9}")
_NOBODY_WAITS = asyncio.Event()


def read_direct(data: bytes) -> DirectRequest | None:
    """Read a usual request to create a message; None if it is no such request, or not whole."""
    if not data.startswith(_START):
        return None
    head = _HEAD.match(data, 0, HEADER_BYTES_MAX)
    if head is None:
        return None
    lines = _FIELDS.findall(head[3])
    fields = {name.lower(): value.strip() for name, value in lines}
    if len(fields) != len(lines) or fields.pop(b"connection", b"keep-alive").lower() != _KEEP_ALIVE:
        return None
    host, length = fields.get(b"host", b""), fields.get(b"content-length", b"")
    if not (is_host(host) and _LENGTH.fullmatch(length) and fields.keys().isdisjoint(_UNUSUAL)):
        return None
    end = head.end()
    if int(length) != len(data) - end:
        return None
    return DirectRequest(head[1].decode("ascii"), head[2] or b"", fields, data[end:])


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
            request = read_direct(data)
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

    def _take(self, request: DirectRequest, begin: Begin) -> bool:
        exchange = DirectExchange()
        write = begin(request, lambda answer: self._answer(exchange, answer))
        if write is None:
            return False
        self._unset_keepalive_if_required()
        self.wait_for_nothing()
        self.scope = cast("Any", exchange.scope)
        self.cycle = cast("Any", exchange)
        self.tasks.add(cast("Any", write))  # the server's stop waits for it
        write.add_done_callback(cast("Any", self.tasks.discard))
        return True

    def _answer(self, exchange: DirectExchange, answer: HttpAnswer) -> None:
        """Write an answer and go on with the next request."""
        exchange.response_complete = True
        if exchange.disconnected:
            return
        headers = [*self.server_state.default_headers, *answer.headers]
        if (b"connection", b"close") in headers:
            exchange.keep_alive = False
        elif not exchange.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        length = b"content-length: %d\r\n\r\n" % len(answer.body)
        self.transport.write(b"".join((STATUS_LINE[answer.status], *lines, length, answer.body)))
        if not exchange.keep_alive:
            self.transport.close()
        if self.pipeline or self._refusal is not None or self.transport.is_closing():
            self.on_response_complete()
        else:  # the same without a timer for each request
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self.wait_for_request(self.timeout_keep_alive)
