"""Receivers that answer slowly, wrongly, endlessly or not at all."""

from __future__ import annotations

import asyncio
import gzip
import resource
import time

import pytest

from tests.patience import PATIENCE_S
from tests.sender.post import Post
from tillbell.http.connection import BODY_KEPT, READ_MAX
from tillbell.model.messages import Reply
from tillbell.testing.behaviours import raw
from tillbell.testing.exchange import ReceiverExchange
from tillbell.testing.receiver import Receiver

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


async def _answer(post: Post, receiver: Receiver, data: bytes, *, closes: bool = True) -> Reply:
    receiver.on("/raw", raw(data, closes=closes))
    return await post(receiver.url("/raw"))


async def test_what_is_sent_is_what_was_given(post: Post, receiver: Receiver) -> None:
    body = bytes(range(256)) * 4
    reply = await post(receiver.url("/a%2Fb/../c?d=%41"), body, "X-b: 1", "x-A: 2", "X-b: 3")
    arrival = await receiver.request(0)
    assert reply.status == 200
    assert arrival.head == (
        b"POST /a%2Fb/../c?d=%41 HTTP/1.1\r\nHost: 127.0.0.1:"
        + str(receiver.port).encode()
        + b"\r\nX-b: 1\r\nx-A: 2\r\nX-b: 3\r\nContent-Length: 1024\r\n\r\n"
    )
    assert arrival.body == body


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_048_576])
async def test_bodies_of_any_size_arrive_whole(post: Post, receiver: Receiver, size: int) -> None:
    assert (await post(receiver.url(), b"x" * size)).status == 200
    assert len((await receiver.request(0)).body) == size


@pytest.mark.parametrize(
    "status", [200, 201, 204, 304, 400, 410, 418, 429, 500, 503, 599, 600, 999]
)
async def test_the_status_is_recorded(post: Post, receiver: Receiver, status: int) -> None:
    reply = await _answer(post, receiver, b"HTTP/1.1 %d\r\nContent-Length: 0\r\n\r\n" % status)
    assert (reply.status, reply.error) == (status, "")


_JUNK = {
    "status 99": b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "negative status": b"HTTP/1.1 -200 OK\r\n\r\n",
    "version 9.9": b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "a word": b"hello",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "mail": b"220 mail.example.com ESMTP\r\n",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "zeros": b"\0" * 1000,
    "RTSP": b"RTSP/1.0 200 OK\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "endless reason": b"HTTP/1.1 200 " + b"y" * 400_000,
    "1xx flood": _INTERIM * 20_000,
    "a broken interim answer": b"HTTP/1.1 103 Early\r\nX Y: 1\r\n",
    "switch of protocols": b"HTTP/1.1 101 Up\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
}


@pytest.mark.parametrize("junk", _JUNK.values(), ids=_JUNK)
async def test_an_answer_that_is_not_http_fails_with_its_class(
    post: Post, receiver: Receiver, junk: bytes
) -> None:
    reply = await _answer(post, receiver, junk)
    assert (reply.status, reply.error) == (0, "protocol_error")
    assert reply.detail.isprintable()
    assert (await post(receiver.url("/ok"))).body == b"ok"  # the next result is its own


