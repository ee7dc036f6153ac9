"""What every test may ask for. Larger worlds are built in the folders that need them."""

import itertools
import os
from collections.abc import Callable, Generator, Iterator

import psycopg
import pytest
from bench.postgres_server import PostgresServer, programs

from tests import memory, patience, scale, stores
from tillbell.testing import ManualClock

scale.use_hypothesis_profile()
patience.make_httpx_patient()
patience.make_stores_patient()
memory.use_for_files()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test turns."""
    return ManualClock()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server, one for all tests; the URL of its first database."""
    named = os.environ.get("TEST_DATABASE_URL")
    if named:
        yield named
        return
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL: install the dev dependencies or set TEST_DATABASE_URL")
    server = PostgresServer(found)
    yield server.url()
    server.remove()


@pytest.fixture(scope="session")
def used_schema(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Empty one schema at each call, which is quicker than a new one; return its URL."""
    used = f"used{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {used}".encode())
        made = f"SELECT count(*) FROM pg_tables WHERE schemaname = '{used}'".encode()

        def empty() -> str:
            if connection.execute(made).fetchone() != (0,):
                stores.empty_schema(connection, used)
            return f"{postgres_url}?options=-csearch_path%3D{used}"

        yield empty
        connection.execute(f"DROP SCHEMA IF EXISTS {used} CASCADE".encode())


@pytest.fixture(scope="session")
def fresh_schema(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Make an empty schema at each call; return the URL of a database that sees only it."""
    numbers = itertools.count()
    made = []
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def make() -> str:
            name = f"t{os.getpid()}_{next(numbers)}"
            connection.execute(f"CREATE SCHEMA {name}".encode())
            made.append(name)
            return f"{postgres_url}?options=-csearch_path%3D{name}"

        yield make
        if os.environ.get("TEST_DATABASE_URL"):  # a server of our own is removed with all in it
            for name in made:
                connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


@pytest.fixture(scope="session")
def copied_databases(postgres_url: str) -> Iterator[stores.CopiedDatabases]:
    """Databases with all tables, for the gateways of a run on PostgreSQL."""
    databases = stores.CopiedDatabases(postgres_url)
    stores.make_database = databases.make
    yield databases
    databases.close()


@pytest.fixture
def empty_database(copied_databases: stores.CopiedDatabases) -> Iterator[Callable[[], str]]:
    """Give a database that has all tables and is empty, at each call; return its URL."""
    yield copied_databases.make
    copied_databases.empty_unused()


@pytest.fixture(autouse=stores.IS_POSTGRES)
def stores_of_gateways(copied_databases: stores.CopiedDatabases) -> Iterator[None]:
    """Give gateways PostgreSQL when that is asked for; empty what they used."""
    yield
    copied_databases.empty_unused()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a run on PostgreSQL leave out what SQLite alone is enough for, now or always."""
    if stores.IS_POSTGRES:
        marks = ("sqlite",) if scale.IS_SOAK else ("sqlite", "sqlite_first")
        left = [item for item in items if any(map(item.get_closest_marker, marks))]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped where CI=true: a service that is missing there proves nothing."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI allows no skips: {report.longrepr}"
    return report
