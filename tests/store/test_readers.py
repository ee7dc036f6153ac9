"""Look-ups go to a thread together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tillbell.errors import StoreUnavailable
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.session.connection import DbReader
from tillbell.storage.sqlite.connection import open_reader, open_writer


@pytest.fixture
async def readers(tmp_path: Path) -> AsyncIterator[ReadPool]:
    open_writer(tmp_path / "x.db").close()
    readers = ReadPool(lambda: open_reader(tmp_path / "x.db"), 2)
    yield readers
    await readers.close()


def thread_of(db: DbReader, name: str) -> tuple[str, int]:
    """Say which connection, and give the argument back."""
    return name, id(db)


def refuse(db: DbReader, why: str) -> str:
    raise ValueError(f"{why} {db is not None}")


async def test_each_asker_gets_its_own_answer(readers: ReadPool) -> None:
    found = await asyncio.gather(
        readers.read_batched(thread_of, "a"),
        readers.read_batched(refuse, "because"),
        readers.read_batched(thread_of, "b"),
        return_exceptions=True,
    )

    assert isinstance(found[1], ValueError)
    assert [one[0] for one in (found[0], found[2]) if isinstance(one, tuple)] == ["a", "b"]


async def test_what_is_asked_while_others_are_answered_goes_together(readers: ReadPool) -> None:
    gate, entered, batches = threading.Event(), asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def hold(db: DbReader) -> None:
        loop.call_soon_threadsafe(entered.set)
        gate.wait(timeout=PATIENCE_S)
        batches.append(id(db))

    first = asyncio.ensure_future(readers.read_batched(hold))
    await entered.wait()
    rest = [asyncio.ensure_future(readers.read_batched(thread_of, str(n))) for n in range(100)]
    await asyncio.sleep(0)
    alone = await readers.read(thread_of, "alone")
    assert not any(one.done() for one in rest)
    gate.set()
    answers = await asyncio.gather(*rest)
    await first

    assert alone[0] == "alone"
    assert [name for name, _ in answers] == [str(n) for n in range(100)]
    assert len({connection for _, connection in answers}) == 1


async def test_an_asker_that_goes_away_does_not_disturb_the_others(readers: ReadPool) -> None:
    going = asyncio.ensure_future(readers.read_batched(thread_of, "going"))
    staying = asyncio.ensure_future(readers.read_batched(thread_of, "staying"))
    await asyncio.sleep(0)
    going.cancel()

    assert (await staying)[0] == "staying"
    assert (await readers.read_batched(thread_of, "later"))[0] == "later"


async def test_a_closed_store_answers_nobody(readers: ReadPool) -> None:
    asked = asyncio.ensure_future(readers.read_batched(thread_of, "asked before"))
    await asyncio.sleep(0)
    await readers.close()

    with pytest.raises(StoreUnavailable):
        await readers.read_batched(thread_of, "asked after")
    with pytest.raises(StoreUnavailable):
        await readers.read(thread_of, "asked after")
    with pytest.raises(StoreUnavailable):
        await asked
