"""An old program beside a new one's tables, after them, and twenty at once on nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import tillbell
from tests.fleet.local_fleet import APP, KEY, LocalFleet, eventually
from tests.fleet.upgrading import NEXT, next_version, running, steps
from tests.patience import PATIENCE_S
from tillbell.app import Gateway
from tillbell.config import load
from tillbell.errors import StoreUnavailable
from tillbell.runtime import Runtime
from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.session.migrate import known_migrations, migrate
from tillbell.testing import Receiver
from tillbell.vault import Secret

ENDPOINTS = 4
LEFT = 100  # messages
PROCESSES = 20
SLOW = 15  # a second; slower than messages come, so that there is something to deliver all the time


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The next version, by the folder in which Python finds it."""
    return str(next_version(tmp_path_factory.mktemp("next")))


class Stream:
    """Messages that the old one takes, until it is told to stop."""

    def __init__(self, fleet: LocalFleet) -> None:
        self._fleet = fleet
        self._is_over = False
        self._accepted: set[str] = set()
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while not self._is_over:
            with contextlib.suppress(StoreUnavailable):  # then nothing was promised
                self._accepted.add((await self._fleet.publish(self._fleet.gateways[0])).id)
            await asyncio.sleep(0.05)

    async def stop(self) -> set[str]:
        """Return what was accepted."""
        self._is_over = True
        await self._task
        return self._accepted


def arrived(receiver: Receiver, path: str) -> set[str | None]:
    return {one.header("webhook-id") for one in receiver.to(path)}


async def all_succeeded(gateway: Gateway) -> bool:
    totals = await gateway.database.counts()
    return not totals.waiting and not totals.sending and not totals.failed


@pytest.mark.slow
async def test_an_old_program_goes_on_while_a_new_one_brings_its_tables_and_beside_it(
    fresh_schema: Callable[[], str], tmp_path: Path, program: str
) -> None:
    url, paths = fresh_schema(), [f"/{number}" for number in range(ENDPOINTS)]
    async with LocalFleet(url, tmp_path) as fleet:
        old = await fleet.start()
        for path in paths:
            await fleet.endpoint(old, path, throttle_rate=SLOW)
        stream = Stream(fleet)
        async with running(tmp_path / "new", url, PYTHONPATH=program) as new:
            assert steps(url)[-1] == (NEXT, f"{NEXT:04}_pre_made_up.sql")
            await fleet.agreed(2)
            messages = await stream.stop() | await new.publish(APP.id, 10)
            await eventually(lambda: all_succeeded(old))
        await fleet.agreed(1)
        messages.add((await fleet.publish(old)).id)
        await eventually(lambda: all_succeeded(old))

        assert all(messages <= arrived(fleet.receiver, path) for path in paths)


@pytest.mark.slow
async def test_a_new_program_delivers_what_an_old_one_left_that_was_killed(
    fresh_schema: Callable[[], str], tmp_path: Path, program: str
) -> None:
    url = fresh_schema()
    async with Receiver() as receiver:
        async with running(tmp_path / "old", url, TILLBELL_ROLE="api") as old:
            await old.http.post("/app", json={"name": "shop", "uid": "shop"})
            body = {"url": receiver.url("/hooks")}
            assert (await old.http.post("/app/shop/endpoint", json=body)).status_code == 201
            messages = await old.publish("shop", LEFT)
            old.process.kill()
        assert receiver.to("/hooks") == []

        async with running(tmp_path / "new", url, PYTHONPATH=program):
            await asyncio.wait_for(receiver.wait_for(LEFT), PATIENCE_S)
        assert arrived(receiver, "/hooks") == messages
    refused = await asyncio.to_thread(
        tillbell, "serve", "--data-dir", str(tmp_path / "old"), "--port", "0", DATABASE_URL=url
    )
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert f"newer Tillbell (schema {NEXT}, this one knows {NEXT - 1})" in line


@pytest.mark.slow
async def test_a_migration_that_a_long_transaction_holds_up_gives_up_and_the_old_one_goes_on(
    fresh_schema: Callable[[], str], tmp_path: Path, program: str
) -> None:
    url = fresh_schema()
    flags = ("serve", "--data-dir", str(tmp_path / "new"), "--port", "0")
    async with LocalFleet(url, tmp_path) as fleet:
        old = await fleet.start()
        await fleet.endpoint(old, "/hooks")
        stream = Stream(fleet)
        with psycopg.connect(url) as dump:
            dump.execute("LOCK TABLE messages IN ACCESS SHARE MODE")
            environment = {"DATABASE_URL": url, "TILLBELL_MASTER_KEY": KEY, "PYTHONPATH": program}
            refused = await asyncio.to_thread(tillbell, *flags, **environment)
        messages = await stream.stop()
        await eventually(lambda: all_succeeded(old))
        assert messages <= arrived(fleet.receiver, "/hooks")

    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "The database is in use" in line
    assert steps(url)[-1][0] == NEXT - 1


@pytest.mark.parametrize("kind", ["pre", "post"])
@pytest.mark.slow
def test_an_old_program_does_not_start_on_newer_tables_of_any_kind(
    fresh_schema: Callable[[], str], tmp_path: Path, kind: str
) -> None:
    """A `pre` step suits the version before it; whoever starts may be older than that."""
    url = fresh_schema()
    link = connect_postgres(url)
    migrate(link, "postgres", 0)
    link.query("insert_migration", (NEXT, f"{NEXT:04}_{kind}_later.sql", 0))
    link.close()

    flags = ("--data-dir", str(tmp_path), "--port", "0")
    refused = tillbell("serve", *flags, DATABASE_URL=url, TILLBELL_MASTER_KEY=KEY)
    assert refused.returncode == 2
    assert "written by a newer Tillbell" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_of_twenty_that_start_at_once_on_nothing_one_makes_the_tables_and_all_start(
    fresh_schema: Callable[[], str], tmp_path: Path
) -> None:
    url, line = fresh_schema(), threading.Barrier(PROCESSES)

    async def live() -> str:
        settings = {"data_dir": tmp_path, "database_url": url, "master_key": Secret(KEY)}
        gateway = Gateway.create(load(settings, {}).settings)
        line.wait(PATIENCE_S)
        runtime = Runtime(gateway)
        await runtime.start()
        await gateway.database.check()
        await runtime.drain(0)
        await runtime.stop()
        return gateway.cluster.id

    with ThreadPoolExecutor(PROCESSES) as threads:
        lives = [threads.submit(asyncio.run, live()) for _ in range(PROCESSES)]
        assert len({one.result(PATIENCE_S) for one in lives}) == PROCESSES
    assert [number for number, _ in steps(url)] == [
        step.number for step in known_migrations("postgres")
    ]
    with psycopg.connect(url) as connection:
        made_by = connection.execute("SELECT count(DISTINCT xmin::text) FROM migrations")
        assert made_by.fetchone() == (1,)
