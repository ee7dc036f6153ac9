"""What a process that handed its endpoints over still thinks of them."""

from __future__ import annotations

from tests.fleet.local_fleet import APP, LocalFleet
from tillbell.app import Gateway
from tillbell.clock import SECOND
from tillbell.web.edge.health import LATE, HealthProbe


async def is_late(gateway: Gateway) -> bool:
    return any(not check.is_ok for check in await HealthProbe(gateway).checks())


async def test_what_is_late_in_lanes_of_others_does_not_make_a_process_unready(
    fleet: LocalFleet,
) -> None:
    first = await fleet.start()
    endpoints = [await fleet.endpoint(first, f"/{number}") for number in range(8)]
    for endpoint in endpoints:
        live = await first.config_cache.compiled_endpoint(APP.id, endpoint.id)
        assert live is not None
        lane = first.lanes.open(live)
        lane.note_due(first.clock.now() - LATE - 10 * SECOND)
    assert await is_late(first)

    await fleet.start()
    await fleet.agreed(2)
    kept = [lane for lane in first.lanes if first.cluster.owns(lane.id)]
    assert len(kept) < len(endpoints)
    for lane in kept:
        lane.next_due = None

    assert not await is_late(first)
