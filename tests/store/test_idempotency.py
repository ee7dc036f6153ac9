"""Idempotency keys of requests that publish nothing."""

from __future__ import annotations

import asyncio

from tests.store.world import World
from tillbell.storage.ports.outbound import IdempotencyUse


async def test_an_answer_is_remembered(world: World) -> None:
    assert await world.store.idempotent_answer("key") is None
    assert (
        await world.store.store_idempotent_answer(
            IdempotencyUse("key", "print", b"\x00answer"), world.now
        )
        is None
    )
    assert await world.store.idempotent_answer("key") == IdempotencyUse(
        "key", "print", b"\x00answer"
    )
    assert await world.store.idempotent_answer("KEY") is None


async def test_the_first_answer_stays(world: World) -> None:
    await world.store.store_idempotent_answer(IdempotencyUse("key", "print-1", b"1"), world.now)

    repeated = await world.store.store_idempotent_answer(
        IdempotencyUse("key", "print-2", b"2"), world.now
    )
    assert repeated == IdempotencyUse("key", "print-1", b"1")
    assert await world.store.idempotent_answer("key") == IdempotencyUse("key", "print-1", b"1")


async def test_of_two_at_once_one_wins(world: World) -> None:
    outcomes = await asyncio.gather(
        *(
            world.store.store_idempotent_answer(
                IdempotencyUse("key", f"print-{n}", b"%d" % n), world.now
            )
            for n in range(5)
        )
    )

    assert outcomes == [None] + [IdempotencyUse("key", "print-0", b"0")] * 4


async def test_an_answer_takes_the_place_of_none_and_stays(world: World) -> None:
    assert (
        await world.store.store_idempotent_answer(IdempotencyUse("key", "print", b""), world.now)
        is None
    )
    assert await world.store.idempotent_answer("key") == IdempotencyUse("key", "print", b"")

    assert (
        await world.store.store_idempotent_answer(IdempotencyUse("key", "print", b"1"), world.now)
        is None
    )
    assert await world.store.store_idempotent_answer(
        IdempotencyUse("key", "print", b"2"), world.now
    ) == IdempotencyUse("key", "print", b"1")
    assert await world.store.idempotent_answer("key") == IdempotencyUse("key", "print", b"1")
