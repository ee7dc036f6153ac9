"""Who names another application finds nothing and changes nothing, whatever ids are known."""

from __future__ import annotations

from tests.store.till import Till
from tests.store.world import LEASE, World
from tillbell.storage.ports.outbound import DeliverySelection


async def test_a_claim_is_of_its_application_only(world: World) -> None:
    delivery = await world.hand_over()
    claim = world.other_app, delivery.id, delivery.token

    assert await world.store.renew([claim], world.now + 2 * LEASE) == [delivery.id]
    await world.store.release([claim], world.now)
    result = world.result(delivery)
    strange = result._replace(attempt=result.attempt._replace(app_id=world.other_app))
    assert not await world.store.finish_attempt(strange)
    assert await world.reread(delivery) == delivery


async def test_what_waits_is_of_its_application_only(world: World) -> None:
    message = await world.publish()
    (delivery,) = await world.deliveries(message)
    lane = world.other_app, world.endpoint

    assert await world.store.claim({lane: 1}, world.now, world.now + LEASE) == []
    assert await world.store.discard(*lane, world.now, 1) == 0
    world.clock.advance(1)
    assert await world.store.resend(world.other_app, [delivery.id], world.now) == 0
    selection = DeliverySelection(*lane, 0, world.now, (delivery.state,))
    assert await world.store.select(selection, "", 1) == []
    assert await world.reread(delivery) == delivery


async def test_bytes_are_of_their_application_only(till: Till) -> None:
    world, callback = till.world, await till.conclude(await till.receive("k"))
    message = await world.publish()

    assert await world.store.body(world.other_app, message.id) is None
    assert await world.store.callback_request(world.other_app, callback.id) is None
    assert not await world.store.reopen_callback(world.other_app, callback.id)
    assert await world.store.reopen_callback(world.app, callback.id)


async def test_money_is_of_its_application_only(till: Till) -> None:
    paid = await till.captured()
    await till.do(transaction_writes=(till.refunding(paid, 1),))
    other = till.world.other_app

    assert await till.store.transitions(other, paid.id) == []
    assert await till.store.effects(other, paid.id) == []
    assert await till.store.linked_transactions(other, paid.id) == []
