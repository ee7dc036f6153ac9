"""What one client changes through several processes, one answer after the other, is all there."""

from __future__ import annotations

from functools import partial

import pytest

from tests.fleet.local_fleet import APP, LocalFleet, eventually
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.cluster import record_feed
from tillbell.cluster.membership import MEMBER_TIMEOUT
from tillbell.configure.endpoints import EndpointChanges
from tillbell.deliver.lane import Lane
from tillbell.deliver.publish import MessageDraft, PublishReceipt
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus
from tillbell.model.records import Application
from tillbell.storage.ports.cluster import Member
from tillbell.storage.postgres.database import PostgresDatabase

ROUNDS = 10
FAILING = 1_000_000


async def test_changes_through_several_processes_are_all_there(fleet: LocalFleet) -> None:
    first, second, third = [await fleet.start() for _ in range(3)]
    for number in range(ROUNDS):
        endpoint = await fleet.endpoint(first, f"/{number}")
        where = APP.id, endpoint.id
        secret = await first.endpoints.rotate(*where)
        moved = EndpointChanges({"url": f"{endpoint.url}/moved"})
        await second.endpoints.patch(*where, moved)
        await third.endpoints.patch(*where, EndpointChanges({"description": "described"}))

        stored = await first.database.get(Endpoint, endpoint.id, APP.id)
        assert stored is not None
        assert (stored.url, stored.description) == (moved.fields["url"], "described")
        assert first.endpoints.shown_secret(stored) == secret
        assert stored.version == 4


async def test_the_next_request_finds_a_change_whichever_process_gets_it(
    fleet: LocalFleet,
) -> None:
    first, second, third = [await fleet.start() for _ in range(3)]
    for number in range(ROUNDS):
        for gateway in (second, third):
            assert await _deliveries(gateway) == 0
        endpoint = await fleet.endpoint(first, f"/{number}")
        assert [await _deliveries(g) for g in (second, third)] == [1, 1]
        where = APP.id, endpoint.id
        await second.endpoints.patch(*where, EndpointChanges({"selectors": ("email.bounced",)}))
        assert [await _deliveries(g) for g in (third, first)] == [0, 0]
        off = {"selectors": None, "status": EndpointStatus.DISABLED}
        await third.endpoints.patch(*where, EndpointChanges(off))
        assert [await _deliveries(g) for g in (first, second)] == [0, 0]
        await first.endpoints.remove(*where)
        assert await second.config_cache.endpoint(*where) is None

    made = await first.api_keys.create("one", ("publish",), None, None)
    assert second.config_cache.cached_api_key(made.key.hash) is not None
    await second.api_keys.revoke(made.key)
    assert third.config_cache.cached_api_key(made.key.hash) is None
    event_type = await third.event_types.create("ours.made", {})
    assert first.config_cache.cached_event_type("ours.made") == event_type
    await first.applications.remove(APP.id)
    assert await third.config_cache.view(APP.id) is None


async def _deliveries(by: Gateway) -> int:
    """Publish through one of them; return how many deliveries were made."""
    view = await by.config_cache.view(APP.id)
    assert view is not None
    receipt = await by.publisher.publish_for(view, MessageDraft("order.paid", b"{}"))
    assert isinstance(receipt, PublishReceipt)
    return receipt.deliveries


async def test_a_process_that_hangs_is_not_waited_for_long(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_feed, "WAIT_MAX_S", 0.3)
    first = await fleet.start()
    store = first.database
    assert isinstance(store, PostgresDatabase)
    await store.heartbeat(Member("prc_hangs", "api", is_worker=False), MEMBER_TIMEOUT)
    started_at = first.clock.monotonic()
    endpoint = await fleet.endpoint(first, "/a")
    waited_s = first.clock.monotonic() - started_at

    assert 0.3 <= waited_s < PATIENCE_S
    assert await first.config_cache.endpoint(APP.id, endpoint.id) is not None
    await store.end_feed_round("prc_hangs", await store.begin_feed_round())
    assert await store.members_behind(first.cluster.id, 1) == []


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
