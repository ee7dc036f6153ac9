"""Commits that fail: everybody in them hears of it, and the store goes on.

A failed commit is unknown to its callers: it may have happened. A repeat is safe.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from tests.patience import PATIENCE_S
from tests.store.outbound_harness import BODY, SUCCEEDED, OutboundHarness
from tillbell.errors import StoreUnavailable
from tillbell.storage.operations import probe
from tillbell.storage.ports.outbound import DuplicateEventId, Publication, PublicationStored
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

ERRORS = [apsw.IOError("disk I/O error"), apsw.FullError("disk is full"), OSError("injected")]


class Faults:
    """Raises at the points it was told to, once each."""

    def __init__(self) -> None:
        self.planned: dict[str, Exception] = {}
        self.also: dict[str, Exception] = {}  # when the point is passed again
        self.passed: list[str] = []

    def __call__(self, point: str) -> None:
        self.passed.append(point)
        error = self.planned.pop(point, None)
        if error is not None:
            if point in self.also:
                self.planned[point] = self.also.pop(point)
            raise error


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def outbound(
    tmp_path: Path, clock: ManualClock, faults: Faults
) -> AsyncIterator[OutboundHarness]:
    database = SqliteDatabase(tmp_path / "x.db", clock, fault=faults)
    await database.open()
    yield OutboundHarness(database, clock)
    await database.close()


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("point", ["begin", "before commit", "after commit"])
async def test_a_failed_commit_fails_all_of_its_batch_and_the_next_one_works(
    outbound: OutboundHarness, faults: Faults, point: str, error: Exception
) -> None:
    messages = [outbound.message(event_id=f"order-{n}") for n in range(20)]
    publications = [Publication(m, {"": BODY}, []) for m in messages]
    faults.planned[point] = error
    outcomes = await asyncio.gather(
        *map(outbound.store.publish, publications), return_exceptions=True
    )
    assert {type(o) for o in outcomes} == {StoreUnavailable}

    repeats = [Publication(outbound.message(event_id=m.event_id), {"": BODY}, []) for m in messages]
    again = await asyncio.gather(*map(outbound.store.publish, repeats))
    expected = (
        [DuplicateEventId(m.id) for m in messages]
        if point == "after commit"
        else [PublicationStored()] * 20
    )
    assert again == expected


async def test_a_settlement_repeated_after_an_unknown_commit_counts_once(
    outbound: OutboundHarness, faults: Faults
) -> None:
    delivery = await outbound.hand_over()
    faults.planned["after commit"] = apsw.IOError("disk I/O error")
    with pytest.raises(StoreUnavailable):
        await outbound.store.finish_attempt(outbound.result(delivery))

    assert await outbound.store.finish_attempt(outbound.result(delivery)) is False
    assert len(await outbound.attempts(delivery)) == 1
    assert (await outbound.reread(delivery)).state is SUCCEEDED


@pytest.mark.parametrize("point", ["publish", "before commit"])
async def test_totals_do_not_count_what_was_rolled_back(
    outbound: OutboundHarness, faults: Faults, point: str
) -> None:
    faults.planned[point] = apsw.FullError("disk is full")
    with pytest.raises(StoreUnavailable):
        await outbound.publish()
    await outbound.publish()

    assert (await outbound.store.counts()).waiting == 1


async def test_a_wrong_request_fails_alone(outbound: OutboundHarness) -> None:
    good = [Publication(outbound.message(), {"": BODY}, []) for _ in range(3)]
    wrong = Publication(good[0].message, {"": BODY}, [])
    outcomes = await asyncio.gather(
        *map(outbound.store.publish, [good[0], good[1], wrong, good[2]]), return_exceptions=True
    )

    assert [outcomes[0], outcomes[1], outcomes[3]] == [PublicationStored()] * 3
    assert isinstance(outcomes[2], apsw.ConstraintError)


async def test_a_wrong_request_is_not_repeated_with_all_others(
    outbound: OutboundHarness, faults: Faults
) -> None:
    good = [Publication(outbound.message(), {"": BODY}, []) for _ in range(127)]
    wrong = Publication(good[0].message, {"": BODY}, [])
    await outbound.store.publish(good[0])
    faults.passed.clear()
    outcomes = await asyncio.gather(
        *map(outbound.store.publish, [*good[1:64], wrong, *good[64:]]), return_exceptions=True
    )

    assert outcomes.count(PublicationStored()) == 126
    assert faults.passed.count("publish") <= 2 + 2 * 7  # as a whole twice, then halves of 128


async def test_a_fault_inside_a_commit_repeats_it_with_care_and_then_in_parts(
    outbound: OutboundHarness, faults: Faults
) -> None:
    faults.planned["publish"] = OSError("a bug")
    publications = [Publication(outbound.message(), {"": BODY}, []) for _ in range(5)]
    assert (
        await asyncio.gather(*map(outbound.store.publish, publications))
        == [PublicationStored()] * 5
    )
    assert faults.passed.count("publish") == 2

    faults.passed.clear()
    faults.planned["publish"] = faults.also["publish"] = OSError("a bug")
    more = [Publication(outbound.message(), {"": BODY}, []) for _ in range(5)]
    assert await asyncio.gather(*map(outbound.store.publish, more)) == [PublicationStored()] * 5
    assert faults.passed.count("publish") == 2 + 2  # each half
    assert faults.passed.count("after commit") == 1


async def test_a_full_store_still_answers_questions(
    outbound: OutboundHarness, faults: Faults
) -> None:
    message = await outbound.publish()
    faults.planned["before commit"] = apsw.FullError("disk is full")
    with pytest.raises(StoreUnavailable, match="full"):
        await outbound.store.check()

    assert await outbound.store.message(outbound.app, message.id) == message
    await outbound.store.check()


class Gate:
    """Holds the writer at a point until it is told to go on."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self.opened = threading.Event()
        self.commits = 0

    def __call__(self, point: str) -> None:
        self.commits += point == "before commit"
        if point == self.point and not self.opened.is_set():
            self.loop.call_soon_threadsafe(self.reached.set)
            self.opened.wait(timeout=PATIENCE_S)


