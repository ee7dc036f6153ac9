"""One tenant's backlog is not another one's: applications take turns."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.gateway_harness import GatewayHarness
from tests.patience import PATIENCE_S
from tillbell.model.messages import Result
from tillbell.model.records import Application
from tillbell.testing.behaviours import hang
from tillbell.testing.exchange import ReceiverExchange

MESSAGES, ENDPOINTS = 25, 200  # of the noisy tenant: its backlog is each to each
QUIET = 6  # messages of the other one, one at a time
SLOTS = 32
SLOW = 18  # of them, that one application's slow endpoints may have: three of four, twice
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
        await asyncio.wait_for(self.receiver.wait_for(SLOW), PATIENCE_S)
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
    assert tenants.gateway.dispatcher.in_flight == SLOW, "it has all that it may have"
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


@pytest.mark.sqlite_first
async def test_mute_receivers_leave_slots_to_others_however_many_they_are(tmp_path: Path) -> None:
    """A quick endpoint, and the first message to a new one, are sent at once."""
    async with GatewayHarness(tmp_path, max_in_flight=64) as harness:
        harness.receiver.on("/mute", hang)
        shop = harness.app
        await harness.endpoint("/quick")
        await harness.publish()
        await harness.next_ended()
        for number in range(3):
            harness.app = Application(id=f"app_mute{number}", name="mute", uid=f"mute{number}")
            await harness.gateway.config_cache.add(harness.app)
            for _ in range(20):
                await harness.endpoint("/mute", timeout_s=60)
            for _ in range(3):
                await harness.publish()
        harness.app = shop
        for _ in range(5):
            await harness.publish()
            assert [a.result for a in await harness.next_ended()] == [Result.ACCEPTED]
        harness.app = Application(id="app_new", name="new", uid="new")
        await harness.gateway.config_cache.add(harness.app)
        await harness.endpoint("/new")
        await harness.publish()
        assert [a.result for a in await harness.next_ended()] == [Result.ACCEPTED]
        assert harness.gateway.dispatcher.in_flight < 48
        await harness.runtime.drain(0)


async def test_one_application_alone_uses_every_slot(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path, max_in_flight=8, endpoint_concurrency=2) as harness:
        for number in range(8):
            await harness.endpoint(f"/{number}")
        await harness.publish()
        await harness.next_ended(8)
        for number in range(8):
            harness.receiver.on(f"/{number}", hang)
        for _ in range(2):
            await harness.publish()
        await asyncio.wait_for(harness.receiver.wait_for(8 + 8), PATIENCE_S)
        assert harness.gateway.dispatcher.in_flight == 8
        await harness.runtime.drain(0)


@pytest.mark.sqlite_first
async def test_long_bodies_of_running_attempts_stay_within_their_memory(tmp_path: Path) -> None:
    """Mute receivers hold what they were sent; others' long bodies find room beside it."""
    long = b'{"text":"%s"}' % (b"x" * 500_000)
    async with GatewayHarness(tmp_path, body_memory_mb=8) as harness:
        memory = harness.gateway.dispatcher.body_memory
        harness.receiver.on("/mute", hang)
        shop = harness.app
        harness.app = Application(id="app_mute", name="mute", uid="mute")
        await harness.gateway.config_cache.add(harness.app)
        for _ in range(8):
            await harness.endpoint("/mute", timeout_s=60)
        for _ in range(3):
            await harness.publish(long)
        await asyncio.wait_for(harness.receiver.wait_for(4), PATIENCE_S)
        assert harness.gateway.dispatcher.in_flight > 8, "more attempts wait than there is room for"
        assert memory.taken <= 4 * 1_048_576, "one application has no more than is free"

        harness.app = shop
        await harness.endpoint("/quick")
        for _ in range(5):
            await harness.publish(long)
        ended = await harness.next_ended(5)
        assert {a.result for a in ended} == {Result.ACCEPTED}
        assert memory.taken <= 4 * 1_048_576
        await harness.runtime.drain(0)
        assert memory.taken == 0, "what was held, or waited for, is given back"
