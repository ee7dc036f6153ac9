"""The HTTP server: uvicorn in our own event loop, and an orderly stop.

uvicorn brings HTTP; signals, listening and the order of stopping are ours. The port
is bound before anything else starts, so that a port in use is reported at once.

Stopping: accept no new connections, let running requests and attempts end
(`Gateway.drain`), close the store. A second signal skips the waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self, cast, runtime_checkable

import uvicorn

from tillbell.errors import Misconfigured
from tillbell.logs import log_event
from tillbell.web.edge.asgi_types import App
from tillbell.web.server.direct_requests import DirectProtocol, TakenOverProtocol
from tillbell.web.server.http_processes import HttpProcesses
from tillbell.web.server.slow_clients import (
    Begin,
    ClientTimeouts,
    DeadlineConfig,
    DeadlineProtocol,
)

_REQUESTS_END_S = 5  # a request takes milliseconds, unless its client is stuck
_ANSWERS_END_S = 2  # for HTTP processes to pass on the last answers
_READY = b"READY=1"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Drainable(Protocol):
    """What is stopped together with the server: `runtime.Runtime`."""

    async def drain(self, timeout_s: float | None = None) -> None:
        """Accept nothing more and let running attempts end."""
        ...

    async def stop(self) -> None:
        """Close everything."""
        ...


@runtime_checkable
class AnswersDirectly(Protocol):
    """An app that answers some requests without ASGI. `direct` is None if it answers none so."""

    direct: Begin | None


@runtime_checkable
class EndsStreams(Protocol):
    """An app with answers that do not end by themselves."""

    def end_streams(self) -> None:
        """End them: the server stops."""
        ...


def bind(host: str, port: int) -> socket.socket:
    """Bind the port. `Misconfigured` if it is in use or not allowed. Port 0 takes a free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Misconfigured(f"host: cannot listen on {host}: {error.strerror}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2_048)  # a second process fails here, not at its first connection
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise Misconfigured(
            f"port: cannot listen on {host}:{port}: {reason}; choose another with --port"
        ) from error
    listener.setblocking(False)
    return listener


def adopt(fd: int) -> socket.socket:
    """Use a socket that already listens: from systemd or the process that started us."""
    try:
        listener = socket.socket(fileno=fd)
        listener.getsockname()
    except OSError as error:
        raise Misconfigured(f"listen_fd: {fd} is not a socket: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def notify_ready(path: str) -> None:
    """Notify the process that started us that we serve, by systemd's protocol (sd_notify)."""
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(_READY, address)
    except OSError as error:
        log_event("server.notify_failed", error=str(error))


class ReadinessListener:
    """Receives what `notify_ready` sends, at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._path))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def wait(self) -> None:
        """Wait until the process is ready."""
        while await asyncio.get_running_loop().sock_recv(self._socket, 4_096) != _READY:
            pass


class _UvicornServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to us."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class HttpServer:
    """One listening socket and the app behind it."""

    def __init__(
        self, app: App, listener: socket.socket, limits: ClientTimeouts, http_processes: int = 0
    ) -> None:
        config = DeadlineConfig(
            app,
            http=DirectProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=cast("int", limits.idle_s),
        )
        config.limits = self._limits = limits
        self._app: object = app
        config.direct = app.direct if isinstance(app, AnswersDirectly) else None
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # no line for each bad request
        self._socket = listener
        self._uvicorn = _UvicornServer(config)
        self._serving: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._processes: HttpProcesses | None = None
        if http_processes:
            state = self._uvicorn.server_state
            self._processes = HttpProcesses(
                http_processes,
                begin=config.direct,
                serve=self._serve,
                headers=lambda: state.default_headers,
                tasks=state.tasks,
            )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._uvicorn.server_state.connections)

    @property
    def is_closed(self) -> bool:
        """Whether it accepts no connections any more."""
        return self._socket.fileno() < 0

    async def start(self) -> None:
        """Accept connections, here or in the HTTP processes."""
        loop = asyncio.get_running_loop()
        own = [] if self._processes else [self._socket]
        self._serving = loop.create_task(self._uvicorn.serve(sockets=own))
        self._sweeping = loop.create_task(self._sweep())
        await self._uvicorn.listening.wait()
        if self._processes:
            await self._processes.start(self._socket, self._limits)

    def _serve(self, connection: socket.socket, received: bytes) -> None:
        """Serve a connection that an HTTP process accepted, and what it received of it."""
        loop = asyncio.get_running_loop()
        protocol = partial(
            TakenOverProtocol,
            received,
            config=self._uvicorn.config,
            server_state=self._uvicorn.server_state,
            app_state={},
        )
        task = loop.create_task(loop.connect_accepted_socket(protocol, connection))
        self._uvicorn.server_state.tasks.add(cast("Any", task))
        task.add_done_callback(cast("Any", self._uvicorn.server_state.tasks.discard))

    async def stop(self, timeout_s: float = _REQUESTS_END_S) -> None:
        """Accept no new connections; give running requests `timeout_s` seconds to end."""
        if self._serving is None or self._sweeping is None:
            return
        if isinstance(self._app, EndsStreams):
            self._app.end_streams()
        if self._processes:
            self._processes.stop_accepting()
            self._socket.close()
        self._uvicorn.config.timeout_graceful_shutdown = timeout_s  # type: ignore[assignment]
        self._uvicorn.should_exit = True
        try:
            await self._serving
        finally:
            self._sweeping.cancel()
            self._close_now()
            if self._processes:
                await self._processes.end(_ANSWERS_END_S)

    def _close_now(self) -> None:
        """Close every connection, also if the wait for running requests was cut short."""
        for listener in self._uvicorn.servers:
            listener.close()
        for connection in list(self._uvicorn.server_state.connections):
            cast("DeadlineProtocol", connection).transport.abort()
        self._socket.close()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.sweep_every_s)
            now_s = loop.time()
            for connection in list(self._uvicorn.server_state.connections):
                cast("DeadlineProtocol", connection).cut_off_if_overdue(now_s)


class StopSignals:
    """Catches SIGTERM and SIGINT while entered. Enter it before the start, to lose none."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _signalled(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


async def serve_until(signals: StopSignals, server: HttpServer, runtime: Drainable) -> bool:
    """Wait for a signal, then stop in order. False if a second signal cut that short.

    The server must have been started; the gateway is stopped when this returns.
    """
    await signals.first.wait()
    log_event("server.draining")
    return await _stop(server, runtime, signals.second)


async def _stop(server: HttpServer, runtime: Drainable, second_signal: asyncio.Event) -> bool:
    draining: asyncio.Future[Any] = asyncio.gather(server.stop(), runtime.drain())
    second: asyncio.Future[Any] = asyncio.ensure_future(second_signal.wait())
    await asyncio.wait({draining, second}, return_when=asyncio.FIRST_COMPLETED)
    in_order = draining.done()
    if not in_order:
        log_event("server.stop_forced")
    second.cancel()
    draining.cancel()
    results = await asyncio.gather(draining, return_exceptions=True)
    await runtime.stop()
    log_event("server.stopped")
    if in_order and isinstance(results[0], BaseException):
        raise results[0]
    return in_order
