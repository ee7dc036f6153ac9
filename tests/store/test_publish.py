"""Publishing: a message, its bodies and its deliveries, all of it or nothing."""

from __future__ import annotations

import asyncio

from tests.store.world import BODY, World
from tillbell.storage.ports.outbound import (
    DuplicateEventId,
    IdempotencyUse,
    Publication,
    PublicationStored,
)


async def test_all_of_a_publication_can_be_read_at_once(world: World) -> None:
    message = world.message(
        event_id="order-1",
        channels=("source:1", "ünïcode"),
        tags=("vip",),
        deliver_at=world.now + 1,
        order_key="42",
        expires_at=world.now + 2,
    )
    waiting = world.waiting(message, world.endpoint, variant="order:paid")
    leased = world.leased(message, world.second)._replace(order_key=None)
    await world.add(message, [waiting, leased], **{"order:paid": b"\x00\xff"})

    assert await world.store.message(world.app, message.id) == message
    assert await world.store.body(message.app_id, message.id) == BODY
    assert await world.store.body(message.app_id, message.id, "order:paid") == b"\x00\xff"
    assert await world.deliveries(message) == sorted([waiting, leased])


async def test_a_message_without_deliveries_is_kept(world: World) -> None:
    message = await world.add(world.message())

    assert await world.store.message(world.app, message.id) == message
    assert await world.deliveries(message) == []


async def test_a_repeated_event_id_stores_nothing(world: World) -> None:
    first = await world.publish(event_id="order-1")
    again = world.message(event_id="order-1")
    outcome = await world.store.publish(
        Publication(again, {"": b"other"}, [world.waiting(again, world.endpoint)])
    )

    assert outcome == DuplicateEventId(first.id)
    assert await world.store.message(world.app, again.id) is None
    assert await world.store.body(again.app_id, again.id) is None
    assert await world.deliveries(again) == []
    assert (await world.store.counts()).waiting == 1


async def test_event_ids_of_two_applications_do_not_meet(world: World) -> None:
    await world.publish(event_id="order-1")
    other = world.message(world.other_app, event_id="order-1")

    assert await world.store.publish(Publication(other, {"": BODY}, [])) == PublicationStored()


async def test_messages_without_event_id_are_never_duplicates(world: World) -> None:
    for _ in range(2):
        assert (
            await world.store.publish(Publication(world.message(), {"": BODY}, []))
            == PublicationStored()
        )


async def test_a_repeated_idempotency_key_returns_the_first_answer(world: World) -> None:
    message = world.message()
    publication = Publication(
        message, {"": BODY}, [], IdempotencyUse("key", "print-1", b"answer-1")
    )
    assert await world.store.publish(publication) == PublicationStored()
    again = world.message()
    repeat = Publication(again, {"": BODY}, [], IdempotencyUse("key", "print-2", b"answer-2"))

    assert await world.store.publish(repeat) == IdempotencyUse("key", "print-1", b"answer-1")
    assert await world.store.message(world.app, again.id) is None
    assert await world.store.idempotent_answer("key") == IdempotencyUse(
        "key", "print-1", b"answer-1"
    )


async def test_an_idempotency_key_goes_before_an_event_id(world: World) -> None:
    fields = {"event_id": "order-1"}
    key = IdempotencyUse("key", "print", b"answer")
    await world.store.publish(Publication(world.message(**fields), {"": BODY}, [], key))

    repeat = await world.store.publish(Publication(world.message(**fields), {"": BODY}, [], key))
    assert repeat == IdempotencyUse("key", "print", b"answer")


async def test_a_duplicate_does_not_spend_its_idempotency_key(world: World) -> None:
    await world.publish(event_id="order-1")
    again = world.message(event_id="order-1")
    await world.store.publish(
        Publication(again, {"": BODY}, [], IdempotencyUse("key", "print", b"answer"))
    )

    assert await world.store.idempotent_answer("key") is None


async def test_a_storm_of_duplicates_in_one_commit_stores_one(world: World) -> None:
    messages = [world.message(event_id=f"order-{n % 5}") for n in range(200)]
    outcomes = await asyncio.gather(
        *(
            world.store.publish(Publication(m, {"": BODY}, [world.waiting(m, world.endpoint)]))
            for m in messages
        )
    )

    assert outcomes[:5] == [PublicationStored()] * 5
    assert outcomes[5:] == [DuplicateEventId(messages[n % 5].id) for n in range(5, 200)]
    assert (await world.store.counts()).waiting == 5


async def test_a_storm_of_one_idempotency_key_in_one_commit_stores_one(world: World) -> None:
    publications = [
        Publication(world.message(), {"": BODY}, [], IdempotencyUse("key", f"print-{n}", b"%d" % n))
        for n in range(50)
    ]
    outcomes = await asyncio.gather(*map(world.store.publish, publications))

    assert outcomes == [PublicationStored()] + [IdempotencyUse("key", "print-0", b"0")] * 49


async def test_a_late_duplicate_is_known_though_its_body_is_purged(world: World) -> None:
    first = await world.publish(event_id="order-1")
    await world.finish(first)
    world.clock.advance(44 * 86_400)
    await world.store.purge(bodies_before=world.now, history_before=0, now=world.now, limit=10)
    again = Publication(world.message(event_id="order-1"), {"": BODY}, [])

    assert await world.store.body(first.app_id, first.id) is None
    assert await world.store.publish(again) == DuplicateEventId(first.id)
