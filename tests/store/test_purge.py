"""Nothing grows for ever: bodies, history and keys go when their time has come."""

from __future__ import annotations

from tests.store.outbound_harness import (
    BODY,
    DISCARDED,
    FAILED,
    SENDING,
    SUCCEEDED,
    WAITING,
    OutboundHarness,
)
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


async def purge(
    outbound: OutboundHarness, *, bodies: int = 0, history: int = 0, limit: int = 1_000
) -> int:
    """Purge what is older than that many microseconds; 0: nothing by age."""
    return await outbound.store.purge(
        bodies_before=outbound.now - bodies if bodies else 0,
        history_before=outbound.now - history if history else 0,
        now=outbound.now,
        limit=limit,
    )


async def test_an_expunged_payload_is_gone_and_the_message_stays(outbound: OutboundHarness) -> None:
    message = await outbound.add(outbound.message(), v=b"rendered")
    other = await outbound.publish()

    assert await outbound.store.expunge(outbound.app, message.id) is True
    assert await outbound.store.body(message.app_id, message.id) is None
    assert await outbound.store.body(message.app_id, message.id, "v") is None
    assert await outbound.store.body(other.app_id, other.id) == BODY
    assert await outbound.store.message(outbound.app, message.id) == message


async def test_the_payload_of_another_application_cannot_be_expunged(
    outbound: OutboundHarness,
) -> None:
    message = await outbound.publish()

    assert await outbound.store.expunge(outbound.other_app, message.id) is False
    assert await outbound.store.expunge(outbound.app, "msg_x") is False
    assert await outbound.store.body(message.app_id, message.id) == BODY


async def test_bodies_go_by_the_age_of_their_message(outbound: OutboundHarness) -> None:
    old = await outbound.publish()
    await outbound.finish(old)
    outbound.clock.advance(60)
    young = await outbound.publish()

    assert await purge(outbound, bodies=60 * SECOND) == 0
    outbound.clock.advance(1)
    assert await purge(outbound, bodies=60 * SECOND) == 1
    assert await outbound.store.body(old.app_id, old.id) is None
    assert await outbound.store.body(young.app_id, young.id) == BODY
    assert await outbound.store.message(outbound.app, old.id) == old


async def test_a_message_may_set_its_own_expiry_earlier_or_later(outbound: OutboundHarness) -> None:
    early = await outbound.add(outbound.message(expires_at=outbound.now + SECOND))
    late = await outbound.add(outbound.message(expires_at=outbound.now + DAY))
    assert await purge(outbound) == 0
    outbound.clock.advance(1)
    assert await purge(outbound) == 1
    outbound.clock.advance(3600)

    assert await purge(outbound, bodies=SECOND) == 0
    assert await outbound.store.body(early.app_id, early.id) is None
    assert await outbound.store.body(late.app_id, late.id) == BODY


