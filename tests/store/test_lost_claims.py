"""Leases and the store: a claim that was lost is not taken for held."""

from __future__ import annotations

from pathlib import Path

import apsw

from tests.store.outbound_harness import BODY, LEASE, SUCCEEDED, OutboundHarness
from tests.store.test_failed_commits import Faults
from tillbell.clock import SECOND
from tillbell.deliver.leases import HeldLeases
from tillbell.model.messages import Claim, Delivery, DeliveryState
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

SENDING = DeliveryState.SENDING


async def claim_of(outbound: OutboundHarness, delivery: Delivery) -> Claim:
    message = await outbound.store.message(outbound.app, delivery.message_id)
    assert message is not None
    return Claim(delivery, message, BODY)


async def test_a_process_that_was_stopped_for_long_sends_nothing_that_others_have(
    outbound: OutboundHarness,
) -> None:
    ledger = HeldLeases(outbound.store, outbound.clock, LEASE)
    old = await claim_of(outbound, await outbound.hand_over())
    ledger.add(old)
    outbound.clock.advance(40)
    await outbound.claimed()
    await ledger.renew()

    assert ledger.check_held(old, outbound.now) is False
    assert ledger.held_count == 0


async def test_one_that_was_stopped_and_is_not_missed_goes_on(outbound: OutboundHarness) -> None:
    ledger = HeldLeases(outbound.store, outbound.clock, LEASE)
    old = await claim_of(outbound, await outbound.hand_over())
    ledger.add(old)
    outbound.clock.advance(40)
    assert not (outbound.now < old.delivery.due_at)
    await ledger.renew()

    assert ledger.check_held(old, outbound.now) is True
    assert (await outbound.reread(old.delivery)).due_at == outbound.now + LEASE


async def test_a_late_result_does_not_give_up_the_claim_that_came_after(
    outbound: OutboundHarness,
) -> None:
    ledger = HeldLeases(outbound.store, outbound.clock, LEASE)
    old = await claim_of(outbound, await outbound.hand_over())
    ledger.add(old)
    outbound.clock.advance(40)
    new = await claim_of(outbound, await outbound.claimed())
    ledger.add(new)
    ledger.store_attempt(old, outbound.result(old.delivery))
    await ledger.flush()

    assert ledger.check_held(new, outbound.now + SECOND) is True


async def test_a_result_the_store_did_not_confirm_comes_before_the_next_claim(
    tmp_path: Path, clock: ManualClock
) -> None:
    faults = Faults()
    database = SqliteDatabase(tmp_path / "x.db", clock, fault=faults)
    await database.open()
    outbound = OutboundHarness(database, clock)
    ledger = HeldLeases(outbound.store, clock, LEASE)
    claim = await claim_of(outbound, await outbound.hand_over())
    ledger.add(claim)
    faults.planned["before commit"] = apsw.IOError("disk I/O error")
    ledger.store_attempt(claim, outbound.result(claim.delivery))
    await ledger.flush()
    assert (await outbound.reread(claim.delivery)).state is SENDING
    clock.advance(0.5)
    later = clock.now() + 60 * SECOND
    ledger.retry_unconfirmed()
    claims = await database.claim({(outbound.app, outbound.endpoint): 10}, later, later + LEASE)

    assert claims == []
    assert (await outbound.reread(claim.delivery)).state is SUCCEEDED
    await database.close()
