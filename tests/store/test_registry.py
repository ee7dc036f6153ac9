"""Records: what users configure."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.store.world import World
from tillbell.errors import ConflictError, VersionConflict
from tillbell.model.endpoints import Endpoint, EndpointHealth, SigningSecret
from tillbell.model.records import (
    ApiKey,
    Application,
    EventType,
    KeyUse,
    PollCursor,
    Record,
    Task,
    TaskStatus,
)
from tillbell.model.sources import Source
from tillbell.storage.operations.records import decode
from tillbell.storage.ports.outbound import Page


def endpoint(world: World, uid: str | None = None, **fields: object) -> Endpoint:
    made = {"url": "https://a.example", "scope": world.app} | fields
    return Endpoint(id=world.new("ep"), uid=uid, **made)  # type: ignore[arg-type]


async def test_records_come_back_as_they_were_put(world: World) -> None:
    records: list[Record] = [
        Application(id=world.app, name="Käse", uid="shop", metadata={"a": "b"}),
        endpoint(
            world,
            "first",
            selectors=("order.*",),
            channels=(),
            secrets=(SigningSecret(sealed="x", expires_at=5),),
            retry_schedule=(5, 300),
        ),
        EventType(id=world.new("evt"), uid="order.paid", schemas={"1": {"type": "object"}}),
        Task(id=world.new("task"), kind="recover", status=TaskStatus.FAILED, result={"n": 1}),
        EndpointHealth(id=world.endpoint, scope=world.app, warned=("1h",)),
    ]
    await world.store.put(*records)

    for record in records:
        assert await world.store.get(type(record), record.id, record.scope) == record


async def test_a_record_is_found_by_its_uid_within_kind_and_scope(world: World) -> None:
    record = endpoint(world, "first")
    await world.store.put(record)

    assert await world.store.get(Endpoint, "first", world.app) == record
    assert await world.store.get(Endpoint, "first", world.other_app) is None
    assert await world.store.get(Endpoint, record.id, world.other_app) is None
    assert await world.store.get(EventType, "first", world.app) is None
    assert await world.store.get(Endpoint, "other", world.app) is None


async def test_an_id_wins_over_an_equal_uid(world: World) -> None:
    record = endpoint(world)
    await world.store.put(endpoint(world, uid=record.id), record)

    assert await world.store.get(Endpoint, record.id, world.app) == record


async def test_a_record_of_any_scope_is_found_by_its_whole_id(world: World) -> None:
    one = endpoint(world, "first")
    other_id = one.id[:-1] + ("0" if one.id[-1] != "0" else "1")
    sibling = msgspec.structs.replace(one, id=other_id, uid=None)
    await world.store.put(one, sibling)

    assert await world.store.get(Endpoint, one.id, None) == one
    assert await world.store.get(Endpoint, sibling.id, None) == sibling
    assert await world.store.get(Endpoint, "first", None) is None
    assert await world.store.get(Endpoint, one.id[:-1], None) is None


async def test_putting_over_its_version_replaces(world: World) -> None:
    record = endpoint(world, "first")
    await world.store.put(record)
    changed = Endpoint(
        id=record.id, scope=world.app, url="https://b.example", uid="second", version=2
    )
    await world.store.put(changed, expected_version=1)

    assert await world.store.list(Endpoint, world.app) == [changed]
    assert await world.store.get(Endpoint, "first", world.app) is None


async def test_a_taken_uid_is_a_conflict_and_nothing_is_stored(world: World) -> None:
    await world.store.put(endpoint(world, "taken"))
    free, clash = endpoint(world, "free"), endpoint(world, "taken")
    with pytest.raises(ConflictError):
        await world.store.put(free, clash)

    assert await world.store.get(Endpoint, free.id, world.app) is None


async def test_a_conflict_does_not_harm_who_shares_the_commit(world: World) -> None:
    await world.store.put(endpoint(world, "taken"))
    good = [endpoint(world, f"good-{n}") for n in range(2)]
    outcomes = await asyncio.gather(
        world.store.put(good[0]),
        world.store.put(endpoint(world, "taken")),
        world.store.put(good[1]),
        return_exceptions=True,
    )

    assert isinstance(outcomes[1], ConflictError)
    assert [outcomes[0], outcomes[2]] == [None, None]
    assert len(await world.store.list(Endpoint, world.app)) == 3


async def test_one_uid_serves_in_every_scope_and_kind(world: World) -> None:
    await world.store.put(
        endpoint(world, "x"),
        endpoint(world, "x", scope=world.other_app),
        Application(id=world.app, name="x", uid="x"),
    )

    assert len(await world.store.list(Endpoint, None)) == 2


async def test_records_without_uid_do_not_clash(world: World) -> None:
    await world.store.put(endpoint(world), endpoint(world))

    assert len(await world.store.list(Endpoint, world.app)) == 2


async def test_a_record_of_another_version_is_not_replaced(world: World) -> None:
    record = endpoint(world, version=3)
    await world.store.put(record)
    changed = msgspec.structs.replace(record, url="https://b.example", version=4)
    for expected in (0, 2, 4):
        with pytest.raises(VersionConflict):
            await world.store.put(changed, expected_version=expected)
    with pytest.raises(VersionConflict):
        await world.store.put(endpoint(world), expected_version=1)
    assert await world.store.get(Endpoint, record.id, world.app) == record

    await world.store.put(changed, expected_version=3)
    assert await world.store.get(Endpoint, record.id, world.app) == changed


async def test_what_was_removed_is_not_put_back_by_a_change(world: World) -> None:
    shop = Application(id=world.app, name="shop")
    record, other = endpoint(world), endpoint(world)
    await world.store.put(shop, record, other)
    await world.store.remove(Endpoint, record.id, world.app)
    await world.store.remove(Application, world.app)
    for gone in (record, other, shop):
        changed = msgspec.structs.replace(gone, version=2)
        with pytest.raises(VersionConflict):
            await world.store.put(changed, expected_version=1)

    assert await world.store.list(Endpoint, None) == []
    assert await world.store.list(Application) == []


async def test_every_kind_has_a_version_and_of_many_changes_at_once_one_is_made(
    world: World,
) -> None:
    scope = world.app
    kinds: list[Record] = [
        Application(id=world.app, name="shop"),
        endpoint(world),
        EventType(id=world.new("evt"), uid="order.paid"),
        Task(id=world.new("task"), kind="recover", scope=scope),
        EndpointHealth(id=world.endpoint, scope=scope),
        PollCursor(id=world.new("cur"), uid="a/b", scope=scope, iterator="x"),
        ApiKey(id=world.new("key"), name="k", hash="h", last4="l", scopes=()),
        KeyUse(id=world.new("key"), last_used_at=1),
        Source(id=world.new("src"), name="s", provider="p", token="t", token_hash="h"),
    ]
    for record in kinds:
        await world.store.put(record)
        changes = [
            msgspec.structs.replace(record, created_at=number, version=2) for number in range(9)
        ]
        outcomes = await asyncio.gather(
            *(world.store.put(change, expected_version=1) for change in changes),
            return_exceptions=True,
        )
        stored = await world.store.get(type(record), record.id, record.scope)

        assert sum(outcome is None for outcome in outcomes) == 1, type(record)
        assert all(isinstance(o, VersionConflict) for o in outcomes if o is not None)
        assert stored == changes[outcomes.index(None)]


async def test_a_record_stored_before_kinds_had_versions_is_of_the_first(world: World) -> None:
    doc = msgspec.json.decode(msgspec.json.encode(Application(id="app_1", name="shop")))
    del doc["version"]

    assert decode(Application, msgspec.json.encode(doc)).version == 1


async def test_lists_are_sorted_by_id_and_cut(world: World) -> None:
    records = [endpoint(world) for _ in range(5)]
    await world.store.put(*records)
    ids = [r.id for r in records]

    async def page(*arguments: object) -> list[str]:
        found = await world.store.list(Endpoint, world.app, Page(*arguments))  # type: ignore[arg-type]
        return [r.id for r in found]

    assert await page(2) == [ids[4], ids[3]]
    assert await page(2, ids[3]) == [ids[2], ids[1]]
    assert await page(2, ids[1], True) == [ids[3], ids[2]]
    assert await page(2, None, False, True) == [ids[0], ids[1]]
    assert await page(2, ids[1], False, True) == [ids[2], ids[3]]
    assert await page(2, ids[3], True, True) == [ids[1], ids[2]]
    assert [r.id for r in await world.store.list(Endpoint, None, Page(3))] == ids[:1:-1]


async def test_a_list_shows_one_scope_or_all(world: World) -> None:
    mine, foreign = endpoint(world), endpoint(world, scope=world.other_app)
    await world.store.put(mine, foreign)

    assert await world.store.list(Endpoint, world.app) == [mine]
    assert await world.store.list(Endpoint, "") == []
    assert await world.store.list(Endpoint, None) == [mine, foreign]
    assert await world.store.list(EventType, None) == []


async def test_a_removed_record_is_gone(world: World) -> None:
    record, other = endpoint(world, "x"), endpoint(world)
    await world.store.put(record, other)
    assert await world.store.remove(Endpoint, record.id, world.other_app) is False
    assert await world.store.remove(EventType, record.id, world.app) is False

    assert await world.store.remove(Endpoint, record.id, world.app) is True
    assert await world.store.remove(Endpoint, record.id, world.app) is False
    assert await world.store.list(Endpoint, world.app) == [other]


async def test_with_an_application_all_in_its_scope_goes(world: World) -> None:
    foreign = endpoint(world, scope=world.other_app)
    await world.store.put(
        Application(id=world.app, name="x"),
        Application(id=world.other_app, name="y"),
        endpoint(world),
        EndpointHealth(id=world.endpoint, scope=world.app),
        foreign,
    )
    assert await world.store.remove(Application, world.app) is True

    assert await world.store.list(Endpoint, None) == [foreign]
    assert await world.store.list(EndpointHealth, None) == []
    assert len(await world.store.list(Application)) == 1


async def test_removing_an_endpoint_removes_only_it(world: World) -> None:
    record = endpoint(world)
    await world.store.put(record, endpoint(world, scope=record.id))
    await world.store.remove(Endpoint, record.id, world.app)

    assert len(await world.store.list(Endpoint, None)) == 1
