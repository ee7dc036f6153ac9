"""Requests that different servers would cut differently: refused, or read in one way only.

What stands after a refused request on its connection is never taken for another request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from tests.web import pretend
from tests.web.callback_sender import SECRET, CallbackSender
from tests.web.served_gateway import ServedGateway
from tillbell.errors import StoreUnavailable
from tillbell.web.edge.callback_route import CallbackRoutes

pytestmark = pytest.mark.sqlite_first

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
BODY = b'{"id":"framed"}'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    with ServedGateway(tmp_path_factory.mktemp("site")) as made:
        pretend.use(made)
        yield made


@pytest.fixture
def sender(served: ServedGateway, app_id: str) -> CallbackSender:
    return CallbackSender(served, app_id)


def said(served: ServedGateway, written: bytes) -> list[int]:
    """Write bytes on a connection; return the status of every answer until the server closes."""

    async def exchange() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        writer.write(written)
        try:
            return await reader.read()
        except ConnectionResetError:  # it did not wait for the rest
            return b""
        finally:
            writer.close()

    return [int(status) for status in _STATUS.findall(asyncio.run(exchange()))]


def framed(sender: CallbackSender, *lines: bytes, target: bytes = b"") -> bytes:
    """Return a signed request with these header lines instead of Content-Length."""
    first = b"POST %b HTTP/1.1" % (target or sender.source["path"].encode())
    signature = pretend.signature(SECRET, BODY).encode()
    signed = pretend.SIGNATURE.encode() + b": " + signature
    return b"\r\n".join([first, signed, *lines, b"", b""])


LAST = b"Connection: close"
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def test_a_request_as_it_should_be_is_taken(sender: CallbackSender, served: ServedGateway) -> None:
    whole = framed(sender, b"Host: x", LENGTH) + BODY
    in_parts = framed(sender, b"Host: x", LAST, b"Transfer-Encoding: chunked") + CHUNKED
    assert said(served, whole + in_parts) == [200, 200]
    assert [one["outcome"] for one in sender.log()] == ["duplicate", "noted"]


@pytest.mark.parametrize(
    "lines",
    [
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: chunked", LENGTH),
        (b"Transfer-Encoding: identity", LENGTH),
        (b"Content-Length: 3", LENGTH),
        (b"Content-Length: +15",),
        (b"Content-Length: 0x0f",),
        (b"Content-Length: -1",),
        (b"Content-Length : 15",),
        (LENGTH, b"X-Nul: a\0b"),
        (LENGTH, b"X-Return: a\rb"),
        (LENGTH, b"X Space: a"),
        (LENGTH, b": nameless"),
    ],
)
def test_a_length_that_can_be_read_in_two_ways_is_refused(
    sender: CallbackSender, served: ServedGateway, lines: tuple[bytes, ...]
) -> None:
    body = CHUNKED if lines[0].startswith(b"Transfer") else BODY
    hidden = framed(sender, b"Host: x", LAST, LENGTH) + BODY
    statuses = said(served, framed(sender, b"Host: x", *lines) + body + hidden)
    assert statuses == [400]
    assert sender.log() == []
    assert sender.send(b'{"id":"good"}').status_code == 200


def test_a_line_end_without_a_return_is_none(sender: CallbackSender, served: ServedGateway) -> None:
    whole = framed(sender, b"Host: x", LAST, LENGTH) + BODY
    assert said(served, whole.replace(b"\r\n", b"\n")) == [400]
    assert said(served, whole.replace(b"Host: x\r\n", b"Host: x\n")) == [400]
    assert sender.log() == []


@pytest.mark.parametrize(
    ("filler", "target"),
    [
        ((b"X-Long: " + b"a" * 65_536,), b""),
        ((b"X-Many: 1",) * 10_000, b""),
        ((), b"/api/webhooks/pretend/" + b"a" * 65_536),
    ],
)
def test_a_head_that_does_not_end_is_cut_off(
    sender: CallbackSender, served: ServedGateway, filler: tuple[bytes, ...], target: bytes
) -> None:
    request = framed(sender, b"Host: x", *filler, LAST, LENGTH, target=target) + BODY
    assert said(served, request) == [431]
    assert sender.log() == []


def test_two_hundred_headers_are_read_and_a_thousand_refused(
    sender: CallbackSender, served: ServedGateway
) -> None:
    for count, status in ((200, 200), (1_000, 431)):
        request = framed(sender, b"Host: x", *[b"a: b"] * count, LAST, LENGTH) + BODY
        assert said(served, request) == [status]
    assert sender.send(b'{"id":"good"}').status_code == 200


# ── the target ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", [b"tillbell.example", b"127.0.0.1:1"])
def test_the_host_that_a_stranger_names_decides_nothing(
    sender: CallbackSender, served: ServedGateway, host: bytes
) -> None:
    request = framed(sender, b"Host: " + host, LAST, LENGTH) + BODY
    assert said(served, request) == [200]
    (callback,) = sender.log()
    assert sender.kept(callback).origin == sender.source["url"].removesuffix(sender.source["path"])


@pytest.mark.parametrize("host", [b"", b"a, b", b"x@y/z?"])
def test_a_host_that_is_none_is_refused(
    sender: CallbackSender, served: ServedGateway, host: bytes
) -> None:
    request = framed(sender, b"Host: " + host, LAST, LENGTH) + BODY
    assert said(served, request) == [400]
    assert sender.log() == []


@pytest.mark.parametrize("form", [b"http://other.example%b", b"https://user@x%b"])
def test_a_target_and_a_host_that_differ_are_refused(
    sender: CallbackSender, served: ServedGateway, form: bytes
) -> None:
    target = form % sender.source["path"].encode()
    assert said(served, framed(sender, b"Host: x", LAST, LENGTH, target=target) + BODY) == [400]
    assert sender.log() == []


def test_an_absolute_target_leads_to_our_own_source(
    sender: CallbackSender, served: ServedGateway
) -> None:
    target = b"http://other.example" + sender.source["path"].encode()
    request = framed(sender, b"Host: other.example", LAST, LENGTH, target=target) + BODY
    assert said(served, request) == [200]
    (callback,) = sender.log()
    assert "other.example" not in sender.kept(callback).url


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"*", 400), (b"other.example:443", 400), (b"//other.example/api/v1/app", 404)],
)
def test_a_target_of_another_form_is_no_source(
    sender: CallbackSender, served: ServedGateway, target: bytes, status: int
) -> None:
    request = framed(sender, b"Host: x", LAST, LENGTH, target=target) + BODY
    assert said(served, request) == [status]
    assert sender.log() == []


# ── the way without ASGI ─────────────────────────────────────────────────────────────────────────

_CHANGING = re.compile(rb"req_[0-9a-z]+|date: [^\r]*")
PARSED = b"TE: trailers"  # a field that only the parser takes


def answered(sender: CallbackSender, body: bytes, *lines: bytes, secret: str = SECRET) -> bytes:
    """Return the answer to a callback that is written as a whole, without what always differs."""
    signature = f"{pretend.SIGNATURE}: {pretend.signature(secret, body)}".encode()
    first = b"POST %b?a=%%2F HTTP/1.1" % sender.source["path"].encode()
    head = (first, b"Host: x", signature, b"Content-Length: %d" % len(body), *lines, b"", b"")

    async def exchange() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", sender.served.server.port)
        try:
            writer.write(b"\r\n".join(head) + body)
            start = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: ([0-9]+)", start)
            return start + await reader.readexactly(int(length[1]) if length else 0)
        finally:
            writer.close()

    return _CHANGING.sub(b"", asyncio.run(exchange()))


def test_a_whole_callback_is_answered_and_stored_alike_with_and_without_asgi(
    served: ServedGateway, app_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = CallbackSender(served, app_id)
    redirecting = CallbackSender(served, app_id, config={"successUrl": "https://shop.example/ok"})
    for each, body, secret in (
        (sender, b'{"note":"a"}', SECRET),
        (sender, b'{"note":"a"}', "another-secret"),
        (sender, b"{", SECRET),
        (redirecting, b"{}", SECRET),
    ):
        direct = answered(each, body, b"X-Request-Id: mine", secret=secret)
        assert direct == answered(each, body, b"X-Request-Id: mine", PARSED, secret=secret), body
        served.wait_for_callbacks()
        parsed_request, direct_request = [each.kept(callback) for callback in each.log()[:2]]
        assert (*direct_request.headers, ("te", "trailers")) == parsed_request.headers
        assert direct_request[:2] == parsed_request[:2]
        assert (direct_request.body, direct_request.peer) == (body, parsed_request.peer)
    for error in (StoreUnavailable("The disk is full."), RuntimeError("a bug")):

        def fail(_: object, error: Exception = error) -> asyncio.Future[object]:
            future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            future.set_exception(error)
            return future

        monkeypatch.setattr(served.gateway.database, "receive", fail)
        direct = answered(sender, b"{}", b"X-Request-Id: mine")
        assert direct == answered(sender, b"{}", b"X-Request-Id: mine", PARSED)
        assert direct.startswith(b"HTTP/1.1 50")
    monkeypatch.undo()
    monkeypatch.setattr(CallbackRoutes, "__call__", fail)
    assert answered(sender, b'{"note":"b"}').startswith(b"HTTP/1.1 200 ")
    assert answered(sender, b'{"note":"b"}', PARSED).startswith(b"HTTP/1.1 500 ")
