"""Callbacks that are large or unproven are read in turn, and cost others little."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from tests.patience import PATIENCE_S
from tillbell.errors import Unavailable
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming
from tillbell.receive.reading_pool import (
    BYTES_OF_SOURCE,
    PLACES_OF_ADDRESS,
    PLACES_OF_SOURCE,
    ReadingPool,
)
from tillbell.receive.verify_and_parse import CallbackReading

STRANGER = CallbackReading(None, "wrong signature")
PROVEN = CallbackReading(Trust.SIGNED, "signed")


class Readings:
    """Callbacks at a pool; the order in which they were read."""

    def __init__(self) -> None:
        self.pool = ReadingPool()
        self.order: list[str] = []
        self.may_end = threading.Event()
        self.threads: set[int] = set()

    def send(
        self,
        name: str,
        *,
        source: str = "s1",
        peer: str = "a1",
        size: int = 1,
        is_proven: bool = False,
    ) -> asyncio.Task[CallbackReading]:
        incoming = Incoming("POST", "/", (), b"x" * size, 0, peer)
        reading = self.reading(name, PROVEN if is_proven else STRANGER)
        return asyncio.get_running_loop().create_task(self.pool.read(source, incoming, reading))

    def reading(self, name: str, result: CallbackReading) -> Callable[[], CallbackReading]:
        def read() -> CallbackReading:
            assert self.may_end.wait(PATIENCE_S)
            self.order.append(name)
            self.threads.add(threading.get_ident())
            return result

        return read


async def test_sources_and_addresses_take_turns() -> None:
    readings = Readings()
    tasks = [readings.send(f"flood {n}", peer="hostile") for n in range(PLACES_OF_ADDRESS)]
    await asyncio.sleep(0)
    tasks.append(readings.send("same source"))
    tasks.append(readings.send("other source", source="s2"))
    await asyncio.sleep(0)
    readings.may_end.set()
    await asyncio.gather(*tasks)

    # The first was read already, and one of the flood may stand between two others.
    assert readings.order.index("same source") <= 3
    assert readings.order.index("other source") <= 3
    assert threading.get_ident() not in readings.threads


@pytest.mark.parametrize(
    ("count", "peers", "size"),
    [
        (PLACES_OF_ADDRESS, 1, 1),
        (PLACES_OF_SOURCE, 9, 1),
        (8, 9, BYTES_OF_SOURCE // 8),
    ],
)
async def test_who_has_had_the_share_is_told_to_come_again(
    count: int, peers: int, size: int
) -> None:
    readings = Readings()
    tasks = [readings.send(str(n), peer=f"a{n % peers}", size=size) for n in range(count + 1)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await readings.send("one more", peer="a0", size=size)
    assert refused.value.code == "busy"
    other = readings.send("another source", source="s2")
    readings.may_end.set()
    await asyncio.gather(*tasks, other)


async def test_who_has_proven_it_goes_first_until_it_fails() -> None:
    readings = Readings()
    readings.may_end.set()
    await readings.send("genuine", peer="known", is_proven=True)
    readings.may_end.clear()
    tasks = [readings.send(f"flood {n}", peer="hostile") for n in range(9)]
    await asyncio.sleep(0)
    tasks.append(readings.send("genuine too", peer="known", is_proven=True))
    await asyncio.sleep(0)
    readings.may_end.set()
    await asyncio.gather(*tasks)
    assert readings.order.index("genuine too") == 2  # after the one that was being read


async def test_an_error_is_of_the_one_whose_callback_it_is() -> None:
    readings = Readings()
    readings.may_end.set()
    incoming = Incoming("POST", "/", (), b"", 0, "a1")

    def fail() -> CallbackReading:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await readings.pool.read("s1", incoming, fail)
    assert await readings.send("next") is STRANGER


async def test_after_an_unproven_one_that_took_long_others_have_the_time() -> None:
    readings = Readings()
    first = readings.send("long")
    await asyncio.sleep(0.02)  # it takes so long
    readings.may_end.set()
    await first
    loop = asyncio.get_running_loop()
    began = loop.time()
    await readings.send("next")
    assert loop.time() - began >= 3 * 0.02 * 0.9
