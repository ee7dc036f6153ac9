"""A move: nothing is lost, nothing is doubled, and it is proven, wherever it is killed."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw.ext
import pytest

from tests.scale import full_or_tenth, soak
from tests.store.inbound_harness import InboundHarness
from tests.store.moving import (
    FilledStore,
    MoveStopped,
    advance,
    execute,
    filled_store,
    go_on,
    move_until_killed,
    opens,
)
from tests.store.outbound_harness import OutboundHarness
from tests.store.test_inbound_simulation import InboundSimulation
from tests.store.test_outbound_simulation import OutboundSimulation
from tillbell.model.sources import Trust
from tillbell.storage.move.copy import BATCH_BYTES, batches
from tillbell.storage.move.mover import MoveOptions, MoveReport, move
from tillbell.storage.move.tables import ALL
from tillbell.storage.move.verify import table_digest
from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.sqlite.connection import open_reader, sql
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

Schema = Callable[[], str]
OWN = {
    "migrations",
    "removals",
    "erasures",
    "departures",
}  # of this very database, or empty at rest
SMALL = MoveOptions(batch_rows=7)
KILLS = full_or_tenth(20)


@soak
@pytest.mark.parametrize("seed", range(full_or_tenth(5)))
@pytest.mark.parametrize("kind", ["outbound", "inbound"])
@pytest.mark.slow
async def test_a_simulation_goes_on_in_the_other_database_as_if_nothing_had_happened(
    kind: str, seed: int, tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    source, url = await filled_store(kind, seed, tmp_path, clock), fresh_schema()
    (simulation,) = source.simulations

    assert move(source.path, url, clock, SMALL).is_proven
    await go_on(simulation, url, clock)
    try:
        await simulation.compare()
        await advance(simulation, 30)
        await simulation.compare()
    finally:
        await simulation.real.close()


@soak
@pytest.mark.slow
async def test_a_move_that_is_killed_again_and_again_is_as_good_as_one_that_is_not(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    source, url, now = await filled_store("both", 77, tmp_path, clock), fresh_schema(), clock.now()
    chance = random.Random(7)
    points = [chance.randint(1, 12) for _ in range(KILLS)]

    killed = move_until_killed(source.path, url, now, points)
    assert killed == [signal.SIGKILL] * KILLS  # or there was too little to move
    assert move(source.path, url, clock).is_proven
    for simulation in source.simulations:
        await go_on(simulation, url, clock)
        await simulation.real.close()
    real = await simulation.crashable.begin()
    for simulation in source.simulations:
        simulation.real = real
    await compare_both(source)
    await real.close()


async def compare_both(source: FilledStore) -> None:
    """Look at the lists of two simulations in one store; what counts them together is left out."""
    messages, books = source.simulations
    assert isinstance(messages, OutboundSimulation)
    assert isinstance(books, InboundSimulation)
    await messages.compare_messages()
    for app, endpoints in messages.owned.items():
        for endpoint in endpoints:
            await messages.compare_endpoint(app, endpoint)
    for app in books.apps:
        await books.compare_app(app)


@pytest.mark.slow
async def test_wherever_it_stops_at_most_one_side_can_be_served(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    source, url = await filled_store("inbound", 3, tmp_path, clock), fresh_schema()
    here, there = SqliteDatabase(source.path, clock), PostgresDatabase(url, clock)
    assert stopped(source.path, url, clock, after=0) is None
    assert await opens(here)  # it has not begun

    point = 6  # it has: the mark is the fifth
    while (moved := stopped(source.path, url, clock, after=point)) is None:
        point += 1
        assert not await opens(here)
        assert not await opens(there)

    assert moved.is_proven
    assert point > 10
    assert (await opens(here), await opens(there)) == (False, True)
    assert move(source.path, url, clock).proofs == ()  # it was finished


def stopped(path: Path, url: str, clock: ManualClock, after: int) -> MoveReport | None:
    left = after

    def fault(point: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise MoveStopped(point)

    try:
        return move(path, url, clock, MoveOptions(batch_rows=7, fault=fault))
    except MoveStopped:
        return None


# ── the proof ────────────────────────────────────────────────────────────────────────────────────

MEDDLING = {
    "messages": "UPDATE messages SET event_type = event_type || ' '",
    "bodies": "DELETE FROM bodies WHERE message_id = (SELECT min(message_id) FROM bodies)",
    "records": "INSERT INTO records (kind, scope, id, doc) VALUES ('X', '', 'x', '')",
    "totals": (
        "INSERT INTO totals SELECT app_id, endpoint_id, hour, max(shard) + 1, 1, 0, 0, 0, 0 "
        "FROM totals GROUP BY app_id, endpoint_id, hour"
    ),
    "transactions": "UPDATE transactions SET version = version + 1",
    "callback_requests": "UPDATE callback_requests SET request = request || '\\x00'::bytea",
    "deliveries": "UPDATE deliveries SET due_at = due_at + 1 WHERE state = 'waiting'",
}


@pytest.mark.parametrize("table", MEDDLING)
async def test_the_proof_finds_a_difference_and_then_nothing_is_served(
    table: str, tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    source, url = await filled_store("both", 1, tmp_path, clock), fresh_schema()

    def meddle(proven: str) -> None:
        if proven == ALL[0].name:
            execute(url, MEDDLING[table])

    moved = move(source.path, url, clock, MoveOptions(on_proof=meddle))

    assert [proof.table for proof in moved.proofs if not proof.is_equal] == [table]
    assert not moved.is_proven
    assert not await opens(SqliteDatabase(source.path, clock))
    assert not await opens(PostgresDatabase(url, clock))


async def test_text_that_postgresql_cannot_keep_is_no_difference(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    database, url = SqliteDatabase(tmp_path / "x.db", clock), fresh_schema()
    await database.open()
    inbound = InboundHarness(OutboundHarness(database, clock))
    for key in ("a\0b", "a0", "a\ufffe", "a"):
        await inbound.receive(key, trust=Trust.SIGNED, verdict_why="\0")
    await database.close()

    moved = move(tmp_path / "x.db", url, clock)

    assert moved.is_proven
    kept = {key for (key,) in execute(url, "SELECT dedupe_key FROM callback_keys")}
    assert kept == {"a\ufffdb", "a0", "a\ufffe", "a"}


@pytest.mark.slow
async def test_the_proof_does_not_depend_on_how_many_rows_are_read_at_once(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    source, url = await filled_store("both", 1, tmp_path, clock), fresh_schema()
    moved = move(source.path, url, clock)
    with closing(open_reader(source.path)) as here, closing(connect_postgres(url)) as there:
        for table, proof in zip(ALL, moved.proofs, strict=True):
            small = table._replace(page=2)
            assert table_digest(here, small) == proof.source, table.name
            assert table_digest(there, small) == proof.target, table.name

    assert sum(proof.source.rows > 2 for proof in moved.proofs) > 6


# ── what belongs to it ───────────────────────────────────────────────────────────────────────────


async def test_the_simulations_fill_every_table(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    held: dict[str, int] = {}
    for seed in (0, 1, 2, 5):
        source = await filled_store("both", seed, tmp_path / str(seed), clock)
        moved = move(source.path, fresh_schema(), clock)
        for proof in moved.proofs:
            held[proof.table] = held.get(proof.table, 0) + proof.source.rows

    assert held == {table.name: held[table.name] for table in ALL}
    assert [name for name, rows in held.items() if not rows] == []


async def test_every_column_of_every_table_is_moved(
    tmp_path: Path, clock: ManualClock, fresh_schema: Schema
) -> None:
    source, url = await filled_store("both", 0, tmp_path, clock), fresh_schema()
    move(source.path, url, clock)
    here = columns(source.path)
    reader = open_reader(source.path)

    assert here.keys() == {table.name for table in ALL}
    for table in ALL:
        there = execute(url, THERE.format(table=table.name))
        names = {name for (name,) in there}
        both = {"app_id", "shard"}  # one of the two databases may lack them
        assert names - both == here[table.name] - both, table.name
        read = apsw.ext.query_info(reader.connection, sql(table.read, *table.form))
        assert {name for name, *_ in read.description} >= here[table.name]
    reader.close()


THERE = (
    "SELECT column_name FROM information_schema.columns "
    "WHERE table_schema = current_schema() AND table_name = '{table}'"
)


def columns(path: Path) -> dict[str, set[str]]:
    """Return what is stored in a SQLite file: columns by table, without those that are computed."""
    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        found = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for (name,) in names
            if name not in OWN
        }
    connection.close()
    return found


def test_a_batch_is_bounded_by_rows_and_by_bytes() -> None:
    long = bytes(BATCH_BYTES // 2)
    short = [[(number, b"") for number in range(5)], [(5, b"")]]

    assert [len(batch) for batch in batches(short, 4)] == [4, 2]
    assert [len(batch) for batch in batches([[(0, long)] * 5], 4)] == [2, 2, 1]
    assert list(batches([], 4)) == []
