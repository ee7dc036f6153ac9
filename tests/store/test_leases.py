"""Leases: renewed, given back, lost, and void at the start of a sole process."""

from __future__ import annotations

from tests.store.world import LEASE, WAITING, World
from tillbell.clock import SECOND
from tillbell.model.messages import Result


async def test_a_renewed_lease_runs_longer(world: World) -> None:
    delivery = await world.hand_over()
    world.clock.advance(10)
    assert await world.store.renew([(delivery.app_id, delivery.id, 1)], world.now + LEASE) == []
    world.clock.advance(14)

    assert await world.claim() == []
    assert (await world.reread(delivery)).due_at == world.now + SECOND


async def test_renewing_a_lost_lease_leaves_it_alone(world: World) -> None:
    old = await world.hand_over()
    world.clock.advance(15)
    new = await world.claimed()
    claims = [(old.id, old.token), (new.id, new.token), (old.id, 3), ("dlv_x", 1)]
    held = [(world.app, *claim) for claim in claims]
    lost = await world.store.renew(held, new.due_at)

    assert lost == [old.id, old.id, "dlv_x"]
    assert await world.reread(old) == new


async def test_renewing_what_waits_leaves_it_alone(world: World) -> None:
    message = await world.publish()
    waiting = await world.the_delivery(message)
    await world.store.renew([(waiting.app_id, waiting.id, waiting.token)], world.now + LEASE)

    assert await world.the_delivery(message) == waiting


async def test_a_released_claim_is_due_again_and_its_attempt_uncounted(world: World) -> None:
    delivery = await world.hand_over()
    world.clock.advance(1)
    await world.store.release([(delivery.app_id, delivery.id, 1)], world.now)

    assert await world.reread(delivery) == delivery._replace(
        state=WAITING, due_at=world.now, attempts=0, tries=0, started_at=None
    )
    again = await world.claimed()
    assert (again.attempts, again.token) == (1, 2)
    assert await world.attempts(again) == []


async def test_a_released_claim_cannot_be_settled_or_released_again(world: World) -> None:
    delivery = await world.hand_over()
    await world.store.release([(delivery.app_id, delivery.id, 1)], world.now)
    released = await world.reread(delivery)
    await world.store.release([(delivery.app_id, delivery.id, 1)], world.now + 7)

    assert await world.store.finish_attempt(world.result(delivery)) is False
    assert await world.reread(delivery) == released


async def test_releasing_a_lost_lease_leaves_it_alone(world: World) -> None:
    old = await world.hand_over()
    world.clock.advance(15)
    new = await world.claimed()
    await world.store.release([(old.app_id, old.id, old.token)], world.now)

    assert await world.reread(old) == new


async def test_at_the_start_every_leased_delivery_is_due_and_its_attempt_interrupted(
    world: World,
) -> None:
    leased = [await world.hand_over() for _ in range(3)]
    message = await world.publish(world.second)
    waiting = await world.the_delivery(message)
    world.clock.advance(1)

    assert await world.store.release_all_leases(world.now) == 3
    assert await world.the_delivery(message) == waiting
    for delivery in leased:
        assert await world.reread(delivery) == delivery._replace(
            state=WAITING, due_at=world.now, started_at=None, tries=0
        )
        (attempt,) = await world.attempts(delivery)
        assert (attempt.result, attempt.number) == (Result.INTERRUPTED, 1)
        assert await world.store.finish_attempt(world.result(delivery)) is False
    assert await world.store.release_all_leases(world.now) == 0
    assert [c.delivery.attempts for c in await world.claim()] == [2, 2, 2]


async def test_a_lease_counts_as_being_sent(world: World) -> None:
    await world.hand_over()
    await world.publish()
    await world.claim(1)

    assert (await world.store.counts()).sending == 2
