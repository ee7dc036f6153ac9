"""A message that is taken without ASGI is answered as it is with it, byte for byte."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.served_gateway import ServedGateway
from tillbell.errors import StoreUnavailable

pytestmark = pytest.mark.sqlite_first

_CHANGING = re.compile(rb"(msg_|req_)[0-9a-z]+|date: [^\r]*|20[0-9-]+T[0-9:.]+Z|e-[0-9]+|k-[0-9]+")
PARSED = "TE: trailers"  # a field that only the parser takes
GOOD = {"eventType": "order.paid", "payload": {"a": 1}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    with ServedGateway(tmp_path_factory.mktemp("site")) as made:
        yield made


class Talk:
    """Requests on one connection, in the usual form."""

    def __init__(self, served: ServedGateway, app_id: str) -> None:
        self.served = served
        self.app_id = app_id

    def ask(
        self, body: Any, *fields: str, key: str | None = None, app: str = "", query: str = ""
    ) -> bytes:
        """Return the whole answer to a request."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = (
            f"POST /api/v1/app/{app or self.app_id}/msg{query} HTTP/1.1",
            "Host: a",
            f"Authorization: Bearer {key or self.served.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            *fields,
        )
        head = "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
        return self.served.do(self._exchange(head + content))

    def ask_by(self, way: str, body: Any, fields: list[str] | None = None, **options: Any) -> bytes:
        """Return the answer without what differs between any two requests, and the way's name."""
        fields = [field.replace("WAY", way) for field in fields or []]
        if way == "parsed":
            fields.append(PARSED)
        if isinstance(body, dict):
            body = json.loads(json.dumps(body).replace("WAY", way))
        answer = self.ask(body, *fields, **options)
        return _CHANGING.sub(b"", answer).replace(way.encode(), b"")

    async def _exchange(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.served.server.port)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: ([0-9]+)", head)
            assert length is not None
            return head + await reader.readexactly(int(length[1]))
        finally:
            writer.close()


@pytest.fixture
def talk(served: ServedGateway, app_id: str) -> Talk:
    talk = Talk(served, app_id)
    talk.ask(GOOD)  # from here on the application is in memory and the key's use is noted
    return talk


def test_usual_messages_are_taken_without_asgi(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise AssertionError("it went through ASGI")

    monkeypatch.setattr(talk.served.gateway.publisher, "publish_for", fail)
    for fields in ((), ("Idempotency-Key: k",), ("Connection: Keep-Alive", "User-Agent: x")):
        assert talk.ask(GOOD, *fields).startswith(b"HTTP/1.1 202 ")
    assert talk.ask(GOOD, PARSED).startswith(b"HTTP/1.1 500 ")


def test_both_ways_give_the_same_answers(talk: Talk) -> None:
    publisher, limited = [
        talk.served.make_key("publish", rate_limit=rate) for rate in (None, 1_000)
    ]
    talk.ask(GOOD, key=publisher)
    event = {**GOOD, "eventId": "WAY", "channels": ["a"], "tags": ["b"]}
    requests: list[tuple[Any, dict[str, Any]]] = [
        (GOOD, {}),
        (GOOD, {"key": publisher}),
        (GOOD, {"key": limited}),
        (GOOD, {"fields": ["X-Request-Id: mine"]}),
        (GOOD, {"fields": ["X-Request-Id: not mine"]}),
        (GOOD, {"query": "?with_content=false"}),
        (event, {}),
        (GOOD, {"fields": ["Idempotency-Key: WAY"]}),
        (GOOD, {"fields": ["Idempotency-Key: WAY"]}),  # repeated
        ({**GOOD, "tags": ["other"]}, {"fields": ["Idempotency-Key: WAY"]}),  # 409
        (event, {}),  # 409
        # refused before anything is stored
        (GOOD, {"fields": ["Idempotency-Key: \x07"]}),
        (GOOD, {"query": "?with_content=maybe"}),
        (GOOD, {"query": "?other=1"}),
        (GOOD, {"key": talk.served.make_key("read")}),
        (GOOD, {"key": "tb_nobody"}),
        (GOOD, {"app": "nobody"}),
        ({}, {}),
        (b"{", {}),
        ({**GOOD, "eventType": "order.piad"}, {}),
        (b" " * 1_100_000, {}),
    ]
    for body, options in requests:
        direct, parsed = [talk.ask_by(way, body, **options) for way in ("direct", "parsed")]
        assert direct == parsed, (body, options)


def test_a_repeat_is_answered_as_the_first_request(talk: Talk) -> None:
    first, again = [talk.ask(GOOD, "Idempotency-Key: once") for _ in range(2)]
    assert b"idempotent-replayed: true" in again
    assert first.partition(b"\r\n\r\n")[2] == again.partition(b"\r\n\r\n")[2]
    other = talk.ask({**GOOD, "tags": ["x"]}, "Idempotency-Key: once")
    assert other.startswith(b"HTTP/1.1 409 ")
    assert b'"idempotency_key_reused"' in other


def test_a_failed_store_is_told_and_counted(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = talk.served.gateway

    def failed(_: Any) -> asyncio.Future[Any]:
        write: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        write.set_exception(error)
        return write

    monkeypatch.setattr(gateway.database, "publish", failed)
    error: Exception = StoreUnavailable("The disk is full.")
    told = talk.ask(GOOD, "X-Request-Id: r-9")
    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in told
    assert json.loads(told.partition(b"\r\n\r\n")[2])["requestId"] == "r-9"
    bugs = gateway.meters.request_errors
    before = dict(gateway.meters.requests)
    error = RuntimeError("a bug")
    told = talk.ask(GOOD, "X-Request-Id: r-9")
    assert told.startswith(b"HTTP/1.1 500 ")
    assert b"connection: close" in told
    assert json.loads(told.partition(b"\r\n\r\n")[2])["requestId"] == "r-9"
    assert gateway.meters.request_errors == bugs + 1
    name = "POST /api/v1/app/{app_id}/msg 500"
    assert gateway.meters.requests[name] == before.get(name, 0) + 1


def test_a_client_that_has_gone_leaves_a_whole_message(talk: Talk) -> None:
    async def ask_and_go() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", talk.served.server.port)
        body = json.dumps({**GOOD, "eventId": "gone"}).encode()
        writer.write(
            f"POST /api/v1/app/{talk.app_id}/msg HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
            f"{talk.served.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.transport.abort()

    talk.served.do(ask_and_go())
    path = f"/app/{talk.app_id}/msg/gone"
    while (answer := talk.served.http.get(path)).status_code == 404:
        pass
    assert answer.json()["eventId"] == "gone"
