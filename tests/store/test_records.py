"""Records: what users configure."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.store.outbound_harness import OutboundHarness
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


def endpoint(outbound: OutboundHarness, uid: str | None = None, **fields: object) -> Endpoint:
    made = {"url": "https://a.example", "scope": outbound.app} | fields
    return Endpoint(id=outbound.new("ep"), uid=uid, **made)  # type: ignore[arg-type]


async def test_records_come_back_as_they_were_put(outbound: OutboundHarness) -> None:
    records: list[Record] = [
        Application(id=outbound.app, name="Käse", uid="shop", metadata={"a": "b"}),
        endpoint(
            outbound,
            "first",
            selectors=("order.*",),
            channels=(),
            secrets=(SigningSecret(sealed="x", expires_at=5),),
            retry_schedule=(5, 300),
        ),
        EventType(id=outbound.new("evt"), uid="order.paid", schemas={"1": {"type": "object"}}),
        Task(id=outbound.new("task"), kind="recover", status=TaskStatus.FAILED, result={"n": 1}),
        EndpointHealth(id=outbound.endpoint, scope=outbound.app, warned=("1h",)),
    ]
    await outbound.store.put(*records)

    for record in records:
        assert await outbound.store.get(type(record), record.id, record.scope) == record


async def test_records_are_read_together_by_scope_and_id(outbound: OutboundHarness) -> None:
    first, second = endpoint(outbound, "first"), endpoint(outbound)
    await outbound.store.put(first, second, Application(id=outbound.app, name="Shop"))

    keys = [(outbound.app, first.id), (outbound.app, second.id), (outbound.app, "first")]
    keys += [(outbound.other_app, first.id), ("", outbound.app)]
    assert await outbound.store.get_many(Endpoint, keys) == {first.id: first, second.id: second}


async def test_a_record_is_found_by_its_uid_within_kind_and_scope(
    outbound: OutboundHarness,
) -> None:
    record = endpoint(outbound, "first")
    await outbound.store.put(record)

    assert await outbound.store.get(Endpoint, "first", outbound.app) == record
    assert await outbound.store.get(Endpoint, "first", outbound.other_app) is None
    assert await outbound.store.get(Endpoint, record.id, outbound.other_app) is None
    assert await outbound.store.get(EventType, "first", outbound.app) is None
    assert await outbound.store.get(Endpoint, "other", outbound.app) is None


async def test_an_id_wins_over_an_equal_uid(outbound: OutboundHarness) -> None:
    record = endpoint(outbound)
    await outbound.store.put(endpoint(outbound, uid=record.id), record)

    assert await outbound.store.get(Endpoint, record.id, outbound.app) == record


async def test_a_record_of_any_scope_is_found_by_its_whole_id(outbound: OutboundHarness) -> None:
    one = endpoint(outbound, "first")
    other_id = one.id[:-1] + ("0" if one.id[-1] != "0" else "1")
    sibling = msgspec.structs.replace(one, id=other_id, uid=None)
    await outbound.store.put(one, sibling)

    assert await outbound.store.get(Endpoint, one.id, None) == one
    assert await outbound.store.get(Endpoint, sibling.id, None) == sibling
    assert await outbound.store.get(Endpoint, "first", None) is None
    assert await outbound.store.get(Endpoint, one.id[:-1], None) is None


async def test_putting_over_its_version_replaces(outbound: OutboundHarness) -> None:
    record = endpoint(outbound, "first")
    await outbound.store.put(record)
    changed = Endpoint(
        id=record.id, scope=outbound.app, url="https://b.example", uid="second", version=2
    )
    await outbound.store.put(changed, expected_version=1)

    assert await outbound.store.list(Endpoint, outbound.app) == [changed]
    assert await outbound.store.get(Endpoint, "first", outbound.app) is None


async def test_a_taken_uid_is_a_conflict_and_nothing_is_stored(outbound: OutboundHarness) -> None:
    await outbound.store.put(endpoint(outbound, "taken"))
    free, clash = endpoint(outbound, "free"), endpoint(outbound, "taken")
    with pytest.raises(ConflictError):
        await outbound.store.put(free, clash)

    assert await outbound.store.get(Endpoint, free.id, outbound.app) is None


async def test_a_conflict_does_not_harm_who_shares_the_commit(outbound: OutboundHarness) -> None:
    await outbound.store.put(endpoint(outbound, "taken"))
    good = [endpoint(outbound, f"good-{n}") for n in range(2)]
    outcomes = await asyncio.gather(
        outbound.store.put(good[0]),
        outbound.store.put(endpoint(outbound, "taken")),
        outbound.store.put(good[1]),
        return_exceptions=True,
    )

    assert isinstance(outcomes[1], ConflictError)
    assert [outcomes[0], outcomes[2]] == [None, None]
    assert len(await outbound.store.list(Endpoint, outbound.app)) == 3


async def test_one_uid_serves_in_every_scope_and_kind(outbound: OutboundHarness) -> None:
    await outbound.store.put(
        endpoint(outbound, "x"),
        endpoint(outbound, "x", scope=outbound.other_app),
        Application(id=outbound.app, name="x", uid="x"),
    )

    assert len(await outbound.store.list(Endpoint, None)) == 2


async def test_records_without_uid_do_not_clash(outbound: OutboundHarness) -> None:
    await outbound.store.put(endpoint(outbound), endpoint(outbound))

    assert len(await outbound.store.list(Endpoint, outbound.app)) == 2


async def test_a_record_of_another_version_is_not_replaced(outbound: OutboundHarness) -> None:
    record = endpoint(outbound, version=3)
    await outbound.store.put(record)
    changed = msgspec.structs.replace(record, url="https://b.example", version=4)
    for expected in (0, 2, 4):
        with pytest.raises(VersionConflict):
            await outbound.store.put(changed, expected_version=expected)
    with pytest.raises(VersionConflict):
        await outbound.store.put(endpoint(outbound), expected_version=1)
    assert await outbound.store.get(Endpoint, record.id, outbound.app) == record

    await outbound.store.put(changed, expected_version=3)
    assert await outbound.store.get(Endpoint, record.id, outbound.app) == changed


async def test_records_of_different_versions_are_replaced_together(
    outbound: OutboundHarness,
) -> None:
    old, new = endpoint(outbound, version=3), endpoint(outbound)
    await outbound.store.put(old)
    changed = msgspec.structs.replace(old, url="https://b.example", version=4)
    for wrong in ((3, 1), (2, 0), (0, 0)):
        with pytest.raises(VersionConflict):
            await outbound.store.put(changed, new, expected_version=wrong)
    assert await outbound.store.list(Endpoint, outbound.app) == [old]

    await outbound.store.put(changed, new, expected_version=(3, 0))
    stored = await outbound.store.list(Endpoint, outbound.app)
    assert {record.id: record for record in stored} == {old.id: changed, new.id: new}


async def test_what_was_removed_is_not_put_back_by_a_change(outbound: OutboundHarness) -> None:
    shop = Application(id=outbound.app, name="shop")
    record, other = endpoint(outbound), endpoint(outbound)
    await outbound.store.put(shop, record, other)
    await outbound.store.remove(Endpoint, record.id, outbound.app)
    await outbound.store.remove(Application, outbound.app)
    for gone in (record, other, shop):
        changed = msgspec.structs.replace(gone, version=2)
        with pytest.raises(VersionConflict):
            await outbound.store.put(changed, expected_version=1)

    assert await outbound.store.list(Endpoint, None) == []
    assert await outbound.store.list(Application) == []


async def test_every_kind_has_a_version_and_of_many_changes_at_once_one_is_made(
    outbound: OutboundHarness,
) -> None:
    scope = outbound.app
    kinds: list[Record] = [
        Application(id=outbound.app, name="shop"),
        endpoint(outbound),
        EventType(id=outbound.new("evt"), uid="order.paid"),
        Task(id=outbound.new("task"), kind="recover", scope=scope),
        EndpointHealth(id=outbound.endpoint, scope=scope),
        PollCursor(id=outbound.new("cur"), uid="a/b", scope=scope, iterator="x"),
        ApiKey(id=outbound.new("key"), name="k", hash="h", last4="l", scopes=()),
        KeyUse(id=outbound.new("key"), last_used_at=1),
        Source(id=outbound.new("src"), name="s", provider="p", token="t", token_hash="h"),
    ]
    for record in kinds:
        await outbound.store.put(record)
        changes = [
            msgspec.structs.replace(record, created_at=number, version=2) for number in range(9)
        ]
        outcomes = await asyncio.gather(
            *(outbound.store.put(change, expected_version=1) for change in changes),
            return_exceptions=True,
        )
        stored = await outbound.store.get(type(record), record.id, record.scope)

        assert sum(outcome is None for outcome in outcomes) == 1, type(record)
        assert all(isinstance(o, VersionConflict) for o in outcomes if o is not None)
        assert stored == changes[outcomes.index(None)]


async def test_a_record_stored_before_kinds_had_versions_is_of_the_first(
    outbound: OutboundHarness,
) -> None:
    doc = msgspec.json.decode(msgspec.json.encode(Application(id="app_1", name="shop")))
    del doc["version"]

    assert decode(Application, msgspec.json.encode(doc)).version == 1


async def test_lists_are_sorted_by_id_and_cut(outbound: OutboundHarness) -> None:
    records = [endpoint(outbound) for _ in range(5)]
    await outbound.store.put(*records)
    ids = [r.id for r in records]

    async def page(*arguments: object) -> list[str]:
        found = await outbound.store.list(Endpoint, outbound.app, Page(*arguments))  # type: ignore[arg-type]
        return [r.id for r in found]

    assert await page(2) == [ids[4], ids[3]]
    assert await page(2, ids[3]) == [ids[2], ids[1]]
    assert await page(2, ids[1], True) == [ids[3], ids[2]]
    assert await page(2, None, False, True) == [ids[0], ids[1]]
    assert await page(2, ids[1], False, True) == [ids[2], ids[3]]
    assert await page(2, ids[3], True, True) == [ids[1], ids[2]]
    assert [r.id for r in await outbound.store.list(Endpoint, None, Page(3))] == ids[:1:-1]


async def test_a_list_shows_one_scope_or_all(outbound: OutboundHarness) -> None:
    mine, foreign = endpoint(outbound), endpoint(outbound, scope=outbound.other_app)
    await outbound.store.put(mine, foreign)

    assert await outbound.store.list(Endpoint, outbound.app) == [mine]
    assert await outbound.store.list(Endpoint, "") == []
    assert await outbound.store.list(Endpoint, None) == [mine, foreign]
    assert await outbound.store.list(EventType, None) == []


async def test_a_removed_record_is_gone(outbound: OutboundHarness) -> None:
    record, other = endpoint(outbound, "x"), endpoint(outbound)
    await outbound.store.put(record, other)
    assert await outbound.store.remove(Endpoint, record.id, outbound.other_app) is False
    assert await outbound.store.remove(EventType, record.id, outbound.app) is False

    assert await outbound.store.remove(Endpoint, record.id, outbound.app) is True
    assert await outbound.store.remove(Endpoint, record.id, outbound.app) is False
    assert await outbound.store.list(Endpoint, outbound.app) == [other]


async def test_with_an_application_all_in_its_scope_goes(outbound: OutboundHarness) -> None:
    foreign = endpoint(outbound, scope=outbound.other_app)
    await outbound.store.put(
        Application(id=outbound.app, name="x"),
        Application(id=outbound.other_app, name="y"),
        endpoint(outbound),
        EndpointHealth(id=outbound.endpoint, scope=outbound.app),
        foreign,
    )
    assert await outbound.store.remove(Application, outbound.app) is True

    assert await outbound.store.list(Endpoint, None) == [foreign]
    assert await outbound.store.list(EndpointHealth, None) == []
    assert len(await outbound.store.list(Application)) == 1


async def test_removing_an_endpoint_removes_only_it(outbound: OutboundHarness) -> None:
    record = endpoint(outbound)
    await outbound.store.put(record, endpoint(outbound, scope=record.id))
    await outbound.store.remove(Endpoint, record.id, outbound.app)

    assert len(await outbound.store.list(Endpoint, None)) == 1
