"""The audit log: a chain in which every change of a row shows, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import stores
from tests.store.inbound_harness import InboundHarness
from tests.store.outbound_harness import OutboundHarness
from tillbell.model.audit import Actor, ActorKind, AuditedAct
from tillbell.model.records import Application
from tillbell.rules.audit_chain import NO_HASH, REDACT, ChainLink
from tillbell.rules.filters.clauses import ListFilter, one_of
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page
from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.session.connection import DbConnection
from tillbell.storage.session.migrate import known_migrations, migrate
from tillbell.storage.session.transaction import DbTransaction, Operation
from tillbell.storage.sqlite.connection import open_writer
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock
from tillbell.upkeep.audit_check import check_audit_log

ANA = Actor("per_1", "ana@shop.example", ActorKind.PERSON, "owner", "req_1", "::1", "Fire\0fox")


def act(number: int, **fields: Any) -> AuditedAct:
    id_ = f"aud_{number:04}"
    changes = {"name": [None, f"ü \0 {number}"]}
    made = AuditedAct(id_, "app_1", number, ANA, "endpoint.update", "ep_1", "why", changes)
    return made._replace(**fields)


async def logged(store: Database, *clauses: Any) -> list[AuditedAct]:
    return (await store.filtered_audit(None, ListFilter(clauses), Page(limit=100), 100)).rows


async def tamper(store: Any, sql: str) -> None:
    """Run SQL beside everything that the program does."""

    def run(db: DbTransaction, _: Any) -> list[None]:
        db._connection.execute_script(sql)
        return [None]

    await store.writer.submit(Operation("tamper", run), None)


async def test_acts_are_stored_whole_and_found_by_every_index(store: Database) -> None:
    acts = [act(1), act(2, app_id="", target="per_1"), act(3, actor=Actor("key_1", "k"))]
    await store.put(audit=acts[:2])
    await store.put(audit=acts[2:])

    shown = await logged(store)
    assert [each.id for each in shown] == [each.id for each in acts[::-1]]
    assert shown[2] == acts[0]._replace(actor=ANA._replace(user_agent="Fire\ufffdfox"))
    assert [a.at for a in await logged(store, one_of("target", "ep_1"))] == [3, 1]
    assert [a.at for a in await logged(store, one_of("actor", "key_1"))] == [3]
    within = await store.filtered_audit("app_1", ListFilter(), Page(limit=9), 9)
    assert [each.at for each in within.rows] == [3, 1]
    proof = await check_audit_log(store)
    assert (proof.checked, proof.break_, proof.bounds.head.sequence) == (3, None, 3)


async def test_a_refused_change_leaves_no_row(store: Database) -> None:
    await store.put(Application(id="app_1", name="one"), audit=[act(1)])
    results = await asyncio.gather(
        store.put(Application(id="app_1", name="two"), audit=[act(2)]),  # of another version
        store.put(Application(id="app_2", name="two"), audit=[act(3)]),
        return_exceptions=True,
    )
    assert isinstance(results[0], Exception)
    assert [each.at for each in await logged(store)] == [3, 1]
    assert (await check_audit_log(store)).break_ is None


async def test_what_is_done_to_money_is_one_commit_with_its_row(store: Database) -> None:
    inbound = InboundHarness(OutboundHarness(store, ManualClock()))
    entry = inbound.audit_entry("trx_1")
    await inbound.do(audit=(entry,), acts=(act(1, id=entry.id, action=entry.action),))
    assert [each.id for each in await logged(store)] == [entry.id]


EDITS = {
    "an altered value": ("UPDATE audit_log SET reason = 'another' WHERE sequence = 3", 3),
    "an altered change": ("UPDATE audit_log SET changes = '{}' WHERE sequence = 2", 2),
    "a removed row": ("DELETE FROM audit_log WHERE sequence = 2", 2),
    "the newest row removed": ("DELETE FROM audit_log WHERE sequence = 5", 5),
    "the oldest row removed": ("DELETE FROM audit_log WHERE sequence = 1", 1),
    "two rows exchanged": (
        """UPDATE audit_log SET sequence = -2 WHERE sequence = 2;
        UPDATE audit_log SET sequence = 2 WHERE sequence = 3;
        UPDATE audit_log SET sequence = 3 WHERE sequence = -2""",
        2,
    ),
    "all rows removed": ("DELETE FROM audit_log", 1),
}


async def test_every_edit_by_hand_is_found(store: Database) -> None:
    await store.put(audit=[act(number) for number in range(1, 6)])
    copy = "CREATE TEMP TABLE kept AS SELECT * FROM audit_log"
    await tamper(store, copy)
    for name, (sql, place) in EDITS.items():
        await tamper(store, sql)
        broken = (await check_audit_log(store)).break_
        assert broken is not None, name
        assert broken.sequence == place, name
        columns = "id, sequence, app_id, at, actor_id, actor_name, actor_kind, actor_role, action,"
        columns += " target, reason, request_id, address, user_agent, changes, details, redaction,"
        columns += " hash"
        await tamper(
            store,
            f"DELETE FROM audit_log; INSERT INTO audit_log ({columns}) SELECT {columns} FROM kept",
        )
    assert (await check_audit_log(store)).break_ is None


async def test_an_erased_entry_keeps_its_place_and_the_proof_holds(store: Database) -> None:
    await store.put(audit=[act(number) for number in range(1, 5)])
    shown = {each.at: each for each in await logged(store)}
    actor = ANA._replace(name="(erased)", user_agent=shown[2].actor.user_agent)
    erased = shown[2]._replace(
        actor=actor, target="(erased)", reason="", changes={"name": [None, "(erased)"]}
    )
    await store.redact_acts([erased, act(77)], act(5, action=REDACT))
    again = {each.at: each for each in await logged(store)}
    assert again[2] == erased._replace(is_redacted=True)
    assert [again[1], again[3], again[4]] == [shown[1], shown[3], shown[4]]
    assert list(again[5].details["rows"]) == [erased.id]
    proof = await check_audit_log(store)
    assert (proof.checked, proof.redacted, proof.break_) == (5, 1, None)

    await store.redact_acts([erased._replace(details={"more": "(erased)"})], act(6, action=REDACT))
    await store.redact_acts([act(77)], act(7, action=REDACT))
    proof = await check_audit_log(store)
    assert (proof.checked, proof.redacted, proof.break_) == (6, 1, None), "7 had nothing to say"
    await tamper(store, "CREATE TEMP TABLE kept_rows AS SELECT * FROM audit_log")
    for sql, place in REDACTIONS.values():
        await tamper(store, sql)
        broken = (await check_audit_log(store)).break_
        assert broken is not None, sql
        assert broken.sequence == place, sql
        await tamper(store, "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept_rows")
    assert await store.purge_audit(before=3, limit=9) == 2
    assert (await check_audit_log(store)).break_ is None


REDACTIONS = {
    "another value in an erased entry": (
        "UPDATE audit_log SET reason = 'another' WHERE sequence = 2",
        2,
    ),
    "a redaction that no entry names": (
        "UPDATE audit_log SET redaction = hash WHERE sequence = 3",
        3,
    ),
    "a redaction taken back": (
        "UPDATE audit_log SET redaction = NULL WHERE sequence = 2",
        2,
    ),
    "the entry that says so removed": ("DELETE FROM audit_log WHERE sequence = 6", 6),
    "an erased entry removed": ("DELETE FROM audit_log WHERE sequence = 2", 2),
}


async def test_old_rows_are_cut_off_and_the_rest_still_proves_itself(store: Database) -> None:
    await store.put(audit=[act(number) for number in range(1, 8)])
    assert await store.purge_audit(before=4, limit=2) == 2
    assert await store.purge_audit(before=4, limit=2) == 1
    assert await store.purge_audit(before=4, limit=2) == 0
    proof = await check_audit_log(store)
    assert (proof.checked, proof.break_, proof.bounds.anchor.sequence) == (4, None, 3)
    await store.put(audit=[act(9)])
    assert await store.purge_audit(before=100, limit=100) == 5
    await store.put(audit=[act(101)])
    proof = await check_audit_log(store)
    assert (proof.checked, proof.break_, proof.bounds.head.sequence) == (1, None, 9)


OLD_ROWS = """
INSERT INTO configuration_changes VALUES
    ('aud_2', 'app_1', 2, 'per_1', 'ana@shop.example', 'endpoint.update', 'ep_1', 'req_1', '::1',
     '{"url":["a","b"]}');