_HEADER_FLOOD = b"X: y\r\n" * 300 + b"Content-Length: 0\r\n\r\n"
_AFTER_STATUS_LINE = {  # what may follow a status line, and the body that is read
    "folded header": (b"X-Device: a=1;\r\n b=2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "equal lengths": (b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "equal lengths in a line": (b"Content-Length: 2, 2\r\n\r\nok", b"ok"),
    "two lengths": (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "negative length": (b"Content-Length: -1\r\n\r\nok", b"ok"),
    "length not a number": (b"Content-Length: 1e3\r\n\r\nok", b"ok"),
    "length beyond all": (b"Content-Length: " + b"9" * 40 + b"\r\n\r\nok", b"ok"),
    "length and chunks": (
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
    ),
    "control character": (b"Set-Cookie: a=\x01\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "NUL in a value": (b"X: a\0b\r\n\r\n", b""),
    "blank in a name": (b"X Y: 1\r\n\r\nok", b"ok"),
    "line without a colon": (b"X\r\n\r\n", b""),
    "header flood": (_HEADER_FLOOD, b""),
    "one long header": (b"X: " + b"y" * 40_000 + b"\r\n\r\n", b""),
    "endless header": (b"X: " + b"y" * 400_000, b""),
    "nothing": (b"", b""),
    "half a header": (b"Content-Le", b""),
}
_BEFORE = {"nothing": b"", "an empty line": b"\r\n", "nine interim answers": 9 * _INTERIM}
_STATUS_LINES = [b"HTTP/1.1 %d OK\r\n", b"HTTP/1.1 %d OK\n", b"HTTP/1.2 %d OK\r\n"]


@pytest.mark.parametrize("before", _BEFORE.values(), ids=_BEFORE)
async def test_a_status_line_counts_whatever_follows(
    post: Post, receiver: Receiver, before: bytes
) -> None:
    for name, (after, body) in _AFTER_STATUS_LINE.items():
        for line in _STATUS_LINES:
            for status in (200, 410):
                answer = before + line % status + b"Retry-After: 7\r\n" + after
                reply = await _answer(post, receiver, answer)
                assert (reply.status, reply.error) == (status, ""), (name, line)
                assert reply.body in (body, b"ok", b""), (name, line)
                assert reply.retry_after == ("7" if status == 410 else ""), (name, line)
    assert (await post(receiver.url("/ok"))).body == b"ok"  # the next result is its own


async def test_a_status_line_counts_in_pieces_and_is_not_waited_for_in_vain(
    post: Post, receiver: Receiver
) -> None:
    """The head ends the attempt, not the deadline, although the parser has given up before."""
    for lines in (b"\r\n", b"\n"):
        head = lines.join([b"HTTP/1.2 201 OK", b"Retry-After: 3", b"X: a", b" b", b"", b""])

        async def in_pieces(exchange: ReceiverExchange, head: bytes = head) -> None:
            for at in range(len(head)):
                await exchange.write(head[at : at + 1])
                await asyncio.sleep(0)
            await asyncio.Event().wait()

        receiver.on("/pieces", in_pieces)
        async with asyncio.timeout(PATIENCE_S):
            reply = await post(receiver.url("/pieces"), timeout_s=10 * PATIENCE_S)
        assert (reply.status, reply.error) == (201, "")


_LOOSE = {
    "HTTP/1.0 until the end": (b"HTTP/1.0 200 OK\r\n\r\nok", b"ok"),
    "no length": (b"HTTP/1.1 200 OK\r\n\r\nok", b"ok"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "interim first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\n" + _OK,
        b"ok",
    ),
    "chunks": (
        _CHUNKED + b"\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nT: t\r\n\r\n",
        b"ok",
    ),
    "many lines of body": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + b"\n" * 999,
        b"\n" * 999,
    ),
    "chunks cut off": (_CHUNKED + b"\r\n2\r\nok\r\n", b"ok"),
    "broken chunk": (
        _CHUNKED + b"\r\n2\r\nok\r\nzz\r\n",
        b"ok",
    ),
    "body cut off": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok", b"ok"),
    "body too long": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", b"ok"),
}


@pytest.mark.parametrize(("data", "body"), _LOOSE.values(), ids=_LOOSE)
async def test_a_whole_head_counts_whatever_becomes_of_the_body(
    post: Post, receiver: Receiver, data: bytes, body: bytes
) -> None:
    reply = await _answer(post, receiver, data)
    assert (reply.status, reply.error, reply.body) == (200, "", body)
    assert (await post(receiver.url("/ok"))).body == b"ok"


async def test_a_status_counts_once_its_line_is_whole(post: Post, receiver: Receiver) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2222222\r\n\r\n"
    whole = head.index(b"\n") + 1
    for cut in range(len(head)):
        reply = await _answer(post, receiver, head[:cut])
        expected = (0, "reset") if cut < whole else (200, "")
        assert (reply.status, reply.error) == expected, head[:cut]


async def test_a_reset_before_the_answer_is_a_reset_and_is_not_sent_again(
    post: Post, receiver: Receiver
) -> None:
    reply = await post(receiver.url("/reset"))
    assert (reply.status, reply.error) == (0, "reset")
    assert len(receiver.requests) == 1


async def test_a_reset_after_the_head_keeps_the_status(post: Post, receiver: Receiver) -> None:
    reply = await post(receiver.url("/reset-mid"))
    assert (reply.status, reply.error, reply.body) == (200, "", b"part")


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [("/hang", 0, "timeout"), ("/drip-head", 200, ""), ("/drip-body", 200, "")],
)
async def test_a_slow_answer_ends_at_the_deadline(
    post: Post, receiver: Receiver, path: str, status: int, error: str
) -> None:
    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE_S):
        reply = await post(receiver.url(path), timeout_s=0.4)
    assert time.monotonic() - begun > 0.39
    assert (reply.status, reply.error) == (status, error)
    assert "0.4 s" in reply.detail


