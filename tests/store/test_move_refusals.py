"""What a move refuses, and the way back: nobody's rows are touched, nothing is served twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.moving import MoveStopped, execute, filled_store, opens
from tests.store.outbound_harness import OutboundHarness
from tillbell.clock import SECOND
from tillbell.errors import Misconfigured
from tillbell.model.records import Application
from tillbell.storage.move.cancel import cancel_move
from tillbell.storage.move.mover import MoveOptions, move
from tillbell.storage.ports.cluster import Member
from tillbell.storage.ports.outbound import MessageFilter, Page
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

pytestmark = pytest.mark.slow  # each makes a whole schema
Schema = Callable[[], str]
POINTS = ["begin", "release_all_leases", "_mark", "before commit", "after commit", "departed"]


@pytest.fixture
async def source(tmp_path: Path, clock: ManualClock) -> Path:
    """A store with a hundred messages."""
    database = SqliteDatabase(tmp_path / "tillbell.db", clock)
    await database.open()
    outbound = OutboundHarness(database, clock)
    for _ in range(100):
        await outbound.publish()
    await database.close()
    return tmp_path / "tillbell.db"


def stop(
    path: Path, url: str, clock: ManualClock, named: str = "after commit", nth: int = 2
) -> None:
    """Begin a move that ends at a point with that name, the n-th time it comes there."""
    left = nth

    def fault(point: str) -> None:
        nonlocal left
        left -= point == named
        if left == 0:
            raise MoveStopped(point)

    with pytest.raises(MoveStopped):
        move(path, url, clock, MoveOptions(batch_rows=40, fault=fault))


@pytest.mark.parametrize("point", POINTS)
async def test_a_move_that_stops_at_any_point_goes_on(
    point: str, source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    stop(source, url, clock, point, nth=1)

    moved = move(source, url, clock)

    assert moved.is_proven
    assert await opens(PostgresDatabase(url, clock))
    assert not await opens(SqliteDatabase(source, clock))


# ── what the target may not be ───────────────────────────────────────────────────────────────────


async def test_a_target_that_holds_anything_is_refused_and_the_source_stays_as_it_was(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    used = PostgresDatabase(url, clock)
    await used.open()
    await used.put(Application(id="app_9", name="somebody"))
    await used.close()

    with pytest.raises(Misconfigured, match=r"not empty: it holds records\."):
        move(source, url, clock)
    assert await opens(SqliteDatabase(source, clock))
    assert await opens(PostgresDatabase(url, clock))


async def test_a_plain_user_of_the_server_may_move_money_too(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    execute(url, PLAIN_USER)
    source = await filled_store("inbound", 5, tmp_path / "lived", clock)
    try:
        moved = move(source.path, f"{url}%20-crole%3Dtillbell_plain", clock)
    finally:
        execute(url, "DROP OWNED BY tillbell_plain CASCADE")
        execute(url, "DROP ROLE tillbell_plain")

    assert moved.is_proven


PLAIN_USER = """
DO $$ BEGIN
    CREATE ROLE tillbell_plain NOSUPERUSER;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO tillbell_plain', current_schema());
