"""Whichever process of a port is asked, the page holds the counters of all that live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.flow.gateway_harness import START
from tillbell.clock import SECOND
from tillbell.counters import Meters
from tillbell.model.messages import Result
from tillbell.storage.ports.outbound import Totals
from tillbell.testing import ManualClock
from tillbell.web.edge.metrics import render
from tillbell.web.server.shared_metrics import (
    STALE_AFTER,
    WRITE_EVERY,
    DispatchVitals,
    MetricsBoard,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


def board(
    file: Path | None, clock: ManualClock, meters: Meters, in_flight: int = 0
) -> MetricsBoard:
    return MetricsBoard(file, clock, meters, lambda: DispatchVitals(in_flight=in_flight))


@asynccontextmanager
async def keeping(kept: MetricsBoard) -> AsyncIterator[None]:
    """Let it leave its counters meanwhile."""
    task = asyncio.create_task(kept.keep_written())
    await asyncio.sleep(0)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_shows_what_the_others_left_and_its_own_as_it_is(
    tmp_path: Path, clock: ManualClock
) -> None:
    ours, theirs = Meters(), Meters()
    theirs.accepted(3)
    theirs.attempt(Result.ACCEPTED, 2_000, 5_000)
    theirs.restore(Totals(waiting=9))
    async with keeping(board(tmp_path / "1", clock, theirs, in_flight=4)):
        ours.accepted(1)
        ours.restore(Totals(waiting=2))
        own, other = board(tmp_path / "0", clock, ours).readings()

    assert (own.process, own.meters) == ("0", ours)
    assert (other.process, other.meters.messages, other.vitals.in_flight) == ("1", 1, 4)
    assert other.meters.durations == theirs.durations
    assert other.meters.totals == Totals(waiting=2), "the store's, as they were just read"
    page = render([own, other]).decode()
    assert 'tillbell_deliveries_total{process="0"} 1.0' in page
    assert 'tillbell_deliveries_total{process="1"} 3.0' in page
    assert 'tillbell_ingest_requests_total{outcome="accepted",process="1"} 1.0' in page
    assert 'tillbell_attempt_duration_seconds_count{process="1"} 1.0' in page
    assert page.count("# TYPE tillbell_deliveries_total ") == 1


async def test_what_is_left_is_renewed(tmp_path: Path, clock: ManualClock) -> None:
    theirs, shown = Meters(), board(tmp_path / "0", clock, Meters())
    async with keeping(board(tmp_path / "1", clock, theirs)):
        theirs.accepted(1)
        assert shown.readings()[1].meters.messages == 0
        clock.advance(WRITE_EVERY / SECOND)
        while shown.readings()[1].meters.messages == 0:
            await asyncio.sleep(0)


async def test_one_that_is_gone_is_not_shown_any_more(tmp_path: Path, clock: ManualClock) -> None:
    shown = board(tmp_path / "0", clock, Meters())
    async with keeping(board(tmp_path / "1", clock, Meters())):
        assert len(shown.readings()) == 2
    clock.advance(STALE_AFTER / SECOND)
    assert len(shown.readings()) == 1


async def test_a_process_with_a_port_of_its_own_leaves_nothing_and_has_no_label(
    tmp_path: Path, clock: ManualClock
) -> None:
    alone = board(None, clock, Meters())
    await alone.keep_written()
    assert list(tmp_path.iterdir()) == []
    assert b"process=" not in render(alone.readings())


async def test_a_folder_that_cannot_be_written_stops_nothing(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with keeping(board(tmp_path / "gone" / "1", clock, Meters())):
        clock.advance(WRITE_EVERY / SECOND)
        await asyncio.sleep(0)
        (tmp_path / "gone").mkdir()
        clock.advance(WRITE_EVERY / SECOND)
        while not list((tmp_path / "gone").glob("*.meters")):
            await asyncio.sleep(0)
