"""Who reads messages in the order of their ids skips none, however slow a process commits."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from tests.fleet.local_fleet import APP, LocalFleet, publish_surely
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.deliver.publish import MessageDraft
from tillbell.storage.ports.outbound import MessageFilter, Page

WRITERS = 16
EACH = 30
PROCESSES = 4
SLOWEST_S = 0.2


def slow_down(gateway: Gateway, chance: random.Random) -> None:
    """Let each commit of a process wait for up to a fifth of a second."""
    never = threading.Event()

    def fault(point: str) -> None:
        if point == "before commit":
            never.wait(chance.uniform(0, SLOWEST_S))

    gateway.database._fault = fault  # type: ignore[attr-defined]


async def poll(gateway: Gateway, wanted: int) -> list[str]:
    seen: list[str] = []
    while len(seen) < wanted:
        page = Page(limit=50, iterator=seen[-1] if seen else None, ascending=True)
        settled = MessageFilter(before=gateway.cluster.complete_before())
        seen += [m.id for m in await gateway.database.messages(APP.id, settled, page)]
        await asyncio.sleep(0.01)
    return seen


@pytest.mark.slow
async def test_a_poller_skips_nothing_while_four_processes_write(fleet: LocalFleet) -> None:
    gateways = [await fleet.start() for _ in range(PROCESSES)]
    for number, gateway in enumerate(gateways):
        slow_down(gateway, random.Random(number))

    async def write(number: int) -> None:
        for count in range(EACH):
            draft = MessageDraft("order.paid", b"{}", f"{number}-{count}")
            await publish_surely(gateways[number % PROCESSES], draft)

    reading = asyncio.ensure_future(poll(gateways[0], WRITERS * EACH))
    await asyncio.gather(*map(write, range(WRITERS)))
    seen = await asyncio.wait_for(reading, PATIENCE_S)

    assert len(set(seen)) == WRITERS * EACH
    assert seen == sorted(seen)
