"""Processes that share a database: each endpoint has one owner, and all know what one was told."""

import asyncio

import msgspec

from tests.fleet.local_fleet import APP, LocalFleet, eventually
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.model.endpoints import Endpoint


async def test_each_endpoint_has_one_owner_and_it_delivers_what_any_of_them_took(
    fleet: LocalFleet,
) -> None:
    gateways = [await fleet.start() for _ in range(3)]
    await fleet.agreed(3)
    endpoints = [await fleet.endpoint(gateways[0], f"/{n}") for n in range(12)]
    for gateway in gateways:
        for endpoint in endpoints:
            await fleet.knows(gateway, endpoint.id)
    owners = {fleet.owner(endpoint.id).cluster.id for endpoint in endpoints}
    messages = [await fleet.publish(gateway) for gateway in gateways for _ in range(5)]

    await arrived(fleet, len(messages) * len(endpoints))

    assert len(owners) > 1, "the work is shared out"
    assert [await fleet.attempts_of(message) for message in messages] == [12] * 15
    assert sum(gateway.cluster.term > 0 for gateway in gateways) == 1


async def test_what_one_is_told_all_know(fleet: LocalFleet) -> None:
    first, second = await fleet.start(), await fleet.start()
    endpoint = await fleet.endpoint(first, "/a")
    await fleet.knows(second, endpoint.id)

    await second.config_cache.change(Endpoint, APP.id, endpoint.id, _moved_on)
    await eventually(lambda: _moved(first, endpoint))
    await first.config_cache.remove(Endpoint, endpoint.id, APP.id)
    await eventually(lambda: _gone(second, endpoint.id))


async def test_one_that_leaves_hands_its_endpoints_over_at_once(fleet: LocalFleet) -> None:
    first, second = await fleet.start(), await fleet.start()
    await fleet.agreed(2)
    endpoints = [await fleet.endpoint(first, f"/{n}") for n in range(8)]
    for endpoint in endpoints:
        await fleet.knows(second, endpoint.id)

    await fleet.stop(first)
    await fleet.agreed(1)
    await fleet.publish(second)
    await arrived(fleet, 8)

    assert all(second.cluster.owns(endpoint.id) for endpoint in endpoints)
    assert second.cluster.term > 0 or await eventually(lambda: _leads(second))


async def test_one_that_comes_takes_over_its_share_of_a_backlog(fleet: LocalFleet) -> None:
    first = await fleet.start()
    endpoints = [await fleet.endpoint(first, f"/{n}", throttle_rate=5) for n in range(8)]
    for _ in range(20):
        await fleet.publish(first)
    second = await fleet.start()
    await fleet.agreed(2)
    await arrived(fleet, 160)

    assert any(second.cluster.owns(endpoint.id) for endpoint in endpoints)
    assert sum(second.meters.attempts.values()) > 0


async def test_a_process_for_the_api_owns_nothing(fleet: LocalFleet) -> None:
    api, worker = await fleet.start("api"), await fleet.start("worker")
    await fleet.agreed(1)
    endpoint = await fleet.endpoint(api, "/a")
    await fleet.knows(worker, endpoint.id)

    message = await fleet.publish(api)
    await arrived(fleet, 1)

    assert (api.cluster.owns(endpoint.id), worker.cluster.owns(endpoint.id)) == (False, True)
    assert await fleet.attempts_of(message) == 1


async def arrived(fleet: LocalFleet, count: int) -> None:
    await asyncio.wait_for(fleet.receiver.wait_for(count), PATIENCE_S)


def _moved_on(endpoint: Endpoint) -> Endpoint:
    return msgspec.structs.replace(endpoint, url=endpoint.url + "2")


async def _moved(gateway: Gateway, before: Endpoint) -> bool:
    found = await gateway.config_cache.endpoint(APP.id, before.id)
    return found is not None and found.url != before.url


async def _gone(gateway: Gateway, endpoint_id: str) -> bool:
    return await gateway.config_cache.endpoint(APP.id, endpoint_id) is None


async def _leads(gateway: Gateway) -> bool:
    return gateway.cluster.term > 0
