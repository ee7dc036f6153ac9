"""By hand: resend, add what is missing, discard."""

from __future__ import annotations

import pytest

from tests.store.world import DISCARDED, FAILED, SENDING, SUCCEEDED, WAITING, World
from tillbell.clock import SECOND
from tillbell.model.messages import DeliveryState, Result, Trigger


@pytest.mark.parametrize("state", [SUCCEEDED, FAILED])
async def test_an_ended_delivery_begins_a_new_run(world: World, state: DeliveryState) -> None:
    message = await world.publish()
    done = await world.finish(message, state)
    world.clock.advance(5)

    assert await world.store.resend(world.app, [done.id], world.now) == 1
    assert await world.reread(done) == done._replace(
        state=WAITING, due_at=world.now, tries=0, trigger=Trigger.MANUAL
    )
    again = await world.claimed()
    assert (again.attempts, again.tries, again.token) == (2, 1, 2)


async def test_a_waiting_retry_is_brought_forward_and_keeps_its_run(world: World) -> None:
    delivery = await world.hand_over()
    await world.store.finish_attempt(world.result(delivery, WAITING, world.now + 60 * SECOND))
    waiting = await world.reread(delivery)

    assert await world.store.resend(world.app, [delivery.id], world.now, Trigger.MANUAL) == 1
    assert await world.reread(delivery) == waiting._replace(
        due_at=world.now, trigger=Trigger.MANUAL
    )


async def test_what_is_overdue_keeps_its_place(world: World) -> None:
    message = await world.publish()
    waiting = await world.the_delivery(message)
    world.clock.advance(60)
    await world.store.resend(world.app, [waiting.id], world.now)

    assert (await world.the_delivery(message)).due_at == waiting.due_at


async def test_what_is_being_sent_is_left_alone(world: World) -> None:
    delivery = await world.hand_over()

    assert (
        await world.store.resend(world.app, [delivery.id], world.now, states=list(DeliveryState))
        == 0
    )
    assert await world.reread(delivery) == delivery


async def test_only_the_named_states_are_resent(world: World) -> None:
    failed = await world.finish(await world.publish(), FAILED)
    succeeded = await world.finish(await world.publish(), SUCCEEDED)
    both = [failed.id, succeeded.id]

    assert await world.store.resend(world.app, both, world.now, states=[FAILED]) == 1
    assert await world.reread(succeeded) == succeeded


async def test_discarded_and_unknown_deliveries_are_not_resent(world: World) -> None:
    delivery = await world.the_delivery(await world.publish())
    await world.store.discard(world.app, world.endpoint, world.now, 10)

    assert await world.store.resend(world.app, [delivery.id, delivery.id + "x"], world.now) == 0
    assert (await world.reread(delivery)).state is DISCARDED


async def test_a_delivery_named_twice_moves_once(world: World) -> None:
    done = await world.finish(await world.publish())

    assert await world.store.resend(world.app, [done.id, done.id], world.now) == 1
    assert (await world.reread(done)).tries == 0


async def test_missing_deliveries_are_added_with_their_bodies(world: World) -> None:
    message = await world.publish(world.second)
    added = world.waiting(message, world.endpoint, variant="v", trigger=Trigger.MANUAL)
    bodies = {(message.id, "v"): b"rendered", (message.id, ""): b"never replaces"}

    assert await world.store.add_deliveries([added], bodies) == 1
    assert await world.reread(added) == added
    assert await world.store.body(message.app_id, message.id, "v") == b"rendered"
    assert await world.store.body(message.app_id, message.id) != b"never replaces"


async def test_existing_deliveries_are_kept(world: World) -> None:
    message = await world.publish()
    done = await world.finish(message)
    again = world.waiting(message, world.endpoint)

    assert await world.store.add_deliveries([again, again], {}) == 0
    assert await world.the_delivery(message) == done


async def test_one_delivery_added_twice_is_new_once(world: World) -> None:
    message = await world.publish(world.second)
    added = world.waiting(message, world.endpoint)

    assert await world.store.add_deliveries([added, added], {}) == 1


async def test_deliveries_of_unknown_messages_are_not_added(world: World) -> None:
    message = await world.publish(world.second)
    foreign = world.waiting(message, world.endpoint)._replace(app_id=world.other_app)
    unknown = world.waiting(world.message(), world.endpoint)

    assert await world.store.add_deliveries([foreign, unknown], {}) == 0
    assert len(await world.deliveries(message)) == 1


async def test_a_deleted_payload_does_not_come_back(world: World) -> None:
    message = await world.publish(world.second)
    await world.store.expunge(world.app, message.id)
    added = world.waiting(message, world.endpoint, variant="v")
    bodies = {(message.id, "v"): b"rendered"}

    assert await world.store.add_deliveries([added], bodies) == 1
    assert await world.store.body(message.app_id, message.id, "v") is None


async def test_an_added_body_expires_with_its_message(world: World) -> None:
    message = await world.publish(world.second, expires_at=world.now + SECOND)
    added = world.waiting(message, world.endpoint, variant="v")
    await world.store.add_deliveries([added], {(message.id, "v"): b"rendered"})
    world.clock.advance(1)
    await world.store.purge(bodies_before=0, history_before=0, now=world.now, limit=10)

    assert await world.store.body(message.app_id, message.id, "v") is None


async def test_open_deliveries_of_a_removed_endpoint_are_discarded(world: World) -> None:
    done = await world.finish(await world.publish())
    message = await world.publish(world.endpoint, world.second)

    assert await world.store.discard(world.app, world.endpoint, world.now, 10) == 1
    by_endpoint = {d.endpoint_id: d.state for d in await world.deliveries(message)}
    assert by_endpoint == {world.endpoint: DISCARDED, world.second: WAITING}
    assert await world.reread(done) == done
    assert await world.claim() == []


async def test_at_most_the_limit_is_discarded_at_once(world: World) -> None:
    for _ in range(5):
        await world.publish()

    counts = [await world.store.discard(world.app, world.endpoint, world.now, 2) for _ in range(4)]
    assert counts == [2, 2, 1, 0]


async def test_a_delivery_under_a_running_lease_is_left_to_its_attempt(world: World) -> None:
    delivery = await world.hand_over()

    assert await world.store.discard(world.app, world.endpoint, world.now, 10) == 0
    assert (await world.reread(delivery)).state is SENDING
    assert await world.store.finish_attempt(world.result(delivery, DISCARDED)) is True


async def test_a_lost_lease_is_discarded_and_its_attempt_interrupted(world: World) -> None:
    delivery = await world.hand_over()
    world.clock.advance(15)

    assert await world.store.discard(world.app, world.endpoint, world.now, 10) == 1
    discarded = await world.reread(delivery)
    assert (discarded.state, discarded.started_at) == (DISCARDED, None)
    assert [a.result for a in await world.attempts(delivery)] == [Result.INTERRUPTED]
