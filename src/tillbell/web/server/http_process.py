"""An HTTP process: accepts connections for the gateway and reads usual requests.

`python -m tillbell.web.server.http_process`, started by `http_processes.py` with descriptors of
the listening socket and of two sockets to the gateway. What it reads, it sends on in frames, many
of them in one write, and gets the answers the same way. So the gateway's thread, which stores and
delivers, has neither the connections nor the heads of requests to read.

It decides nothing and refuses nothing. Whatever is no usual message or callback, and what the
gateway does not answer at once, it hands over: the gateway gets the connection itself with what was
received, and serves it as if it had accepted it. It stays there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import resource
import signal
import socket
import sys
from typing import cast

import msgspec

from tillbell.web.server.frames import DescriptorSender, FrameKind, FrameProtocol
from tillbell.web.server.usual_requests import (
    CALLBACK_START,
    MESSAGE_START,
    Client,
    DirectCallback,
    DirectRequest,
    read_direct,
)

WHOLE_MAX = 65_536  # bytes of a request that is waited for here, and of those behind it
LAST_ANSWERS_S = 2.0  # for clients to read them, when the gateway has ended
_HEAD_MAX = 4_096
_END = b"\r\n\r\n"
_encode = msgspec.msgpack.Encoder().encode
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,5})\r\n", re.IGNORECASE)


def may_become_usual(data: bytes) -> bool:
    """Tell whether a request that is not whole may be a usual one, once it is.

    >>> may_become_usual(b"POST /api/v1/app/shop/msg HTTP/1.1\\r\\nHost: x\\r\\n")
    True
    >>> may_become_usual(b"GET / HTTP/1.1\\r\\n")
    False
    """
    if not data.startswith((MESSAGE_START, CALLBACK_START)):
        return MESSAGE_START.startswith(data) or CALLBACK_START.startswith(data)
    end = data.find(_END)
    if end < 0:
        return len(data) < _HEAD_MAX
    length = _LENGTH.search(data, 0, end + 2)
    return length is not None and len(data) < end + len(_END) + int(length[1]) <= WHOLE_MAX


class HttpProcess:
    """The connections of this process, and its way to the gateway."""

    def __init__(self, idle_s: float) -> None:
        self.idle_s = idle_s
        self.is_ending = False
        self._ended = asyncio.Event()
        self._numbers = itertools.count(1)
        self._clients: dict[int, ClientConnection] = {}
        self._gateway: FrameProtocol
        self._descriptors: DescriptorSender

    async def run(
        self, listening: socket.socket, frames: socket.socket, descriptors: socket.socket,
        sweep_every_s: float,
    ) -> None:  # fmt: skip
        """Serve until told to end, or until the gateway has ended."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # the gateway ends us in its order
        self._descriptors = DescriptorSender(descriptors)
        _, self._gateway = await loop.create_unix_connection(
            lambda: FrameProtocol(self._answered, self._gateway_lost), sock=frames
        )
        self._server = await loop.create_server(
            lambda: ClientConnection(self, next(self._numbers)), sock=listening, backlog=2_048
        )
        self._gateway.send(FrameKind.READY, 0)
        sweeping = loop.create_task(self._sweep(sweep_every_s))
        await self._ended.wait()
        sweeping.cancel()
        self._gateway.close()

    # ── connections ──────────────────────────────────────────────────────────────────────────────

    def opened(self, client: ClientConnection) -> None:
        """Serve a new connection."""
        self._clients[client.number] = client

    def closed(self, client: ClientConnection) -> None:
        """Forget a connection."""
        self._clients.pop(client.number, None)
        self._check_end()

    def ask(self, number: int, request: DirectRequest | DirectCallback) -> None:
        """Send a request of a connection to the gateway."""
        is_message = isinstance(request, DirectRequest)
        kind = FrameKind.MESSAGE if is_message else FrameKind.CALLBACK
        self._gateway.send(kind, number, _encode(request))

    def hand_over(self, client: ClientConnection, descriptor: int, received: bytes) -> None:
        """Give a connection to the gateway."""
        self._gateway.send(FrameKind.HANDED_OVER, client.number, received)
        self._descriptors.send(client.number, descriptor)

    def _answered(self, kind: int, number: int, answer: bytes) -> None:
        client = self._clients.get(number)
        if client is None:
            return
        if kind == FrameKind.NOT_TAKEN:
            client.not_taken()
        else:
            client.answered(answer, is_last=kind == FrameKind.LAST_ANSWER)

    # ── time, and the end ────────────────────────────────────────────────────────────────────────

    async def _sweep(self, every_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(every_s)
            now_s = loop.time()
            for client in list(self._clients.values()):
                client.look_at_time(now_s, every_s)

    def _end(self) -> None:
        """Accept no more; end when every request has its answer."""
        self.is_ending = True
        self._server.close()
        for client in list(self._clients.values()):
            client.end_if_idle()
        self._check_end()

    def _check_end(self) -> None:
        if self.is_ending and not self._clients:
            self._ended.set()

    def _gateway_lost(self) -> None:
        """End: requests that the gateway has are not answered any more."""
        self.is_ending = True
        self._server.close()
        for client in list(self._clients.values()):
            client.end()
        asyncio.get_running_loop().call_later(LAST_ANSWERS_S, self._ended.set)
        self._check_end()


class ClientConnection(asyncio.Protocol):
    """One connection of a client: one request after the other."""

    def __init__(self, process: HttpProcess, number: int) -> None:
        self.number = number
        self._process = process
        self._received = b""  # of the present request, until it is answered
        self._following = b""  # what came after it
        self._is_asked = False  # the gateway has the request
        self._began_at: float | None = None  # when its first bytes came, or the connection did
        self._idle_since = 0.0
        self._transport: asyncio.Transport
        self._client: Client | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        address = transport.get_extra_info("peername")
        self._client = (str(address[0]), int(address[1])) if address else None
        self._process.opened(self)
        if self._process.is_ending:
            transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """End."""
        self._process.closed(self)

    def data_received(self, data: bytes) -> None:
        """Read a request, or what follows it."""
        if self._is_asked:
            self._following += data
            if len(self._following) > WHOLE_MAX:
                self._transport.pause_reading()
            return
        self._received += data
        self._read()

    def _read(self) -> None:
        """Send a request on that is whole; hand over what is none of ours."""
        if self._began_at is None:
            self._began_at = self._loop.time()
        request = read_direct(self._received, self._client)
        if request is not None:
            self._is_asked = True
            self._process.ask(self.number, request)
        elif not may_become_usual(self._received):
            self._hand_over()

    def not_taken(self) -> None:
        """Hand over a request that the gateway answers in another way."""
        self._is_asked = False
        self._hand_over()

    def answered(self, answer: bytes, *, is_last: bool) -> None:
        """Pass an answer on, and go on with what follows."""
        self._is_asked = False
        self._transport.write(answer)
        self._received, self._began_at = b"", None
        self._idle_since = self._loop.time()
        if is_last or self._process.is_ending:
            self._transport.close()
        elif self._following:
            self._received, self._following = self._following, b""
            self._transport.resume_reading()
            self._read()

    def _hand_over(self) -> None:
        descriptor = os.dup(self._transport.get_extra_info("socket").fileno())
        self._process.hand_over(self, descriptor, self._received + self._following)
        self._transport.abort()

    def look_at_time(self, now_s: float, patience_s: float) -> None:
        """Hand over a request that does not come; close a connection that is idle for long."""
        if self._is_asked or self._transport.is_closing():
            return
        if self._began_at is not None and now_s >= self._began_at + patience_s:
            self._hand_over()
        elif self._began_at is None and now_s >= self._idle_since + self._process.idle_s:
            if self._transport.get_write_buffer_size():
                self._transport.abort()  # it does not read our answer
            else:
                self._transport.close()

    def end(self) -> None:
        """Close the connection once the last answer is sent."""
        if self._is_asked:
            self._transport.abort()
        else:
            self._transport.close()

    def end_if_idle(self) -> None:
        """Close the connection unless a request waits for its answer."""
        if not self._is_asked:
            self._transport.close()


def main() -> None:
    """Run with the arguments that `http_processes.py` gives."""
    import uvloop

    listening, frames, descriptors = (socket.socket(fileno=int(text)) for text in sys.argv[1:4])
    idle_s, sweep_every_s = map(float, sys.argv[4:6])
    listening.setblocking(False)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(HttpProcess(idle_s).run(listening, frames, descriptors, sweep_every_s))


if __name__ == "__main__":
    main()
