"""A gateway that is held accepts and stores, and sends nothing until it is released."""

from __future__ import annotations

from pathlib import Path

from tests.flow.gateway_harness import GatewayHarness
from tillbell.rules.delivery.fate import FateCode


async def test_nothing_leaves_before_the_release_and_everything_after(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path, hold=True) as held:
        endpoint = await held.endpoint("/hook")
        before = [await held.publish() for _ in range(3)]
        gateway = held.gateway
        assert gateway.hold.is_on
        assert (await gateway.database.counts()).waiting == len(before)
        assert [lane.in_flight for lane in gateway.lanes] == [0]
        assert held.receiver.requests == []
        fate = await gateway.fates.of(before[0], endpoint.id)
        assert (fate.code, fate.next_at) == (FateCode.HELD, None)
        await gateway.hold.check()
        assert gateway.hold.is_on, "nobody has released it"

        await gateway.hold.release()
        after = await held.publish()
        sent = await held.receiver.wait_for(4)
        assert {dict(each.headers)["webhook-id"] for each in sent} == {
            message.id for message in (*before, after)
        }
        assert not gateway.hold.is_on