async def test_what_arrives_while_a_commit_runs_shares_the_next_one(
    tmp_path: Path, clock: ManualClock
) -> None:
    gate = Gate("before commit")
    database = SqliteDatabase(tmp_path / "x.db", clock, fault=gate)
    await database.open()
    outbound = OutboundHarness(database, clock)
    publications = [Publication(outbound.message(), {"": BODY}, []) for _ in range(101)]
    first = database.publish(publications[0])
    await gate.reached.wait()
    rest = [database.publish(p) for p in publications[1:]]
    gate.opened.set()

    assert await asyncio.gather(first, *rest) == [PublicationStored()] * 101
    assert gate.commits == 2
    await database.close()


async def test_a_writer_that_hangs_is_noticed(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "CHECK_TIMEOUT_S", 0.01)
    gate = Gate("begin")
    database = SqliteDatabase(tmp_path / "x.db", clock, fault=gate)
    await database.open()
    with pytest.raises(StoreUnavailable, match="has not finished a write"):
        await database.check()
    gate.opened.set()
    await database.close()


async def test_writes_of_one_round_of_the_loop_share_a_commit(
    outbound: OutboundHarness, faults: Faults
) -> None:
    first = [Publication(outbound.message(), {"": BODY}, []) for _ in range(100)]
    await asyncio.gather(*map(outbound.store.publish, first))

    assert faults.passed.count("before commit") == 1
    assert faults.passed.count("publish") == 1


async def test_a_large_backlog_is_committed_in_bounded_batches(
    outbound: OutboundHarness, faults: Faults
) -> None:
    publications = [Publication(outbound.message(), {"": BODY}, []) for _ in range(2_500)]
    await asyncio.gather(*map(outbound.store.publish, publications))

    assert faults.passed.count("before commit") == 3


async def test_a_caller_that_goes_away_does_not_stop_the_others(outbound: OutboundHarness) -> None:
    publications = [Publication(outbound.message(), {"": BODY}, []) for _ in range(3)]
    futures = [asyncio.ensure_future(outbound.store.publish(p)) for p in publications]
    futures[1].cancel()

    assert await asyncio.gather(*futures[::2]) == [PublicationStored()] * 2
    assert await outbound.store.message(outbound.app, publications[2].message.id) is not None


async def test_writes_of_different_kinds_keep_their_order(outbound: OutboundHarness) -> None:
    message = outbound.message()
    waiting = outbound.waiting(message, outbound.endpoint)
    publish = outbound.store.publish(Publication(message, {"": BODY}, [waiting]))
    claim = asyncio.ensure_future(outbound.claim())
    await publish

    (claimed,) = await claim
    settle = outbound.store.finish_attempt(outbound.result(claimed.delivery))
    resend = asyncio.ensure_future(outbound.store.resend(outbound.app, [waiting.id], outbound.now))
    assert (await settle, await resend) == (True, (1, 0))


def test_a_loop_that_died_under_the_writer_leaves_the_writes_on_disk(
    tmp_path: Path, clock: ManualClock
) -> None:
    async def abandon() -> OutboundHarness:
        database = SqliteDatabase(tmp_path / "x.db", clock)
        await database.open()
        outbound = OutboundHarness(database, clock)
        await outbound.publish(event_id="order-1")
        database.publish(Publication(outbound.message(), {"": BODY}, []))
        await asyncio.sleep(0)  # the batch is on its way
        return outbound

    with asyncio.Runner() as runner:
        abandoned = runner.run(abandon())
    database = abandoned.store
    assert isinstance(database, SqliteDatabase)
    database._lock.release()  # type: ignore[union-attr]
    reopened = SqliteDatabase(tmp_path / "x.db", clock)
    with asyncio.Runner() as runner:
        runner.run(reopened.open())
        found = runner.run(reopened.message(abandoned.app, "order-1"))
        runner.run(reopened.close())

    assert found is not None
