"""One tenant's backlog is not another one's: applications take turns."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.gateway_harness import GatewayHarness
from tests.patience import PATIENCE_S
from tillbell.model.records import Application
from tillbell.testing.exchange import ReceiverExchange

MESSAGES, ENDPOINTS = 25, 200  # of the noisy tenant: its backlog is each to each
QUIET = 6  # messages of the other one, one at a time
SLOTS = 32
ANSWER_S = 0.02
BACKLOG = MESSAGES * ENDPOINTS


class Tenants(GatewayHarness):
    """Two applications; receivers of the noisy one answer late, and not before they may."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, max_in_flight=SLOTS, endpoint_concurrency=SLOTS // 4)
        self.quiet = Application(id="app_2", name="quiet", uid="quiet")
        self.may_answer = asyncio.Event()

    async def furnish(self) -> None:
        """Make the endpoints and the backlog; from then on we publish for the quiet one."""
        for number in range(ENDPOINTS):
            self.receiver.on(f"/noisy/{number}", self._answer)
            await self.endpoint(f"/noisy/{number}")
        for _ in range(MESSAGES):
            await self.publish()
        await asyncio.wait_for(self.receiver.wait_for(SLOTS), PATIENCE_S)
        self.app = self.quiet
        await self.gateway.config_cache.add(self.quiet)
        await self.endpoint("/quiet")

    async def _answer(self, exchange: ReceiverExchange) -> None:
        await self.may_answer.wait()
        await asyncio.sleep(ANSWER_S)
        await exchange.answer(200)

    async def overtaken_by(self) -> int:
        """Publish for the quiet one; return how many of the noisy one's came before it did."""
        before = len(self.receiver.requests)
        message = await self.publish()
        while True:
            ids = [one.header("webhook-id") for one in self.receiver.requests[before:]]
            if message.id in ids:
                return ids.index(message.id)
            await self.receiver.wait_for(len(self.receiver.requests) + 1)


@pytest.fixture
async def tenants(tmp_path: Path) -> AsyncIterator[Tenants]:
    async with Tenants(tmp_path) as made:
        await made.furnish()
        yield made


async def test_a_tenant_with_few_messages_does_not_wait_for_the_backlog_of_another(
    tenants: Tenants,
) -> None:
    assert tenants.gateway.dispatcher.in_flight == SLOTS, "every slot is taken"
    tenants.may_answer.set()
    async with asyncio.timeout(PATIENCE_S):
        overtaken = [await tenants.overtaken_by() for _ in range(QUIET)]

    noisy = len(tenants.receiver.requests) - QUIET
    assert noisy < BACKLOG / 2, "most of the backlog still waits"
    assert statistics.median(overtaken) < BACKLOG / 10, "it has its turn soon"


async def test_the_backlog_goes_on_meanwhile(tenants: Tenants) -> None:
    tenants.may_answer.set()
    for _ in range(QUIET):
        await tenants.overtaken_by()
    seen = len(tenants.receiver.requests)

    await asyncio.wait_for(tenants.receiver.wait_for(seen + SLOTS), PATIENCE_S)
