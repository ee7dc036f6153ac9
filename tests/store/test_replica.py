"""Lists are read on the replica while it answers, and on the primary while it does not."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.patience import PATIENCE_S
from tillbell import logs
from tillbell.clock import SECOND
from tillbell.errors import Misconfigured, StoreUnavailable
from tillbell.storage.engine.readers import ReadPool
from tillbell.storage.postgres import replica
from tillbell.storage.postgres.connection import PostgresConnection, connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.postgres.replica import LAG_MAX, RETRY_AFTER_S, ReplicaReadPool
from tillbell.storage.session.connection import ConcurrentWrite, DbConnection, DbReader
from tillbell.storage.session.migrate import migrate
from tillbell.testing import ManualClock


class SwitchableServer:
    """A server that can go away and come back; of each link it knows that it is its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.links: list[PostgresConnection] = []
        self.is_there = True
        self.asked = 0

    def connect(self) -> DbConnection:
        self.asked += 1
        if not self.is_there:
            raise StoreUnavailable("It is not there.")
        self.links.append(connect_postgres(self._url))
        return self.links[-1]

    def go(self) -> None:
        """Go away: links break."""
        self.is_there = False
        for link in self.links:
            link.close()


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """What is logged."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    yield stream
    logs.configure()


@pytest.fixture
def url(fresh_schema: Callable[[], str]) -> str:
    """A schema with our tables."""
    made = fresh_schema()
    link = connect_postgres(made)
    migrate(link, "postgres", 0)
    link.close()
    return made


@pytest.fixture
def copy(url: str) -> SwitchableServer:
    return SwitchableServer(url)


def sign_in(url: str, clock: ManualClock) -> None:
    """Store a sign of life, which comes to the replica like all else."""
    link = connect_postgres(url)
    link.query("put_member", ("prc_1", "api", 0, clock.now()))
    link.close()


@pytest.fixture
async def readers(
    url: str, copy: SwitchableServer, clock: ManualClock
) -> AsyncIterator[ReplicaReadPool]:
    sign_in(url, clock)
    primary = ReadPool(lambda: connect_postgres(url), 1)
    made = ReplicaReadPool(copy.connect, primary, clock)
    yield made
    await made.close()
    await primary.close()


async def is_of(copy: SwitchableServer, readers: ReadPool) -> bool:
    """Read something; tell whether the replica answered."""

    def link(db: DbReader) -> object:
        db.query("applied_migrations")
        return db

    return await readers.read(link) in copy.links


def names(heard: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in heard.getvalue().splitlines()]


async def test_the_replica_is_read_while_it_answers(
    copy: SwitchableServer, readers: ReplicaReadPool
) -> None:
    assert copy.asked == 0
    assert await is_of(copy, readers)


async def test_while_it_is_away_the_primary_is_read_and_it_is_said_once(
    copy: SwitchableServer, readers: ReplicaReadPool, heard: io.StringIO
) -> None:
    assert await is_of(copy, readers)
    copy.go()
    assert [await is_of(copy, readers) for _ in range(3)] == [False] * 3
    assert names(heard) == ["replica.unavailable"]


async def test_it_is_asked_again_some_seconds_later(
    copy: SwitchableServer, readers: ReplicaReadPool, clock: ManualClock, heard: io.StringIO
) -> None:
    copy.is_there = False
    assert not await is_of(copy, readers)
    asked = copy.asked
    copy.is_there = True
    assert not await is_of(copy, readers)
    assert copy.asked == asked

    clock.advance(RETRY_AFTER_S)
    assert [await is_of(copy, readers) for _ in range(2)] == [True, True]
    assert names(heard) == ["replica.unavailable", "replica.available"]


async def test_one_that_is_still_away_is_not_said_again(
    copy: SwitchableServer, readers: ReplicaReadPool, clock: ManualClock, heard: io.StringIO
) -> None:
    copy.is_there = False
    for _ in range(3):
        assert not await is_of(copy, readers)
        clock.advance(RETRY_AFTER_S)
    assert names(heard) == ["replica.unavailable"]


async def test_one_that_says_nothing_is_not_waited_for(
    copy: SwitchableServer,
    readers: ReplicaReadPool,
    heard: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replica, "READ_TIMEOUT_S", 0.05)
    answers = threading.Event()

    def ask(db: DbReader) -> str:
        if db in copy.links:
            answers.wait(PATIENCE_S)
            return "replica"
        return "primary"

    assert await readers.read(ask) == "primary"
    answers.set()
    assert names(heard) == ["replica.unavailable"]


async def test_a_read_that_replaying_cancelled_is_made_on_the_primary_and_only_that_one(
    copy: SwitchableServer, readers: ReplicaReadPool, heard: io.StringIO
) -> None:
    def ask(db: DbReader) -> str:
        if db in copy.links:
            raise ConcurrentWrite("canceling statement due to conflict with recovery")
        return "primary"

    assert await readers.read(ask) == "primary"
    assert await is_of(copy, readers)
    assert names(heard) == []


async def test_one_that_has_not_got_this_version_s_tables_is_not_read(
    readers: ReplicaReadPool, copy: SwitchableServer, url: str, heard: io.StringIO
) -> None:
    with connect_postgres(url).connection as connection:
        connection.execute("DELETE FROM migrations WHERE number = 1")

    assert not await is_of(copy, readers)
    assert names(heard) == ["replica.unavailable"]
    assert all(link.connection.closed for link in copy.links)


async def test_one_that_is_far_behind_is_not_read_until_it_has_caught_up(
    readers: ReplicaReadPool,
    copy: SwitchableServer,
    url: str,
    clock: ManualClock,
    heard: io.StringIO,
) -> None:
    assert await is_of(copy, readers)
    clock.advance((LAG_MAX + SECOND) / SECOND)
    assert [await is_of(copy, readers) for _ in range(3)] == [False] * 3
    clock.advance(RETRY_AFTER_S)
    assert not await is_of(copy, readers)

    sign_in(url, clock)
    clock.advance(RETRY_AFTER_S)
    assert await is_of(copy, readers)
    assert names(heard) == ["replica.unavailable", "replica.available"]
    assert json.loads(heard.getvalue().splitlines()[0])["error"] == "It is 31 s behind."


async def test_an_address_that_cannot_be_read_is_told_at_the_start(
    url: str, clock: ManualClock
) -> None:
    database = PostgresDatabase(url, clock)
    database.replica_url = "postgresql://u:pa:ss@[::1/x"
    with pytest.raises(Misconfigured, match="cannot be read"):
        await database.open()
