"""A transport that joins small writes, and whose reading can be held.

The server writes the head of an answer and then its body. Two system calls instead of one
cost more than all our own work on the hot path. Writes of one turn of the event loop are
joined and sent at its end.

uvicorn goes on reading whenever a request asks for its body or has been answered. While reading is
held, it does not.
"""

from __future__ import annotations

import asyncio
from typing import Any

JOIN_MAX = 65_536  # bytes


class BufferedTransport:
    """Wraps a transport; everything but writing and closing is passed on."""

    __slots__ = ("_is_held", "_loop", "_parts", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._is_held = False
        self.is_closing = transport.is_closing  # asked for each request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def hold_reading(self) -> None:
        """Read nothing until it is released."""
        self._is_held = True
        self._transport.pause_reading()

    def release_reading(self) -> None:
        """Read on."""
        self._is_held = False
        self._transport.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless reading is held."""
        if not self._is_held:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send at the end of this turn of the loop."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def write_whole(self, data: bytes) -> None:
        """Send a whole answer: nothing follows in this turn that it could be joined with."""
        if self._parts:
            self._parts.append(data)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send what was written."""
        parts = self._parts
        if parts:
            self._parts = []
            if len(parts) == 1:
                self._transport.write(parts[0])
            elif sum(map(len, parts)) <= JOIN_MAX:
                self._transport.write(b"".join(parts))
            else:  # a large answer that many wait for is not copied for each
                self._transport.writelines(parts)

    def write_eof(self) -> None:
        """Send what was written, and that nothing follows."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what was written, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._parts = []
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are not sent yet."""
        return sum(map(len, self._parts)) + self._transport.get_write_buffer_size()
