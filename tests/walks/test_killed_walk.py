"""The gateway is killed after it has answered a callback, and before what follows was done.

The next start does what was promised: one step, one effect, one message, one delivery.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import PROGRAM, environment
from tests.patience import PATIENCE_S
from tests.walks.killable_gateway import POINTS
from tillbell.providers.kit.base import Incoming
from tillbell.testing import Receiver, Simulation, simulate
from tillbell.verify import verify

pytestmark = pytest.mark.sqlite
KEY = "admin-key-of-the-walk-0001"
SECRET = "secret-of-the-connector-01"
ORDERS = tuple(f"ORD-{number}" for number in range(20))
CREDITED = [("credit", "49.90")]
APP = "/api/v1/app/shop"
SERVE = (PROGRAM, "serve")
MORTAL = (sys.executable, "-m", "tests.walks.killable_gateway")
ROOT = Path(__file__).parents[2]


class ServeProcess:
    """One life of a gateway on its folder."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.http = httpx.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=PATIENCE_S
        )

    async def reach(self) -> None:
        """Wait until it has come to where it falls silent."""
        assert self.process.stdout is not None
        assert await self.process.stdout.readline() == b"here\n"

    async def end(self, how: signal.Signals) -> int:
        """Send a signal; return how it ended."""
        await self.http.aclose()
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.http.get(APP + path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def carry(self, request: Incoming) -> None:
        """Bring a callback; it must be answered as its provider wants."""
        headers = list(request.headers)
        answer = await self.http.post(request.target, content=request.body, headers=headers)
        assert (answer.status_code, answer.text) == (200, "OK")


@asynccontextmanager
async def life(folder: Path, *command: str) -> AsyncIterator[ServeProcess]:
    """Let a gateway live; whatever it has done, it does not outlive the test."""
    settings = {"TILLBELL_DATA_DIR": str(folder), "TILLBELL_PORT": "0", "TILLBELL_DEV": "true"}
    with (folder.parent / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=environment(TILLBELL_ADMIN_KEY=KEY, **settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode()
    found = re.search(r"http://127\.0\.0\.1:\d+", first)
    assert found, (folder.parent / "log").read_text()
    one = ServeProcess(process, found[0])
    try:
        yield one
    finally:
        await one.end(signal.SIGKILL)


class OrderShop:
    """An application with orders to be paid, and an endpoint that hears of payments."""

    def __init__(self, source_url: str, key: str, receiver: Receiver) -> None:
        self._source_url = source_url
        self._key = key
        self._receiver = receiver

    def told(self, order: str) -> Incoming:
        """Return the callback that says that an order was paid."""
        names = [f"merchantTransactionId={order}", f"uuid=of-{order}", f"?orderId={order}"]
        names.append(f"purchaseId=20260301-of-{order}")
        wanted = Simulation("allsecure:approved", SECRET, overrides=tuple(names), is_fresh=False)
        return simulate(wanted, self._source_url).request

    def heard(self) -> list[tuple[str, str | None]]:
        """Return which orders were told to be paid so far, verified, and in which messages."""
        arrivals = [verify(a.body, a.headers, self._key) for a in self._receiver.requests]
        return sorted((one.json()["data"]["uid"], one.id) for one in arrivals)


async def furnish(first: ServeProcess, receiver: Receiver, orders: Sequence[str]) -> OrderShop:
    await first.made("/api/v1/app", {"name": "shop", "uid": "shop"})
    wanted = {"url": receiver.url("/hook"), "filterTypes": ["transaction.approved"]}
    endpoint = await first.made(f"{APP}/endpoint", wanted)
    body = {"name": "till", "provider": "allsecure", "secrets": [SECRET]}
    source = await first.made(f"{APP}/source", body)
    for order in orders:
        fields = {"uid": order, "direction": "pay_in", "amount": "49.90", "currency": "EUR"}
        await first.made(f"{APP}/transaction", fields)
    shown = await first.get(f"/endpoint/{endpoint['id']}/secret")
    return OrderShop(source["url"], shown["key"], receiver)


async def is_paid_once(now: ServeProcess, order: str) -> bool:
    """Tell whether an order is paid, in one step with one effect, or not at all."""
    found = await now.get(f"/transaction/{order}")
    steps = [step["status"] for step in found["transitions"]]
    effects = [(effect["kind"], effect["amount"]) for effect in found["effects"]]
    known = {"Pending": (["Pending"], []), "Approved": (["Pending", "Approved"], CREDITED)}
    assert (steps, effects) == known[found["status"]]
    return bool(effects)


async def approvals(now: ServeProcess) -> int:
    messages = (await now.get("/msg"))["data"]
    return [one["eventType"] for one in messages].count("transaction.approved")


@pytest.mark.slow
async def test_what_was_answered_before_the_kill_is_done_once_after_it(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        async with life(tmp_path / "data", *MORTAL) as a:
            shop = await furnish(a, receiver, POINTS)
            for order in POINTS:
                await a.carry(shop.told(order))
                await a.reach()
            assert [await is_paid_once(a, order) for order in POINTS] == [False, False, True]
            await a.end(signal.SIGKILL)
        assert receiver.requests == []

        async with life(tmp_path / "data", *SERVE) as b:
            await receiver.wait_for(len(POINTS))
            assert [await is_paid_once(b, order) for order in POINTS] == [True, True, True]
            for order in POINTS:
                await b.carry(shop.told(order))  # the provider tries again
            log = (await b.get("/callback", order="ascending"))["data"]
            assert [one["outcome"] for one in log] == ["applied"] * 3 + ["duplicate"] * 3
            assert await approvals(b) == len(POINTS)
            assert await b.end(signal.SIGTERM) == 0

        assert [order for order, _ in shop.heard()] == sorted(POINTS)


@pytest.mark.slow
async def test_a_kill_at_once_after_the_answer_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        async with life(tmp_path / "data", *SERVE) as a:
            shop = await furnish(a, receiver, ORDERS)
            await asyncio.gather(*(a.carry(shop.told(order)) for order in ORDERS))
            await a.end(signal.SIGKILL)

        async with life(tmp_path / "data", *SERVE) as b:
            while len(dict(shop.heard())) < len(ORDERS):
                await receiver.wait_for(len(receiver.requests) + 1)
            assert all([await is_paid_once(b, order) for order in ORDERS])
            assert await approvals(b) == len(ORDERS)
            assert await b.end(signal.SIGTERM) == 0

        # One may have come twice, then as the same message.
        assert sorted(dict(set(shop.heard()))) == sorted(ORDERS)
        assert len(set(shop.heard())) == len(ORDERS)
