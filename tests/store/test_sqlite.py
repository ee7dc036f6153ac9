"""The SQLite store's own life: opening, refusing, locking, backing up, failing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tests.cases import each
from tests.store.outbound_harness import SUCCEEDED, OutboundHarness
from tillbell.errors import Misconfigured, StoreUnavailable
from tillbell.model.records import Application
from tillbell.storage.ports.outbound import (
    MessageFilter,
    Page,
    Publication,
    PublicationStored,
    Totals,
)
from tillbell.storage.sqlite.connection import check_version, open_reader, open_writer
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

FIXED = ["3.51.3", "3.51.10", "3.52.0", "4.0.0", "3.50.7", "3.50.8", "3.44.6"]
DAMAGING = ["3.40.1", "3.44.5", "3.45.0", "3.49.9", "3.50.6", "3.51.0", "3.51.2"]


async def opened(path: Path, clock: ManualClock, **options: object) -> SqliteDatabase:
    database = SqliteDatabase(path, clock, **options)  # type: ignore[arg-type]
    await database.open()
    return database


@each("version", FIXED)
def test_a_fixed_sqlite_is_used(version: str) -> None:
    check_version(version)  # it raises what it has against one


@each("version", DAMAGING)
def test_a_sqlite_that_can_damage_its_log_is_refused(version: str) -> None:
    with pytest.raises(Misconfigured, match=version):
        check_version(version)


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    first = await opened(tmp_path / "x.db", clock)
    outbound = OutboundHarness(first, clock)
    message = await outbound.publish(event_id="order-1")
    await first.put(Application(id=outbound.app, name="shop"))
    await first.close()
    second = await opened(tmp_path / "x.db", clock)

    assert await second.message(outbound.app, "order-1") == message
    assert await second.list(Application) == [Application(id=outbound.app, name="shop")]
    assert (await second.counts()).waiting == 1
    await second.close()


def test_connections_are_set_up_to_the_last_pragma(tmp_path: Path) -> None:
    def settings(connection: apsw.Connection) -> dict[str, object]:
        names = [
            *("page_size", "journal_mode", "synchronous", "busy_timeout", "temp_store"),
            *("mmap_size", "journal_size_limit", "wal_autocheckpoint", "cache_size", "query_only"),
        ]
        with contextlib.closing(connection):
            return {name: connection.pragma(name) for name in names}

    common = {
        "page_size": 4096,
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": 5000,
        "temp_store": 2,
        "mmap_size": 0,
        "journal_size_limit": 64 * 2**20,
    }
    writer = settings(open_writer(tmp_path / "x.db").connection)
    reader = settings(open_reader(tmp_path / "x.db").connection)

    assert writer.items() >= {**common, "cache_size": -49152}.items()
    assert writer["wal_autocheckpoint"] == 0, "there are checkpoints of ours instead"
    assert reader.items() >= {**common, "query_only": 1, "cache_size": -8192}.items()


async def test_a_second_process_is_refused_until_the_first_has_died(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "x.db"
    program = (
        "import asyncio, sys\n"
        "from tillbell.clock import SystemClock\n"
        "from tillbell.storage.sqlite.database import SqliteDatabase\n"
        "asyncio.run(SqliteDatabase(sys.argv[1], SystemClock()).open())\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(Misconfigured, match="Another process is using the database"):
            await opened(path, clock)
        process.kill()
    database = await opened(path, clock)
    await database.close()


async def test_the_lock_is_let_go_when_opening_fails(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database" * 100)
    for _ in range(2):
        with pytest.raises(Misconfigured, match="Cannot open"):
            await opened(path, clock)


async def test_a_database_of_a_newer_schema_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "x.db"
    await (await opened(path, clock)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO migrations VALUES (99, 'later', 0)")
    connection.close()

    with pytest.raises(Misconfigured, match="newer Tillbell"):
        await opened(path, clock)


async def test_a_database_of_another_program_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE photos (id)")
    connection.close()

    with pytest.raises(Misconfigured, match="another program"):
        await opened(path, clock)


# Takes back what the last migration of money added.
WITHOUT_SUMS = """
    DROP TABLE erasures;
    DROP INDEX callbacks_repeats;
    DROP INDEX records_failing;
    DROP INDEX attempts_endpoint;
    DROP INDEX attempts_started;
    DROP INDEX attempts_ended;
    DROP INDEX deliveries_failed_id;
    DROP INDEX deliveries_failed_app;
    ALTER TABLE messages DROP COLUMN content_type;
    DROP INDEX audit_id;
    DROP TABLE rollup_minutes;
    DROP TABLE rollup_hours;
    DROP TABLE rollup_progress;
    DROP TABLE markers;
    DROP TABLE audit_log;
    DROP TABLE audit_chain;
    DROP TABLE shop_records;
    DROP TABLE inbox_requests;
    DROP TABLE inbox_totals;
    DROP TABLE people;
    DROP TABLE sessions;
    DROP TABLE one_time_links;
    ALTER TABLE attempts DROP COLUMN sent_headers;
    ALTER TABLE attempts DROP COLUMN answer_head;
    ALTER TABLE attempts DROP COLUMN phases;
    ALTER TABLE conflicts DROP COLUMN reference;
    ALTER TABLE conflicts DROP COLUMN candidates;
    DELETE FROM migrations WHERE number > 4;
    DROP INDEX transactions_linked;
    CREATE UNIQUE INDEX transactions_linked
        ON transactions (parent_id, kind, psp_transaction_id, coalesce(source_id, ''));
    DROP TABLE payment_attempts;
    ALTER TABLE transactions DROP COLUMN authorized;
    ALTER TABLE transactions DROP COLUMN captured;
    ALTER TABLE transactions DROP COLUMN credited;
    ALTER TABLE transactions DROP COLUMN refunded;
    ALTER TABLE transactions DROP COLUMN charged_back;
    ALTER TABLE transactions DROP COLUMN reinstated;
    ALTER TABLE transactions DROP COLUMN reversed;
    ALTER TABLE transactions DROP COLUMN attempts;
    ALTER TABLE transactions DROP COLUMN movement_id;
