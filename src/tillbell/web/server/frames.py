"""What the gateway and its HTTP processes say to each other: frames, over a pair of sockets.

A frame has a kind, the number of the connection that it is about, and what belongs to it. Both ends
run the same program, and nobody else has the sockets. A connection is passed on as a descriptor
over a second pair, with its number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import cast

_HEAD = struct.Struct(">IBQ")  # length of what belongs to it, kind, number
NUMBER_BYTES = 8


class FrameKind(IntEnum):
    """What a frame says."""

    # an HTTP process:
    READY = 1  # that it accepts connections
    MESSAGE = 2  # a `DirectRequest`
    CALLBACK = 3  # a `DirectCallback`
    HANDED_OVER = 4  # what was received; the gateway serves the connection from now on
    # the gateway:
    ANSWER = 5  # the bytes of an answer
    LAST_ANSWER = 6  # the same; the connection is closed after it
    NOT_TAKEN = 7  # that it does not answer the request so: the connection is to be handed over


class FrameProtocol(asyncio.Protocol):
    """One end of the pair. `receive` takes each frame, `on_lost` the end of the other process."""

    def __init__(
        self, receive: Callable[[int, int, bytes], object], on_lost: Callable[[], object]
    ) -> None:
        self._receive = receive
        self._on_lost = on_lost
        self._rest = b""
        self._parts: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        """End: the other process has ended, or `close` was called."""
        self._transport = None
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        """Hand over every frame that is whole."""
        data = self._rest + data if self._rest else data
        start, end = 0, len(data)
        while end - start >= _HEAD.size:
            length, kind, number = _HEAD.unpack_from(data, start)
            after = start + _HEAD.size + length
            if after > end:
                break
            self._receive(kind, number, data[start + _HEAD.size : after])
            start = after
        self._rest = data[start:]

    def send(self, kind: FrameKind, number: int, content: bytes = b"") -> None:
        """Send a frame, in one write with all others of this turn of the loop."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts += (_HEAD.pack(len(content), kind, number), content)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if self._transport is not None:
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """Send what was written, then end."""
        self._flush()
        if self._transport is not None:
            self._transport.close()


class DescriptorSender:
    """Sends descriptors of connections, each with its number."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[int, int]] = deque()  # number and descriptor

    def send(self, number: int, descriptor: int) -> None:
        """Send a descriptor, which is closed here then. It waits if the other end is busy."""
        self._waiting.append((number, descriptor))
        if len(self._waiting) == 1:
            self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting:
            number, descriptor = self._waiting[0]
            try:
                socket.send_fds(self._channel, [number.to_bytes(NUMBER_BYTES, "big")], [descriptor])
            except BlockingIOError:
                self._loop.add_writer(self._channel, self._send_waiting)
                return
            except OSError:  # the gateway has ended: so will this process
                pass
            os.close(descriptor)
            self._waiting.popleft()
        self._loop.remove_writer(self._channel)


class DescriptorReceiver:
    """Receives them. `receive` takes a number and a descriptor, which is its own from then on."""

    def __init__(self, channel: socket.socket, receive: Callable[[int, int], object]) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._receive = receive
        asyncio.get_running_loop().add_reader(channel, self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, descriptors, _, _ = socket.recv_fds(self._channel, NUMBER_BYTES, 1)
                if not data:
                    asyncio.get_running_loop().remove_reader(self._channel)
                    return
                for descriptor in descriptors:
                    self._receive(int.from_bytes(data, "big"), descriptor)

    def close(self) -> None:
        """Receive no more."""
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