END $$
"""


async def test_a_target_that_was_opened_but_never_used_is_empty(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    assert await opens(PostgresDatabase(url, clock))

    assert move(source, url, clock).is_proven


FOREIGN = {
    "another program": "CREATE TABLE photos (id int)",
    "newer Tillbell": "INSERT INTO migrations VALUES (99, 'later', 0)",
}


@pytest.mark.parametrize("why", FOREIGN)
async def test_a_target_of_somebody_else_is_refused(
    why: str, source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    if why == "newer Tillbell":
        assert await opens(PostgresDatabase(url, clock))
    execute(url, FOREIGN[why])

    with pytest.raises(Misconfigured, match=why):
        move(source, url, clock)
    assert await opens(SqliteDatabase(source, clock))


async def test_a_target_where_another_store_is_half_way_is_refused(
    source: Path, tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url, other = fresh_schema(), tmp_path / "other.db"
    assert await opens(SqliteDatabase(other, clock))
    stop(source, url, clock)

    with pytest.raises(Misconfigured, match=r"another move: of .*tillbell\.db"):
        move(other, url, clock)
    assert await opens(SqliteDatabase(other, clock))


async def test_a_move_that_was_given_up_does_not_go_on_behind_our_back(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    stop(source, url, clock)
    cancel_move(source, clock.now(), is_forced=False)

    with pytest.raises(Misconfigured, match="another move"):
        move(source, url, clock)
    assert await opens(SqliteDatabase(source, clock))
    assert not await opens(PostgresDatabase(url, clock))
    assert move(source, fresh_schema(), clock).is_proven


async def test_two_processes_cannot_move_the_same_rows(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()

    def overtake(point: str) -> None:
        if point == "begin" and execute(url, "SELECT 1 FROM moves"):
            execute(url, "UPDATE moves SET stage = 'messages', last_key = '[\"a\", \"b\"]'")

    with pytest.raises(Misconfigured, match="Another process is moving"):
        move(source, url, clock, MoveOptions(fault=overtake))
    assert execute(url, "SELECT count(*) FROM messages") == [(0,)]


async def test_a_target_that_is_written_to_meanwhile_is_refused(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()

    def write(point: str) -> None:
        if point == "begin" and execute(url, "SELECT 1 FROM moves WHERE stage = 'messages'"):
            planted = (
                "INSERT INTO bodies SELECT app_id, id, '', '' FROM messages ON CONFLICT DO NOTHING"
            )
            execute(url, planted)

    with pytest.raises(Misconfigured, match="not of this move, in bodies"):
        move(source, url, clock, MoveOptions(fault=write))
    assert not await opens(PostgresDatabase(url, clock))


async def test_a_target_where_a_process_runs_is_refused(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    worker = PostgresDatabase(url, clock)
    await worker.open()
    await worker.heartbeat(Member("wrk_1", "worker", is_worker=True), 15 * SECOND)

    with pytest.raises(Misconfigured, match=r"it holds members\."):
        move(source, url, clock)
    await worker.close()


# ── what the source may not be ───────────────────────────────────────────────────────────────────


async def test_a_source_in_use_is_refused(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    served = SqliteDatabase(source, clock)
    await served.open()

    with pytest.raises(Misconfigured, match="Another process is using"):
        move(source, fresh_schema(), clock)
    with pytest.raises(Misconfigured, match="Another process is using"):
        cancel_move(source, clock.now(), is_forced=True)
    await served.close()


def test_a_source_that_is_not_there_is_refused_and_not_made(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    with pytest.raises(Misconfigured, match="no database at"):
        move(tmp_path / "none.db", fresh_schema(), clock)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_said_without_its_password(
    source: Path, clock: ManualClock
) -> None:
    with pytest.raises(Misconfigured, match="Cannot use the PostgreSQL database") as caught:
        move(source, "postgresql://me:wort@127.0.0.1:1/x", clock)
    assert "wort" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://me:wort%zz@h/x", "postgresql://me:wort@h/x?wort=1"])
def test_an_address_that_cannot_be_read_is_not_repeated(
    url: str, source: Path, clock: ManualClock
) -> None:
    with pytest.raises(Misconfigured, match="cannot be read") as caught:
        move(source, url, clock)
    assert "wort" not in str(caught.value)


async def test_what_was_moved_is_moved_once(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    move(source, url, clock)

    with pytest.raises(Misconfigured, match="was moved to postgresql://127"):
        move(source, fresh_schema(), clock)
    with pytest.raises(Misconfigured, match="start with DATABASE_URL"):
        await SqliteDatabase(source, clock).open()
    assert move(source, url, clock).proofs == ()


# ── the way back ─────────────────────────────────────────────────────────────────────────────────


async def test_the_way_back_from_a_finished_move_takes_force(
    source: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    url = fresh_schema()
    move(source, url, clock)

    with pytest.raises(Misconfigured, match="add --force"):
        cancel_move(source, clock.now(), is_forced=False)
    assert not await opens(SqliteDatabase(source, clock))
    cancel_move(source, clock.now(), is_forced=True)

    database = SqliteDatabase(source, clock)
    await database.open()
    assert (await database.counts()).waiting == 100
    await database.close()


async def test_there_is_no_way_back_for_who_never_left(source: Path, clock: ManualClock) -> None:
    with pytest.raises(Misconfigured, match="was not moved"):
        cancel_move(source, clock.now(), is_forced=True)


async def test_leases_of_a_crashed_gateway_wait_in_the_new_database(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    database, url = SqliteDatabase(tmp_path / "x.db", clock), fresh_schema()
    await database.open()
    outbound = OutboundHarness(database, clock)
    delivery = await outbound.hand_over()
    await database.close()

    assert move(tmp_path / "x.db", url, clock).is_proven
    outbound.store = PostgresDatabase(url, clock)
    await outbound.store.open()
    assert (await outbound.store.counts()).waiting == 1
    assert (await outbound.claim())[0].delivery.id == delivery.id
    assert not await outbound.store.finish_attempt(
        outbound.result(delivery)
    )  # of the gateway that crashed
    found = await outbound.store.messages(outbound.app, MessageFilter(), Page())
    assert [message.id for message in found] == [delivery.message_id]
    await outbound.store.close()
