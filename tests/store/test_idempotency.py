"""Idempotency keys of requests that publish nothing."""

from __future__ import annotations

import asyncio

from tests.store.outbound_harness import OutboundHarness
from tillbell.storage.ports.outbound import IdempotencyUse


async def test_an_answer_is_remembered(outbound: OutboundHarness) -> None:
    assert await outbound.store.idempotent_answer("key") is None
    assert (
        await outbound.store.store_idempotent_answer(
            IdempotencyUse("key", "print", b"\x00answer"), outbound.now
        )
        is None
    )
    assert await outbound.store.idempotent_answer("key") == IdempotencyUse(
        "key", "print", b"\x00answer"
    )
    assert await outbound.store.idempotent_answer("KEY") is None


async def test_the_first_answer_stays(outbound: OutboundHarness) -> None:
    await outbound.store.store_idempotent_answer(
        IdempotencyUse("key", "print-1", b"1"), outbound.now
    )

    repeated = await outbound.store.store_idempotent_answer(
        IdempotencyUse("key", "print-2", b"2"), outbound.now
    )
    assert repeated == IdempotencyUse("key", "print-1", b"1")
    assert await outbound.store.idempotent_answer("key") == IdempotencyUse("key", "print-1", b"1")


async def test_of_two_at_once_one_wins(outbound: OutboundHarness) -> None:
    outcomes = await asyncio.gather(
        *(
            outbound.store.store_idempotent_answer(
                IdempotencyUse("key", f"print-{n}", b"%d" % n), outbound.now
            )
            for n in range(5)
        )
    )

    assert outcomes == [None] + [IdempotencyUse("key", "print-0", b"0")] * 4


async def test_an_answer_takes_the_place_of_none_and_stays(outbound: OutboundHarness) -> None:
    assert (
        await outbound.store.store_idempotent_answer(
            IdempotencyUse("key", "print", b""), outbound.now
        )
        is None
    )
    assert await outbound.store.idempotent_answer("key") == IdempotencyUse("key", "print", b"")

    assert (
        await outbound.store.store_idempotent_answer(
            IdempotencyUse("key", "print", b"1"), outbound.now
        )
        is None
    )
    assert await outbound.store.store_idempotent_answer(
        IdempotencyUse("key", "print", b"2"), outbound.now
    ) == IdempotencyUse("key", "print", b"1")
    assert await outbound.store.idempotent_answer("key") == IdempotencyUse("key", "print", b"1")
