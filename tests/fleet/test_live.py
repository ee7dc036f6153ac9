"""A stream of what happens goes on at another process when the one it came from is killed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Served, serve
from tests.patience import PATIENCE_S
from tillbell.testing import Receiver

KEY = "admin-key-of-the-stream-0001"
MASTER = "9f3c5b1e7a2d48f6b0c1d2e3f4a5968778695a4b3c2d1e0f1a2b3c4d5e6f7081"
BEFORE, BETWEEN, AFTER = 10, 10, 5


def client(process: Served) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {KEY}"}
    base = f"http://127.0.0.1:{process.port}/api/v1"
    return httpx.AsyncClient(base_url=base, headers=headers, timeout=PATIENCE_S)


class Follower:
    """Reads a stream at one process after the other, and notes what it is told."""

    def __init__(self) -> None:
        self.last = ""
        self.messages: list[str] = []
        self.attempted: list[str] = []  # messages of the attempts

    async def read(self, http: httpx.AsyncClient, is_enough: Callable[[], bool]) -> None:
        """Read on until it has enough, or the stream breaks."""
        headers = {"last-event-id": self.last} if self.last else {}
        query = {"topics": "messages,attempts"}
        with suppress(httpx.TransportError):  # the process was killed
            async with http.stream("GET", "/live", params=query, headers=headers) as answer:
                await self._read_lines(answer.aiter_lines(), is_enough)

    async def _read_lines(self, lines: AsyncIterator[str], is_enough: Callable[[], bool]) -> None:
        fields: dict[str, str] = {}
        async for line in lines:
            word, _, value = line.partition(": ")
            fields[word] = value
            if word == "data":
                self._take(fields["event"], json.loads(value))
                self.last = fields["id"]
            if is_enough():
                return

    def _take(self, name: str, data: dict[str, str]) -> None:
        assert name != "gap"
        if name == "message":
            self.messages.append(data["id"])
        elif name == "attempt":
            self.attempted.append(data["msgId"])


async def publish(http: httpx.AsyncClient, count: int) -> list[str]:
    ids = []
    for number in range(count):
        body = {"eventType": "order.paid", "payload": {"n": number}}
        answer = await http.post("/app/shop/msg", json=body)
        assert answer.status_code == 202, answer.text
        ids.append(str(answer.json()["id"]))
    return ids


async def until(has_come: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not has_come():
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_stream_goes_on_at_another_process_and_nothing_is_missing(
    empty_database: Callable[[], str], tmp_path: Path
) -> None:
    settings = {
        "TILLBELL_DATABASE_URL": empty_database(),
        "TILLBELL_ADMIN_KEY": KEY,
        "TILLBELL_MASTER_KEY": MASTER,
    }
    first, second = (serve(tmp_path / name, **settings) for name in ("first", "second"))
    try:
        async with Receiver() as receiver, client(first) as one, client(second) as other:
            await one.post("/app", json={"name": "shop", "uid": "shop"})
            await one.post("/app/shop/endpoint", json={"url": receiver.url("/ok")})
            follower = Follower()
            reading = asyncio.ensure_future(follower.read(one, lambda: False))
            published = await publish(other, BEFORE)
            await until(lambda: bool(follower.attempted))
            first.process.send_signal(signal.SIGKILL)
            await reading
            published += await publish(other, BETWEEN)

            def has_all() -> bool:
                read = set(follower.messages), set(follower.attempted)
                return all(set(published) <= ids for ids in read)

            reading = asyncio.ensure_future(follower.read(other, has_all))
            published += await publish(other, AFTER)
            await asyncio.wait_for(reading, PATIENCE_S)
            assert follower.messages == published
    finally:
        first.stop(signal.SIGKILL)
        second.stop()
