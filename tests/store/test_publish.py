"""Publishing: a message, its bodies and its deliveries, all of it or nothing."""

from __future__ import annotations

import asyncio

from tests.store.outbound_harness import BODY, OutboundHarness
from tillbell.storage.ports.outbound import (
    DuplicateEventId,
    IdempotencyUse,
    Publication,
    PublicationStored,
)


async def test_all_of_a_publication_can_be_read_at_once(outbound: OutboundHarness) -> None:
    message = outbound.message(
        event_id="order-1",
        channels=("source:1", "ünïcode"),
        tags=("vip",),
        deliver_at=outbound.now + 1,
        order_key="42",
        expires_at=outbound.now + 2,
    )
    waiting = outbound.waiting(message, outbound.endpoint, variant="order:paid")
    leased = outbound.leased(message, outbound.second)._replace(order_key=None)
    await outbound.add(message, [waiting, leased], **{"order:paid": b"\x00\xff"})

    assert await outbound.store.message(outbound.app, message.id) == message
    assert await outbound.store.body(message.app_id, message.id) == BODY
    assert await outbound.store.body(message.app_id, message.id, "order:paid") == b"\x00\xff"
    assert await outbound.deliveries(message) == sorted([waiting, leased])


async def test_a_message_without_deliveries_is_kept(outbound: OutboundHarness) -> None:
    message = await outbound.add(outbound.message())

    assert await outbound.store.message(outbound.app, message.id) == message
    assert await outbound.deliveries(message) == []


async def test_a_repeated_event_id_stores_nothing(outbound: OutboundHarness) -> None:
    first = await outbound.publish(event_id="order-1")
    again = outbound.message(event_id="order-1")
    outcome = await outbound.store.publish(
        Publication(again, {"": b"other"}, [outbound.waiting(again, outbound.endpoint)])
    )

    assert outcome == DuplicateEventId(first.id)
    assert await outbound.store.message(outbound.app, again.id) is None
    assert await outbound.store.body(again.app_id, again.id) is None
    assert await outbound.deliveries(again) == []
    assert (await outbound.store.counts()).waiting == 1


async def test_event_ids_of_two_applications_do_not_meet(outbound: OutboundHarness) -> None:
    await outbound.publish(event_id="order-1")
    other = outbound.message(outbound.other_app, event_id="order-1")

    assert await outbound.store.publish(Publication(other, {"": BODY}, [])) == PublicationStored()


async def test_messages_without_event_id_are_never_duplicates(outbound: OutboundHarness) -> None:
    for _ in range(2):
        assert (
            await outbound.store.publish(Publication(outbound.message(), {"": BODY}, []))
            == PublicationStored()
        )


async def test_a_repeated_idempotency_key_returns_the_first_answer(
    outbound: OutboundHarness,
) -> None:
    message = outbound.message()
    publication = Publication(
        message, {"": BODY}, [], IdempotencyUse("key", "print-1", b"answer-1")
    )
    assert await outbound.store.publish(publication) == PublicationStored()
    again = outbound.message()
    repeat = Publication(again, {"": BODY}, [], IdempotencyUse("key", "print-2", b"answer-2"))

    assert await outbound.store.publish(repeat) == IdempotencyUse("key", "print-1", b"answer-1")
    assert await outbound.store.message(outbound.app, again.id) is None
    assert await outbound.store.idempotent_answer("key") == IdempotencyUse(
        "key", "print-1", b"answer-1"
    )


async def test_an_idempotency_key_goes_before_an_event_id(outbound: OutboundHarness) -> None:
    fields = {"event_id": "order-1"}
    key = IdempotencyUse("key", "print", b"answer")
    await outbound.store.publish(Publication(outbound.message(**fields), {"": BODY}, [], key))

    repeat = await outbound.store.publish(
        Publication(outbound.message(**fields), {"": BODY}, [], key)
    )
    assert repeat == IdempotencyUse("key", "print", b"answer")


async def test_a_duplicate_does_not_spend_its_idempotency_key(outbound: OutboundHarness) -> None:
    await outbound.publish(event_id="order-1")
    again = outbound.message(event_id="order-1")
    await outbound.store.publish(
        Publication(again, {"": BODY}, [], IdempotencyUse("key", "print", b"answer"))
    )

    assert await outbound.store.idempotent_answer("key") is None


async def test_a_storm_of_duplicates_in_one_commit_stores_one(outbound: OutboundHarness) -> None:
    messages = [outbound.message(event_id=f"order-{n % 5}") for n in range(200)]
    outcomes = await asyncio.gather(
        *(
            outbound.store.publish(
                Publication(m, {"": BODY}, [outbound.waiting(m, outbound.endpoint)])
            )
            for m in messages
        )
    )

    assert outcomes[:5] == [PublicationStored()] * 5
    assert outcomes[5:] == [DuplicateEventId(messages[n % 5].id) for n in range(5, 200)]
    assert (await outbound.store.counts()).waiting == 5


async def test_a_storm_of_one_idempotency_key_in_one_commit_stores_one(
    outbound: OutboundHarness,
) -> None:
    publications = [
        Publication(
            outbound.message(), {"": BODY}, [], IdempotencyUse("key", f"print-{n}", b"%d" % n)
        )
        for n in range(50)
    ]
    outcomes = await asyncio.gather(*map(outbound.store.publish, publications))

    assert outcomes == [PublicationStored()] + [IdempotencyUse("key", "print-0", b"0")] * 49


async def test_a_late_duplicate_is_known_though_its_body_is_purged(
    outbound: OutboundHarness,
) -> None:
    first = await outbound.publish(event_id="order-1")
    await outbound.finish(first)
    outbound.clock.advance(44 * 86_400)
    await outbound.store.purge(
        bodies_before=outbound.now, history_before=0, now=outbound.now, limit=10
    )
    again = Publication(outbound.message(event_id="order-1"), {"": BODY}, [])

    assert await outbound.store.body(first.app_id, first.id) is None
    assert await outbound.store.publish(again) == DuplicateEventId(first.id)
