"""A source that was lived in, and the program that moves it until it is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.patience import PATIENCE_S
from tests.store.crashable_store import CrashablePostgres, CrashableSqlite
from tests.store.test_inbound_simulation import InboundSimulation
from tests.store.test_outbound_simulation import OutboundSimulation
from tillbell.clock import HOUR
from tillbell.errors import Misconfigured
from tillbell.model.audit import Actor, AuditedAct
from tillbell.model.inboxes import Inbox, NewInboxRequest
from tillbell.model.people import LinkPurpose, OneTimeLink, Person, Role, Session
from tillbell.model.records import Application
from tillbell.model.shop import Product
from tillbell.model.statistics import Marker, MarkerKind
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.statistics import RollupProgress
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

STEPS = 80
Simulation = OutboundSimulation | InboundSimulation


class MoveStopped(BaseException):
    """Raised at a chosen point of a move: the process ends here."""


class FilledStore(NamedTuple):
    """A SQLite store at rest, and the random simulations that filled it with the model beside."""

    path: Path
    simulations: tuple[Simulation, ...]


async def advance(simulation: Simulation, steps: int = STEPS) -> None:
    """Make so many random steps."""
    for _ in range(steps):
        await simulation.step()


async def filled_store(kind: str, seed: int, folder: Path, clock: ManualClock) -> FilledStore:
    """Fill a store by the simulation of that kind ("outbound", "inbound"), or by "both" in turn."""
    folder.mkdir(exist_ok=True)
    crashable = CrashableSqlite(folder, clock)
    real = await crashable.begin()
    simulations: list[Simulation] = []
    if kind in ("outbound", "both"):
        simulations.append(OutboundSimulation(seed, crashable, real, clock))
        await advance(simulations[-1])
        real = simulations[-1].real
    if kind in ("inbound", "both"):
        simulations.append(InboundSimulation(seed, crashable, real, clock))
        await advance(simulations[-1])
        real = simulations[-1].real
    change = AuditedAct(
        id="aud_1",
        app_id="app_1",
        at=clock.now(),
        actor=Actor("key_1", "ops", request_id="req_1", address="127.0.0.1"),
        action="application.create",
        target="app_1",
        changes={"name": [None, "one"]},
    )
    await real.put(Application(id="app_1", name="one", uid="shop"), audit=[change])
    await real.put(Product(id="prd_1", scope="app_1", uid="p1", data={"sku": "P-1", "stock": 5}))
    await add_person(real, clock)
    await add_inbox(real, clock)
    hour = clock.now() // HOUR * HOUR
    await real.store_hours(hour, hour + HOUR, await real.hour_sums(hour))
    await real.advance_rollups(RollupProgress(hours_until=hour + HOUR, minutes_from=hour))
    await real.add_marker(Marker("mrk_1", "app_1", "", clock.now(), MarkerKind.START, "started"))
    await real.close()
    return FilledStore(newest(folder), tuple(simulations))


async def add_person(store: Database, clock: ManualClock) -> None:
    """Store a person with a session, and a link to choose a new password."""
    now = clock.now()
    until = now + 3_600_000_000
    person = Person("per_1", "ana@shop.example", "Ana", "hash", Role.OWNER, now)
    session = Session("s1", person.id, now, now, until, until, "203.0.113.7", "Firefox")
    await store.add_link(OneTimeLink("setup", LinkPurpose.SETUP, "", now, until), [])
    await store.add_first_person(person, "setup", session, [])
    await store.add_link(OneTimeLink("new", LinkPurpose.PASSWORD, person.id, now, until), [])


async def add_inbox(store: Database, clock: ManualClock) -> None:
    """Store an inbox to which two requests have come, of which one is stored."""
    now = clock.now()
    inbox = Inbox(id=f"inb_{'a' * 26}", name="Inbox", token="sealed", token_hash="hash")
    await store.put(inbox)
    for body in (b"\0first", b"second"):
        size, head = len(body), b"head\xff"
        request = NewInboxRequest(inbox.id, "", now, now + 1, "POST", size, head, body, 1, 1_000)
        await store.add_inbox_request(request)


def newest(folder: Path) -> Path:
    """Return the last file: each crash began another."""
    return max(folder.glob("*.db"), key=lambda path: int(path.stem))


async def go_on(simulation: Simulation, url: str, clock: ManualClock) -> None:
    """Let a simulation go on in PostgreSQL: its leases ended when it was moved."""
    simulation.crashable = CrashablePostgres(url, clock)
    simulation.real = await simulation.crashable.begin()
    await simulation.model.release_all_leases(clock.now())


# A process for each number: killed at that point of its move, if it comes so far.
MOVER = """
import os, signal, sys
from pathlib import Path
from tillbell.storage.move.mover import MoveOptions, move
from tillbell.testing import ManualClock

path, url, now = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def die_at(left):
    def fault(point):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return fault

for left in map(int, sys.argv[4:]):
    if os.fork() == 0:
        manner = MoveOptions(batch_rows=3, fault=die_at(left))
        assert move(path, url, ManualClock(now), manner).is_proven
        os._exit(0)
    print(-os.waitstatus_to_exitcode(os.wait()[1]))
"""


def move_until_killed(path: Path, url: str, now: int, points: Iterable[int]) -> list[int]:
    """Move in processes, each killed at its n-th point; return the signals they died of."""
    arguments = [str(path), url, str(now), *map(str, points)]
    said = subprocess.run(
        [sys.executable, "-c", MOVER, *arguments],
        check=True,
        timeout=PATIENCE_S,
        stdout=subprocess.PIPE,
    )
    return [int(word) for word in said.stdout.split()]


async def opens(database: SqliteDatabase | PostgresDatabase) -> bool:
    """Say whether a gateway could serve it."""
    try:
        await database.open()
    except Misconfigured:
        return False
    await database.close()
    return True


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement in the target, as somebody who meddles."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description is not None else []
