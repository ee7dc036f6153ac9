"""What is read without the parser means the same to the parser; the rest is left to it."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import pytest

from tests.web_server.conftest import Echo
from tests.web_server.test_slow_clients import answer_of, ends
from tests.web_server.test_strict_requests import REFUSED_BODIES, REFUSED_HEADS
from tillbell.web.edge.asgi_types import HttpAnswer
from tillbell.web.server.request_rules import check_head
from tillbell.web.server.slow_clients import ClientTimeouts
from tillbell.web.server.usual_requests import DirectCallback, DirectRequest, read_direct
from tillbell.web.server.uvicorn_server import HttpServer, bind

TARGET = b"/api/v1/app/shop-1/msg"
BODY = b'{"eventType":"a","payload":{}}'
USUAL = (
    b"POST " + TARGET + b" HTTP/1.1\r\nHost: a:80\r\nAuthorization: Bearer tb_x\r\n"
    b"Content-Type: application/json\r\nConnection: keep-alive\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY
PLACE = b"/api/webhooks/allsecure/token-1"
CALLBACK = USUAL.replace(TARGET, PLACE + b"?requestEvent=callback&n=%2F")
ODD_BYTES = b"\0\t\n\r :,;=?#%/0A\x7f\x80"


class Parsed:
    """A request as the parser reads it, or `error`."""

    def __init__(self, data: bytes) -> None:
        self.target = self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_whole = False
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()
        check_head(parser.get_http_version(), self.method, self.fields)
        assert parser.should_keep_alive()
        assert not parser.should_upgrade()

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_whole = True


def means_the_same(data: bytes, direct: DirectRequest | DirectCallback) -> bool:
    parsed = Parsed(data)
    path, _, query = parsed.target.partition(b"?")
    if isinstance(direct, DirectCallback):
        is_same = (path, parsed.target) == (direct.path, direct.target)
        fields, direct_fields = parsed.fields, direct.headers
    else:
        is_same = path == b"/api/v1/app/%b/msg" % direct.application.encode()
        fields = [(n, value.strip()) for n, value in parsed.fields if n != b"connection"]
        direct_fields = list(direct.fields.items())
    return (
        is_same
        and parsed.is_whole
        and parsed.method == b"POST"
        and query == direct.query
        and fields == direct_fields
        and parsed.body == direct.body
    )


def test_a_usual_request_is_read_as_the_parser_reads_it() -> None:
    callbacks = (CALLBACK, CALLBACK.replace(b"/token-1", b""), CALLBACK.replace(b"n=%2F", b""))
    for data in (USUAL, USUAL.replace(b"/msg", b"/msg?with_content=false"), *callbacks):
        direct = read_direct(data)
        assert direct is not None
        assert means_the_same(data, direct)


@pytest.mark.parametrize("usual", [USUAL, CALLBACK])
def test_whatever_is_read_at_once_means_the_same_to_the_parser(usual: bytes) -> None:
    taken = 0
    for at in range(len(usual)):
        changed = [usual[:at] + usual[at + 1 :], usual[:at] + usual[at : at + 1] + usual[at:]]
        changed += [usual[:at] + bytes([odd]) + usual[at + 1 :] for odd in ODD_BYTES]
        for data in changed:
            direct = read_direct(data)
            if direct is not None:
                taken += 1
                assert means_the_same(data, direct), data
    assert taken > 100, "the form is narrower than it was"


def as_post(head: bytes, target: bytes) -> bytes:
    """Return a head as a POST to a target, with a length if it has none."""
    start, _, rest = head.partition(b"\r\n")
    start = start.replace(b"GET / ", b"POST %b " % target).replace(b"/echo", target)
    length = b"" if b"content-length" in rest.lower() else b"Content-Length: 0\r\n"
    return start + b"\r\n" + length + rest


@pytest.mark.parametrize(("usual", "target"), [(USUAL, TARGET), (CALLBACK, PLACE)])
def test_what_the_parser_refuses_or_waits_for_is_left_to_it(usual: bytes, target: bytes) -> None:
    heads = [as_post(head, target) for head in REFUSED_HEADS]
    chunked = usual.replace(b"Connection: keep-alive", b"Transfer-Encoding: chunked")
    fields = (b"Expect: 100-continue", b"Upgrade: h2c", b"Connection: close", b"TE: trailers")
    others = [usual.replace(b"Connection: keep-alive", field) for field in fields]
    others += [usual + b"\r\n", usual[:-1], usual * 2, usual.replace(b"1.1", b"1.0"), chunked]
    others += [b"POST %b HTTP/1.1\r\n%b" % (target, body) for body in REFUSED_BODIES]
    assert [data for data in heads + others if read_direct(data) is not None] == []


class Direct(Echo):
    """An app whose messages are answered when a test says so; two of its answers are odd."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[asyncio.Future[Any]] = []

    status = 202

    def direct(self, request: DirectRequest | DirectCallback, answer: Any) -> asyncio.Future[Any]:
        write: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        write.add_done_callback(
            lambda done: done.cancelled() or answer(HttpAnswer(self.status, [], request.body), b"r")
        )
        self.writes.append(write)
        return write

    async def begun(self, count: int) -> None:
        while len(self.writes) < count:
            await asyncio.sleep(0)


