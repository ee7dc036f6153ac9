"""Slow clients are closed, others do not notice. Tests wait for the server to act."""

from __future__ import annotations

import asyncio
import resource
from typing import cast

import pytest

from tests.scale import full_or_tenth, soak
from tests.web_server.conftest import Connect, Echo
from tillbell.web.server.slow_clients import (
    HEADER_BYTES_MAX,
    PIECE_MAX,
    PIPELINED_MAX,
    DeadlineProtocol,
)
from tillbell.web.server.uvicorn_server import HttpServer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD_OF_POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"


async def drip(writer: asyncio.StreamWriter, byte: bytes) -> None:
    """Send a byte now and then until the connection is gone."""
    try:
        while True:
            writer.write(byte)
            await writer.drain()
            await asyncio.sleep(0.02)  # the slowness is the point
    except ConnectionError:
        return


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """Read one whole answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def ends(reader: asyncio.StreamReader) -> bytes:
    """Wait until the server closes; return what it said before."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        HEAD_OF_POST,
        HEAD_OF_POST + b"half",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"\r\n\r\n",
    ],
)
async def test_a_client_that_stops_is_closed(connect: Connect, start: bytes) -> None:
    reader, writer = await connect()
    writer.write(start)
    assert b" 408 " in await ends(reader)


@pytest.mark.parametrize(
    ("start", "byte"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"a"),
        (b"", b"\r\n"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"a"),
    ],
)
async def test_dripping_does_not_lengthen_the_time(
    connect: Connect, start: bytes, byte: bytes
) -> None:
    reader, writer = await connect()
    writer.write(start)
    dripping = asyncio.create_task(drip(writer, byte))
    await ends(reader)
    writer.transport.abort()
    await dripping


async def test_a_second_request_that_never_ends_is_closed(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(GET)
    assert b" 200 " in await answer_of(reader)
    writer.write(b"GET / HT")
    assert b" 408 " in await ends(reader)


async def test_blank_lines_between_requests_do_not_keep_a_connection(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(GET)
    await answer_of(reader)
    writer.write(b"\r\n")
    await ends(reader)


async def test_a_client_that_does_not_read_its_answer_is_closed(
    connect: Connect, server: HttpServer
) -> None:
    reader, writer = await connect()
    transport = writer.transport
    assert isinstance(transport, asyncio.ReadTransport)
    transport.pause_reading()
    writer.write(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    while not server.connections:
        await asyncio.sleep(0)
    while server.connections:
        await asyncio.sleep(0)
    transport.resume_reading()
    assert len(await ends(reader)) < 8_000_000


async def test_bytes_that_come_meanwhile_do_not_make_up_for_reading(
    connect: Connect, server: HttpServer
) -> None:
    reader, writer = await connect()
    transport = writer.transport
    assert isinstance(transport, asyncio.ReadTransport)
    transport.pause_reading()
    writer.write(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    dripping = asyncio.create_task(drip(writer, b"\r\n"))
    while not server.connections:
        await asyncio.sleep(0)
    while server.connections:
        await asyncio.sleep(0.01)
    transport.resume_reading()
    assert len(await ends(reader)) < 8_000_000
    transport.abort()
    await dripping


async def test_a_body_that_was_refused_is_not_waited_for_long(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
    whole = await ends(reader)
    assert whole.count(b"HTTP/1.1 ") == 1
    assert b" 200 " in whole


async def test_a_client_may_be_idle_between_requests(connect: Connect) -> None:
    reader, writer = await connect()
    slow_reader, _ = await connect()
    writer.write(GET)
    await answer_of(reader)
    await ends(slow_reader)  # the time for headers has passed
    writer.write(GET)
    assert b" 200 " in await answer_of(reader)


async def test_a_body_in_pieces_arrives_whole(connect: Connect) -> None:
    reader, writer = await connect()
    body = bytes(range(256)) * 8_192
    writer.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 50_000):
        writer.write(body[start : start + 50_000])
        await writer.drain()
    assert (await answer_of(reader)).endswith(body)
    writer.write(GET)
    assert b" 200 " in await answer_of(reader)


async def test_pipelined_requests_are_all_answered(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(GET * 50 + b"GET / HTTP/1.1\r\n")
    for _ in range(50):
        assert b" 200 " in await answer_of(reader)
    writer.write(b"Host: a\r\n\r\n")
    assert b" 200 " in await answer_of(reader)


async def test_requests_that_are_not_answered_yet_are_not_all_read(
    connect: Connect, server: HttpServer, app: Echo
) -> None:
    """All are answered, while few wait in memory."""
    reader, writer = await connect()
    sent = 2_000
    writer.write(GET * sent)
    waiting = 0
    for _ in range(sent):
        assert b" 200 " in await answer_of(reader)
        (connection,) = server._uvicorn.server_state.connections
        waiting = max(waiting, len(cast("DeadlineProtocol", connection).pipeline))
    assert app.requests == sent
    assert 0 < waiting <= PIPELINED_MAX + PIECE_MAX // len(GET) + 1


@pytest.mark.parametrize("filler", [b"X-A: " + b"a" * 40_000 + b"\r\n", b"a: b\r\n" * 7_000])
async def test_headers_beyond_the_bound_never_reach_the_app(
    connect: Connect, app: Echo, filler: bytes
) -> None:
    assert len(filler) > HEADER_BYTES_MAX
    reader, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + filler + b"\r\n")
    assert b" 431 " in await ends(reader)
    assert app.requests == 0


async def test_headers_within_the_bound_are_served(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 32_000 + b"\r\n\r\n")
    assert b" 200 " in await answer_of(reader)


@soak
async def test_many_slow_connections_are_closed_and_others_are_served(
    connect: Connect, app: Echo
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    try:
        slow = [await connect() for _ in range(full_or_tenth(2_000))]
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
        closing = asyncio.gather(*[ends(reader) for reader, _ in slow])
        reader, writer = await connect()
        served = 0
        while not closing.done():
            writer.write(GET)
            assert b" 200 " in await answer_of(reader)
            served += 1
        said = closing.result()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(b" 408 " in one for one in said)
    assert app.requests == served