INSERT INTO audit (id, app_id, at, actor, action, target, reason, details) VALUES
    ('aud_1', 'app_1', 1, 'key_1', 'transaction.hold', 'trx_1', 'odd', NULL),
    ('aud_3', 'app_1', 3, 'key_1', 'conflict.accept', 'cfl_1', 'right', '{"amount":5}');
"""


def earlier(connection: DbConnection, dialect: str) -> None:
    """Make a store that was migrated when it had acts of both kinds, and no chain."""
    migrate(connection, dialect, 0)
    steps = {step.name.partition("_pre_")[2]: step.statements for step in known_migrations(dialect)}
    table = steps["audit.sql"].partition("CREATE INDEX audit_id")[0]
    connection.query("begin")
    later = steps["erasures.sql"][steps["erasures.sql"].index("ALTER TABLE audit_log") :]
    connection.execute_script(
        "DROP TABLE audit_log; DROP TABLE audit_chain;"
        f" {table} {OLD_ROWS} {steps['audit_log.sql']} {later}"
    )
    connection.commit()
    connection.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
async def test_what_was_logged_before_is_kept_and_the_chain_begins_behind_it(
    dialect: str, tmp_path: Path, empty_database: Callable[[], str], clock: ManualClock
) -> None:
    store: Database
    if dialect == "sqlite":
        path = tmp_path / stores.FILE
        earlier(open_writer(path), dialect)
        store = SqliteDatabase(path, clock)
    else:
        url = empty_database()
        earlier(connect_postgres(url), dialect)
        store = PostgresDatabase(url, clock)
    await store.open()
    try:
        await store.put(audit=[act(4, id="aud_4")])
        shown = await logged(store)
        assert [each.id for each in shown] == ["aud_4", "aud_3", "aud_2", "aud_1"]
        assert [each.actor.kind for each in shown[1:]] == ["key", "person", "key"]
        assert (shown[1].reason, shown[1].details) == ("right", {"amount": 5})
        assert shown[2].changes == {"url": ["a", "b"]}
        proof = await check_audit_log(store)
        assert (proof.checked, proof.break_) == (1, None)
        assert proof.bounds.anchor == ChainLink(3, NO_HASH)
    finally:
        await store.close()
