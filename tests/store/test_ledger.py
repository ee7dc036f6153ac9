"""The ledger and the store: a claim that was lost is not taken for held."""

from __future__ import annotations

from tests.store.world import BODY, LEASE, World
from tillbell.clock import SECOND
from tillbell.flow.ledger import Ledger
from tillbell.models import Claim, Delivery


async def claim_of(world: World, delivery: Delivery) -> Claim:
    message = await world.store.message(world.app, delivery.message_id)
    assert message is not None
    return Claim(delivery, message, BODY)


async def test_a_process_that_was_stopped_for_long_sends_nothing_that_others_have(
    world: World,
) -> None:
    ledger = Ledger(world.store, world.clock, LEASE)
    old = await claim_of(world, await world.hand_over())
    ledger.hold(old)
    world.clock.advance(40)
    await world.claimed()
    await ledger.renew()

    assert ledger.begin(old, world.now) is False
    assert ledger.held_count == 0


async def test_one_that_was_stopped_and_is_not_missed_goes_on(world: World) -> None:
    ledger = Ledger(world.store, world.clock, LEASE)
    old = await claim_of(world, await world.hand_over())
    ledger.hold(old)
    world.clock.advance(40)
    assert not (world.now < old.delivery.due_at)
    await ledger.renew()

    assert ledger.begin(old, world.now) is True
    assert (await world.reread(old.delivery)).due_at == world.now + LEASE


async def test_a_late_result_does_not_give_up_the_claim_that_came_after(world: World) -> None:
    ledger = Ledger(world.store, world.clock, LEASE)
    old = await claim_of(world, await world.hand_over())
    ledger.hold(old)
    world.clock.advance(40)
    new = await claim_of(world, await world.claimed())
    ledger.hold(new)
    ledger.settle(old, world.result(old.delivery))
    await ledger.flush()

    assert ledger.begin(new, world.now + SECOND) is True
