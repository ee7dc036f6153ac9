"""Who names another application finds nothing and changes nothing, whatever ids are known."""

from __future__ import annotations

from tests.store.inbound_harness import InboundHarness
from tests.store.outbound_harness import LEASE, OutboundHarness
from tillbell.storage.ports.outbound import DeliverySelection


async def test_a_claim_is_of_its_application_only(outbound: OutboundHarness) -> None:
    delivery = await outbound.hand_over()
    claim = outbound.other_app, delivery.id, delivery.token

    assert await outbound.store.renew([claim], outbound.now + 2 * LEASE) == [delivery.id]
    await outbound.store.release([claim], outbound.now)
    result = outbound.result(delivery)
    strange = result._replace(attempt=result.attempt._replace(app_id=outbound.other_app))
    assert not await outbound.store.finish_attempt(strange)
    assert await outbound.reread(delivery) == delivery


async def test_what_waits_is_of_its_application_only(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    (delivery,) = await outbound.deliveries(message)
    lane = outbound.other_app, outbound.endpoint

    assert await outbound.store.claim({lane: 1}, outbound.now, outbound.now + LEASE) == []
    assert await outbound.store.discard(*lane, outbound.now, 1) == 0
    outbound.clock.advance(1)
    assert await outbound.store.resend(outbound.other_app, [delivery.id], outbound.now) == (0, 0)
    selection = DeliverySelection(*lane, 0, outbound.now, (delivery.state,))
    assert await outbound.store.select(selection, "", 1) == []
    assert await outbound.reread(delivery) == delivery


async def test_bytes_are_of_their_application_only(inbound: InboundHarness) -> None:
    outbound, callback = inbound.outbound, await inbound.conclude(await inbound.receive("k"))
    message = await outbound.publish()

    assert await outbound.store.body(outbound.other_app, message.id) is None
    assert await outbound.store.callback_request(outbound.other_app, callback.id) is None
    assert not await outbound.store.reopen_callback(outbound.other_app, callback.id)
    assert await outbound.store.reopen_callback(outbound.app, callback.id)


async def test_money_is_of_its_application_only(inbound: InboundHarness) -> None:
    paid = await inbound.captured()
    await inbound.do(transaction_writes=(inbound.refunding(paid, 1),))
    other = inbound.outbound.other_app

    assert await inbound.store.transitions(other, paid.id) == []
    assert await inbound.store.effects(other, paid.id) == []
    assert await inbound.store.linked_transactions(other, paid.id) == []
