"""Order keys: one at a time, in order, and a key holds only itself."""

from __future__ import annotations

from typing import Any

from tests.store.world import FAILED, SUCCEEDED, WAITING, World
from tillbell.clock import SECOND
from tillbell.model.messages import Message
from tillbell.storage.ports.outbound import DueLane


async def line(world: World, count: int, key: str = "k", **fields: Any) -> list[Message]:
    return [await world.publish(order_key=key, **fields) for _ in range(count)]


def ids(claims: Any) -> list[str]:
    return [claim.message.id for claim in claims]


async def test_only_the_first_of_a_key_is_claimed(world: World) -> None:
    first, second, third = await line(world, 3)
    (claim,) = await world.claim()
    assert claim.message == first
    assert await world.claim() == []

    await world.store.finish_attempt(world.result(claim.delivery))
    assert ids(await world.claim()) == [second.id]
    assert third.id not in ids(await world.claim())


async def test_keys_and_unordered_ones_do_not_wait_for_each_other(world: World) -> None:
    await line(world, 2, "a")
    await line(world, 2, "b")
    await world.publish()
    await world.publish(world.second, order_key="a")

    assert [c.message.order_key for c in await world.claim()] == ["a", "b", None]
    assert len(await world.claim(endpoint=world.second)) == 1


async def test_a_retry_holds_its_key_until_it_is_due_and_done(world: World) -> None:
    first, second = await line(world, 2)
    held = await world.claimed()
    await world.store.finish_attempt(world.result(held, WAITING, world.now + 60 * SECOND))
    assert await world.claim() == []
    assert await world.store.next_due([(world.app, world.endpoint)]) == {
        world.endpoint: world.now + 60 * SECOND
    }

    world.clock.advance(60)
    (claim,) = await world.claim()
    assert claim.message == first
    await world.store.finish_attempt(world.result(claim.delivery, FAILED))
    assert ids(await world.claim()) == [second.id]


async def test_a_released_claim_is_again_the_first(world: World) -> None:
    first, _ = await line(world, 2)
    held = await world.claimed()
    await world.store.release([(held.app_id, held.id, held.token)], world.now)

    assert ids(await world.claim()) == [first.id]


async def test_orphans_keep_their_place(world: World) -> None:
    first, _ = await line(world, 2)
    await world.claim()
    await world.store.release_all_leases(world.now)

    assert ids(await world.claim()) == [first.id]


async def test_a_lost_lease_holds_its_key(world: World) -> None:
    first, _ = await line(world, 2)
    await world.claim()
    world.clock.advance(20)

    assert ids(await world.claim()) == [first.id]


async def test_a_resent_earlier_one_goes_before_the_rest(world: World) -> None:
    first, second, _ = await line(world, 3)
    done = await world.finish(first)
    assert done.state is SUCCEEDED
    await world.store.resend(world.app, [done.id], world.now)

    assert ids(await world.claim()) == [first.id]
    assert await world.claim() == []
    assert second.id not in ids(await world.claim())


async def test_a_resent_earlier_one_waits_for_the_one_being_sent(world: World) -> None:
    first, second, third = await line(world, 3)
    done = await world.finish(first)
    (sending,) = await world.claim()
    assert sending.message == second
    await world.store.resend(world.app, [done.id], world.now)
    assert await world.claim() == []

    await world.store.finish_attempt(world.result(sending.delivery))
    (resent,) = await world.claim()
    assert resent.message == first
    await world.store.finish_attempt(world.result(resent.delivery))
    assert ids(await world.claim()) == [third.id]


async def test_a_delivery_added_later_takes_the_place_of_its_message(world: World) -> None:
    early = await world.publish(world.second, order_key="k")
    await line(world, 1)
    await world.store.add_deliveries([world.waiting(early, world.endpoint)], {})

    assert ids(await world.claim()) == [early.id]
    assert await world.claim() == []


async def test_when_a_body_is_purged_the_next_one_goes(world: World) -> None:
    await line(world, 1, expires_at=world.now + SECOND)
    (second,) = await line(world, 1)
    world.clock.advance(1)
    await world.store.purge(bodies_before=0, history_before=0, now=world.now, limit=10)

    assert ids(await world.claim()) == [second.id]


async def test_held_back_deliveries_are_discarded_too(world: World) -> None:
    await line(world, 5)

    assert await world.store.discard(world.app, world.endpoint, world.now, 4) == 4
    assert await world.store.discard(world.app, world.endpoint, world.now, 4) == 1
    assert await world.store.due_lanes() == []


async def test_a_lane_is_due_when_its_first_one_is(world: World) -> None:
    await line(world, 3)
    held = await world.claimed()
    await world.store.finish_attempt(world.result(held, WAITING, world.now + SECOND))

    assert await world.store.due_lanes() == [DueLane(world.app, world.endpoint, world.now + SECOND)]
