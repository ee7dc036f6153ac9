"""Order keys: one at a time, in order, and a key holds only itself."""

from __future__ import annotations

from typing import Any

from tests.store.outbound_harness import FAILED, SUCCEEDED, WAITING, OutboundHarness
from tillbell.clock import SECOND
from tillbell.model.messages import Message
from tillbell.storage.ports.outbound import DueLane


async def line(
    outbound: OutboundHarness, count: int, key: str = "k", **fields: Any
) -> list[Message]:
    return [await outbound.publish(order_key=key, **fields) for _ in range(count)]


def ids(claims: Any) -> list[str]:
    return [claim.message.id for claim in claims]


async def test_only_the_first_of_a_key_is_claimed(outbound: OutboundHarness) -> None:
    first, second, third = await line(outbound, 3)
    (claim,) = await outbound.claim()
    assert claim.message == first
    assert await outbound.claim() == []

    await outbound.store.finish_attempt(outbound.result(claim.delivery))
    assert ids(await outbound.claim()) == [second.id]
    assert third.id not in ids(await outbound.claim())


async def test_keys_and_unordered_ones_do_not_wait_for_each_other(
    outbound: OutboundHarness,
) -> None:
    await line(outbound, 2, "a")
    await line(outbound, 2, "b")
    await outbound.publish()
    await outbound.publish(outbound.second, order_key="a")

    assert [c.message.order_key for c in await outbound.claim()] == ["a", "b", None]
    assert len(await outbound.claim(endpoint=outbound.second)) == 1


async def test_a_retry_holds_its_key_until_it_is_due_and_done(outbound: OutboundHarness) -> None:
    first, second = await line(outbound, 2)
    held = await outbound.claimed()
    await outbound.store.finish_attempt(outbound.result(held, WAITING, outbound.now + 60 * SECOND))
    assert await outbound.claim() == []
    assert await outbound.store.next_due([(outbound.app, outbound.endpoint)]) == {
        outbound.endpoint: outbound.now + 60 * SECOND
    }

    outbound.clock.advance(60)
    (claim,) = await outbound.claim()
    assert claim.message == first
    await outbound.store.finish_attempt(outbound.result(claim.delivery, FAILED))
    assert ids(await outbound.claim()) == [second.id]


async def test_a_released_claim_is_again_the_first(outbound: OutboundHarness) -> None:
    first, _ = await line(outbound, 2)
    held = await outbound.claimed()
    await outbound.store.release([(held.app_id, held.id, held.token)], outbound.now)

    assert ids(await outbound.claim()) == [first.id]


async def test_orphans_keep_their_place(outbound: OutboundHarness) -> None:
    first, _ = await line(outbound, 2)
    await outbound.claim()
    await outbound.store.release_all_leases(outbound.now)

    assert ids(await outbound.claim()) == [first.id]


async def test_a_lost_lease_holds_its_key(outbound: OutboundHarness) -> None:
    first, _ = await line(outbound, 2)
    await outbound.claim()
    outbound.clock.advance(20)

    assert ids(await outbound.claim()) == [first.id]


async def test_a_resent_earlier_one_goes_before_the_rest(outbound: OutboundHarness) -> None:
    first, second, _ = await line(outbound, 3)
    done = await outbound.finish(first)
    assert done.state is SUCCEEDED
    await outbound.store.resend(outbound.app, [done.id], outbound.now)

    assert ids(await outbound.claim()) == [first.id]
    assert await outbound.claim() == []
    assert second.id not in ids(await outbound.claim())


async def test_a_resent_earlier_one_waits_for_the_one_being_sent(outbound: OutboundHarness) -> None:
    first, second, third = await line(outbound, 3)
    done = await outbound.finish(first)
    (sending,) = await outbound.claim()
    assert sending.message == second
    await outbound.store.resend(outbound.app, [done.id], outbound.now)
    assert await outbound.claim() == []

    await outbound.store.finish_attempt(outbound.result(sending.delivery))
    (resent,) = await outbound.claim()
    assert resent.message == first
    await outbound.store.finish_attempt(outbound.result(resent.delivery))
    assert ids(await outbound.claim()) == [third.id]


async def test_a_delivery_added_later_takes_the_place_of_its_message(
    outbound: OutboundHarness,
) -> None:
    early = await outbound.publish(outbound.second, order_key="k")
    await line(outbound, 1)
    await outbound.store.add_deliveries([outbound.waiting(early, outbound.endpoint)], {})

    assert ids(await outbound.claim()) == [early.id]
    assert await outbound.claim() == []


async def test_when_a_body_is_purged_the_next_one_goes(outbound: OutboundHarness) -> None:
    await line(outbound, 1, expires_at=outbound.now + SECOND)
    (second,) = await line(outbound, 1)
    outbound.clock.advance(1)
    await outbound.store.purge(bodies_before=0, history_before=0, now=outbound.now, limit=10)

    assert ids(await outbound.claim()) == [second.id]


async def test_held_back_deliveries_are_discarded_too(outbound: OutboundHarness) -> None:
    await line(outbound, 5)

    assert await outbound.store.discard(outbound.app, outbound.endpoint, outbound.now, 4) == 4
    assert await outbound.store.discard(outbound.app, outbound.endpoint, outbound.now, 4) == 1
    assert await outbound.store.due_lanes() == []


async def test_a_lane_is_due_when_its_first_one_is(outbound: OutboundHarness) -> None:
    await line(outbound, 3)
    held = await outbound.claimed()
    await outbound.store.finish_attempt(outbound.result(held, WAITING, outbound.now + SECOND))

    assert await outbound.store.due_lanes() == [
        DueLane(outbound.app, outbound.endpoint, outbound.now + SECOND)
    ]
