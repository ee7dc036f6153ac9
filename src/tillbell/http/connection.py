"""A connection to a receiver: HTTP/1.1, one exchange at a time, written as callbacks.

What counts as an answer:

- **A status line counts.** When it has been read, the attempt has this status, whatever follows:
  headers that break a rule, a head that is cut off, a body that is endless or late. Without a
  whole status line there is no status. So a result never changes between success and failure.
- An answer that comes before the whole request was read counts the same.
- Interim answers (1xx) are skipped. Redirects, cookies, `Alt-Svc` and content codings are ignored.
- A connection is used again only after an answer that the parser read to its end. Bytes outside an
  exchange close it. They are never taken for the next answer.
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
import ssl
from typing import NamedTuple, Protocol, cast

import httptools

from tillbell.clock import Clock
from tillbell.http.address_policy import Origin
from tillbell.http.answer_head import (
    announced_idle_s,
    final_head,
    find_final_head,
    is_blank_line_in,
)
from tillbell.http.tls_failures import explain_tls_failure
from tillbell.model.construct import by_keyword
from tillbell.model.messages import Reply

HEAD_MAX = 32 * 1024  # bytes of status line and headers, interim ones included
HEAD_LINES_MAX = 256
READ_MAX = HEAD_MAX + 64 * 1024  # bytes of a whole answer; we stop reading there
BODY_KEPT = 16 * 1024  # bytes of the body in the reply

NEVER = float("inf")
IDLE_MARGIN_S = 1.0  # a request must reach the receiver before it closes an idle connection
_reply = by_keyword(Reply)
_RETRY_AFTER = re.compile(rb"\nretry-after:[ \t]*([\x20-\x7e]{0,100})", re.IGNORECASE)
_TOO_LONG = f"The head of the answer is longer than {HEAD_MAX} bytes."
_RESET_HINT = " Perhaps it requires a client certificate, which Tillbell does not send."
_COUNTS = "Its status counts."


class Opening(NamedTuple):
    """What it took to open a connection: each phase in microseconds, as text, and their sum."""

    phases: str  # name, connect, TLS; a connection that was open already has none of them
    total_us: int


NOT_OPENED = Opening("0 0 0", 0)


class ConnectionOwner(Protocol):
    """What a connection reports to: the pool."""

    def connection_idle(self, connection: HttpConnection) -> None:
        """Take note that it is free for another exchange."""
        ...

    def connection_closed(self, connection: HttpConnection) -> None:
        """Take note that it is closed and its descriptor free."""
        ...


class HttpConnection(asyncio.Protocol):
    """A connection. After `abort` it is dead, and its owner is called once it is closed."""

    __slots__ = (
        "_body",
        "_body_kept",
        "_failure",
        "_first_at",
        "_future",
        "_head",
        "_interim",
        "_is_complete",
        "_is_unparsable",
        "_keeps_alive",
        "_loop",
        "_monotonic",
        "_opening",
        "_owner",
        "_parser",
        "_poll",
        "_received",
        "_started",
        "_status",
        "_timeout_s",
        "_transport",
        "deadline",
        "exchanges",
        "has_surplus_bytes",
        "idle_since",
        "idle_until",
        "is_dead",
        "lost_by",
        "opened_at",
        "origin",
    )

    def __init__(
        self,
        owner: ConnectionOwner,
        clock: Clock,
        origin: Origin,
        sock: socket.socket,
        body_kept: int = BODY_KEPT,
    ) -> None:
        self._owner = owner
        self._body_kept = body_kept
        self._monotonic = clock.monotonic
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.origin = origin
        self.is_dead = False
        self.lost_by: Exception | None = None  # what ended it
        self.exchanges = 0
        self.opened_at = self.idle_since = 0.0
        self.idle_until = NEVER  # loop time; by then the receiver has announced to close it
        self.deadline = NEVER  # loop time; of the exchange under way
        self._future: asyncio.Future[Reply] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._clear()

    def _clear(self) -> None:
        self._status = self._received = self._interim = 0
        self._failure = ""
        self._head = b""  # all that came until the head was whole
        self._body = b""
        self._is_complete = self._keeps_alive = self.has_surplus_bytes = False
        self._is_unparsable = False

    # ── called by the client ─────────────────────────────────────────────────────────────────────

    def exchange(
        self,
        request: bytes,
        deadline: float,
        started: float,
        timeout_s: float,
        opening: Opening = NOT_OPENED,
    ) -> asyncio.Future[Reply]:
        """Send a request; the future gets a reply, whatever happens.

        `deadline` is loop time in seconds, `started` the monotonic time before the name look-up,
        `opening` what it took to open the connection for this request.
        """
        assert self._future is None, "one exchange at a time"
        if self.exchanges:
            self._clear()
        self.exchanges += 1
        self.deadline, self._started, self._timeout_s = deadline, started, timeout_s
        self._opening = opening
        self._future = future = self._loop.create_future()
        self._transport.write(request)
        return future

    def is_silent(self) -> bool:
        """Tell whether nothing has arrived since the last answer, not even the end.

        This asks the kernel, because the event loop may not have read it yet: a connection that
        the receiver closed, or sent surplus bytes on, must not carry another request.
        """
        return not self._poll.poll(0)

    def expire(self) -> None:
        """End the exchange: its deadline has passed."""
        within = f"within {self._timeout_s:g} s"
        if self._status:
            self._end(detail=f"The answer's body was not complete {within}. {_COUNTS}")
        elif self._received:
            self._end_in_head("timeout", f"The head of the answer was not complete {within}.")
        else:
            self._end("timeout", f"The receiver did not answer {within}.")

    def abort(self) -> None:
        """Close at once."""
        self.is_dead = True
        self._transport.abort()

    # ── called by the event loop ─────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no common class

    def data_received(self, data: bytes) -> None:
        """Read a piece of an answer."""
        if self._future is None:
            self.has_surplus_bytes = True
            self.abort()
            return
        if not self._received:
            self._first_at = self._monotonic()
        self._received += len(data)
        if not self._status:
            self._head = self._head + data if self._head else data
        if self._is_unparsable:
            self._check_rest_of_head(len(data))
            return
        self._parse(data)
        if self._is_complete:
            self._end()
        elif self._failure or self._received > HEAD_MAX:
            self._check_limits()

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_unparsable = True
            self._failure = "The receiver switched protocols, which was not requested."
        except httptools.HttpParserError as error:
            self.has_surplus_bytes = self._is_unparsable = True
            self._failure = self._failure or f"The answer is not valid HTTP/1.1 ({_clean(error)})."

    def eof_received(self) -> None:
        """Take no more requests. The transport closes itself."""
        self.is_dead = True

    def _check_limits(self) -> None:
        if not self._status:
            self._check_head()
        elif self._failure:
            self._end(detail=f"{self._failure} {_COUNTS}")
        elif self._received > READ_MAX:
            self._end(detail=f"The answer is longer than {READ_MAX} bytes; the rest was not read.")

    def _check_head(self) -> None:
        """End the exchange if the head is whole, if it can be none, or if it is too long."""
        head = find_final_head(self._head)
        if self._received > HEAD_MAX or head.end is not None or not head.is_http:
            self._end_in_head("protocol_error", _TOO_LONG)

    def _check_rest_of_head(self, size: int) -> None:
        """Look at a head that the parser refused, if a line or the head may have ended now."""
        before = len(self._head) - size
        ends_head = is_blank_line_in(self._head[max(0, before - 2) :])
        ends_first_line = b"\n" not in self._head[:before] and b"\n" in self._head[before:]
        if ends_head or ends_first_line or self._received > HEAD_MAX:
            self._check_head()

    def _end_in_head(self, error: str, detail: str) -> None:
        """End the exchange without the parser: with the status, if its line was read."""
        if self._failure:
            error, detail = "protocol_error", self._failure
        head = find_final_head(self._head)
        if not _is_final(head.status):
            self._end(error, detail)
            return
        self._status = head.status
        if head.end is not None:
            self._body = self._head[head.end :][: self._body_kept]
        self._end(detail=f"{detail} {_COUNTS}")

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange, if there is one, with what was read."""
        self.is_dead = True
        self.lost_by = exc
        if self._future is not None and self._status:
            self._end(
                detail="The connection broke before the answer's body was complete." if exc else ""
            )
        elif self._future is not None and isinstance(exc, ssl.SSLError):
            self._end_in_head(*explain_tls_failure(exc, f"{self.origin[1]}:{self.origin[2]}"))
        elif self._future is not None:
            self._end_in_head("reset", self._lost_detail(exc))
        self._owner.connection_closed(self)

    def _lost_detail(self, exc: Exception | None) -> str:
        how = "reset" if exc else "closed"
        if self._received:
            return f"The receiver {how} the connection before the head of its answer was complete."
        if self.exchanges > 1:
            return f"The receiver {how} a reused connection without an answer."
        hint = _RESET_HINT if exc and self.origin[0] == "https" else ""
        return f"The receiver {how} the connection without an answer.{hint}"

    # ── called by the parser ─────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """Detect a second answer."""
        if self._is_complete:
            self.has_surplus_bytes = True

    def on_headers_complete(self) -> None:
        """Take the status."""
        if self._status:
            return  # a second answer
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._interim += 1
        elif not _is_final(status) or not self._is_http_1():
            self._failure = "The answer's status line is not HTTP/1.1 with a status from 200."
        elif not self._failure:
            self._status = status
            is_long = self._received > HEAD_MAX or self._head.count(b"\n") > HEAD_LINES_MAX
            self._keeps_alive = self._parser.should_keep_alive() and not is_long

    def _is_http_1(self) -> bool:
        head = self._head if not self._interim else final_head(self._head)
        return head.lstrip(b"\r\n").startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))

    def _retry_after(self) -> str:
        match = _RETRY_AFTER.search(final_head(self._head))
        return match[1].decode("ascii").strip() if match else ""

    def on_body(self, data: bytes) -> None:
        """Keep the first bytes of the body."""
        if len(self._body) < self._body_kept and not self._is_complete:
            self._body += data[: self._body_kept - len(self._body)]

    def on_message_complete(self) -> None:
        """Note the end of the answer; the end of an interim answer means nothing."""
        if self._status:
            self._is_complete = True

    def _end(self, error: str = "", detail: str = "") -> None:
        future, self._future = self._future, None
        assert future is not None
        self.deadline = NEVER
        started = self._started
        took_us = int((self._monotonic() - started) * 1_000_000)
        phases, opened_us = self._opening
        if self._received:
            phases = f"{phases} {int((self._first_at - started) * 1_000_000) - opened_us}"
        retry_after = self._retry_after() if self._status >= 300 else ""
        reply = _reply(
            status=self._status,
            error=error,
            detail=detail,
            body=self._body,
            retry_after=retry_after,
            duration_us=took_us,
            head=self._head,
            phases=phases,
        )
        if self._may_keep():
            self._owner.connection_idle(self)
        elif not self.is_dead:
            self.abort()
        if not future.done():
            future.set_result(reply)

    def _may_keep(self) -> bool:
        """Tell whether another exchange may follow, and note until when."""
        if not self._is_complete or not self._keeps_alive:
            return False
        if self.has_surplus_bytes or self.is_dead:
            return False
        now = self._loop.time()
        idle_s = announced_idle_s(self._head)
        self.idle_since = now
        self.idle_until = NEVER if idle_s is None else now + idle_s - IDLE_MARGIN_S
        return now < self.idle_until


def _is_final(status: int) -> bool:
    """Tell final statuses: also those above 599, which are failures like 5xx (RFC 9110 §15)."""
    return 200 <= status <= 999


def _clean(error: Exception) -> str:
    """Return the first line of a parser's message, printable ASCII only."""
    text = str(error).partition("\n")[0]
    return "".join(c for c in text if " " <= c <= "~")[:100]
