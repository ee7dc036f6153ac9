"""History goes by dropping a table, and what a drop cannot do goes by rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.store.inbound_harness import APPLIED, UNMATCHED, InboundHarness
from tests.store.outbound_harness import BODY, FAILED, SUCCEEDED, WAITING, OutboundHarness
from tillbell.clock import DAY, HOUR, Micros
from tillbell.model.messages import Message
from tillbell.storage.move.mover import move
from tillbell.storage.ports.outbound import (
    MessageFilter,
    Page,
    Publication,
    PublicationStored,
    RotationReport,
    Totals,
)
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.postgres.partitions import PARTITIONED_TABLES, DaySpan, missing_spans
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

WEEK = 7 * DAY
EVERYTHING = {
    f"{cut.name}_20251009_7" for cut in PARTITIONED_TABLES
}  # the week that the clock begins in
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def url(fresh_schema: Callable[[], str]) -> str:
    return fresh_schema()


@pytest.fixture
async def store(url: str, clock: ManualClock) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(url, clock)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def other(url: str) -> Iterator[Connection]:
    """Somebody else on the same database."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def outbound(store: PostgresDatabase, clock: ManualClock) -> OutboundHarness:
    return OutboundHarness(store, clock)


@pytest.fixture
def inbound(outbound: OutboundHarness) -> InboundHarness:
    return InboundHarness(outbound)


async def rotate(
    outbound: OutboundHarness, *, bodies: Micros = WEEK, history: Micros = WEEK
) -> RotationReport:
    return await outbound.store.rotate(
        bodies_before=outbound.now - bodies, history_before=outbound.now - history, now=outbound.now
    )


async def purge(outbound: OutboundHarness, *, bodies: Micros = WEEK, history: Micros = WEEK) -> int:
    before = {"now": outbound.now, "limit": 1_000}
    rows = await outbound.store.purge(
        bodies_before=outbound.now - bodies, history_before=outbound.now - history, **before
    )
    return rows + await outbound.store.purge_inbound(
        requests_before=outbound.now - bodies, callbacks_before=outbound.now - history, **before
    )


def forbid_deletes(other: Connection) -> None:
    """Make every DELETE of a row of history fail, in partitions to come too."""
    other.execute(
        "CREATE FUNCTION no_delete() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'a row was deleted'; END $$"
    )
    for cut in PARTITIONED_TABLES:
        other.execute(
            f"CREATE TRIGGER no_delete BEFORE DELETE ON {cut.name} "
            "FOR EACH ROW EXECUTE FUNCTION no_delete()".encode()
        )


def partitions(other: Connection) -> set[str]:
    """Name the partitions that were made."""
    rows = other.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
        "AND relispartition AND relkind = 'r' AND relname NOT LIKE '%default'"
    )
    return {str(row[0]) for row in rows}


def count(other: Connection, table: str) -> int:
    row = other.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


async def sell(inbound: InboundHarness, number: int) -> Message:
    """Bring something into every table of history."""
    await inbound.conclude(await inbound.receive(f"key {number}"), APPLIED)
    message = await inbound.outbound.publish(event_id=f"order {number}")
    await inbound.outbound.finish(message)
    return message


def test_a_new_database_has_room_for_the_days_to_come(
    outbound: OutboundHarness, other: Connection
) -> None:
    assert partitions(other) == EVERYTHING


async def test_retention_is_a_drop_and_not_a_delete(
    inbound: InboundHarness, other: Connection
) -> None:
    forbid_deletes(other)
    messages = [await sell(inbound, number) for number in range(3)]
    assert {count(other, f"{name}") for name in EVERYTHING - {"totals_20251009_7"}} == {3}
    inbound.outbound.clock.advance(2 * 7 * 86_400)
    rotated = await rotate(inbound.outbound)

    assert set(rotated.dropped) == EVERYTHING
    assert rotated.busy == ()
    assert partitions(other).isdisjoint(EVERYTHING)
    assert await inbound.store.messages(inbound.outbound.app, MessageFilter(), Page()) == []
    assert await inbound.store.body(messages[0].app_id, messages[0].id) is None
    assert await inbound.store.counts() == Totals()


async def test_what_a_drop_will_take_is_left_to_it(
    inbound: InboundHarness, other: Connection
) -> None:
    message = await sell(inbound, 1)
    inbound.outbound.clock.advance(7 * 86_400)
    await rotate(inbound.outbound)

    assert await purge(inbound.outbound, bodies=HOUR, history=HOUR) == 0
    assert await inbound.store.message(inbound.outbound.app, message.id) == message


async def test_counters_of_later_days_stay(inbound: InboundHarness) -> None:
    await sell(inbound, 1)
    inbound.outbound.clock.advance(7 * 86_400)
    await rotate(inbound.outbound)
    await sell(inbound, 2)
    await inbound.outbound.publish()
    inbound.outbound.clock.advance(7 * 86_400)
    await rotate(inbound.outbound)

    assert await inbound.store.counts() == Totals(waiting=1, succeeded=1)
    whole_life = (inbound.outbound.app, None, 0, inbound.outbound.now)
    assert await inbound.store.totals(*whole_life) == Totals(waiting=1, succeeded=1)