"""
WITHOUT_SUMS_HERE = f"""
    DROP TRIGGER transitions_are_final;
    CREATE TRIGGER transitions_are_final BEFORE UPDATE ON transitions
    BEGIN SELECT raise(ABORT, 'books: steps never change'); END;
    DROP TRIGGER audit_is_final;
    CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
    BEGIN SELECT raise(ABORT, 'books: the audit never changes'); END;
    DROP TRIGGER effects_follow_their_step;
    DROP TRIGGER transactions_take_what_is_free;
    DROP TRIGGER transactions_change_to_what_is_free;
    {WITHOUT_SUMS}
"""
WITHOUT_SUMS_THERE = f"""
    DROP FUNCTION transitions_lose_texts_alone() CASCADE;
    DROP FUNCTION audit_loses_texts_alone() CASCADE;
    DROP FUNCTION erasures_end() CASCADE;
    DROP TRIGGER transitions_are_not_emptied ON transitions;
    DROP TRIGGER audit_is_not_emptied ON audit;
    CREATE TRIGGER transitions_are_final BEFORE UPDATE ON transitions
        FOR EACH ROW EXECUTE FUNCTION is_final('steps never change');
    CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
        FOR EACH ROW EXECUTE FUNCTION is_final('the audit never changes');
    {WITHOUT_SUMS}
"""
AS_IT_WAS = f"""
    {WITHOUT_SUMS_HERE}
    DELETE FROM migrations WHERE number > 3;
    DELETE FROM totals WHERE app_id = '';
    INSERT INTO totals (app_id, endpoint_id, hour, waiting, sending, succeeded, failed, discarded)
    SELECT '', '', 0, sum(waiting), sum(sending), sum(succeeded), sum(failed), sum(discarded)
    FROM totals WHERE endpoint_id = '';
