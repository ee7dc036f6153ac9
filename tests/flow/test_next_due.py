"""The claimer looks at each lane when its next delivery is due, whatever others wait for."""

from __future__ import annotations

from pathlib import Path

from tests.flow.gateway_harness import START, GatewayHarness
from tillbell.clock import MINUTE, SECOND
from tillbell.deliver.lane import Lane
from tillbell.testing import ManualClock


async def a_lane(harness: GatewayHarness, path: str) -> Lane:
    endpoint = await harness.endpoint(path)
    live = await harness.gateway.config_cache.compiled_endpoint(harness.app.id, endpoint.id)
    assert live is not None
    return harness.gateway.lanes.open(live)


async def test_a_lane_that_is_to_be_looked_at_much_later_makes_no_other_late(
    tmp_path: Path,
) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        claimer, now = harness.gateway.claimer, harness.clock.now()
        early, late = await a_lane(harness, "/early"), await a_lane(harness, "/late")
        early.next_due = now + SECOND
        claimer.consider(early)
        late.next_due = now + 2 * SECOND
        claimer.consider(late)

        early.next_due = now + 10 * MINUTE  # what was due first has been sent meanwhile
        await harness.pass_time(1)
        assert (early.claim_at, late.claim_at) == (now + 10 * MINUTE, now + 2 * SECOND)
        await harness.pass_time(1)
        assert late.claim_at is None, "nobody looked at it"
