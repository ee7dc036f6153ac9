"""A process with a store of its own is a fleet of one, however long it runs."""

from pathlib import Path

from tests.flow.world import START, World
from tillbell.clock import DAY, SECOND
from tillbell.testing import ManualClock


async def test_it_owns_everything_and_leads_for_ever(tmp_path: Path) -> None:
    async with World(
        tmp_path, ManualClock(START), database_url=f"sqlite:///{tmp_path}/x.db"
    ) as world:
        await world.pass_time(30 * DAY / SECOND)

        assert world.gateway.cluster.owns("ep_any")
        assert world.gateway.cluster.term == 1
