"""The ledger and the store: a claim that was lost is not taken for held."""

from __future__ import annotations

from pathlib import Path

import apsw

from tests.store.test_faults import Faults
from tests.store.world import BODY, LEASE, SUCCEEDED, World
from tillbell.clock import SECOND
from tillbell.deliver.leases import HeldLeases
from tillbell.model.messages import Claim, Delivery, DeliveryState
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

SENDING = DeliveryState.SENDING


async def claim_of(world: World, delivery: Delivery) -> Claim:
    message = await world.store.message(world.app, delivery.message_id)
    assert message is not None
    return Claim(delivery, message, BODY)


async def test_a_process_that_was_stopped_for_long_sends_nothing_that_others_have(
    world: World,
) -> None:
    ledger = HeldLeases(world.store, world.clock, LEASE)
    old = await claim_of(world, await world.hand_over())
    ledger.add(old)
    world.clock.advance(40)
    await world.claimed()
    await ledger.renew()

    assert ledger.check_held(old, world.now) is False
    assert ledger.held_count == 0


async def test_one_that_was_stopped_and_is_not_missed_goes_on(world: World) -> None:
    ledger = HeldLeases(world.store, world.clock, LEASE)
    old = await claim_of(world, await world.hand_over())
    ledger.add(old)
    world.clock.advance(40)
    assert not (world.now < old.delivery.due_at)
    await ledger.renew()

    assert ledger.check_held(old, world.now) is True
    assert (await world.reread(old.delivery)).due_at == world.now + LEASE


async def test_a_late_result_does_not_give_up_the_claim_that_came_after(world: World) -> None:
    ledger = HeldLeases(world.store, world.clock, LEASE)
    old = await claim_of(world, await world.hand_over())
    ledger.add(old)
    world.clock.advance(40)
    new = await claim_of(world, await world.claimed())
    ledger.add(new)
    ledger.store_attempt(old, world.result(old.delivery))
    await ledger.flush()

    assert ledger.check_held(new, world.now + SECOND) is True


async def test_a_result_the_store_did_not_confirm_comes_before_the_next_claim(
    tmp_path: Path, clock: ManualClock
) -> None:
    faults = Faults()
    database = SqliteDatabase(tmp_path / "x.db", clock, fault=faults)
    await database.open()
    world = World(database, clock)
    ledger = HeldLeases(world.store, clock, LEASE)
    claim = await claim_of(world, await world.hand_over())
    ledger.add(claim)
    faults.planned["before commit"] = apsw.IOError("disk I/O error")
    ledger.store_attempt(claim, world.result(claim.delivery))
    await ledger.flush()
    assert (await world.reread(claim.delivery)).state is SENDING
    clock.advance(0.5)
    later = clock.now() + 60 * SECOND
    ledger.retry_unconfirmed()
    claims = await database.claim({(world.app, world.endpoint): 10}, later, later + LEASE)

    assert claims == []
    assert (await world.reread(claim.delivery)).state is SUCCEEDED
    await database.close()