async def test_an_event_id_is_free_again_when_its_partition_is_gone(
    inbound: InboundHarness,
) -> None:
    await sell(inbound, 1)
    inbound.outbound.clock.advance(2 * 7 * 86_400)
    await rotate(inbound.outbound)

    again = await inbound.outbound.publish(event_id="order 1")
    assert await inbound.store.message(inbound.outbound.app, "order 1") == again


# ── what is needed ───────────────────────────────────────────────────────────────────────────────


async def test_an_open_delivery_keeps_its_partition_and_the_rest_goes_by_rows(
    inbound: InboundHarness,
) -> None:
    outbound = inbound.outbound
    done = await sell(inbound, 1)
    waiting = await outbound.publish(outbound.second, expires_at=outbound.now + 90 * DAY)
    outbound.clock.advance(2 * 7 * 86_400)
    rotated = await rotate(outbound)
    kept = {f"{table}_20251009_7" for table in ("attempts", "deliveries", "messages", "totals")}

    assert set(rotated.dropped) == EVERYTHING - kept - {"bodies_20251009_7"}
    assert await purge(outbound) == 4  # of the one that is done: body, attempt, delivery, message
    assert await outbound.store.message(outbound.app, done.id) is None
    assert await outbound.store.counts() == Totals(waiting=1)
    (claim,) = await outbound.claim(endpoint=outbound.second)
    assert (claim.message, claim.body) == (waiting, BODY)

    assert await outbound.store.finish_attempt(outbound.result(claim.delivery))
    outbound.clock.advance(90 * 86_400)
    assert kept <= set((await rotate(outbound)).dropped)
    assert await outbound.store.counts() == Totals()


async def test_a_callback_that_is_not_done_with_keeps_its_partition(
    inbound: InboundHarness,
) -> None:
    fresh = await inbound.receive("fresh")
    retried = await inbound.receive("retried")
    retry_at = inbound.outbound.now + 90 * DAY
    await inbound.conclude(retried, UNMATCHED, retry_at=retry_at, awaited_references=("order 1",))
    inbound.outbound.clock.advance(2 * 7 * 86_400)

    for callback in (fresh, retried):
        dropped = (await rotate(inbound.outbound)).dropped
        assert "callbacks_20251009_7" not in dropped
        await inbound.conclude(callback, APPLIED)
    assert "callbacks_20251009_7" in (await rotate(inbound.outbound)).dropped


async def test_a_delivery_whose_body_goes_has_failed(outbound: OutboundHarness) -> None:
    message = await outbound.publish()
    outbound.clock.advance(2 * 7 * 86_400)
    rotated = await rotate(outbound, history=90 * DAY)

    assert {"bodies_20251009_7", "callback_requests_20251009_7"} == set(rotated.dropped)
    assert (await outbound.the_delivery(message)).state is FAILED
    assert await outbound.store.counts() == Totals(failed=1)


async def test_the_body_of_an_attempt_under_way_keeps_its_partition(
    outbound: OutboundHarness,
) -> None:
    delivery = await outbound.hand_over()
    outbound.clock.advance(2 * 7 * 86_400)
    await outbound.store.renew(
        [(delivery.app_id, delivery.id, delivery.token)], outbound.now + HOUR
    )
    first = await rotate(outbound, history=90 * DAY)
    assert await outbound.store.finish_attempt(outbound.result(delivery))
    second = await rotate(outbound, history=90 * DAY)

    assert "bodies_20251009_7" not in first.dropped
    assert second.dropped == ("bodies_20251009_7",)
    assert (await outbound.reread(delivery)).state is SUCCEEDED


# ── others at the same time ──────────────────────────────────────────────────────────────────────


async def test_ingest_goes_on_while_a_drop_cannot(
    inbound: InboundHarness, other: Connection
) -> None:
    outbound = inbound.outbound
    await sell(inbound, 1)
    outbound.clock.advance(2 * 7 * 86_400)
    await rotate(outbound, bodies=90 * DAY, history=90 * DAY)  # room for the present
    with other.transaction():
        count(other, "deliveries")  # a long report; it ends with the transaction
        dropping = asyncio.ensure_future(rotate(outbound))
        published = 0
        while not dropping.done():
            await outbound.publish(outbound.second)
            published += 1
        rotated = await dropping

    # Leaves were dropped; deliveries were in use, and what they belong to waits for them.
    left = {f"{table}_20251009_7" for table in ("deliveries", "messages", "totals")}
    assert rotated.busy == ("deliveries_20251009_7",)
    assert set(rotated.dropped) == EVERYTHING - left
    assert (await outbound.store.counts()).waiting == published > 0
    assert set((await rotate(outbound)).dropped) == left


