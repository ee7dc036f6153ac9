"""A source that was lived in, and the program that moves it until it is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.store import test_book_simulation as books
from tests.store import test_simulation as messages
from tests.store.lives import PostgresLives, SqliteLives
from tillbell.errors import Misconfigured
from tillbell.models import Application
from tillbell.storage.postgres import PostgresDatabase
from tillbell.storage.sqlite import SqliteDatabase
from tillbell.testing import ManualClock

STEPS = 80
Life = messages.Life | books.Life


class Lived(NamedTuple):
    """A SQLite store at rest, and the lives that filled it with the specification beside."""

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
    await life.specification.orphan(clock.now())


MOVER = """
import os, signal, sys
from pathlib import Path
from tillbell.storage.move import Manner, move
from tillbell.testing import ManualClock

path, url, now, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def fault(point):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

assert move(path, url, ManualClock(now), Manner(batch_rows=3, fault=fault)).is_proven
"""


def move_until(path: Path, url: str, now: int, point: int) -> bool:
    """Move in a process of its own that is killed at its n-th point; say whether it was."""
    arguments = [str(path), url, str(now), str(point)]
    done = subprocess.run([sys.executable, "-c", MOVER, *arguments], check=False, timeout=50)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


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
