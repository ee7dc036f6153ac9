"""By hand: resend, add what is missing, discard."""

from __future__ import annotations

import pytest

from tests.store.outbound_harness import (
    DISCARDED,
    FAILED,
    SENDING,
    SUCCEEDED,
    WAITING,
    OutboundHarness,
)
from tillbell.clock import SECOND
from tillbell.model.messages import DeliveryState, Result, Trigger


@pytest.mark.parametrize("state", [SUCCEEDED, FAILED])
async def test_an_ended_delivery_begins_a_new_run(
    outbound: OutboundHarness, state: DeliveryState
) -> None:
    message = await outbound.publish()
    done = await outbound.finish(message, state)
    outbound.clock.advance(5)

    assert await outbound.store.resend(outbound.app, [done.id], outbound.now) == (1, 0)
    assert await outbound.reread(done) == done._replace(
        state=WAITING, due_at=outbound.now, tries=0, trigger=Trigger.MANUAL
    )
    again = await outbound.claimed()
    assert (again.attempts, again.tries, again.token) == (2, 1, 2)


async def test_a_waiting_retry_is_brought_forward_and_keeps_its_run(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()
    await outbound.store.finish_attempt(
        outbound.result(delivery, WAITING, outbound.now + 60 * SECOND)
    )
    waiting = await outbound.reread(delivery)

    resent = await outbound.store.resend(outbound.app, [delivery.id], outbound.now, Trigger.MANUAL)
    assert resent == (1, 0)
    assert await outbound.reread(delivery) == waiting._replace(
        due_at=outbound.now, trigger=Trigger.MANUAL
    )


async def test_what_is_overdue_keeps_its_place(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    waiting = await outbound.the_delivery(message)
    outbound.clock.advance(60)
    await outbound.store.resend(outbound.app, [waiting.id], outbound.now)

    assert (await outbound.the_delivery(message)).due_at == waiting.due_at


async def test_what_is_being_sent_is_left_alone(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()

    resent = await outbound.store.resend(
        outbound.app, [delivery.id], outbound.now, states=list(DeliveryState)
    )
    assert resent == (0, 0)
    assert await outbound.reread(delivery) == delivery


async def test_only_the_named_states_are_resent(outbound: OutboundHarness) -> None:
    failed = await outbound.finish(await outbound.publish(), FAILED)
    succeeded = await outbound.finish(await outbound.publish(), SUCCEEDED)
    both = [failed.id, succeeded.id]

    assert await outbound.store.resend(outbound.app, both, outbound.now, states=[FAILED]) == (1, 0)
    assert await outbound.reread(succeeded) == succeeded


async def test_a_canceled_delivery_is_resent_and_an_unknown_one_is_not(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.the_delivery(await outbound.publish())
    assert await outbound.store.cancel(outbound.app, [delivery.id, delivery.id + "x"]) == 1
    assert (await outbound.reread(delivery)).state is DISCARDED
    assert await outbound.store.cancel(outbound.app, [delivery.id]) == 0

    both = [delivery.id, delivery.id + "x"]
    assert await outbound.store.resend(outbound.app, both, outbound.now) == (1, 0)
    assert (await outbound.reread(delivery)).state is WAITING


@pytest.mark.parametrize("state", [WAITING, SUCCEEDED, FAILED])
async def test_what_has_no_body_stays_as_it_is(
    outbound: OutboundHarness, state: DeliveryState
) -> None:
    pair = []
    for _ in range(2):
        message = await outbound.publish()
        if state is not WAITING:
            await outbound.finish(message, state)
        pair.append(await outbound.the_delivery(message))
    delivery, other = pair
    await outbound.store.expunge(outbound.app, delivery.message_id)
    both = [delivery.id, other.id]

    assert await outbound.store.resend(outbound.app, both, outbound.now) == (1, 1)
    assert await outbound.reread(delivery) == delivery
    assert (await outbound.reread(other)).state is WAITING


async def test_a_delivery_named_twice_moves_once(outbound: OutboundHarness) -> None:
    done = await outbound.finish(await outbound.publish())

    assert await outbound.store.resend(outbound.app, [done.id, done.id], outbound.now) == (1, 0)
    assert (await outbound.reread(done)).tries == 0


async def test_missing_deliveries_are_added_with_their_bodies(outbound: OutboundHarness) -> None:
    message = await outbound.publish(outbound.second)
    added = outbound.waiting(message, outbound.endpoint, variant="v", trigger=Trigger.MANUAL)
    bodies = {(message.id, "v"): b"rendered", (message.id, ""): b"never replaces"}

    assert await outbound.store.add_deliveries([added], bodies) == 1
    assert await outbound.reread(added) == added
    assert await outbound.store.body(message.app_id, message.id, "v") == b"rendered"
    assert await outbound.store.body(message.app_id, message.id) != b"never replaces"


async def test_existing_deliveries_are_kept(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    done = await outbound.finish(message)
    again = outbound.waiting(message, outbound.endpoint)

    assert await outbound.store.add_deliveries([again, again], {}) == 0
    assert await outbound.the_delivery(message) == done


async def test_one_delivery_added_twice_is_new_once(outbound: OutboundHarness) -> None:
    message = await outbound.publish(outbound.second)
    added = outbound.waiting(message, outbound.endpoint)

    assert await outbound.store.add_deliveries([added, added], {}) == 1


async def test_deliveries_of_unknown_messages_are_not_added(outbound: OutboundHarness) -> None:
    message = await outbound.publish(outbound.second)
    foreign = outbound.waiting(message, outbound.endpoint)._replace(app_id=outbound.other_app)
    unknown = outbound.waiting(outbound.message(), outbound.endpoint)

    assert await outbound.store.add_deliveries([foreign, unknown], {}) == 0
    assert len(await outbound.deliveries(message)) == 1


async def test_a_deleted_payload_does_not_come_back(outbound: OutboundHarness) -> None:
    message = await outbound.publish(outbound.second)
    await outbound.store.expunge(outbound.app, message.id)
    added = outbound.waiting(message, outbound.endpoint, variant="v")
    bodies = {(message.id, "v"): b"rendered"}

    assert await outbound.store.add_deliveries([added], bodies) == 1
    assert await outbound.store.body(message.app_id, message.id, "v") is None


async def test_an_added_body_expires_with_its_message(outbound: OutboundHarness) -> None:
    message = await outbound.publish(outbound.second, expires_at=outbound.now + SECOND)
    added = outbound.waiting(message, outbound.endpoint, variant="v")
    await outbound.store.add_deliveries([added], {(message.id, "v"): b"rendered"})
    outbound.clock.advance(1)
    await outbound.store.purge(bodies_before=0, history_before=0, now=outbound.now, limit=10)

    assert await outbound.store.body(message.app_id, message.id, "v") is None


async def test_open_deliveries_of_a_removed_endpoint_are_discarded(
    outbound: OutboundHarness,
) -> None:
    done = await outbound.finish(await outbound.publish())
    message = await outbound.publish(outbound.endpoint, outbound.second)

    assert await outbound.store.discard(outbound.app, outbound.endpoint, outbound.now, 10) == 1
    by_endpoint = {d.endpoint_id: d.state for d in await outbound.deliveries(message)}
    assert by_endpoint == {outbound.endpoint: DISCARDED, outbound.second: WAITING}
    assert await outbound.reread(done) == done
    assert await outbound.claim() == []


async def test_at_most_the_limit_is_discarded_at_once(outbound: OutboundHarness) -> None:
    for _ in range(5):
        await outbound.publish()

    counts = [
        await outbound.store.discard(outbound.app, outbound.endpoint, outbound.now, 2)
        for _ in range(4)
    ]
    assert counts == [2, 2, 1, 0]


async def test_a_delivery_under_a_running_lease_is_left_to_its_attempt(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()

    assert await outbound.store.discard(outbound.app, outbound.endpoint, outbound.now, 10) == 0
    assert (await outbound.reread(delivery)).state is SENDING
    assert await outbound.store.finish_attempt(outbound.result(delivery, DISCARDED)) is True


async def test_a_lost_lease_is_discarded_and_its_attempt_interrupted(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()
    outbound.clock.advance(15)

    assert await outbound.store.discard(outbound.app, outbound.endpoint, outbound.now, 10) == 1
    discarded = await outbound.reread(delivery)
    assert (discarded.state, discarded.started_at) == (DISCARDED, None)
    assert [a.result for a in await outbound.attempts(delivery)] == [Result.INTERRUPTED]
