"""Nothing grows for ever: bodies, history and keys go when their time has come."""

from __future__ import annotations

from tests.store.world import BODY, DISCARDED, FAILED, SENDING, SUCCEEDED, WAITING, World
from tillbell.clock import DAY, HOUR, SECOND
from tillbell.model.messages import Result
from tillbell.storage.ports.outbound import (
    DuplicateEventId,
    IdempotencyUse,
    MessageFilter,
    Page,
    Publication,
    Totals,
)


async def purge(world: World, *, bodies: int = 0, history: int = 0, limit: int = 1_000) -> int:
    """Purge what is older than that many microseconds; 0: nothing by age."""
    return await world.store.purge(
        bodies_before=world.now - bodies if bodies else 0,
        history_before=world.now - history if history else 0,
        now=world.now,
        limit=limit,
    )


async def test_an_expunged_payload_is_gone_and_the_message_stays(world: World) -> None:
    message = await world.add(world.message(), v=b"rendered")
    other = await world.publish()

    assert await world.store.expunge(world.app, message.id) is True
    assert await world.store.body(message.app_id, message.id) is None
    assert await world.store.body(message.app_id, message.id, "v") is None
    assert await world.store.body(other.app_id, other.id) == BODY
    assert await world.store.message(world.app, message.id) == message


async def test_the_payload_of_another_application_cannot_be_expunged(world: World) -> None:
    message = await world.publish()

    assert await world.store.expunge(world.other_app, message.id) is False
    assert await world.store.expunge(world.app, "msg_x") is False
    assert await world.store.body(message.app_id, message.id) == BODY


async def test_bodies_go_by_the_age_of_their_message(world: World) -> None:
    old = await world.publish()
    await world.finish(old)
    world.clock.advance(60)
    young = await world.publish()

    assert await purge(world, bodies=60 * SECOND) == 0
    world.clock.advance(1)
    assert await purge(world, bodies=60 * SECOND) == 1
    assert await world.store.body(old.app_id, old.id) is None
    assert await world.store.body(young.app_id, young.id) == BODY
    assert await world.store.message(world.app, old.id) == old


async def test_a_message_may_set_its_own_expiry_earlier_or_later(world: World) -> None:
    early = await world.add(world.message(expires_at=world.now + SECOND))
    late = await world.add(world.message(expires_at=world.now + DAY))
    assert await purge(world) == 0
    world.clock.advance(1)
    assert await purge(world) == 1
    world.clock.advance(3600)

    assert await purge(world, bodies=SECOND) == 0
    assert await world.store.body(early.app_id, early.id) is None
    assert await world.store.body(late.app_id, late.id) == BODY


