"""The gateway's side of its HTTP processes (http_process.py): starts, watches and ends them.

Each request that one of them sends is begun as the server's own protocol begins it, and answered
with the same bytes. A connection that is handed over gets that protocol itself.

A process that dies is started again. Its connections are gone, as when the gateway itself ends:
clients repeat what was not answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from tillbell.errors import Misconfigured
from tillbell.logs import log_event
from tillbell.web.edge.asgi_types import HttpAnswer
from tillbell.web.server.direct_requests import CLOSE, answer_bytes
from tillbell.web.server.frames import DescriptorReceiver, FrameKind, FrameProtocol
from tillbell.web.server.slow_clients import Begin, ClientTimeouts
from tillbell.web.server.usual_requests import DirectCallback, DirectRequest

RESTART_AFTER_S = 1.0  # pause before a process that died is started again
START_TIMEOUT_S = 30.0
_MODULE = "tillbell.web.server.http_process"
_decode_message = msgspec.msgpack.Decoder(DirectRequest).decode
_decode_callback = msgspec.msgpack.Decoder(DirectCallback).decode

Headers = list[tuple[bytes, bytes]]
Serve = Callable[[socket.socket, bytes], object]  # serves a connection, of which bytes were read


class HttpProcesses:
    """The HTTP processes of this gateway.

    `begin` begins a request, `serve` takes over a connection, `headers` returns those of every
    answer. `tasks` has what the server waits for when it stops.
    """

    def __init__(
        self,
        count: int,
        *,
        begin: Begin | None,
        serve: Serve,
        headers: Callable[[], Headers],
        tasks: set[Any],
    ) -> None:
        self._count = count
        self._begin = begin
        self._serve = serve
        self._headers = headers
        self._tasks = tasks
        self._links: dict[int, _Link] = {}  # by place: 0 … count - 1
        self._watchers: list[asyncio.Task[None]] = []
        self._arguments: tuple[str, str] = ("", "")
        self._is_ending = False
        self._listening: socket.socket

    async def start(self, listening: socket.socket, limits: ClientTimeouts) -> None:
        """Start all; return when they accept connections. `Misconfigured` if one does not start."""
        self._listening = listening
        self._arguments = (str(limits.idle_s), str(limits.sweep_every_s))
        try:
            await asyncio.gather(*(self._start(place) for place in range(self._count)))
        except BaseException:
            await self.end(0)
            raise
        loop = asyncio.get_running_loop()
        self._watchers = [loop.create_task(self._watch(place)) for place in range(self._count)]

    async def _start(self, place: int) -> None:
        link = _Link(self)
        self._links[place] = link
        await link.start(self._listening, self._arguments)

    async def _watch(self, place: int) -> None:
        """Start a process again whenever it dies."""
        while True:
            code = await self._links[place].wait()
            self._links[place].close()
            log_event("http_process.died", number=place, code=code)
            await asyncio.sleep(RESTART_AFTER_S)
            try:
                await self._start(place)
            except Misconfigured as error:
                log_event("http_process.not_started", number=place, error=str(error))

    def stop_accepting(self) -> None:
        """Let all accept no more; each ends when its requests are answered."""
        self._is_ending = True
        for watcher in self._watchers:
            watcher.cancel()
        for link in self._links.values():
            link.signal(signal.SIGTERM)

    async def end(self, timeout_s: float) -> None:
        """End all once they have passed on what was answered; kill those that are late."""
        self.stop_accepting()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for link in self._links.values():
            link.close()
        ended = asyncio.gather(*(link.wait() for link in self._links.values()))
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(ended)
        except TimeoutError:
            for link in self._links.values():
                link.signal(signal.SIGKILL)
            await ended

    # ── what a process sends ─────────────────────────────────────────────────────────────────────

    def begin_request(
        self, link: _Link, number: int, request: DirectRequest | DirectCallback
    ) -> None:
        """Begin a request; tell the process if it is not taken."""
        write = None
        if self._begin is not None:
            write = self._begin(request, partial(self._answer, link, number))
        if write is None:
            link.send(FrameKind.NOT_TAKEN, number)
            return
        self._tasks.add(write)
        write.add_done_callback(self._tasks.discard)

    def _answer(self, link: _Link, number: int, answer: HttpAnswer, request_id: bytes) -> None:
        if self._is_ending and CLOSE not in answer.headers:
            answer = answer.with_headers([CLOSE])
        whole = answer_bytes(answer, self._headers(), request_id)
        is_last = CLOSE in answer.headers
        link.send(FrameKind.LAST_ANSWER if is_last else FrameKind.ANSWER, number, whole)

    def take_connection(self, descriptor: int, received: bytes) -> None:
        """Serve a connection that was handed over."""
        connection = socket.socket(fileno=descriptor)
        connection.setblocking(False)
        self._serve(connection, received)


class _Link:
    """One HTTP process and the way to it."""

    def __init__(self, processes: HttpProcesses) -> None:
        self._processes = processes
        self._process: asyncio.subprocess.Process | None = None
        self._frames: FrameProtocol | None = None
        self._descriptors: DescriptorReceiver | None = None
        self._ready = asyncio.Event()
        # A connection and what was received of it come by two ways; either may be the first.
        self._connections: dict[int, int] = {}
        self._received: dict[int, bytes] = {}

    async def start(self, listening: socket.socket, arguments: tuple[str, str]) -> None:
        """Start the process and wait until it accepts connections."""
        frames, its_frames = socket.socketpair()
        channel, its_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_frames, its_channel:
            descriptors = (listening.fileno(), its_frames.fileno(), its_channel.fileno())
            self._descriptors = DescriptorReceiver(channel, self._connection)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", _MODULE, *map(str, descriptors), *arguments,
                    stdin=asyncio.subprocess.DEVNULL, pass_fds=descriptors,
                )  # fmt: skip
            except OSError as error:
                frames.close()
                raise Misconfigured(f"http_processes: cannot start one: {error}") from error
        _, self._frames = await asyncio.get_running_loop().create_unix_connection(
            lambda: FrameProtocol(self._frame, self._ready.set), sock=frames
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._ready.wait()
        if self._process.returncode is not None or not self._ready.is_set():
            self.signal(signal.SIGKILL)
            raise Misconfigured("http_processes: a process did not start; see the lines above")

    async def wait(self) -> int:
        """Wait until the process has ended; return its exit code."""
        return 0 if self._process is None else await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def send(self, kind: FrameKind, number: int, content: bytes = b"") -> None:
        """Send a frame about a connection."""
        if self._frames is not None:
            self._frames.send(kind, number, content)

    def close(self) -> None:
        """End the way to the process, which ends by that too."""
        if self._frames is not None:
            self._frames.close()
        if self._descriptors is not None:
            self._descriptors.close()
        for descriptor in self._connections.values():
            os.close(descriptor)
        self._connections.clear()

    def _frame(self, kind: int, number: int, content: bytes) -> None:
        if kind == FrameKind.MESSAGE:
            self._processes.begin_request(self, number, _decode_message(content))
        elif kind == FrameKind.CALLBACK:
            self._processes.begin_request(self, number, _decode_callback(content))
        elif kind == FrameKind.READY:
            self._ready.set()
        elif (connection := self._connections.pop(number, None)) is not None:
            self._processes.take_connection(connection, content)
        else:
            self._received[number] = content

    def _connection(self, number: int, descriptor: int) -> None:
        received = self._received.pop(number, None)
        if received is None:
            self._connections[number] = descriptor
        else:
            self._processes.take_connection(descriptor, received)
