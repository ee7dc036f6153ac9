"""Requests that two programs may read differently are refused, and the refusal arrives."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from tests.web_server.conftest import Connect, Echo
from tests.web_server.test_slow_clients import answer_of, ends
from tillbell.web.server.slow_clients import ClientTimeouts
from tillbell.web.server.uvicorn_server import HttpServer, bind

HOST = b"Host: a\r\n"


def get(*fields: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + b"\r\n".join((*fields, b"", b""))


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /echo HTTP/1.1\r\n" + b"\r\n".join((b"Host: a", *fields, b"", body))


CHUNKED = b"Transfer-Encoding: chunked"
REFUSED_HEADS = (
    # Host
    get(),
    get(b"Host: a", b"Host: a"),
    get(b"Host: a", b"host: b"),
    get(b"Host:"),
    get(b"Host: a, b"),
    get(b"Host: a,b"),
    get(b"Host: a b"),
    get(b"Host: u@a"),
    get(b"Host: a/b"),
    get(b"Host: a:port"),
    get(b"Host: [::1"),
    get(b"Host: a", b"Host: a", version=b"HTTP/1.0"),
    # what may appear once
    get(b"Host: a", b"Authorization: Bearer a", b"authorization: Bearer b"),
    post(b"Content-Type: application/json", b"Content-Type: text/plain"),
    post(b"Idempotency-Key: a", b"Idempotency-Key: b"),
    # the length of the body
    post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    post(b"Transfer-Encoding: gzip"),
    post(b"Transfer-Encoding: identity"),
    post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    post(b"Transfer-Encoding: chunked;a=b", body=b"0\r\n\r\n"),
    post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    post(b"Transfer-Encoding:"),
    post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    post(CHUNKED, b"Content-Length: 3", body=b"0\r\n\r\n"),
    post(b"Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"),
    post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    post(CHUNKED, body=b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    post(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"),
    post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    post(b"Content-Length: 3, 3", body=b"abc"),
    *(
        post(b"Content-Length:" + length, body=b"abc")
        for length in (b" +3", b" -3", b" 0x3", b"", b" 1 2", b" 3;", b" 18446744073709551616")
    ),
    # lines
    get(b"Host: a", b"X: a", b" folded"),
    b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    get(b"Host: a\nX: b"),
    get(b"Host: a", b"X: a\rb"),
    b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    get(b"Host: a", b"X : a"),
    get(b"Host: a", b"X\t: a"),
    get(b"Host: a", b": a"),
    get(b"Host: a", b"X"),
    get(b"Host: a", b"X(y): a"),
    *(get(b"Host: a", b"X: a" + byte + b"b") for byte in (b"\0", b"\x01", b"\x7f")),
    *(get(b"Host: a", target=b"/a" + byte) for byte in (b"\0", b"\x01", b"\xc3\xa9", b"\t")),
    # version, method and target
    *(get(b"Host: a", version=v) for v in (b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/9.9")),
    *(get(b"Host: a", version=v) for v in (b"http/1.1", b"HTTP/1.10", b"HTTP/1.1 ", b"HTTP/1")),
    b"GET /\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    get(b"Host: a", target=b"*"),
    get(b"Host: a", target=b"a"),
    get(b"Host: a", target=b"a:80"),
    get(b"Host: a", target=b"/a#b"),
    get(b"Host: a", target=b"http://b/"),
    get(b"Host: a", target=b"http://u:p@a/"),
    get(b"Host: a", target=b"ftp://a/"),
    b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
)
REFUSED_BODIES = (
    b"10000000000000000\r\n",
    b"FFFFFFFFFFFFFFFF\r\n",
    b"FFFFFFFFFFFFFFFF;x=y\r\nabc",
    b"FFFFFFFFFFFFFFFF",
    b"8000000000000000\r\nabc",
    b"100000000\r\nabc",
    b"3\r\nabc\r\nFFFFFFFFFFFFFFFF\r\nabc",
    b"3\r\nabc\r\n00FFFFFFFFFF\r\n",
    *(size + b"\r\nabc\r\n0\r\n\r\n" for size in (b"0x3", b"-3", b"+3", b"3 ", b" 3", b"", b"g")),
    b"3\nabc\n0\n\n",
    b"3\rabc\r\n0\r\n\r\n",
    b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
)
SERVED = (
    get(b"Host: a"),
    get(b"Host: A.example:8080"),
    get(b"Host: [::1]:80"),
    get(version=b"HTTP/1.0"),
    get(b"Host: a", target=b"http://a/x?y"),
    get(b"Host: a", target=b"http://A"),
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n" + get(b"Host: a"),
    post(b"Transfer-Encoding: CHUNKED", body=b"3;a=b\r\nabc\r\n0\r\n\r\n"),
    post(CHUNKED, body=b"000000000000003\r\nabc\r\n0\r\nAuthorization: b\r\nHost: b\r\n\r\n"),
    post(CHUNKED, body=b"e\r\nFFFFFFFFFFFF\r\n\r\n0\r\n\r\n"),
    post(b"Content-Length: 3", b"Connection: Upgrade", b"Upgrade: h2c", body=b"abc"),
)


@pytest.fixture
async def patient(app: Echo) -> AsyncIterator[Connect]:
    """A server that cuts nobody off here: so many clients at once are slow on a full machine."""
    served = HttpServer(app, bind("127.0.0.1", 0), ClientTimeouts())
    await served.start()
    writers: list[asyncio.StreamWriter] = []

    async def open_one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writers.append(writer)
        return reader, writer

    yield open_one
    for writer in writers:
        writer.transport.abort()
    await served.stop(0.1)


async def test_a_head_without_one_meaning_is_refused_at_once(patient: Connect, app: Echo) -> None:
    async def answered(request: bytes) -> bytes:
        reader, writer = await patient()
        writer.write(request)
        return await ends(reader)

    answers = await asyncio.gather(*[answered(request) for request in REFUSED_HEADS])
    wrong = [
        (request, answer[:40])
        for request, answer in zip(REFUSED_HEADS, answers, strict=True)
        if not answer.startswith(b"HTTP/1.1 400 ") or b"connection: close" not in answer
    ]
    assert wrong == []
    assert app.requests == 0


async def test_a_body_without_an_end_is_refused_at_once(patient: Connect) -> None:
    async def answered(body: bytes, at: int) -> bytes:
        reader, writer = await patient()
        head = post(CHUNKED)
        writer.write(head + body[:at])
        await writer.drain()
        await asyncio.sleep(0.01)  # so that the rest comes by itself
        writer.write(body[at:])
        return await ends(reader)

    cut = [(body, at) for body in REFUSED_BODIES for at in {0, 1, len(body) // 2, len(body)}]
    answers = await asyncio.gather(*[answered(*one) for one in cut])
    wrong = [one for one, answer in zip(cut, answers, strict=True) if b" 400 " not in answer]
    assert wrong == []


@pytest.mark.parametrize(
    "flood",
    [
        b"1\r\nx\r\n" * 4_000,
        b"1;" + b"a=b;" * 4_000 + b"\r\nx\r\n",
        b"0\r\n" + b"X: y\r\n" * 4_000,
        b"0\r\nX: " + b"a" * 40_000,
    ],
    ids=["tiny chunks", "an extension", "many trailers", "a long trailer"],
)
async def test_a_body_that_is_mostly_framing_is_refused(patient: Connect, flood: bytes) -> None:
    reader, writer = await patient()
    writer.write(post(CHUNKED) + flood)
    assert b" 400 " in await ends(reader)


async def test_small_chunks_are_read(patient: Connect) -> None:
    reader, writer = await patient()
    chunk = b"01234567890123456789"
    chunks = b"14\r\n" + chunk + b"\r\n"
    writer.write(post(CHUNKED) + chunks * 4_000 + b"0\r\nX-Checksum: a\r\n\r\n")
    assert (await answer_of(reader)).endswith(b"\r\n\r\n" + chunk * 4_000)


async def test_a_request_with_one_meaning_is_served(patient: Connect, app: Echo) -> None:
    wrong = []
    for request in SERVED:
        reader, writer = await patient()
        writer.write(request)
        if b" 200 " not in await answer_of(reader):
            wrong.append(request)
        names = [name for name, _ in app.headers]
        assert len(names) == len(set(names)), "what follows the body is not of its head"
    assert wrong == []


async def test_what_came_before_a_refused_request_is_answered_first(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(get(b"Host: a") * 3 + b"\0GARBAGE\r\n\r\n" + get(b"Host: a"))
    whole = await ends(reader)
    assert whole.count(b"HTTP/1.1 200 ") == 3
    assert whole.count(b"HTTP/1.1 400 ") == 1
    assert whole.index(b" 400 ") > whole.rindex(b" 200 ")


async def test_a_refusal_arrives_although_the_client_has_sent_more(
    connect: Connect, server: HttpServer
) -> None:
    loop = asyncio.get_running_loop()
    client = socket.create_connection(("127.0.0.1", server.port))
    with client:
        while not server.connections:
            await asyncio.sleep(0)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        time.sleep(0.4)  # the machine is busy: the time is over before the server reads this
        client.setblocking(False)
        received = b""
        while data := await loop.sock_recv(client, 65_536):
            received += data
    assert b" 408 " in received