async def test_a_delivery_still_waiting_when_its_body_goes_has_failed(world: World) -> None:
    message = world.message()
    plain, rendered = (
        world.waiting(message, world.endpoint),
        world.waiting(message, world.second, variant="v"),
    )
    await world.add(message, [plain, rendered], v=b"rendered")
    young = await world.publish()
    world.clock.advance(1)
    await purge(world, bodies=SECOND // 2)
    by_id = {d.id: d.state for d in await world.deliveries(message)}

    assert by_id == {plain.id: FAILED, rendered.id: FAILED}
    assert (await world.the_delivery(young)).state is FAILED
    assert (await world.store.counts()) == Totals(failed=3)


async def test_only_deliveries_of_the_purged_body_fail(world: World) -> None:
    message = await world.publish(expires_at=world.now + SECOND)
    other = await world.publish()
    world.clock.advance(1)
    await purge(world)

    assert (await world.the_delivery(message)).state is FAILED
    assert (await world.the_delivery(other)).state is WAITING


async def test_the_body_of_an_attempt_under_way_stays_until_it_ends(world: World) -> None:
    delivery = await world.hand_over(expires_at=world.now + SECOND)
    world.clock.advance(2)
    assert await purge(world) == 0
    assert (await world.reread(delivery)).state is SENDING
    await world.store.finish_attempt(world.result(delivery))

    assert await purge(world) == 1
    assert (await world.reread(delivery)).state is SUCCEEDED


async def test_a_lost_lease_without_body_is_interrupted_and_failed(world: World) -> None:
    delivery = await world.hand_over(expires_at=world.now + SECOND)
    world.clock.advance(15)

    assert await purge(world) == 1
    failed = await world.reread(delivery)
    assert (failed.state, failed.started_at) == (FAILED, None)
    assert [a.result for a in await world.attempts(delivery)] == [Result.INTERRUPTED]


async def test_history_goes_when_it_has_ended_and_is_old(world: World) -> None:
    old, waiting = await world.publish(event_id="order-1"), await world.publish(world.second)
    done = await world.finish(old)
    bare = await world.add(world.message())
    world.clock.advance(3600)
    young = await world.publish()
    assert await purge(world, history=HOUR) == 0
    world.clock.advance(1)

    assert await purge(world, history=HOUR) == 4  # attempt, delivery, two messages
    assert await purge(world, history=HOUR) == 0
    left = await world.store.messages(world.app, MessageFilter(), Page(ascending=True))
    assert left == [waiting, young]
    assert await world.store.body(old.app_id, old.id) is None
    assert await world.store.body(bare.app_id, bare.id) is None
    assert await world.store.delivery(world.app, done.id) is None
    assert await world.attempts(done) == []


async def test_attempts_of_a_delivery_that_goes_on_are_kept(world: World) -> None:
    delivery = await world.hand_over()
    await world.store.finish_attempt(world.result(delivery, WAITING, world.now + 90 * DAY))
    world.clock.advance(3601)

    assert await purge(world, history=HOUR) == 0
    assert len(await world.attempts(delivery)) == 1


async def test_an_event_id_is_free_again_when_its_message_is_gone(world: World) -> None:
    message = await world.add(world.message(event_id="order-1"))
    again = Publication(world.message(event_id="order-1"), {"": BODY}, [])
    assert await world.store.publish(again) == DuplicateEventId(message.id)
    world.clock.advance(2)
    await purge(world, history=SECOND)

    await world.publish(event_id="order-1")


async def test_messages_of_every_application_go(world: World) -> None:
    for app in (world.app, world.other_app, world.new("app")):
        await world.add(world.message(app))
    world.clock.advance(2)

    assert await purge(world, history=SECOND) == 3


async def test_totals_forget_what_is_purged(world: World) -> None:
    for state in (SUCCEEDED, FAILED):
        await world.finish(await world.publish(), state)
    await world.publish()
    await world.store.discard(world.app, world.endpoint, world.now, 1)
    world.clock.advance(2)
    await world.publish()
    assert await world.store.counts() == Totals(1, 0, 1, 1, 1)
    await purge(world, history=SECOND)

    assert await world.store.counts() == Totals(waiting=1)
    everything = (world.app, None, 0, world.now + HOUR)
    assert await world.store.totals(*everything) == Totals(waiting=1)


async def test_at_most_the_limit_is_deleted_at_once(world: World) -> None:
    for _ in range(3):
        await world.finish(await world.publish())
    world.clock.advance(2)
    counts = []
    while count := await purge(world, bodies=SECOND, history=SECOND, limit=2):
        counts.append(count)

    assert counts == [2] * 6  # 3 each of bodies, attempts, deliveries, messages
    assert await world.store.counts() == Totals()


async def test_idempotency_keys_live_one_day(world: World) -> None:
    await world.store.store_idempotent_answer(IdempotencyUse("key", "print", b"answer"), world.now)
    world.clock.advance(86_400)
    assert await purge(world) == 0
    world.clock.advance(1)

    assert await purge(world) == 1
    assert await world.store.idempotent_answer("key") is None


async def test_discarded_deliveries_are_history_too(world: World) -> None:
    delivery = await world.the_delivery(await world.publish())
    await world.store.discard(world.app, world.endpoint, world.now, 10)
    assert (await world.reread(delivery)).state is DISCARDED
    world.clock.advance(2)

    assert await purge(world, history=SECOND) == 2
