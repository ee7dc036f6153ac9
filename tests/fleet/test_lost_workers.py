"""Workers that are killed or stopped in the midst of attempts: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from bench.gateway import READY_S, GatewayProcess

from tests.crash.accounts import ApiRecords
from tests.faults.crew import environment_of
from tillbell.testing import Receiver
from tillbell.testing.exchange import ReceiverExchange

WORKERS = ("worker1", "worker2", "worker3")
ENDPOINTS = 12  # so many that no worker owns them all


class Holding:
    """A receiver that answers the first request to each path when it is told to."""

    def __init__(self) -> None:
        self.receiver = Receiver(self._behave)
        self._may_answer = asyncio.Event()

    def answer(self) -> None:
        """Answer what is held."""
        self._may_answer.set()

    def senders(self) -> dict[str, list[str]]:
        """Return who has sent to each path, in order."""
        found: dict[str, list[str]] = {}
        for request in self.receiver.requests:
            found.setdefault(request.path, []).append(request.header("user-agent") or "")
        return found

    async def _behave(self, exchange: ReceiverExchange) -> None:
        if exchange.nth == 1:
            await self._may_answer.wait()
        await exchange.answer(200)


@pytest.fixture
async def holding() -> AsyncIterator[Holding]:
    made = Holding()
    async with made.receiver:
        yield made
        made.answer()


@pytest.fixture
async def crew(
    tmp_path: Path, empty_database: Callable[[], str]
) -> AsyncIterator[dict[str, GatewayProcess]]:
    """The API and three workers, by their name."""
    url = empty_database()
    made = {"api0": GatewayProcess(tmp_path / "api0", environment=environment_of("api", url, 0))}
    for number, name in enumerate(WORKERS, 1):
        settings = environment_of("worker", url, number)
        made[name] = GatewayProcess(tmp_path / name, environment=settings)
    try:
        await asyncio.to_thread(made["api0"].start)
        for name in WORKERS:
            made[name].launch()
        for name in WORKERS:
            await asyncio.to_thread(made[name].wait_ready, time.monotonic() + READY_S)
        await until(lambda: all(_knows_everybody(made[name].log_tail()) for name in WORKERS))
        yield made
    finally:
        for process in made.values():
            if process.process is not None and process.process.poll() is None:
                process.kill()


def _knows_everybody(log: str) -> bool:
    lines = [line for line in log.splitlines() if '"cluster.members_changed"' in line]
    return any(f'"workers":{len(WORKERS)}' in line for line in lines)


def furnish(api: GatewayProcess, holding: Holding) -> tuple[str, list[str]]:
    app = api.application("shop")
    urls = [holding.receiver.url(f"/{number}") for number in range(ENDPOINTS)]
    return app, [api.endpoint(app, url).id for url in urls]


async def until(holds: Callable[[], bool]) -> None:
    """Look until others have done it; the test's timeout ends a wait for ever."""
    while not holds():
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_what_a_killed_and_a_stopped_worker_had_in_flight_is_sent_once_more_and_counts_once(
    crew: dict[str, GatewayProcess], holding: Holding
) -> None:
    api = crew["api0"]
    app, endpoints = await asyncio.to_thread(furnish, api, holding)
    await asyncio.to_thread(api.call, "POST", f"/api/v1/app/{app}/msg", EVENT)
    await until(lambda: len(holding.senders()) == ENDPOINTS)
    first = {path: senders[0] for path, senders in holding.senders().items()}
    killed, stopped = sorted(set(first.values()))[:2]

    crew[killed].kill()
    os.killpg(crew[stopped].pid, signal.SIGSTOP)
    holding.answer()
    lost = {path for path, sender in first.items() if sender in (killed, stopped)}
    await until(lambda: all(len(holding.senders()[path]) == 2 for path in lost))
    os.killpg(crew[stopped].pid, signal.SIGCONT)
    await until(
        lambda: '"attempt.result_' in crew[stopped].log_tail()
    )  # stale, or postponed and dropped

    account = await asyncio.to_thread(settled, api, app, endpoints)
    again = {senders[1] for path, senders in holding.senders().items() if path in lost}
    assert again.isdisjoint({killed, stopped}), "others made them again"
    assert {path for path, senders in holding.senders().items() if len(senders) > 1} == lost
    assert account.interrupted == len(lost)
    results = Counter(one.status_code for tried in account.attempts.values() for one in tried)
    assert results == {200: ENDPOINTS, 0: len(lost)}, "what came too late does not count"


EVENT = {"eventType": "order.paid", "payload": {"total": 1}}


def settled(api: GatewayProcess, app: str, endpoints: list[str]) -> ApiRecords:
    """Return the product's account once every endpoint has a result."""
    while True:
        account = ApiRecords().read(api, app, endpoints)
        done = [tried for tried in account.attempts.values() if any(o.status_code for o in tried)]
        if len(done) == len(endpoints):
            return account
