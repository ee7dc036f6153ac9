"""What one client changes through several processes, one answer after the other, is all there."""

from __future__ import annotations

from tests.fleet.fleet import APP, FleetOf
from tillbell.configure.endpoints import EndpointChanges
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import Application

ROUNDS = 20


async def test_changes_through_several_processes_are_all_there(fleet: FleetOf) -> None:
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


async def test_what_one_process_removed_no_other_brings_back(fleet: FleetOf) -> None:
    first, second = await fleet.start(), await fleet.start()
    shop = await first.applications.create({"name": "other", "uid": "other"})
    await second.config_cache.view(shop.id)
    await first.applications.remove(shop.id)
    replaced = await second.applications.upsert("other", {"name": "made anew"})

    assert replaced.before is None
    stored = await first.database.list(Application)
    assert shop.id not in [application.id for application in stored]
    assert replaced.record.id in [application.id for application in stored]
