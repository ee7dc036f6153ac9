"""Who counts as dead, and how soon: silence takes a while, a lost connection shows at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

from tests.fleet.local_fleet import eventually
from tillbell.clock import DAY, SECOND, Micros, SystemClock
from tillbell.cluster.membership import MEMBER_TIMEOUT
from tillbell.storage.operations.membership import LOST_CONNECTION_AFTER
from tillbell.storage.ports.cluster import Member
from tillbell.storage.postgres.database import PostgresDatabase

WATCHER, OTHER = Member("prc_1", "api", is_worker=False), Member("prc_2", "worker", is_worker=True)


class Company:
    """A process that watches, and another one."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self._watcher, self._other = (PostgresDatabase(url, SystemClock()) for _ in range(2))

    async def begin(self) -> None:
        await self._watcher.open()
        await self._other.open()

    async def appear(self) -> None:
        """Let the other one sign in."""
        await self._other.heartbeat(OTHER, MEMBER_TIMEOUT)

    async def end(self) -> None:
        await self._other.close()
        await self._watcher.close()
        self.connection.close()

    async def senders(self, life: Micros = MEMBER_TIMEOUT) -> tuple[str, ...]:
        """Sign in as the one who watches; return who is there."""
        return (await self._watcher.heartbeat(WATCHER, life)).workers

    def fall_silent(self, since: Micros) -> None:
        """Let the other one have signed in for the last time so long ago."""
        self.connection.execute(
            "UPDATE members SET seen_at = extract(epoch FROM clock_timestamp()) * 1000000 - %s "
            "WHERE id = %s",
            (since, OTHER.id),
        )

    def cut(self) -> None:
        """End the connection by which the other one signed in."""
        self.connection.execute(
            "SELECT pg_terminate_backend(backend_pid, 10000) FROM members WHERE id = %s",
            (OTHER.id,),
        )

    def age(self) -> Micros:
        """Return for how long the server has run."""
        age_s = "extract(epoch FROM now() - pg_postmaster_start_time())::float"
        row = self.connection.execute(f"SELECT {age_s}").fetchone()
        assert row is not None
        return int(row[0] * SECOND)


@pytest.fixture
async def company(empty_database: Callable[[], str]) -> AsyncIterator[Company]:
    made = Company(empty_database())
    await made.begin()
    yield made
    await made.end()


@pytest.mark.parametrize(
    ("silent", "is_cut", "is_there"),
    [
        (0, True, True),
        (LOST_CONNECTION_AFTER + SECOND, False, True),
        (LOST_CONNECTION_AFTER + SECOND, True, False),
        (MEMBER_TIMEOUT + SECOND, False, False),
        (MEMBER_TIMEOUT + SECOND, True, False),
    ],
)
async def test_one_without_a_connection_is_struck_off_sooner(
    company: Company, silent: Micros, is_cut: bool, is_there: bool
) -> None:
    async def is_old() -> bool:
        return company.age() > MEMBER_TIMEOUT

    await eventually(is_old)
    await company.appear()
    assert await company.senders() == (OTHER.id,)
    if is_cut:
        company.cut()
    company.fall_silent(silent)
    assert await company.senders() == ((OTHER.id,) if is_there else ())


async def test_nobody_is_judged_by_connections_that_the_start_of_the_server_ended(
    company: Company,
) -> None:
    await company.appear()
    company.cut()
    company.fall_silent(LOST_CONNECTION_AFTER + SECOND)
    older_than_the_server = company.age() + DAY
    assert await company.senders(older_than_the_server) == (OTHER.id,)
