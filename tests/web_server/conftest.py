"""A real server on loopback with short patience, and raw connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tillbell.web.edge.asgi_types import Receive, Scope, Send, read_body
from tillbell.web.server.slow_clients import ClientTimeouts
from tillbell.web.server.uvicorn_server import HttpServer, bind

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
BODY_MAX = 4 * 1_048_576


class Echo:
    """An app that answers with what it was sent, and knows how often it was asked."""

    def __init__(self) -> None:
        self.requests = 0
        self.headers: list[tuple[bytes, bytes]] = []  # of the last request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        self.headers = scope["headers"]
        body = b"x" * 8_000_000 if scope["path"] == "/big" else b""
        if scope["path"] == "/echo":
            body = await read_body(scope, receive, BODY_MAX)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def app() -> Echo:
    return Echo()


@pytest.fixture(params=[0, 1], ids=["itself", "http-process"])
async def server(app: Echo, request: pytest.FixtureRequest) -> AsyncIterator[HttpServer]:
    """A server that accepts connections itself, or by a process that hands them over."""
    listener = bind("127.0.0.1", 0)
    served = HttpServer(
        app, listener, ClientTimeouts(0.3, 0.3, 0.2, sweep_every_s=0.05), request.param
    )
    await served.start()
    yield served
    await served.stop(0.1)


@pytest.fixture
async def connect(server: HttpServer) -> AsyncIterator[Connect]:
    writers: list[asyncio.StreamWriter] = []

    async def open_one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writers.append(writer)
        return reader, writer

    yield open_one
    for writer in writers:
        writer.transport.abort()
