"""That an idempotency key was used is stored with what it was used for, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tillbell.errors import ConflictError
from tillbell.model.records import Application
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import IdempotencyUse, Page
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.session.idempotency import IdempotencyKeyInUse, RequestKey, carrying
from tillbell.testing import ManualClock

USED = IdempotencyUse("key", "print")


on_both = pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)


def mark(key: str = "key") -> RequestKey:
    return RequestKey(IdempotencyUse(key, "print"), at=1)


async def make(store: Database, used: RequestKey, *ids: str, uid: str | None = None) -> None:
    """Make applications under a mark, each by a write of its own."""
    with carrying(used):
        for id_ in ids:
            await store.put(Application(id=id_, name=id_, uid=uid))


async def names(store: Database) -> list[str]:
    return [one.name for one in await store.list(Application, "", Page(limit=100))]


@on_both
async def test_the_first_write_brings_it(store: Database) -> None:
    await make(store, mark(), "a", "b")
    assert await store.idempotent_answer("key") == USED
    assert sorted(await names(store)) == ["a", "b"]


@on_both
async def test_without_a_write_nothing_was_used(store: Database) -> None:
    with carrying(mark()):
        await store.idempotent_answer("key")
    await store.put(Application(id="a", name="a"))
    assert await store.idempotent_answer("key") is None


@on_both
async def test_a_key_that_was_used_lets_nothing_happen_again(store: Database) -> None:
    await make(store, mark(), "a")
    again = mark()
    with pytest.raises(IdempotencyKeyInUse):
        await make(store, again, "b")
    assert again.was_used_before
    assert await names(store) == ["a"]
    await make(store, mark("another"), "c")
    assert sorted(await names(store)) == ["a", "c"]


@on_both
async def test_a_write_that_is_refused_leaves_no_mark(store: Database) -> None:
    await store.put(Application(id="a", name="a", uid="shop"))
    with pytest.raises(ConflictError) as refused:
        await make(store, mark(), "b", uid="shop")
    assert not isinstance(refused.value, IdempotencyKeyInUse)
    assert await store.idempotent_answer("key") is None


@on_both
async def test_what_follows_a_refused_write_brings_the_mark(store: Database) -> None:
    await store.put(Application(id="a", name="a", uid="shop"))
    used = mark()
    with pytest.raises(ConflictError):
        await make(store, used, "b", uid="shop")
    await make(store, used, "c")
    assert await store.idempotent_answer("key") == USED


@on_both
async def test_who_ignores_that_a_key_was_used_writes_nothing_all_the_same(
    store: Database,
) -> None:
    await make(store, mark(), "a")
    again = mark()
    for id_ in ("b", "c"):
        with pytest.raises(IdempotencyKeyInUse):
            await make(store, again, id_)
    assert await names(store) == ["a"]


@on_both
async def test_of_many_at_once_one_happens(store: Database) -> None:
    ids = [f"{number:02}" for number in range(50)]
    outcomes = await asyncio.gather(
        *(make(store, mark(), id_) for id_ in ids), return_exceptions=True
    )
    happened = [id_ for id_, outcome in zip(ids, outcomes, strict=True) if outcome is None]
    assert len(happened) == 1
    assert {type(outcome) for outcome in outcomes} == {type(None), IdempotencyKeyInUse}
    assert await names(store) == happened


async def test_of_two_processes_at_once_one_does_it(
    empty_database: Callable[[], str], clock: ManualClock
) -> None:
    url = empty_database()
    stores = [PostgresDatabase(url, clock) for _ in range(2)]
    for store in stores:
        await store.open()
    for number in range(20):
        key = f"key-{number}"
        outcomes = await asyncio.gather(
            *(make(store, mark(key), f"{key}-{n}") for n, store in enumerate(stores)),
            return_exceptions=True,
        )
        assert sorted(map(repr, map(type, outcomes))) == sorted(
            map(repr, (type(None), IdempotencyKeyInUse))
        )
    assert len(await names(stores[0])) == 20
    for store in stores:
        await store.close()
