"""A protocol that reads usual messages and callbacks at once, without parser and ASGI.

`read_direct` takes a request only if it came as a whole and its head is of a form that every parser
reads alike: one line for a field, `name: value`, printable ASCII, no name twice, and none of the
fields that change how a request is read. What it does not take goes to the parser (the base class),
byte for byte, which has the rules for everything that is allowed, and the refusals.

So the two never disagree: the form is a part of what the parser takes and means the same there.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tillbell.web.edge.asgi_types import HttpAnswer
from tillbell.web.edge.direct_callbacks import DirectCallback
from tillbell.web.edge.direct_messages import DirectRequest
from tillbell.web.server.request_rules import is_host
from tillbell.web.server.slow_clients import (
    Begin,
    DeadlineConfig,
    DeadlineProtocol,
)
from tillbell.web.server.write_coalescing import BufferedTransport

_MESSAGE = b"POST /api/v1/app/"
_CALLBACK = b"POST /api/webhooks/"
_TARGET = re.compile(
    rb"POST /api/v1/app/([A-Za-z0-9_.-]{1,256})/msg(?:\?([A-Za-z0-9_.=&-]*))? HTTP/1\.1"
)
_CALLBACK_TARGET = re.compile(
    rb"POST ((/api/webhooks/[a-z0-9-]{1,64}(?:/[A-Za-z0-9_-]{1,128})?)"
    rb"(?:\?([A-Za-z0-9_.~=&%+:,/@!*$;()-]*))?) HTTP/1\.1"
)
_NAME = re.compile(rb"[A-Za-z0-9-]+")
_PRINTABLE = bytes(range(0x20, 0x7F))
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
_CLOSE = (b"connection", b"close")
_LENGTH_MAX = 9  # digits
_HEAD_MAX = 4_096  # bytes
_NO_CONTENT = 204
_NOBODY_WAITS = asyncio.Event()


Client = tuple[str, int]


class _Usual(NamedTuple):
    """A whole request of the usual form. `names` are those of its fields in lower case."""

    line: bytes
    names: tuple[bytes, ...]
    values: list[bytes]
    body: bytes


def read_direct(data: bytes, client: Client | None = None) -> DirectRequest | DirectCallback | None:
    """Read a usual message or callback; None if it is neither, or not whole."""
    if data.startswith(_MESSAGE):
        return _read_message(data)
    if data.startswith(_CALLBACK):
        return _read_callback(data, client)
    return None


def _read_message(data: bytes) -> DirectRequest | None:
    usual = _read_usual(data)
    target = None if usual is None else _target(usual.line)
    if usual is None or target is None:
        return None
    fields = dict(zip(usual.names, map(bytes.strip, usual.values), strict=True))
    fields.pop(b"connection", None)
    return DirectRequest(*target, fields, usual.body)


def _read_callback(data: bytes, client: Client | None) -> DirectCallback | None:
    """Read a callback. A value with spaces around it goes to the parser: it may be signed."""
    usual = _read_usual(data)
    target = None if usual is None else _callback_target(usual.line)
    if usual is None or target is None or usual.values != list(map(bytes.strip, usual.values)):
        return None
    headers = list(zip(usual.names, usual.values, strict=True))
    return DirectCallback(*target, headers, usual.body, client)


def _read_usual(data: bytes) -> _Usual | None:
    """Take a request apart that every parser reads alike; None if it may be another one."""
    end = data.find(b"\r\n\r\n", 0, _HEAD_MAX)
    if end < 0:
        return None
    head = data[:end]
    first, *lines = head.split(b"\r\n")
    pairs = [line.partition(b": ") for line in lines]
    names = _usual_names(tuple([name if colon else b"" for name, colon, _ in pairs]))
    # Without what is printable, nothing but the ends of the lines is left.
    if names is None or head.translate(None, _PRINTABLE) != b"\r\n" * len(lines):
        return None
    values = [value for _, _, value in pairs]
    length = values[names.index(b"content-length")].strip()
    if (
        not length.isdigit()
        or len(length) > _LENGTH_MAX
        or int(length) != len(data) - end - 4
        or not _is_host(values[names.index(b"host")])
        or not _is_kept_alive(names, values)
    ):
        return None
    return _Usual(first, names, values, data[end + 4 :])


def _is_kept_alive(names: tuple[bytes, ...], values: list[bytes]) -> bool:
    if b"connection" not in names:
        return True
    return values[names.index(b"connection")].strip().lower() == _KEEP_ALIVE


# A client sends the same target and the same names again and again; values are read each time.


@lru_cache(maxsize=1024)
def _target(line: bytes) -> tuple[str, bytes] | None:
    """Return the application and the query of a request line; None if it is of another form."""
    target = _TARGET.fullmatch(line)
    return None if target is None else (target[1].decode(), target[2] or b"")


@lru_cache(maxsize=1024)
def _callback_target(line: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return path, query and both of a callback's line; None if it is of another form."""
    target = _CALLBACK_TARGET.fullmatch(line)
    return None if target is None else (target[2], target[3] or b"", target[1])


_is_host = lru_cache(maxsize=256)(is_host)


@lru_cache(maxsize=1024)
def _usual_names(names: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
    """Return the names of all fields in lower case; None if the parser has to read them."""
    lower = tuple([name.lower() for name in names])
    unique = frozenset(lower)
    is_usual = (
        len(unique) == len(lower)
        and all(map(_NAME.fullmatch, lower))
        and unique.isdisjoint(_UNUSUAL)
        and {b"host", b"content-length"} <= unique
    )
    return lower if is_usual else None


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
        if _CLOSE in answer.headers:
            exchange.keep_alive = False
        elif not exchange.keep_alive:
            answer = answer.with_headers([_CLOSE])
        has_body = answer.status != _NO_CONTENT
        whole = b"%b%b%bx-request-id: %b\r\n%b\r\n%b" % (
            STATUS_LINE[answer.status],
            _lines(tuple(self.server_state.default_headers)),
            _lines(tuple(answer.headers)),
            request_id,
            b"content-length: %d\r\n" % len(answer.body) if has_body else b"",
            answer.body if has_body else b"",
        )
        cast("BufferedTransport", self.transport).write_whole(whole)
        if not exchange.keep_alive:
            self.transport.close()
        if self.pipeline or self._refusal is not None or self.transport.is_closing():
            self.on_response_complete()
        else:  # the same without a timer for each request
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self.wait_for_request(self.timeout_keep_alive)


@lru_cache(maxsize=256)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Write headers. Most answers have the same ones."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
