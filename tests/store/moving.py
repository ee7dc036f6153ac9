"""A source that was lived in, and the program that moves it until it is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.patience import PATIENCE_S
from tests.store import test_book_simulation as books
from tests.store import test_simulation as messages
from tests.store.lives import PostgresLives, SqliteLives
from tillbell.errors import Misconfigured
from tillbell.model.records import Application
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock

STEPS = 80
Life = messages.Life | books.Life


class Lived(NamedTuple):
    """A SQLite store at rest, and the lives that filled it with the model beside."""

    path: Path
    lives: tuple[Life, ...]


async def live(life: Life, steps: int = STEPS) -> None:
    """Live on for a while."""
    for _ in range(steps):
        await life.step()


async def lived(kind: str, seed: int, folder: Path, clock: ManualClock) -> Lived:
    """Fill a store by one of the random lives, or one after the other ("both")."""
    folder.mkdir(exist_ok=True)
    lives = SqliteLives(folder, clock)
    real = await lives.begin()
    told: list[Life] = []
    for module in (messages, books):
        if kind in (module.__name__.rpartition("test_")[2], "both"):
            life = module.Life(seed, lives, real, clock)
            await live(life)
            real = life.real
            told.append(life)
    await real.put(Application(id="app_1", name="one", uid="shop"))
    await real.close()
    return Lived(newest(folder), tuple(told))


def newest(folder: Path) -> Path:
    """Return the file of the last life: each crash began another."""
    return max(folder.glob("*.db"), key=lambda path: int(path.stem))


async def go_on(life: Life, url: str, clock: ManualClock) -> None:
    """Let a life go on in PostgreSQL: its leases ended when it was moved."""
    life.lives = PostgresLives(url, clock)
    life.real = await life.lives.begin()
    await life.model.release_all_leases(clock.now())


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
