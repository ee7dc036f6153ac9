"""Leases: renewed, given back, lost, and void at the start of a sole process."""

from __future__ import annotations

from tests.store.outbound_harness import LEASE, WAITING, OutboundHarness
from tillbell.clock import SECOND
from tillbell.model.messages import Result


async def test_a_renewed_lease_runs_longer(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()
    outbound.clock.advance(10)
    assert (
        await outbound.store.renew([(delivery.app_id, delivery.id, 1)], outbound.now + LEASE) == []
    )
    outbound.clock.advance(14)

    assert await outbound.claim() == []
    assert (await outbound.reread(delivery)).due_at == outbound.now + SECOND


async def test_renewing_a_lost_lease_leaves_it_alone(outbound: OutboundHarness) -> None:
    old = await outbound.hand_over()
    outbound.clock.advance(15)
    new = await outbound.claimed()
    claims = [(old.id, old.token), (new.id, new.token), (old.id, 3), ("dlv_x", 1)]
    held = [(outbound.app, *claim) for claim in claims]
    lost = await outbound.store.renew(held, new.due_at)

    assert lost == [old.id, old.id, "dlv_x"]
    assert await outbound.reread(old) == new


async def test_renewing_what_waits_leaves_it_alone(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    waiting = await outbound.the_delivery(message)
    await outbound.store.renew([(waiting.app_id, waiting.id, waiting.token)], outbound.now + LEASE)

    assert await outbound.the_delivery(message) == waiting


async def test_a_released_claim_is_due_again_and_its_attempt_uncounted(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()
    outbound.clock.advance(1)
    await outbound.store.release([(delivery.app_id, delivery.id, 1)], outbound.now)

    assert await outbound.reread(delivery) == delivery._replace(
        state=WAITING, due_at=outbound.now, attempts=0, tries=0, started_at=None
    )
    again = await outbound.claimed()
    assert (again.attempts, again.token) == (1, 2)
    assert await outbound.attempts(again) == []


async def test_a_released_claim_cannot_be_settled_or_released_again(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()
    await outbound.store.release([(delivery.app_id, delivery.id, 1)], outbound.now)
    released = await outbound.reread(delivery)
    await outbound.store.release([(delivery.app_id, delivery.id, 1)], outbound.now + 7)

    assert await outbound.store.finish_attempt(outbound.result(delivery)) is False
    assert await outbound.reread(delivery) == released


async def test_releasing_a_lost_lease_leaves_it_alone(outbound: OutboundHarness) -> None:
    old = await outbound.hand_over()
    outbound.clock.advance(15)
    new = await outbound.claimed()
    await outbound.store.release([(old.app_id, old.id, old.token)], outbound.now)

    assert await outbound.reread(old) == new


async def test_at_the_start_every_leased_delivery_is_due_and_its_attempt_interrupted(
    outbound: OutboundHarness,
) -> None:
    leased = [await outbound.hand_over() for _ in range(3)]
    message = await outbound.publish(outbound.second)
    waiting = await outbound.the_delivery(message)
    outbound.clock.advance(1)

    assert await outbound.store.release_all_leases(outbound.now) == 3
    assert await outbound.the_delivery(message) == waiting
    for delivery in leased:
        assert await outbound.reread(delivery) == delivery._replace(
            state=WAITING, due_at=outbound.now, started_at=None, tries=0
        )
        (attempt,) = await outbound.attempts(delivery)
        assert (attempt.result, attempt.number) == (Result.INTERRUPTED, 1)
        assert await outbound.store.finish_attempt(outbound.result(delivery)) is False
    assert await outbound.store.release_all_leases(outbound.now) == 0
    assert [c.delivery.attempts for c in await outbound.claim()] == [2, 2, 2]


async def test_a_lease_counts_as_being_sent(outbound: OutboundHarness) -> None:
    await outbound.hand_over()
    await outbound.publish()
    await outbound.claim(1)

    assert (await outbound.store.counts()).sending == 2