async def test_two_processes_may_rotate_at_once(
    inbound: InboundHarness, url: str, clock: ManualClock, other: Connection
) -> None:
    second = PostgresDatabase(url, clock)
    await second.open()
    await sell(inbound, 1)
    clock.advance(2 * 7 * 86_400)
    worlds = [inbound.outbound, OutboundHarness(second, clock)]
    first_time = await asyncio.gather(*(rotate(outbound) for outbound in worlds))
    await rotate(inbound.outbound)
    await second.close()

    dropped = [name for rotated in first_time for name in rotated.dropped]
    assert len(dropped) == len(set(dropped))
    assert partitions(other) == {f"{cut.name}_20251023_7" for cut in PARTITIONED_TABLES}


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_from_the_future_moves_into_its_partition(
    outbound: OutboundHarness, other: Connection
) -> None:
    ahead = OutboundHarness(outbound.store, ManualClock(outbound.now + 30 * DAY))
    early = await ahead.publish(event_id="early")
    assert count(other, "messages_default") == count(other, "deliveries_default") == 1
    outbound.clock.advance(29 * 86_400)
    rotated = await rotate(outbound, bodies=90 * DAY, history=90 * DAY)

    assert set(rotated.created) == {f"{cut.name}_20251106_7" for cut in PARTITIONED_TABLES}
    tables = [cut.name for cut in PARTITIONED_TABLES]
    assert [count(other, f"{table}_default") for table in tables] == [0] * len(tables)
    assert count(other, "messages_20251106_7") == 1
    assert await outbound.store.message(ahead.app, "early") == early
    assert [claim.message for claim in await ahead.claim()] == [early]


async def test_a_message_from_the_past_is_purged_by_rows(
    outbound: OutboundHarness, other: Connection
) -> None:
    behind = OutboundHarness(outbound.store, ManualClock(outbound.now - 30 * DAY))
    await behind.finish(await behind.publish())
    assert count(other, "messages_default") == 1
    await rotate(outbound)

    assert await purge(outbound) == 4
    assert count(other, "messages_default") == 0
    assert await outbound.store.counts() == Totals()


async def test_nothing_is_refused_for_want_of_a_partition(outbound: OutboundHarness) -> None:
    outbound.clock.advance(3_650 * 86_400)
    message = outbound.message()
    delivery = outbound.waiting(message, outbound.endpoint)
    assert (
        await outbound.store.publish(Publication(message, {"": BODY}, [delivery]))
        == PublicationStored()
    )

    assert (await outbound.the_delivery(message)).state is WAITING


async def test_a_history_that_moves_in_finds_its_partitions(
    tmp_path: Path, clock: ManualClock, url: str, other: Connection
) -> None:
    source = SqliteDatabase(tmp_path / "x.db", clock)
    await source.open()
    old = await sell(InboundHarness(OutboundHarness(source, clock)), 1)
    await source.close()
    clock.advance(60 * 86_400)
    assert move(tmp_path / "x.db", url, clock).is_proven
    moved_in = PostgresDatabase(url, clock)
    await moved_in.open()

    assert {count(other, name) for name in EVERYTHING - {"totals_20251009_7"}} == {1}
    assert len(partitions(other)) == len(PARTITIONED_TABLES) * 10
    assert await moved_in.message(old.app_id, "order 1") == old
    outbound = OutboundHarness(moved_in, clock)
    assert set((await rotate(outbound, bodies=50 * DAY, history=50 * DAY)).dropped) == EVERYTHING
    assert await moved_in.counts() == Totals()
    await moved_in.close()


# ── spans ────────────────────────────────────────────────────────────────────────────────────────


def spans(made: list[tuple[int, int]], wanted: tuple[int, int], width: int) -> list[DaySpan]:
    days = [DaySpan(low * DAY, high * DAY) for low, high in made]
    found = missing_spans(days, DaySpan(wanted[0] * DAY, wanted[1] * DAY), width * DAY)
    return [DaySpan(low // DAY, high // DAY) for low, high in found]


def test_partitions_begin_at_multiples_of_their_width() -> None:
    assert spans([], (15, 18), 7) == [(14, 21)]
    assert spans([], (19, 22), 7) == [(14, 21), (21, 28)]
    assert spans([(14, 21)], (19, 22), 7) == [(21, 28)]
    assert spans([(14, 21), (21, 28)], (19, 22), 7) == []


def test_after_a_change_of_width_partitions_fill_what_is_free() -> None:
    assert spans([(14, 21)], (20, 23), 1) == [(21, 22), (22, 23)]
    assert spans([(20, 21), (22, 23)], (20, 23), 7) == [(14, 20), (21, 22), (23, 28)]


def test_what_was_made_by_a_clock_far_ahead_is_left_alone() -> None:
    assert spans([(140, 147)], (15, 18), 7) == [(14, 21)]
