"""Claims: a lease on a due delivery, with all that its attempt needs."""

from __future__ import annotations

import asyncio

from tests.store.outbound_harness import BODY, LEASE, SENDING, SUCCEEDED, WAITING, OutboundHarness
from tillbell.clock import SECOND
from tillbell.model.messages import READ_LATER, WAITING_BODY_MAX, Claim, Result, Trigger
from tillbell.storage.ports.outbound import INTERRUPTIONS_NOT_COUNTED, Publication


async def test_a_claim_holds_the_opened_attempt_the_message_and_the_body(
    outbound: OutboundHarness,
) -> None:
    message = outbound.message(channels=("a",), tags=("b",))
    waiting = outbound.waiting(message, outbound.endpoint, variant="v")
    await outbound.add(message, [waiting], v=b"rendered")
    (claim,) = await outbound.claim()

    leased = waiting._replace(
        state=SENDING,
        due_at=outbound.now + LEASE,
        attempts=1,
        tries=1,
        token=1,
        started_at=outbound.now,
    )
    assert claim == Claim(leased, message, b"rendered")
    assert await outbound.reread(waiting) == leased
    assert await outbound.attempts(leased) == []  # open: it has no result yet


async def test_a_claim_without_body_says_so(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    await outbound.store.expunge(outbound.app, message.id)

    (claim,) = await outbound.claim()
    assert claim.body is None


async def test_what_is_not_due_is_not_claimed(outbound: OutboundHarness) -> None:
    message = outbound.message()
    await outbound.add(
        message, [outbound.waiting(message, outbound.endpoint, due_at=outbound.now + 1)]
    )

    assert await outbound.claim() == []
    outbound.clock.advance(1 / SECOND)
    assert len(await outbound.claim()) == 1


async def test_a_running_lease_is_not_claimed_and_a_lost_one_is(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()
    outbound.clock.advance(14.999_999)
    assert await outbound.claim() == []

    outbound.clock.advance(0.000_001)
    (claim,) = await outbound.claim()
    assert claim.delivery.id == delivery.id


async def test_the_attempt_of_a_lost_lease_is_closed_as_interrupted(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()
    outbound.clock.advance(15)
    again = await outbound.claimed()

    assert (again.attempts, again.tries, again.token) == (2, 1, 2)
    (attempt,) = await outbound.attempts(again)
    assert attempt.result is Result.INTERRUPTED
    assert (attempt.number, attempt.started_at) == (1, delivery.started_at)
    assert attempt.delivery_id == delivery.id
    assert attempt.message_id == delivery.message_id
    assert attempt.event_type == "order.paid"
    assert (attempt.trigger, attempt.status_code) == (Trigger.SCHEDULED, 0)


async def test_what_interrupts_again_and_again_uses_up_its_schedule_in_the_end(
    outbound: OutboundHarness,
) -> None:
    await outbound.hand_over()
    tries = []
    for _ in range(INTERRUPTIONS_NOT_COUNTED + 1):
        outbound.clock.advance(15)
        tries.append((await outbound.claimed()).tries)

    assert tries == [1] * (INTERRUPTIONS_NOT_COUNTED - 1) + [2, 3]


async def test_the_oldest_due_goes_first_and_no_more_than_wanted(outbound: OutboundHarness) -> None:
    due = [outbound.now - 3, outbound.now - 1, outbound.now - 2, outbound.now]
    ids = []
    for due_at in due:
        message = outbound.message()
        delivery = outbound.waiting(message, outbound.endpoint, due_at=due_at)
        await outbound.add(message, [delivery])
        ids.append(delivery.id)

    assert [c.delivery.id for c in await outbound.claim(3)] == [ids[0], ids[2], ids[1]]
    assert [c.delivery.id for c in await outbound.claim(3)] == [ids[3]]


async def test_lost_leases_and_waiting_ones_share_one_order(outbound: OutboundHarness) -> None:
    lost = await outbound.hand_over()
    early, late = await outbound.publish(), outbound.message()
    outbound.clock.advance(20)
    await outbound.add(late, [outbound.waiting(late, outbound.endpoint)])
    order = [c.delivery.message_id for c in await outbound.claim(3)]

    assert order == [early.id, lost.message_id, late.id]


async def test_of_each_endpoint_as_many_as_wanted(outbound: OutboundHarness) -> None:
    for _ in range(3):
        await outbound.publish(outbound.endpoint, outbound.second)
    endpoints = outbound.endpoint, outbound.second, outbound.new("ep")
    wanted = {(outbound.app, id_): most for id_, most in zip(endpoints, (2, 1, 5), strict=True)}
    claims = await outbound.store.claim(wanted, outbound.now, outbound.now + LEASE)

    claimed = [c.delivery.endpoint_id for c in claims]
    assert claimed == [outbound.endpoint, outbound.endpoint, outbound.second]


async def test_ended_deliveries_are_not_claimed(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    assert (await outbound.finish(message)).state is SUCCEEDED
    outbound.clock.advance(3600)

    assert await outbound.claim() == []


async def test_no_two_claims_hold_one_delivery(outbound: OutboundHarness) -> None:
    for _ in range(30):
        await outbound.publish()
    claimed = await asyncio.gather(*(outbound.claim(4) for _ in range(10)))

    ids = [c.delivery.id for claims in claimed for c in claims]
    assert len(ids) == len(set(ids)) == 30


async def test_a_long_body_is_left_out_of_a_claim(outbound: OutboundHarness) -> None:
    for size in (1, WAITING_BODY_MAX, WAITING_BODY_MAX + 1, 1_000_000):
        body = b"x" * size
        message = outbound.message()
        deliveries = [outbound.waiting(message, outbound.endpoint)]
        await outbound.store.publish(Publication(message, {"": body}, deliveries))
        (claim,) = await outbound.claim()
        assert claim.body == (body if size <= WAITING_BODY_MAX else READ_LATER)
        assert await outbound.store.body(outbound.app, message.id) == body


async def test_two_endpoints_of_one_message_are_claimed_with_the_same_body(
    outbound: OutboundHarness,
) -> None:
    await outbound.publish(outbound.endpoint, outbound.second)
    wanted = {(outbound.app, outbound.endpoint): 1, (outbound.app, outbound.second): 1}

    claims = await outbound.store.claim(wanted, outbound.now, outbound.now + LEASE)
    assert [c.body for c in claims] == [BODY, BODY]


async def test_a_retry_is_claimed_when_it_is_due(outbound: OutboundHarness) -> None:
    await outbound.publish()
    first = await outbound.claimed()
    await outbound.store.finish_attempt(outbound.result(first, WAITING, outbound.now + 5 * SECOND))
    outbound.clock.advance(4.9)
    assert await outbound.claim() == []

    outbound.clock.advance(0.1)
    second = await outbound.claimed()
    assert (second.attempts, second.tries, second.token) == (2, 2, 2)


async def test_a_claim_after_a_lost_lease_has_the_same_body(outbound: OutboundHarness) -> None:
    message = outbound.message()
    leased = outbound.leased(message, outbound.endpoint)._replace(variant="v")
    await outbound.add(message, [leased], v=b"rendered")
    outbound.clock.advance(15)

    (claim,) = await outbound.claim()
    assert claim.body == b"rendered"


async def test_the_oldest_lost_lease_goes_first(outbound: OutboundHarness) -> None:
    lost = []
    for _ in range(3):
        lost.append((await outbound.hand_over()).id)
        outbound.clock.advance(1)
    outbound.clock.advance(15)

    assert [c.delivery.id for c in await outbound.claim(2)] == lost[:2]
