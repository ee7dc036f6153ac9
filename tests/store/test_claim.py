"""Claims: a lease on a due delivery, with all that its attempt needs."""

from __future__ import annotations

import asyncio

from tests.store.world import BODY, LEASE, SENDING, SUCCEEDED, WAITING, World
from tillbell.clock import SECOND
from tillbell.model.messages import Claim, Result, Trigger
from tillbell.storage.ports.outbound import INTERRUPTIONS_NOT_COUNTED


async def test_a_claim_holds_the_opened_attempt_the_message_and_the_body(world: World) -> None:
    message = world.message(channels=("a",), tags=("b",))
    waiting = world.waiting(message, world.endpoint, variant="v")
    await world.add(message, [waiting], v=b"rendered")
    (claim,) = await world.claim()

    leased = waiting._replace(
        state=SENDING, due_at=world.now + LEASE, attempts=1, tries=1, token=1, started_at=world.now
    )
    assert claim == Claim(leased, message, b"rendered")
    assert await world.reread(waiting) == leased
    assert await world.attempts(leased) == []  # open: it has no result yet


async def test_a_claim_without_body_says_so(world: World) -> None:
    message = await world.publish()
    await world.store.expunge(world.app, message.id)

    (claim,) = await world.claim()
    assert claim.body is None


async def test_what_is_not_due_is_not_claimed(world: World) -> None:
    message = world.message()
    await world.add(message, [world.waiting(message, world.endpoint, due_at=world.now + 1)])

    assert await world.claim() == []
    world.clock.advance(1 / SECOND)
    assert len(await world.claim()) == 1


async def test_a_running_lease_is_not_claimed_and_a_lost_one_is(world: World) -> None:
    delivery = await world.hand_over()
    world.clock.advance(14.999_999)
    assert await world.claim() == []

    world.clock.advance(0.000_001)
    (claim,) = await world.claim()
    assert claim.delivery.id == delivery.id


async def test_the_attempt_of_a_lost_lease_is_closed_as_interrupted(world: World) -> None:
    delivery = await world.hand_over()
    world.clock.advance(15)
    again = await world.claimed()

    assert (again.attempts, again.tries, again.token) == (2, 1, 2)
    (attempt,) = await world.attempts(again)
    assert attempt.result is Result.INTERRUPTED
    assert (attempt.number, attempt.started_at) == (1, delivery.started_at)
    assert attempt.delivery_id == delivery.id
    assert attempt.message_id == delivery.message_id
    assert attempt.event_type == "order.paid"
    assert (attempt.trigger, attempt.status_code) == (Trigger.SCHEDULED, 0)


async def test_what_interrupts_again_and_again_uses_up_its_schedule_in_the_end(
    world: World,
) -> None:
    await world.hand_over()
    tries = []
    for _ in range(INTERRUPTIONS_NOT_COUNTED + 1):
        world.clock.advance(15)
        tries.append((await world.claimed()).tries)

    assert tries == [1] * (INTERRUPTIONS_NOT_COUNTED - 1) + [2, 3]


async def test_the_oldest_due_goes_first_and_no_more_than_wanted(world: World) -> None:
    due = [world.now - 3, world.now - 1, world.now - 2, world.now]
    ids = []
    for due_at in due:
        message = world.message()
        delivery = world.waiting(message, world.endpoint, due_at=due_at)
        await world.add(message, [delivery])
        ids.append(delivery.id)

    assert [c.delivery.id for c in await world.claim(3)] == [ids[0], ids[2], ids[1]]
    assert [c.delivery.id for c in await world.claim(3)] == [ids[3]]


async def test_lost_leases_and_waiting_ones_share_one_order(world: World) -> None:
    lost = await world.hand_over()
    early, late = await world.publish(), world.message()
    world.clock.advance(20)
    await world.add(late, [world.waiting(late, world.endpoint)])
    order = [c.delivery.message_id for c in await world.claim(3)]

    assert order == [early.id, lost.message_id, late.id]


async def test_of_each_endpoint_as_many_as_wanted(world: World) -> None:
    for _ in range(3):
        await world.publish(world.endpoint, world.second)
    endpoints = world.endpoint, world.second, world.new("ep")
    wanted = {(world.app, id_): most for id_, most in zip(endpoints, (2, 1, 5), strict=True)}
    claims = await world.store.claim(wanted, world.now, world.now + LEASE)

    claimed = [c.delivery.endpoint_id for c in claims]
    assert claimed == [world.endpoint, world.endpoint, world.second]


async def test_ended_deliveries_are_not_claimed(world: World) -> None:
    message = await world.publish()
    assert (await world.finish(message)).state is SUCCEEDED
    world.clock.advance(3600)

    assert await world.claim() == []


async def test_no_two_claims_hold_one_delivery(world: World) -> None:
    for _ in range(30):
        await world.publish()
    claimed = await asyncio.gather(*(world.claim(4) for _ in range(10)))

    ids = [c.delivery.id for claims in claimed for c in claims]
    assert len(ids) == len(set(ids)) == 30


async def test_two_endpoints_of_one_message_are_claimed_with_the_same_body(world: World) -> None:
    await world.publish(world.endpoint, world.second)
    wanted = {(world.app, world.endpoint): 1, (world.app, world.second): 1}

    claims = await world.store.claim(wanted, world.now, world.now + LEASE)
    assert [c.body for c in claims] == [BODY, BODY]


async def test_a_retry_is_claimed_when_it_is_due(world: World) -> None:
    await world.publish()
    first = await world.claimed()
    await world.store.finish_attempt(world.result(first, WAITING, world.now + 5 * SECOND))
    world.clock.advance(4.9)
    assert await world.claim() == []

    world.clock.advance(0.1)
    second = await world.claimed()
    assert (second.attempts, second.tries, second.token) == (2, 2, 2)


async def test_a_claim_after_a_lost_lease_has_the_same_body(world: World) -> None:
    message = world.message()
    leased = world.leased(message, world.endpoint)._replace(variant="v")
    await world.add(message, [leased], v=b"rendered")
    world.clock.advance(15)

    (claim,) = await world.claim()
    assert claim.body == b"rendered"


async def test_the_oldest_lost_lease_goes_first(world: World) -> None:
    lost = []
    for _ in range(3):
        lost.append((await world.hand_over()).id)
        world.clock.advance(1)
    world.clock.advance(15)

    assert [c.delivery.id for c in await world.claim(2)] == lost[:2]
