"""Settling: the attempt and the delivery's move, both or neither, by the token's holder."""

from __future__ import annotations

import asyncio

import pytest

from tests.store.outbound_harness import FAILED, SENDING, SUCCEEDED, WAITING, OutboundHarness
from tillbell.clock import SECOND
from tillbell.model.messages import DeliveryState, Trigger


@pytest.mark.parametrize("state", [SUCCEEDED, FAILED, DeliveryState.DISCARDED])
async def test_settling_writes_the_attempt_and_moves_the_delivery(
    outbound: OutboundHarness, state: DeliveryState
) -> None:
    delivery = await outbound.hand_over()
    settlement = outbound.result(delivery, state, error="tls_error", detail="Bad certificate.")

    assert await outbound.store.finish_attempt(settlement) is True
    assert await outbound.attempts(delivery) == [settlement.attempt]
    assert await outbound.reread(delivery) == delivery._replace(state=state, started_at=None)


async def test_a_retry_waits_until_it_is_due(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()
    due_at = outbound.now + 300 * SECOND
    assert await outbound.store.finish_attempt(outbound.result(delivery, WAITING, due_at)) is True

    assert await outbound.reread(delivery) == delivery._replace(
        state=WAITING, due_at=due_at, started_at=None
    )


async def test_a_retry_of_a_manual_attempt_is_manual_too(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    done = await outbound.finish(message)
    await outbound.store.resend(outbound.app, [done.id], outbound.now)
    again = await outbound.claimed()
    assert again.trigger is Trigger.MANUAL
    await outbound.store.finish_attempt(outbound.result(again, WAITING, outbound.now + 1))

    assert (await outbound.reread(again)).trigger is Trigger.MANUAL


async def test_an_attempt_that_is_no_try_is_not_counted(outbound: OutboundHarness) -> None:
    counted, uncounted = [await outbound.hand_over() for _ in range(2)]
    for delivery, uses_try in ((counted, True), (uncounted, False)):
        finished = outbound.result(delivery, WAITING, outbound.now + SECOND)
        assert await outbound.store.finish_attempt(finished._replace(uses_try=uses_try))

    tries = [(await outbound.reread(delivery)).tries for delivery in (counted, uncounted)]
    assert tries == [1, 0]
    assert (await outbound.reread(uncounted)).attempts == 1


async def test_a_success_is_not_overwritten_by_what_is_no_try(outbound: OutboundHarness) -> None:
    """A resend that cannot be made, a payload that expires, an endpoint that is removed."""
    for end in ("no try", "purged", "removed"):
        message = await outbound.publish(expires_at=outbound.now + SECOND)
        done = await outbound.finish(message)
        await outbound.store.resend(outbound.app, [done.id], outbound.now)
        if end == "no try":
            again = await outbound.claimed()
            finished = outbound.result(again, FAILED)._replace(uses_try=False)
            await outbound.store.finish_attempt(finished)
        elif end == "purged":
            outbound.clock.advance(2)
            await outbound.store.purge(
                bodies_before=0, history_before=0, now=outbound.now, limit=10
            )
        else:
            args = (outbound.app, done.endpoint_id, outbound.now, 10)
            assert await outbound.store.discard(*args) == 1
        assert (await outbound.reread(done)).state is SUCCEEDED, end
    assert (await outbound.store.counts()).succeeded == 3


async def test_the_same_settlement_again_changes_nothing(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()
    settlement = outbound.result(delivery)
    await outbound.store.finish_attempt(settlement)
    before = await outbound.reread(delivery), await outbound.store.counts()

    assert await outbound.store.finish_attempt(settlement) is False
    assert (await outbound.reread(delivery), await outbound.store.counts()) == before
    assert len(await outbound.attempts(delivery)) == 1


async def test_the_same_settlement_twice_in_one_commit_counts_once(
    outbound: OutboundHarness,
) -> None:
    deliveries = [await outbound.hand_over() for _ in range(3)]
    settlements = [outbound.result(d) for d in deliveries]
    outcomes = await asyncio.gather(
        *map(outbound.store.finish_attempt, [*settlements, settlements[1], settlements[1]])
    )

    assert outcomes == [True, True, True, False, False]
    assert (await outbound.store.counts()).succeeded == 3


@pytest.mark.parametrize("token", [0, 1, 3])
async def test_settling_with_another_token_changes_nothing(
    outbound: OutboundHarness, token: int
) -> None:
    await outbound.hand_over()
    outbound.clock.advance(15)
    delivery = await outbound.claimed()
    assert delivery.token == 2
    late = outbound.result(delivery, FAILED)._replace(token=token)

    assert await outbound.store.finish_attempt(late) is False
    assert await outbound.reread(delivery) == delivery
    assert len(await outbound.attempts(delivery)) == 1  # the interrupted one


async def test_settling_after_the_lease_ran_out_holds_until_it_is_claimed_again(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()
    outbound.clock.advance(60)

    assert await outbound.store.finish_attempt(outbound.result(delivery)) is True


async def test_settling_what_waits_changes_nothing(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    waiting = await outbound.the_delivery(message)

    assert await outbound.store.finish_attempt(outbound.result(waiting)) is False
    assert await outbound.the_delivery(message) == waiting


async def test_settling_what_does_not_exist_changes_nothing(outbound: OutboundHarness) -> None:
    message = outbound.message()
    settlement = outbound.result(outbound.leased(message, outbound.endpoint))

    assert await outbound.store.finish_attempt(settlement) is False
    assert await outbound.store.attempt(outbound.app, settlement.attempt.id) is None


async def test_one_stale_settlement_does_not_harm_its_neighbours(outbound: OutboundHarness) -> None:
    deliveries = [await outbound.hand_over() for _ in range(4)]
    settlements = [outbound.result(d) for d in deliveries]
    settlements[2] = settlements[2]._replace(token=7)
    outcomes = await asyncio.gather(*map(outbound.store.finish_attempt, settlements))

    assert outcomes == [True, True, False, True]
    states = [(await outbound.reread(d)).state for d in deliveries]
    assert states == [SUCCEEDED, SUCCEEDED, SENDING, SUCCEEDED]
    assert [len(await outbound.attempts(d)) for d in deliveries] == [1, 1, 0, 1]


async def test_what_a_receiver_answered_can_be_deleted(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()
    attempt = outbound.result(delivery).attempt
    await outbound.store.finish_attempt(outbound.result(delivery))
    assert await outbound.store.expunge_attempt(outbound.other_app, attempt.id) is False
    assert await outbound.store.expunge_attempt(outbound.app, attempt.id + "x") is False
    assert await outbound.attempts(delivery) == [attempt]

    assert await outbound.store.expunge_attempt(outbound.app, attempt.id) is True
    assert await outbound.attempts(delivery) == [attempt._replace(response=b"EXPUNGED")]
