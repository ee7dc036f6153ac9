"""`tillbell move` as an operator uses it: stop, move, start elsewhere; nothing is sent twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from tests.cli.conftest import Served, serve, tillbell
from tests.cli.test_serve import key_in
from tests.patience import PATIENCE_S
from tillbell.cli.client import ApiClient
from tillbell.errors import Refused
from tillbell.testing import Receiver
from tillbell.testing.exchange import ReceiverExchange
from tillbell.vault import Secret

Schema = Callable[[], str]
T = TypeVar("T")


@contextmanager
def serving(folder: Path, **more: str) -> Iterator[Served]:
    """Serve until the block ends."""
    gateway = serve(folder, **more)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.stop()


class Subscribers:
    """Two of them: one is well, one is down until it is mended."""

    def __init__(self) -> None:
        self.is_down = True
        self.accepted: Counter[tuple[str, str]] = Counter()
        self.refused: set[str] = set()
        self._changed = asyncio.Condition()

    async def behave(self, exchange: ReceiverExchange) -> None:
        arrival = exchange.request
        id_, path = arrival.header("webhook-id") or "", arrival.path
        is_refused = path == "/down" and self.is_down
        async with self._changed:
            if is_refused:
                self.refused.add(id_)
            else:
                self.accepted[path, id_] += 1
            self._changed.notify_all()
        await exchange.answer(503 if is_refused else 200)

    async def wait_until(self, accepted: int, refused: int) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: len(self.accepted) >= accepted and len(self.refused) >= refused
            )


class MovedShop:
    """An application, spoken to through whichever gateway serves it."""

    def __init__(self, key: str) -> None:
        self._key = Secret(key)

    def call(self, gateway: Served, method: str, path: str, body: object = None) -> Any:
        return ApiClient(f"http://127.0.0.1:{gateway.port}", self._key).call(method, path, body)

    def set_up(self, gateway: Served, receiver: Receiver) -> None:
        self.call(gateway, "POST", "/app", {"name": "MovedShop", "uid": "shop"})
        for path in ("/well", "/down"):
            endpoint = {"url": receiver.url(path), "retrySchedule": [1] * 50}
            self.call(gateway, "POST", "/app/shop/endpoint", endpoint)

    def publish(self, gateway: Served, *numbers: int) -> None:
        for number in numbers:
            body = {"eventType": "order.paid", "eventId": f"e{number}", "payload": {"n": number}}
            self.call(gateway, "POST", "/app/shop/msg", body)

    def messages(self, gateway: Served) -> list[str]:
        listed = self.call(gateway, "GET", "/app/shop/msg")["data"]
        return sorted(message["eventId"] for message in listed)


class Story:
    """What an operator does; the subscribers live on the loop meanwhile."""

    def __init__(self, folder: Path, url: str, receiver: Receiver, told: Subscribers) -> None:
        self.folder, self.url, self.receiver, self.subscribers = folder, url, receiver, told
        self._loop = asyncio.get_running_loop()

    def wait(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE_S)

    def tell(self) -> None:
        with serving(self.folder) as before:
            shop = MovedShop(key_in(before.said))
            shop.set_up(before, self.receiver)
            shop.publish(before, 0, 1, 2)
            self.wait(self.subscribers.wait_until(accepted=3, refused=3))
        moved = tillbell("move", "--to", self.url, "--data-dir", str(self.folder))
        assert moved.returncode == 0, moved.stderr
        assert "same master key" in moved.stdout
        self.subscribers.is_down = False
        with serving(self.folder, DATABASE_URL=self.url) as after:
            assert "admin key" not in after.said  # the keys came along
            with pytest.raises(Refused, match="409"):
                shop.publish(after, 2)  # a shop that says again what it said before
            shop.publish(after, 3)
            self.wait(self.subscribers.wait_until(accepted=8, refused=3))
            assert shop.messages(after) == ["e0", "e1", "e2", "e3"]


@pytest.mark.slow
async def test_the_gateway_goes_on_in_postgresql_and_sends_nothing_twice(
    tmp_path: Path, fresh_schema: Schema
) -> None:
    subscribers = Subscribers()
    async with Receiver(subscribers.behave) as receiver:
        story = Story(tmp_path, fresh_schema(), receiver, subscribers)
        await asyncio.to_thread(story.tell)

    assert len(subscribers.accepted) == 8  # four messages to two
    assert set(subscribers.accepted.values()) == {1}


# ── what it says ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def served_once(tmp_path: Path) -> Path:
    """The folder of a gateway that has been stopped."""
    with serving(tmp_path):
        pass
    return tmp_path


@pytest.mark.slow
def test_a_gateway_that_runs_is_not_moved(tmp_path: Path, fresh_schema: Schema) -> None:
    with serving(tmp_path) as gateway:
        refused = tillbell("move", "--to", fresh_schema(), "--data-dir", str(gateway.data_dir))

    assert refused.returncode == 2
    assert "Another process is using the database" in refused.stderr


@pytest.mark.slow
def test_what_was_moved_is_not_served_until_it_is_forced_back(
    served_once: Path, fresh_schema: Schema
) -> None:
    url, here = fresh_schema(), ("--data-dir", str(served_once))
    moved = tillbell("move", "--to", url, *here)
    again = tillbell("move", "--to", url, *here)
    served = tillbell("serve", "--port", "0", *here)
    unforced = tillbell("move", "--back", *here)
    back = tillbell("move", "--back", "--force", *here)

    assert (moved.returncode, again.returncode) == (0, 0)
    for table in ("records", "messages", "transactions"):
        assert f"\n{table} " in moved.stdout
    assert "already finished" in again.stdout
    assert served.returncode == 2
    assert "was moved to postgresql://127.0.0.1" in served.stderr
    assert "start with DATABASE_URL" in served.stderr
    assert unforced.returncode == 2
    assert "--force" in unforced.stderr
    assert back.returncode == 0
    with serving(served_once) as gateway:
        assert tillbell("healthcheck", TILLBELL_PORT=gateway.port).returncode == 0


@pytest.mark.slow
def test_a_difference_is_exit_code_1_and_nothing_is_served(
    served_once: Path, fresh_schema: Schema
) -> None:
    url, here = fresh_schema(), ("--data-dir", str(served_once))
    assert tillbell("move", "--to", url, *here).returncode == 0
    with sqlite3.connect(served_once / "tillbell.db") as connection:
        connection.execute("UPDATE departures SET finished_at = NULL")
    connection.close()
    with psycopg.connect(url) as target:
        target.execute("UPDATE moves SET finished_at = NULL")
        target.execute("DELETE FROM records")

    differs = tillbell("move", "--to", url, *here)
    here_served = tillbell("serve", "--port", "0", *here)
    there_served = tillbell("serve", "--port", "0", *here, DATABASE_URL=url)

    assert differs.returncode == 1
    assert "DIFFERS: 0 rows there" in differs.stdout
    assert "neither store can be served" in differs.stderr
    assert (here_served.returncode, there_served.returncode) == (2, 2)
    assert "has not finished" in here_served.stderr
    assert "has not finished" in there_served.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "name the target: --to"),
        (("--to", "postgresql://x/y", "--back"), "name the target: --to"),
        (("--to", "mysql://x/y"), "--to must look like postgresql://"),
        (("--to", "postgresql://x/y", "--database-url", "postgresql://a/b"), "is not SQLite"),
        (("--to", "postgresql://x/y"), "no database at"),
        (("--back",), "no database at"),
    ],
)
def test_a_wrong_command_line_is_said_in_one_line(
    arguments: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    refused = tillbell("move", *arguments, "--data-dir", str(tmp_path))

    assert refused.returncode == 2
    assert why in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