"""


async def test_counters_of_an_older_database_become_those_of_days(
    tmp_path: Path, clock: ManualClock
) -> None:
    first = await opened(tmp_path / "x.db", clock)
    outbound = OutboundHarness(first, clock)
    await outbound.finish_message(SUCCEEDED)
    clock.advance(2 * 86_400)
    await outbound.publish()
    await first.close()
    with contextlib.closing(apsw.Connection(str(tmp_path / "x.db"))) as connection:
        connection.execute(AS_IT_WAS)
    second = await opened(tmp_path / "x.db", clock)

    assert await second.counts() == Totals(waiting=1, succeeded=1)
    await second.close()


async def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(Misconfigured, match="Cannot write the database"):
        await opened(tmp_path / "nowhere" / "x.db", clock)


async def test_a_backup_made_under_load_is_whole(tmp_path: Path, clock: ManualClock) -> None:
    database = await opened(tmp_path / "x.db", clock)
    outbound = OutboundHarness(database, clock)
    early = [await outbound.publish() for _ in range(50)]
    stop = asyncio.Event()

    async def keep_publishing() -> int:
        count = 0
        while not stop.is_set():
            await outbound.publish()
            count += 1
        return count

    load = asyncio.create_task(keep_publishing())
    await database.backup(str(tmp_path / "copy.db"))
    stop.set()
    assert await load > 0
    await database.close()
    copy = await opened(tmp_path / "copy.db", clock)
    messages = await copy.messages(outbound.app, MessageFilter(), Page(100_000, ascending=True))
    counts = await copy.counts()
    await copy.close()

    assert messages[:50] == early
    assert counts.waiting == len(messages)
    connection = apsw.Connection(str(tmp_path / "copy.db"))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


async def test_a_backup_to_nowhere_is_refused_and_leaves_no_part(
    tmp_path: Path, clock: ManualClock
) -> None:
    database = await opened(tmp_path / "x.db", clock)
    with pytest.raises(Misconfigured, match="Cannot write the backup"):
        await database.backup(str(tmp_path / "nowhere" / "copy.db"))
    await database.backup(str(tmp_path / "copy.db"))
    await database.close()

    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.db", "x.db", "x.db.lock"]


async def test_the_log_stays_small_beside_readers(tmp_path: Path, clock: ManualClock) -> None:
    database = await opened(tmp_path / "x.db", clock)
    outbound = OutboundHarness(database, clock)
    body = os.urandom(20_000)

    async def publish() -> None:
        message = outbound.message()
        await database.publish(Publication(message, {"": body}, []))
        await database.body(message.app_id, message.id)

    for _ in range(20):
        await asyncio.gather(*(publish() for _ in range(100)))
    size = (tmp_path / "x.db-wal").stat().st_size
    await database.close()

    assert size < 30 * 2**20  # 40 MB were written


async def test_the_results_of_a_worker_hold_after_a_restart(
    tmp_path: Path, clock: ManualClock
) -> None:
    first = await opened(tmp_path / "x.db", clock)
    outbound = OutboundHarness(first, clock)
    message = await outbound.publish()
    done = await outbound.finish(message, SUCCEEDED)
    await first.close()
    outbound.store = second = await opened(tmp_path / "x.db", clock)

    assert await second.release_all_leases(outbound.now) == 0
    assert await outbound.the_delivery(message) == done
    await second.close()


async def test_closing_finishes_what_was_accepted(tmp_path: Path, clock: ManualClock) -> None:
    database = await opened(tmp_path / "x.db", clock)
    outbound = OutboundHarness(database, clock)
    writes = [
        asyncio.ensure_future(database.publish(Publication(outbound.message(), {"": b""}, [])))
        for _ in range(3_000)
    ]
    await database.close()

    assert [await w for w in writes] == [PublicationStored()] * 3_000
    with pytest.raises(StoreUnavailable):
        await database.publish(Publication(outbound.message(), {"": b""}, []))
    with pytest.raises(StoreUnavailable):
        await database.counts()
    await database.close()


async def test_a_command_beside_a_gateway_neither_migrates_nor_takes_the_lock(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "x.db"
    beside = SqliteDatabase(path, clock)
    with pytest.raises(Misconfigured, match="no database"):
        await beside.open_beside()
    gateway = await opened(path, clock)
    await beside.open_beside()
    assert not await beside.all_people(Page())
    await beside.close()
    await gateway.close()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)"
        )
    connection.close()

    with pytest.raises(Misconfigured, match="tables of this version"):
        await beside.open_beside()
