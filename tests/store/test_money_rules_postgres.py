"""G5 on PostgreSQL: who breaks into the books by SQL is refused there too."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import psycopg
import pytest

from tests.store.inbound_harness import InboundHarness
from tests.store.outbound_harness import OutboundHarness
from tests.store.test_money_rules_sqlite import ATTACKS, CAUSE, LAWFUL, STEP, TABLES, prey
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.testing import ManualClock

Thief = psycopg.Connection[tuple[object, ...]]
# What only SQLite can be told: to replace rows, and digits in a column of whole numbers.
HERE = {name: a for name, a in ATTACKS.items() if "REPLACE" not in a[0] and "digits" not in name}
# What only PostgreSQL has: steps and effects name their application.
IN_THE_NAME_OF_ANOTHER = {
    "a step": f"{STEP} VALUES (:open, 2, 'Pending', 'Approved', 0, NULL)",
    "an effect": f"{CAUSE} VALUES (:open, 'reserve', 1, 1, 'EUR', 0)",
}
SAID = {"CHECK": "check constraint", "UNIQUE": "unique constraint"}
EMPTYING = ("transactions", "transitions", "effects", "audit")


class MoneyIntruder(NamedTuple):
    """A store, and an intruder who is connected to its database past the program."""

    inbound: InboundHarness
    thief: Thief


@pytest.fixture
def url(used_schema: Callable[[], str]) -> str:
    return used_schema()


@pytest.fixture
async def inbound(url: str, clock: ManualClock) -> AsyncIterator[InboundHarness]:
    database = PostgresDatabase(url, clock)
    await database.open()
    yield InboundHarness(OutboundHarness(database, clock))
    await database.close()


@pytest.fixture
def scene(inbound: InboundHarness, url: str) -> Iterator[MoneyIntruder]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield MoneyIntruder(inbound, connection)


def native(statement: str) -> bytes:
    if statement.startswith((CAUSE, STEP)):
        statement = statement.replace("(transaction_id", "(app_id, transaction_id")
        statement = statement.replace("VALUES (", "VALUES (:app, ")
    return re.sub(r":(\w+)", r"%(\1)s", statement).encode()


def everything(thief: Thief) -> list[list[tuple[object, ...]]]:
    return [
        sorted(thief.execute(f"SELECT * FROM {table}".encode()).fetchall(), key=repr)
        for table in TABLES
    ]


@pytest.mark.parametrize("attack", HERE)
async def test_the_database_itself_refuses(scene: MoneyIntruder, attack: str) -> None:
    names = await prey(scene.inbound)
    before = everything(scene.thief)
    statement, why = HERE[attack]

    with pytest.raises(psycopg.IntegrityError, match=SAID.get(why, why)):
        scene.thief.execute(native(statement), names)
    assert everything(scene.thief) == before


@pytest.mark.parametrize("act", IN_THE_NAME_OF_ANOTHER)
async def test_nothing_is_done_in_the_name_of_another_application(
    scene: MoneyIntruder, act: str
) -> None:
    names = await prey(scene.inbound)
    before = everything(scene.thief)

    with pytest.raises(psycopg.IntegrityError, match="no transaction"):
        scene.thief.execute(native(IN_THE_NAME_OF_ANOTHER[act]), names | {"app": "app_other"})
    assert everything(scene.thief) == before


@pytest.mark.parametrize("act", LAWFUL)
async def test_what_is_lawful_is_not_refused(scene: MoneyIntruder, act: str) -> None:
    names = await prey(scene.inbound)
    done = scene.thief.execute(native(LAWFUL[act]), names)

    assert done.rowcount == 1


@pytest.mark.parametrize("table", EMPTYING)
async def test_history_is_not_emptied_at_a_stroke(scene: MoneyIntruder, table: str) -> None:
    await prey(scene.inbound)
    with pytest.raises(psycopg.IntegrityError, match=r"never change|stay"):
        scene.thief.execute(f"TRUNCATE {table}".encode())


async def test_a_removal_ends_in_its_commit_and_leaves_nothing(scene: MoneyIntruder) -> None:
    paid = await scene.inbound.captured()
    app = {"app": paid.app_id}
    with pytest.raises(psycopg.IntegrityError, match="in its own commit"):
        scene.thief.execute("INSERT INTO removals VALUES (%(app)s)", app)
    with pytest.raises(psycopg.IntegrityError, match="leaves nothing"):
        _remove_effects_alone(scene.thief, paid.app_id)
    await scene.inbound.do(audit=(scene.inbound.audit_entry(paid.id),))
    with pytest.raises(psycopg.IntegrityError, match="never change"):
        scene.thief.execute(
            "INSERT INTO audit SELECT * FROM audit ON CONFLICT (app_id, id) DO UPDATE SET at = 0"
        )
    assert len(scene.thief.execute("SELECT * FROM effects").fetchall()) == 1


def _remove_effects_alone(thief: Thief, app_id: str) -> None:
    with thief.transaction():
        thief.execute("INSERT INTO removals VALUES (%s)", (app_id,))
        thief.execute("DELETE FROM effects")
        thief.execute("DELETE FROM removals")