async def test_a_delivery_still_waiting_when_its_body_goes_has_failed(
    outbound: OutboundHarness,
) -> None:
    message = outbound.message()
    plain, rendered = (
        outbound.waiting(message, outbound.endpoint),
        outbound.waiting(message, outbound.second, variant="v"),
    )
    await outbound.add(message, [plain, rendered], v=b"rendered")
    young = await outbound.publish()
    outbound.clock.advance(1)
    await purge(outbound, bodies=SECOND // 2)
    by_id = {d.id: d.state for d in await outbound.deliveries(message)}

    assert by_id == {plain.id: FAILED, rendered.id: FAILED}
    assert (await outbound.the_delivery(young)).state is FAILED
    assert (await outbound.store.counts()) == Totals(failed=3)


async def test_only_deliveries_of_the_purged_body_fail(outbound: OutboundHarness) -> None:
    message = await outbound.publish(expires_at=outbound.now + SECOND)
    other = await outbound.publish()
    outbound.clock.advance(1)
    await purge(outbound)

    assert (await outbound.the_delivery(message)).state is FAILED
    assert (await outbound.the_delivery(other)).state is WAITING


async def test_the_body_of_an_attempt_under_way_stays_until_it_ends(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over(expires_at=outbound.now + SECOND)
    outbound.clock.advance(2)
    assert await purge(outbound) == 0
    assert (await outbound.reread(delivery)).state is SENDING
    await outbound.store.finish_attempt(outbound.result(delivery))

    assert await purge(outbound) == 1
    assert (await outbound.reread(delivery)).state is SUCCEEDED


async def test_a_lost_lease_without_body_is_interrupted_and_failed(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over(expires_at=outbound.now + SECOND)
    outbound.clock.advance(15)

    assert await purge(outbound) == 1
    failed = await outbound.reread(delivery)
    assert (failed.state, failed.started_at) == (FAILED, None)
    assert [a.result for a in await outbound.attempts(delivery)] == [Result.INTERRUPTED]


async def test_history_goes_when_it_has_ended_and_is_old(outbound: OutboundHarness) -> None:
    old, waiting = (
        await outbound.publish(event_id="order-1"),
        await outbound.publish(outbound.second),
    )
    done = await outbound.finish(old)
    bare = await outbound.add(outbound.message())
    outbound.clock.advance(3600)
    young = await outbound.publish()
    assert await purge(outbound, history=HOUR) == 0
    outbound.clock.advance(1)

    assert await purge(outbound, history=HOUR) == 4  # attempt, delivery, two messages
    assert await purge(outbound, history=HOUR) == 0
    left = await outbound.store.messages(outbound.app, MessageFilter(), Page(ascending=True))
    assert left == [waiting, young]
    assert await outbound.store.body(old.app_id, old.id) is None
    assert await outbound.store.body(bare.app_id, bare.id) is None
    assert await outbound.store.delivery(outbound.app, done.id) is None
    assert await outbound.attempts(done) == []


async def test_attempts_of_a_delivery_that_goes_on_are_kept(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()
    await outbound.store.finish_attempt(outbound.result(delivery, WAITING, outbound.now + 90 * DAY))
    outbound.clock.advance(3601)

    assert await purge(outbound, history=HOUR) == 0
    assert len(await outbound.attempts(delivery)) == 1


async def test_an_event_id_is_free_again_when_its_message_is_gone(
    outbound: OutboundHarness,
) -> None:
    message = await outbound.add(outbound.message(event_id="order-1"))
    again = Publication(outbound.message(event_id="order-1"), {"": BODY}, [])
    assert await outbound.store.publish(again) == DuplicateEventId(message.id)
    outbound.clock.advance(2)
    await purge(outbound, history=SECOND)

    await outbound.publish(event_id="order-1")


async def test_messages_of_every_application_go(outbound: OutboundHarness) -> None:
    for app in (outbound.app, outbound.other_app, outbound.new("app")):
        await outbound.add(outbound.message(app))
    outbound.clock.advance(2)

    assert await purge(outbound, history=SECOND) == 3


async def test_totals_forget_what_is_purged(outbound: OutboundHarness) -> None:
    for state in (SUCCEEDED, FAILED):
        await outbound.finish(await outbound.publish(), state)
    await outbound.publish()
    await outbound.store.discard(outbound.app, outbound.endpoint, outbound.now, 1)
    outbound.clock.advance(2)
    await outbound.publish()
    assert await outbound.store.counts() == Totals(1, 0, 1, 1, 1)
    await purge(outbound, history=SECOND)

    assert await outbound.store.counts() == Totals(waiting=1)
    everything = (outbound.app, None, 0, outbound.now + HOUR)
    assert await outbound.store.totals(*everything) == Totals(waiting=1)


async def test_at_most_the_limit_is_deleted_at_once(outbound: OutboundHarness) -> None:
    for _ in range(3):
        await outbound.finish(await outbound.publish())
    outbound.clock.advance(2)
    counts = []
    while count := await purge(outbound, bodies=SECOND, history=SECOND, limit=2):
        counts.append(count)

    assert counts == [2] * 6  # 3 each of bodies, attempts, deliveries, messages
    assert await outbound.store.counts() == Totals()


async def test_idempotency_keys_live_one_day(outbound: OutboundHarness) -> None:
    await outbound.store.store_idempotent_answer(
        IdempotencyUse("key", "print", b"answer"), outbound.now
    )
    outbound.clock.advance(86_400)
    assert await purge(outbound) == 0
    outbound.clock.advance(1)

    assert await purge(outbound) == 1
    assert await outbound.store.idempotent_answer("key") is None


async def test_discarded_deliveries_are_history_too(outbound: OutboundHarness) -> None:
    delivery = await outbound.the_delivery(await outbound.publish())
    await outbound.store.discard(outbound.app, outbound.endpoint, outbound.now, 10)
    assert (await outbound.reread(delivery)).state is DISCARDED
    outbound.clock.advance(2)

    assert await purge(outbound, history=SECOND) == 2
