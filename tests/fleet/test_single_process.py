"""A process with a store of its own is a fleet of one, however long it runs."""

from pathlib import Path

from tests.flow.gateway_harness import START, GatewayHarness
from tillbell.clock import DAY, SECOND
from tillbell.testing import ManualClock


async def test_it_owns_everything_and_leads_for_ever(tmp_path: Path) -> None:
    async with GatewayHarness(
        tmp_path, ManualClock(START), database_url=f"sqlite:///{tmp_path}/x.db"
    ) as harness:
        await harness.pass_time(30 * DAY / SECOND)

        assert harness.gateway.cluster.owns("ep_any")
        assert harness.gateway.cluster.term == 1
