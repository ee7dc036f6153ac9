"""Who reads messages in order of their ids skips none, however many write at once."""

from __future__ import annotations

import asyncio
import random
from functools import partial

from tests.flow.gateway_harness import GatewayHarness
from tests.patience import PATIENCE_S
from tests.scale import full_or_tenth, soak
from tillbell.deliver.publish import MessageDraft
from tillbell.model.transactions import Direction
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.manual.actions import NewTransaction
from tillbell.storage.ports.outbound import MessageFilter, Page

WRITERS = 16
EACH = full_or_tenth(1_000)


async def _publish(harness: GatewayHarness, count: int) -> None:
    for number in range(count):
        await harness.gateway.publisher.publish(
            harness.app, MessageDraft("order.paid", b'{"n":%d}' % number)
        )


async def _decide(harness: GatewayHarness, count: int, chance: random.Random) -> None:
    """Make decisions that take their time between the first word and the commit."""

    async def decide(number: int, decision: Decision) -> None:
        decision.publish_event("test.ping", {"message": str(number)})
        for _ in range(chance.randrange(20)):
            await asyncio.sleep(0)

    by = DecidedBy(actor="test")
    for number in range(count):
        await harness.gateway.decisions.commit(harness.app.id, by, partial(decide, number))


async def _poll(harness: GatewayHarness, wanted: int) -> list[str]:
    seen: list[str] = []
    while len(seen) < wanted:
        page = Page(limit=50, iterator=seen[-1] if seen else None, ascending=True)
        found = await harness.gateway.database.messages(harness.app.id, MessageFilter(), page)
        seen += [message.id for message in found]
        await asyncio.sleep(0)
    return seen


@soak
async def test_a_poller_skips_nothing_while_sixteen_write(harness: GatewayHarness) -> None:
    chance = random.Random(12)
    work = [
        _publish(harness, EACH) if number % 2 else _decide(harness, EACH, chance)
        for number in range(WRITERS)
    ]
    async with asyncio.timeout(PATIENCE_S):
        seen, _ = await asyncio.gather(_poll(harness, WRITERS * EACH), asyncio.gather(*work))

    assert len(set(seen)) == WRITERS * EACH
    assert seen == sorted(seen)


async def test_transactions_that_are_made_side_by_side_are_told_in_order(
    harness: GatewayHarness,
) -> None:
    operator = harness.gateway.manual_actions
    new = NewTransaction(Direction.PAY_IN, 100, "EUR")
    made = asyncio.gather(*(operator.create(harness.app.id, new, "key_1") for _ in range(500)))
    seen, _ = await asyncio.wait_for(asyncio.gather(_poll(harness, 500), made), timeout=PATIENCE_S)

    assert len(set(seen)) == 500
