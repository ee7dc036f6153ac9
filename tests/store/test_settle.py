"""Settling: the attempt and the delivery's move, both or neither, by the token's holder."""

from __future__ import annotations

import asyncio

import pytest

from tests.store.world import FAILED, SENDING, SUCCEEDED, WAITING, World
from tillbell.clock import SECOND
from tillbell.model.messages import DeliveryState, Trigger


@pytest.mark.parametrize("state", [SUCCEEDED, FAILED, DeliveryState.DISCARDED])
async def test_settling_writes_the_attempt_and_moves_the_delivery(
    world: World, state: DeliveryState
) -> None:
    delivery = await world.hand_over()
    settlement = world.result(delivery, state, error="tls_error", detail="Bad certificate.")

    assert await world.store.finish_attempt(settlement) is True
    assert await world.attempts(delivery) == [settlement.attempt]
    assert await world.reread(delivery) == delivery._replace(state=state, started_at=None)


async def test_a_retry_waits_until_it_is_due(world: World) -> None:
    delivery = await world.hand_over()
    due_at = world.now + 300 * SECOND
    assert await world.store.finish_attempt(world.result(delivery, WAITING, due_at)) is True

    assert await world.reread(delivery) == delivery._replace(
        state=WAITING, due_at=due_at, started_at=None
    )


async def test_a_retry_of_a_manual_attempt_is_scheduled(world: World) -> None:
    message = await world.publish()
    done = await world.finish(message)
    await world.store.resend(world.app, [done.id], world.now)
    again = await world.claimed()
    assert again.trigger is Trigger.MANUAL
    await world.store.finish_attempt(world.result(again, WAITING, world.now + 1))

    assert (await world.reread(again)).trigger is Trigger.SCHEDULED


async def test_the_same_settlement_again_changes_nothing(world: World) -> None:
    delivery = await world.hand_over()
    settlement = world.result(delivery)
    await world.store.finish_attempt(settlement)
    before = await world.reread(delivery), await world.store.counts()

    assert await world.store.finish_attempt(settlement) is False
    assert (await world.reread(delivery), await world.store.counts()) == before
    assert len(await world.attempts(delivery)) == 1


async def test_the_same_settlement_twice_in_one_commit_counts_once(world: World) -> None:
    deliveries = [await world.hand_over() for _ in range(3)]
    settlements = [world.result(d) for d in deliveries]
    outcomes = await asyncio.gather(
        *map(world.store.finish_attempt, [*settlements, settlements[1], settlements[1]])
    )

    assert outcomes == [True, True, True, False, False]
    assert (await world.store.counts()).succeeded == 3


@pytest.mark.parametrize("token", [0, 1, 3])
async def test_settling_with_another_token_changes_nothing(world: World, token: int) -> None:
    await world.hand_over()
    world.clock.advance(15)
    delivery = await world.claimed()
    assert delivery.token == 2
    late = world.result(delivery, FAILED)._replace(token=token)

    assert await world.store.finish_attempt(late) is False
    assert await world.reread(delivery) == delivery
    assert len(await world.attempts(delivery)) == 1  # the interrupted one


async def test_settling_after_the_lease_ran_out_holds_until_it_is_claimed_again(
    world: World,
) -> None:
    delivery = await world.hand_over()
    world.clock.advance(60)

    assert await world.store.finish_attempt(world.result(delivery)) is True


async def test_settling_what_waits_changes_nothing(world: World) -> None:
    message = await world.publish()
    waiting = await world.the_delivery(message)

    assert await world.store.finish_attempt(world.result(waiting)) is False
    assert await world.the_delivery(message) == waiting


async def test_settling_what_does_not_exist_changes_nothing(world: World) -> None:
    message = world.message()
    settlement = world.result(world.leased(message, world.endpoint))

    assert await world.store.finish_attempt(settlement) is False
    assert await world.store.attempt(world.app, settlement.attempt.id) is None


async def test_one_stale_settlement_does_not_harm_its_neighbours(world: World) -> None:
    deliveries = [await world.hand_over() for _ in range(4)]
    settlements = [world.result(d) for d in deliveries]
    settlements[2] = settlements[2]._replace(token=7)
    outcomes = await asyncio.gather(*map(world.store.finish_attempt, settlements))

    assert outcomes == [True, True, False, True]
    states = [(await world.reread(d)).state for d in deliveries]
    assert states == [SUCCEEDED, SUCCEEDED, SENDING, SUCCEEDED]
    assert [len(await world.attempts(d)) for d in deliveries] == [1, 1, 0, 1]


async def test_what_a_receiver_answered_can_be_deleted(world: World) -> None:
    delivery = await world.hand_over()
    attempt = world.result(delivery).attempt
    await world.store.finish_attempt(world.result(delivery))
    assert await world.store.expunge_attempt(world.other_app, attempt.id) is False
    assert await world.store.expunge_attempt(world.app, attempt.id + "x") is False
    assert await world.attempts(delivery) == [attempt]

    assert await world.store.expunge_attempt(world.app, attempt.id) is True
    assert await world.attempts(delivery) == [attempt._replace(response=b"")]