@pytest.fixture
def app() -> Direct:
    return Direct()


async def connected(server: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def test_what_follows_waits_for_the_answer_before_it(server: HttpServer, app: Direct) -> None:
    reader, writer = await connected(server)
    writer.write(USUAL)
    await app.begun(1)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + USUAL)  # pipelined
    await writer.drain()
    await asyncio.sleep(0.01)
    assert app.requests == 0
    app.writes[0].set_result(None)
    first, second, third = [await answer_of(reader) for _ in range(3)]
    assert b" 202 " in first
    assert BODY in first
    assert b" 200 " in second
    assert b" 200 " in third, "it came behind another: the parser has it"
    writer.write(USUAL)  # and this one comes alone again
    await app.begun(2)
    app.writes[1].set_result(None)
    assert b" 202 " in await answer_of(reader)
    writer.close()


async def test_an_answer_without_content_has_no_length(server: HttpServer, app: Direct) -> None:
    app.status = 204
    reader, writer = await connected(server)
    writer.write(CALLBACK)
    await app.begun(1)
    app.writes[0].set_result(None)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 204 " in head
    assert b"content-length" not in head
    writer.close()


async def test_garbage_behind_a_message_is_refused_after_its_answer(
    server: HttpServer, app: Direct
) -> None:
    reader, writer = await connected(server)
    writer.write(USUAL)
    await app.begun(1)
    writer.write(b"\0\r\n\r\n")
    await asyncio.sleep(0.01)
    app.writes[0].set_result(None)
    whole = await ends(reader)
    assert whole.index(b" 202 ") < whole.index(b" 400 ")
    writer.close()


@pytest.mark.parametrize("processes", [0, 1])
async def test_an_idle_connection_is_closed(processes: int, app: Direct) -> None:
    limits = ClientTimeouts(sweep_every_s=0.05, idle_s=0)
    server = HttpServer(app, bind("127.0.0.1", 0), limits, processes)
    await server.start()
    reader, writer = await connected(server)
    writer.write(USUAL)
    await app.begun(1)
    app.writes[0].set_result(None)
    assert b" 202 " in await ends(reader)
    writer.close()
    await server.stop(0.1)


@pytest.mark.parametrize("processes", [0, 1])
async def test_a_stop_waits_for_messages_that_are_being_stored(processes: int, app: Direct) -> None:
    server = HttpServer(app, bind("127.0.0.1", 0), ClientTimeouts(), processes)
    await server.start()
    reader, writer = await connected(server)
    gone, its_writer = await connected(server)
    for number, each in enumerate((writer, its_writer), 1):
        each.write(USUAL)
        await app.begun(number)
    its_writer.close()
    stopping = asyncio.create_task(server.stop(5))
    await asyncio.sleep(0.15)
    assert not stopping.done()
    for write in app.writes:
        write.set_result(None)
    answer = await ends(reader)
    assert b" 202 " in answer
    assert b"connection: close" in answer
    assert await gone.read() == b""
    await stopping
    writer.close()


@pytest.mark.parametrize("processes", [0, 1])
async def test_a_stop_that_cannot_wait_cancels_the_write(processes: int, app: Direct) -> None:
    server = HttpServer(app, bind("127.0.0.1", 0), ClientTimeouts(), processes)
    await server.start()
    reader, writer = await connected(server)
    writer.write(USUAL)
    await app.begun(1)
    await server.stop(0.05)
    assert app.writes[0].cancelled()
    assert await ends(reader) == b""
    writer.close()
