"""What one client changes through several processes, one answer after the other, is all there."""

from __future__ import annotations

from functools import partial

from tests.fleet.local_fleet import APP, LocalFleet, eventually
from tillbell.configure.endpoints import EndpointChanges
from tillbell.deliver.lane import Lane
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus
from tillbell.model.records import Application

ROUNDS = 20
FAILING = 1_000_000


async def test_changes_through_several_processes_are_all_there(fleet: LocalFleet) -> None:
    first, second, third = [await fleet.start() for _ in range(3)]
    for number in range(ROUNDS):
        endpoint = await fleet.endpoint(first, f"/{number}")
        for gateway in (second, third):
            await fleet.knows(gateway, endpoint.id)
        where = APP.id, endpoint.id
        secret = await first.endpoints.rotate(*where)
        moved = EndpointChanges({"url": f"{endpoint.url}/moved"})
        await second.endpoints.patch(*where, moved)
        await third.endpoints.patch(*where, EndpointChanges({"description": "described"}))

        stored = await first.database.get(Endpoint, endpoint.id, APP.id)
        assert stored is not None
        assert (stored.url, stored.description) == (moved.fields["url"], "described")
        assert first.endpoints.secret(stored) == secret
        assert stored.version == 4


async def test_an_endpoint_resumed_by_one_process_begins_anew_in_the_one_that_delivers(
    fleet: LocalFleet,
) -> None:
    first, second = await fleet.start(), await fleet.start()
    endpoint = await fleet.endpoint(first, "/a")
    await fleet.knows(second, endpoint.id)
    live = await second.config_cache.compiled_endpoint(APP.id, endpoint.id)
    assert live is not None
    lane = second.lanes.open(live)
    lane.health = EndpointHealth(id=endpoint.id, scope=APP.id, failing_since=FAILING)
    for status in (EndpointStatus.PAUSED, EndpointStatus.ACTIVE):
        changes = EndpointChanges({"status": status, "status_reason": None})
        await first.endpoints.patch(APP.id, endpoint.id, changes)
        await eventually(partial(_is, lane, status))

    assert lane.health.failing_since is None


async def _is(lane: Lane, status: EndpointStatus) -> bool:
    return lane.compiled.endpoint.status is status


async def test_what_one_process_removed_no_other_brings_back(fleet: LocalFleet) -> None:
    first, second = await fleet.start(), await fleet.start()
    shop = await first.applications.create({"name": "other", "uid": "other"})
    await second.config_cache.view(shop.id)
    await first.applications.remove(shop.id)
    replaced = await second.applications.upsert("other", {"name": "made anew"})

    assert replaced.before is None
    stored = await first.database.list(Application)
    assert shop.id not in [application.id for application in stored]
    assert replaced.record.id in [application.id for application in stored]
