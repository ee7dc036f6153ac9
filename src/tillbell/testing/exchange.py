"""One request to a `Receiver`, and the means to answer it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tillbell.clock import Micros

_LINGER_ZERO = struct.pack("ii", 1, 0)  # close sends RST instead of FIN


class ReceivedRequest(NamedTuple):
    """One request as it was received."""

    at: Micros
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]  # in order, names as written
    body: bytes
    connection: int  # counts from 1
    head: bytes  # request line and headers, raw

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


class ReceiverExchange:
    """One request, and the methods to answer it, byte by byte if needed."""

    def __init__(self, request: ReceivedRequest, nth: int, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.nth = nth  # number of requests to this path, including this one
        self._writer = writer
        self.is_open = True

    async def write(self, data: bytes) -> None:
        """Send raw bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int, body: bytes = b"ok", *headers: str) -> None:
        """Send a complete and correct answer."""
        lines = [f"HTTP/1.1 {status} Answer", f"Content-Length: {len(body)}", *headers, "", ""]
        await self.write("\r\n".join(lines).encode("latin-1") + body)

    def close(self) -> None:
        """Close the connection in the normal way."""
        self.is_open = False
        self._writer.close()

    def reset(self) -> None:
        """Break the connection: the peer sees a reset."""
        self.is_open = False
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._writer.transport.abort()


Behaviour = Callable[[ReceiverExchange], Awaitable[None]]
