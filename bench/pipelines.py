"""Three ways to send the statements of a commit to PostgreSQL, measured in turns.

    python -m bench.pipelines [--rounds 5]

- `waiting`: each statement waits for its answer.
- `psycopg`: psycopg's own `Connection.pipeline()`; statements are prepared at their first use.
- `own`: `tillbell.storage.postgres.pipeline`.

The cases are those of `bench.store`. All three write the same arrays and commit with the same
number of statements; only the sending differs.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import product
from typing import Any

import psycopg

from bench import postgres, store
from bench.figures import spread
from tillbell.clock import SystemClock
from tillbell.storage.postgres.connection import PostgresConnection, connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.session.connection import Row

MESSAGES = {1: 600, 10: 4_000, 100: 10_000}  # by size of a batch


class WaitingDatabase(PostgresDatabase):
    """Waits for the answer of each statement."""

    def _connect(self) -> PostgresConnection:
        return connect_postgres(self._url)


class PsycopgDatabase(PostgresDatabase):
    """Sends statements in psycopg's own pipeline."""

    def _connect(self) -> PostgresConnection:
        connection = connect_postgres(self._url)
        connection._pipeline = PsycopgPipeline(connection.connection)  # type: ignore[assignment]
        return connection


class PsycopgPipeline:
    """psycopg's `Connection.pipeline()` with the methods of our `Pipeline`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        connection.prepared_max = 1_000
        self._context: AbstractContextManager[psycopg.Pipeline] | None = None
        self._pipeline: psycopg.Pipeline | None = None
        self.is_broken = False

    @property
    def is_open(self) -> bool:
        """Whether statements are being collected."""
        return self._context is not None

    def open(self) -> None:
        """Begin."""
        self._context = self._connection.pipeline()
        self._pipeline = self._context.__enter__()

    def send(self, text: str, bindings: Sequence[Any]) -> PsycopgResult:
        """Send a statement."""
        assert self._pipeline is not None
        cursor = self._connection.execute(text.encode(), bindings, prepare=True, binary=True)
        return PsycopgResult(cursor, self._pipeline)

    def query_each(self, text: str, bindings: Sequence[Sequence[Any]]) -> list[PsycopgResult]:
        """Send a statement once for each row of bindings, and wait for the answers."""
        self.open()
        try:
            return [self.send(text, row) for row in bindings]
        finally:
            self.close()

    def sync(self) -> None:
        """Wait for all answers. Leaving the pipeline does so, at the price of one wait."""
        self.close()

    def close(self) -> None:
        """End, if it has begun."""
        if self._context is not None:
            context, self._context = self._context, None
            context.__exit__(None, None, None)


class PsycopgResult:
    """The answer to one statement."""

    def __init__(self, cursor: psycopg.Cursor[Any], pipeline: psycopg.Pipeline) -> None:
        self._cursor = cursor
        self._pipeline = pipeline

    @property
    def rowcount(self) -> int:
        """How many rows changed. Waits if the answer is not there yet."""
        if self._cursor.pgresult is None:
            self._pipeline.sync()
        return max(self._cursor.rowcount, 0)

    def fetchall(self) -> list[Row]:
        """Return the rows. Waits if they are not there yet."""
        return self._cursor.fetchall()


WAYS: dict[str, type[PostgresDatabase]] = {
    "waiting": WaitingDatabase,
    "psycopg": PsycopgDatabase,
    "own": PostgresDatabase,
}


@contextmanager
def _on(
    databases: postgres.Databases, way: type[PostgresDatabase]
) -> Iterator[store.EmptyDatabase]:
    with databases.empty() as empty:
        yield store.EmptyDatabase(way(empty.url, SystemClock()), empty.cpu_s)


def main() -> None:
    """Measure every case in every way, in turns, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cases = [case for case in store.CASES[:3] if case.batch in MESSAGES]
    runs: dict[tuple[str, str], list[store.Run]] = {}
    with postgres.databases() as databases:
        for _, case, (name, way) in product(range(options.rounds), cases, WAYS.items()):
            place = partial(_on, databases, way)
            run = asyncio.run(store.measure(case, MESSAGES[case.batch], place))
            runs.setdefault((case.name, name), []).append(run)
    for case in cases:
        own = spread([run.per_second for run in runs[case.name, "own"]]).median
        for name in WAYS:
            results = runs[case.name, name]
            ratio = spread([run.per_second for run in results]).median / own
            print(f"{name:8} {ratio:5.2f} of own  {store.line(case, results)}")


if __name__ == "__main__":
    main()
