"""Requests that different servers would cut differently: refused, or read in one way only.

What stands after a refused request on its connection is never taken for another request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from tests.web import pretend
from tests.web.door import SECRET, Door
from tests.web.site import Site

pytestmark = pytest.mark.sqlite_first

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
BODY = b'{"id":"framed"}'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as made:
        pretend.use(made)
        yield made


@pytest.fixture
def door(site: Site, app_id: str) -> Door:
    return Door(site, app_id)


def said(site: Site, written: bytes) -> list[int]:
    """Write bytes on a connection; return the status of every answer until the server closes."""

    async def exchange() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
        writer.write(written)
        try:
            return await reader.read()
        except ConnectionResetError:  # it did not wait for the rest
            return b""
        finally:
            writer.close()

    return [int(status) for status in _STATUS.findall(asyncio.run(exchange()))]


def framed(door: Door, *lines: bytes, target: bytes = b"") -> bytes:
    """Return a signed request with these header lines instead of Content-Length."""
    first = b"POST %b HTTP/1.1" % (target or door.source["path"].encode())
    signature = pretend.signature(SECRET, BODY).encode()
    signed = pretend.SIGNATURE.encode() + b": " + signature
    return b"\r\n".join([first, signed, *lines, b"", b""])


LAST = b"Connection: close"
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def test_a_request_as_it_should_be_is_taken(door: Door, site: Site) -> None:
    whole = framed(door, b"Host: x", LENGTH) + BODY
    in_parts = framed(door, b"Host: x", LAST, b"Transfer-Encoding: chunked") + CHUNKED
    assert said(site, whole + in_parts) == [200, 200]
    assert [one["outcome"] for one in door.log()] == ["duplicate", "noted"]


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
    door: Door, site: Site, lines: tuple[bytes, ...]
) -> None:
    body = CHUNKED if lines[0].startswith(b"Transfer") else BODY
    hidden = framed(door, b"Host: x", LAST, LENGTH) + BODY
    statuses = said(site, framed(door, b"Host: x", *lines) + body + hidden)
    assert statuses == [400]
    assert door.log() == []
    assert door.send(b'{"id":"good"}').status_code == 200


def test_a_line_end_without_a_return_is_none(door: Door, site: Site) -> None:
    whole = framed(door, b"Host: x", LAST, LENGTH) + BODY
    assert said(site, whole.replace(b"\r\n", b"\n")) == [400]
    assert said(site, whole.replace(b"Host: x\r\n", b"Host: x\n")) == [400]
    assert door.log() == []


@pytest.mark.parametrize(
    ("filler", "target"),
    [
        ((b"X-Long: " + b"a" * 65_536,), b""),
        ((b"X-Many: 1",) * 10_000, b""),
        ((), b"/api/webhooks/pretend/" + b"a" * 65_536),
    ],
)
def test_a_head_that_does_not_end_is_cut_off(
    door: Door, site: Site, filler: tuple[bytes, ...], target: bytes
) -> None:
    request = framed(door, b"Host: x", *filler, LAST, LENGTH, target=target) + BODY
    assert said(site, request) == [431]
    assert door.log() == []


def test_a_thousand_headers_are_read_and_break_nothing(door: Door, site: Site) -> None:
    request = framed(door, b"Host: x", *[b"a: b"] * 1_000, LAST, LENGTH) + BODY
    assert said(site, request) == [200]
    assert door.send(b'{"id":"good"}').status_code == 200


# ── the target ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", [b"tillbell.example", b"127.0.0.1:1", b"", b"a, b", b"x@y/z?"])
def test_the_host_that_a_stranger_names_decides_nothing(
    door: Door, site: Site, host: bytes
) -> None:
    request = framed(door, b"Host: " + host, LAST, LENGTH) + BODY
    assert said(site, request) == [200]
    (callback,) = door.log()
    assert door.kept(callback).origin == door.source["url"].removesuffix(door.source["path"])


@pytest.mark.parametrize("form", [b"http://other.example%b", b"https://user@other.example%b"])
def test_an_absolute_target_leads_to_our_own_source(door: Door, site: Site, form: bytes) -> None:
    path = door.source["path"].encode()
    assert said(site, framed(door, b"Host: x", LAST, LENGTH, target=form % path) + BODY) == [200]
    (callback,) = door.log()
    assert "other.example" not in door.kept(callback).url


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"*", 404), (b"other.example:443", 400), (b"//other.example/api/v1/app", 404)],
)
def test_a_target_of_another_form_is_no_source(
    door: Door, site: Site, target: bytes, status: int
) -> None:
    request = framed(door, b"Host: x", LAST, LENGTH, target=target) + BODY
    assert said(site, request) == [status]
    assert door.log() == []