async def test_a_promise_of_ten_gigabytes_ends_at_the_deadline_with_its_status(
    post: Post, receiver: Receiver
) -> None:
    head = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 10737418240\r\n\r\n0123456789"
    receiver.on("/lie", raw(head, closes=False))
    reply = await post(receiver.url("/lie"), timeout_s=0.3)
    assert reply[:2] == (503, "")
    assert (reply.body, reply.retry_after) == (b"0123456789", "7")


async def test_an_endless_body_is_read_to_a_limit_and_costs_no_memory(
    post: Post, receiver: Receiver
) -> None:
    await post(receiver.url("/endless"))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        reply = await post(receiver.url("/endless"))
        assert (reply.status, len(reply.body)) == (200, BODY_KEPT)
        assert str(READ_MAX) in reply.detail
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib <= 10 * 1024


async def test_codings_are_never_undone(post: Post, receiver: Receiver) -> None:
    bomb = gzip.compress(b"\0" * 1_000_000)
    codings = b"Content-Encoding: " + b", ".join([b"gzip"] * 1000) + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\n" + codings + b"Content-Length: %d\r\n\r\n" % len(bomb)
    reply = await _answer(post, receiver, head + bomb)
    assert (reply.status, reply.body) == (200, bomb[:BODY_KEPT])


async def test_a_hundred_thousand_members_are_dropped_after_the_limit(
    post: Post, receiver: Receiver
) -> None:
    members = gzip.compress(b"") * 100_000
    begun = time.process_time()
    reply = await _answer(
        post, receiver, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(members) + members
    )
    assert (reply.status, len(reply.body)) == (200, BODY_KEPT)
    assert time.process_time() - begun < 0.5  # the receiver's share is in it


@pytest.mark.parametrize(
    "body",
    [b"\0\xff\xfe" * 300, b"<script>alert(1)</script>", b"\x1b[31mred\r\n2026 ERROR forged\x07"],
)
async def test_a_hostile_body_is_kept_as_bytes_and_stays_out_of_the_detail(
    post: Post, receiver: Receiver, body: bytes
) -> None:
    head = b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % len(body)
    reply = await _answer(post, receiver, head + body)
    assert (reply.status, reply.body) == (500, body)
    assert reply.detail == "" or reply.detail.isprintable()


async def test_a_hostile_head_stays_out_of_the_detail(post: Post, receiver: Receiver) -> None:
    reply = await _answer(post, receiver, b"HTTP/1.1 200 \x1b[31m<b>forged</b>\r\n: secret\r\n\r\n")
    assert reply.detail.isprintable()
    assert "secret" not in reply.detail
    assert "forged" not in reply.detail


@pytest.mark.parametrize(
    "value", ["120", "99999999999", "Fri, 31 Dec 1999 23:59:59 GMT", "", "\xff\xfe", "-1"]
)
async def test_retry_after_is_handed_on_as_text(post: Post, receiver: Receiver, value: str) -> None:
    lines = f"HTTP/1.1 503 No\r\nRETRY-after:  {value} \r\nContent-Length: 0\r\n\r\n"
    reply = await _answer(post, receiver, lines.encode("latin-1"))
    assert reply.status == 503
    assert reply.retry_after == (value if value.isascii() else "")


async def test_only_the_answers_own_head_may_ask_to_wait(post: Post, receiver: Receiver) -> None:
    interim = b"HTTP/1.1 103 E\r\nRetry-After: 1\r\n\r\n"
    body = b"\r\nRetry-After: 2\r\n\r\nRetry-After: 3"
    head = b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert (await _answer(post, receiver, interim + head + body)).retry_after == ""


@pytest.mark.parametrize("size", [2, 3_000_000])
async def test_an_answer_before_the_body_was_read_counts(
    post: Post, receiver: Receiver, size: int
) -> None:
    for _ in range(10):
        reply = await post(receiver.url("/early"), b"x" * size)
        assert (reply.status, reply.body) == (200, b"early")


async def test_a_receiver_that_speaks_first_is_not_http(post: Post) -> None:
    async def banner(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(banner, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reply = await post(f"http://127.0.0.1:{port}/")
    assert (reply.status, reply.error) == (0, "protocol_error")


async def test_cookies_are_not_kept(post: Post, receiver: Receiver) -> None:
    async def bake(exchange: ReceiverExchange) -> None:
        await exchange.answer(200, b"ok", "Set-Cookie: a=b; Path=/")

    receiver.on("/bake", bake)
    await post(receiver.url("/bake"))
    await post(receiver.url("/bake"))
    assert len(receiver.requests) == 2
    assert receiver.requests[1].header("Cookie") is None
