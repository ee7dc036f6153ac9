"""A database that says nothing: those who wait are told in time, and it is asked again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.store.outbound_harness import BODY, SUCCEEDED, OutboundHarness
from tests.store.test_failed_commits import Gate
from tillbell.errors import StoreUnavailable
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.ports.outbound import Publication, PublicationStored
from tillbell.storage.session.connection import Bindings, DbReader, Row
from tillbell.storage.sqlite.connection import SqliteConnection, open_reader, open_writer
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

SHORT_S = 0.05


class SilentGate(Gate):
    """A point that no commit passes while it is shut; who waits for one is told soon, then only."""

    database: SqliteDatabase

    def shut(self) -> None:
        self.opened.clear()
        self.database.writer.commit_timeout_s = SHORT_S

    def open(self) -> None:
        self.opened.set()
        self.database.writer.commit_timeout_s = PATIENCE_S


@pytest.fixture
async def gate() -> SilentGate:
    return SilentGate("before commit")


@pytest.fixture
async def outbound(
    tmp_path: Path, clock: ManualClock, gate: SilentGate
) -> AsyncIterator[OutboundHarness]:
    gate.opened.set()
    gate.database = database = SqliteDatabase(tmp_path / "x.db", clock, fault=gate)
    await database.open()
    yield OutboundHarness(database, clock)
    gate.open()
    await database.close()


async def test_who_waits_for_a_commit_is_told_and_others_at_once(
    outbound: OutboundHarness, gate: SilentGate
) -> None:
    gate.shut()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await outbound.publish()
    again = outbound.store.publish(Publication(outbound.message(), {"": BODY}, []))
    assert again.done()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await again


async def test_what_had_not_begun_is_not_made_and_the_next_one_is(
    outbound: OutboundHarness, gate: SilentGate
) -> None:
    publications = [Publication(outbound.message(), {"": BODY}, []) for _ in range(3)]
    gate.shut()
    first = outbound.store.publish(publications[0])
    await gate.reached.wait()
    waits = outbound.store.publish(publications[1])
    outcomes = await asyncio.gather(first, waits, return_exceptions=True)
    assert {type(one) for one in outcomes} == {StoreUnavailable}
    gate.open()
    await _answers(outbound)

    assert await outbound.store.publish(publications[2]) == PublicationStored()
    stored = [await outbound.store.message(outbound.app, p.message.id) for p in publications]
    assert [one is not None for one in stored] == [True, False, True]


async def test_a_result_waits_for_as_long_as_it_takes(
    outbound: OutboundHarness, gate: SilentGate
) -> None:
    delivery = await outbound.hand_over()
    gate.reached.clear()
    gate.shut()
    settled = asyncio.ensure_future(outbound.store.finish_attempt(outbound.result(delivery)))
    await gate.reached.wait()
    with pytest.raises(StoreUnavailable):
        await outbound.publish()
    gate.open()

    assert await settled is True
    assert (await outbound.reread(delivery)).state is SUCCEEDED


async def _answers(outbound: OutboundHarness) -> None:
    """Wait for the commit that was late: patient writes are behind it."""
    await outbound.store.renew([], outbound.now)


# ── readers ──────────────────────────────────────────────────────────────────────────────────────


class Breaking(SqliteConnection):
    """A link whose server may go away."""

    is_broken = False

    def query(self, name: str, bindings: Bindings = (), *forms: str) -> list[Row]:
        if self.is_broken:
            raise StoreUnavailable("The connection is gone.")
        return super().query(name, bindings, *forms)


@pytest.fixture
def links(tmp_path: Path) -> list[Breaking]:
    open_writer(tmp_path / "x.db").close()
    return []


@pytest.fixture
async def asked(tmp_path: Path, links: list[Breaking]) -> AsyncIterator[ReadPool]:
    def connect() -> Breaking:
        links.append(Breaking(open_reader(tmp_path / "x.db").connection))
        return links[-1]

    made = ReadPool(connect, 2)
    yield made
    await made.close()


def one(db: DbReader) -> int:
    (row,) = db.query("schema_exists")
    return len(row)


async def test_a_link_that_failed_is_replaced(asked: ReadPool, links: list[Breaking]) -> None:
    for link in links:
        link.is_broken = True

    assert [await asked.read_batched(one) for _ in range(3)] == [2, 2, 2]
    assert [await asked.read(one) for _ in range(3)] == [2, 2, 2]
    assert len(links) <= 4


async def test_while_none_can_be_opened_everybody_is_told_and_then_answered(
    asked: ReadPool, links: list[Breaking], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Breaking, "is_broken", True)
    told = await asyncio.gather(
        asked.read_batched(one), asked.read_batched(one), asked.read(one), return_exceptions=True
    )
    assert {type(answer) for answer in told} == {StoreUnavailable}
    monkeypatch.setattr(Breaking, "is_broken", False)

    answers = list(await asyncio.gather(asked.read_batched(one), asked.read(one)))
    assert answers == [2, 2]


async def test_who_waits_for_a_look_up_is_told_and_others_at_once(asked: ReadPool) -> None:
    opened = threading.Event()

    def hang(db: DbReader) -> int:
        opened.wait(PATIENCE_S)
        return one(db)

    asked.timeout_s = SHORT_S
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await asked.read_batched(hang)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await asked.read_batched(one)
    opened.set()
    assert await _until_answered(asked) == 2


async def _until_answered(asked: ReadPool) -> int:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await asked.read_batched(one)
            except StoreUnavailable:
                await asyncio.sleep(0)
