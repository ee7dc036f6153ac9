"""Listening and stopping in order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

from tests.web_server.conftest import Connect
from tillbell.errors import Misconfigured
from tillbell.web.edge.asgi_types import Receive, Scope, Send
from tillbell.web.server.slow_clients import ClientTimeouts
from tillbell.web.server.uvicorn_server import HttpServer, StopSignals, bind, serve_until


class Slow:
    """An app whose request ends when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.set()
        await self.may_end.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


class StoppableGateway:
    """Something to stop, which notes what was asked of it."""

    def __init__(self, *, ends: bool = True) -> None:
        self.calls: list[str] = []
        self.draining = asyncio.Event()
        self._ends = ends

    async def drain(self, timeout_s: float | None = None) -> None:
        self.calls.append("drain")
        self.draining.set()
        if not self._ends:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        self.calls.append("stop")


async def run_until_signal(server: HttpServer, gateway: StoppableGateway) -> bool:
    with StopSignals() as signals:
        return await serve_until(signals, server, gateway)


async def started(app: Slow) -> HttpServer:
    server = HttpServer(app, bind("127.0.0.1", 0), ClientTimeouts())
    await server.start()
    return server


def test_a_taken_port_is_said_in_one_line() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}: address already in use"):
            bind("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_said() -> None:
    with pytest.raises(Misconfigured, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_lets_everything_end(number: signal.Signals) -> None:
    app, gateway = Slow(), StoppableGateway()
    server = await started(app)
    waiting = asyncio.create_task(run_until_signal(server, gateway))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await app.begun.wait()
    os.kill(os.getpid(), number)
    await gateway.draining.wait()
    app.may_end.set()
    assert b" 204 " in await reader.read()
    assert await waiting is True
    assert gateway.calls == ["drain", "stop"]
    writer.close()


async def test_while_it_drains_no_connection_is_taken() -> None:
    app, gateway = Slow(), StoppableGateway(ends=False)
    server = await started(app)
    port = server.port
    waiting = asyncio.create_task(run_until_signal(server, gateway))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await gateway.draining.wait()
    while not server.is_closed:
        await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await waiting is False


async def test_the_second_signal_stops_now() -> None:
    app, gateway = Slow(), StoppableGateway(ends=False)
    server = await started(app)
    waiting = asyncio.create_task(run_until_signal(server, gateway))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await gateway.draining.wait()
    os.kill(os.getpid(), signal.SIGINT)
    assert await waiting is False
    assert gateway.calls == ["drain", "stop"]


async def test_answers_do_not_tell_the_servers_name(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b"server:" not in head
    assert b"uvicorn" not in head
    assert b"date:" in head


def test_a_bound_port_is_free_again_after_closing() -> None:
    bind("127.0.0.1", 0).close()
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
    with bind("127.0.0.1", port) as again:
        assert again.family is socket.AF_INET
