"""Fills a store with a month of history: the database itself makes the rows, from `fill.sql`."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import psycopg

from bench.postgres import BenchDatabase
from tillbell.clock import DAY, HOUR, MINUTE, Micros
from tillbell.ids import first_of
from tillbell.model.statistics import (
    ALL,
    ENDPOINT,
    EVENT_TYPE,
    MESSAGES,
    PROVIDER,
    RESPONSE_TIMES,
    SOURCE,
    CountedSeries,
    bucket_of,
)
from tillbell.storage.postgres import partitions
from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.postgres.partitions import DaySpan
from tillbell.storage.session.rollups import encode_counts

SPAN: Micros = 30 * DAY
MINUTES_KEPT: Micros = 48 * HOUR
TICKS = 2_000
RARER = 10  # messages for each callback and each transaction
EVENT_TYPES = ("order.paid", "order.created", "order.refunded", "shipment.created")
_STEM = slice(4, 14)  # the ten letters of an id that hold its time
_TEXT = Path(__file__).with_name("fill.sql").read_text()
_STATEMENTS: dict[str, str] = dict(re.findall(r"-- name: (\w+)\n(.+?);\n", _TEXT, re.DOTALL))
_OF_CALLBACKS = ("callbacks", "transactions", "begun", "ended", "effects", "conflicts")
_COUNTS = {0: 180, 3: 12, MESSAGES: 40, RESPONSE_TIMES + bucket_of(40_000): 150}


class FilledApp(NamedTuple):
    """An application as the API made it: its id, its source, its endpoints with their URLs."""

    id: str
    source: str
    endpoints: Sequence[tuple[str, str]]


class BulkStore(Protocol):
    """A database that takes many rows."""

    words: ClassVar[Mapping[str, str]]  # by placeholder of `fill.sql`

    def execute(self, statement: str) -> None:
        """Run a statement."""

    def put(self, table: str, columns: str, rows: Iterable[Sequence[object]]) -> None:
        """Write rows."""

    def close(self) -> None:
        """Commit, bring the planner up to date, and close."""


class SqliteStore:
    """The file of a gateway that is stopped."""

    words: ClassVar[Mapping[str, str]] = {
        "hex": "printf('%016x', s.n)",
        "numbers": "(WITH RECURSIVE c (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c"
        " WHERE n < {last}) SELECT n FROM c)",
        "to_bytes_": "CAST(",
        "_to_bytes": " AS BLOB)",
        "body_app_column": "",
        "body_app": "",
        "step_app_column": "",
        "step_app": "",
        "shard_column": "",
        "shard": "",
        "shard_key": "",
    }

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("synchronous = OFF", "cache_size = -400000", "temp_store = MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}")

    def execute(self, statement: str) -> None:
        """Run a statement."""
        self._connection.execute(statement)

    def put(self, table: str, columns: str, rows: Iterable[Sequence[object]]) -> None:
        """Write rows."""
        places = ", ".join("?" * len(columns.split(",")))
        self._connection.execute("BEGIN")
        self._connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Write the log into the file and close."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()


class PostgresStore:
    """A database on a server, with partitions for the time that is filled."""

    words: ClassVar[Mapping[str, str]] = {
        "hex": "lpad(to_hex(s.n), 16, '0')",
        "numbers": "(SELECT n FROM generate_series({first}::bigint, {last}::bigint) AS g (n))",
        "to_bytes_": "convert_to(",
        "_to_bytes": ", 'UTF8')",
        "body_app_column": "app_id,",
        "body_app": "m.app_id,",
        "step_app_column": "app_id,",
        "step_app": "m.app_id,",
        "shard_column": "shard,",
        "shard": "0,",
        "shard_key": ", shard",
    }

    def __init__(self, database: BenchDatabase, now: Micros) -> None:
        link = connect_postgres(database.url)
        partitions.make(link, DaySpan(now - SPAN - DAY, now), partitions.WIDTH_DAYS * DAY)
        link.close()
        self._connection = psycopg.connect(database.url, autocommit=True)

    def execute(self, statement: str) -> None:
        """Run a statement."""
        psycopg.RawCursor(self._connection).execute(statement.encode())

    def put(self, table: str, columns: str, rows: Iterable[Sequence[object]]) -> None:
        """Write rows."""
        statement = f"COPY {table} ({columns}) FROM STDIN".encode()
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def close(self) -> None:
        """Let the planner know what there is, and close."""
        self.execute("VACUUM (ANALYZE)")
        self._connection.close()


def fill(store: BulkStore, apps: Sequence[FilledApp], messages: int, now: Micros) -> float:
    """Put a month of history before `now` into a store; return the seconds it took."""
    began = time.monotonic()
    since = now - SPAN
    _name_things(store, apps, since)
    for name in ("messages", "bodies", "deliveries", "attempts"):
        store.execute(_statement(store, name, messages, apps, now))
    for name in _OF_CALLBACKS:
        store.execute(_statement(store, name, messages // RARER, apps, now))
    store.execute(_statement(store, "totals", messages, apps, now))
    _put_rollups(store, apps, since, now)
    store.close()
    return time.monotonic() - began


def _name_things(store: BulkStore, apps: Sequence[FilledApp], since: Micros) -> None:
    """Write the tables that the statements read."""
    store.execute(
        "CREATE TEMPORARY TABLE bench_ticks (tick bigint PRIMARY KEY, letters text, at bigint)"
    )
    store.execute(
        "CREATE TEMPORARY TABLE bench_apps (app bigint PRIMARY KEY, id text, source_id text)"
    )
    store.execute(
        "CREATE TEMPORARY TABLE bench_endpoints (app bigint, place bigint, id text, tail text,"
        " url text, PRIMARY KEY (app, place))"
    )
    times = [(tick, since + SPAN * tick // TICKS) for tick in range(TICKS)]
    ticks = [(tick, first_of("msg", at)[_STEM], at) for tick, at in times]
    store.put("bench_ticks", "tick, letters, at", ticks)
    numbered = list(enumerate(apps))
    store.put("bench_apps", "app, id, source_id", [(n, app.id, app.source) for n, app in numbered])
    endpoints = [
        (n, place, id_, id_[-10:], url)
        for n, app in numbered
        for place, (id_, url) in enumerate(app.endpoints)
    ]
    store.put("bench_endpoints", "app, place, id, tail, url", endpoints)


def _statement(
    store: BulkStore, name: str, count: int, apps: Sequence[FilledApp], now: Micros
) -> str:
    words = store.words
    numbers = words["numbers"].format(first=0, last=count - 1)
    types = " ".join(f"WHEN {n} THEN '{type_}'" for n, type_ in enumerate(EVENT_TYPES))
    per_tick = -(-count // TICKS)
    made = (
        f"SELECT s.n, t.letters || {words['hex']} AS stem, t.at + s.n % {per_tick} * 1000 AS at,"
        f" a.app, a.id AS app_id, CASE s.n % {len(EVENT_TYPES)} {types} END AS event_type"
        f" FROM {numbers} s JOIN bench_ticks t ON t.tick = s.n / {per_tick}"
        f" JOIN bench_apps a"
        f" ON a.app = CASE WHEN s.n % 2 = 0 THEN 0 ELSE 1 + s.n / 2 % {len(apps) - 1} END"
    )
    last_place = len(apps[0].endpoints) - 1
    return _STATEMENTS[name].format(made=made, now=now, last_place=last_place, **words)


def _put_rollups(store: BulkStore, apps: Sequence[FilledApp], since: Micros, now: Micros) -> None:
    """Write what is counted: minutes of two days, hours of all."""
    counts = encode_counts(_COUNTS)
    series = list(_series(apps))
    hour = now // HOUR * HOUR
    minutes_from = hour - MINUTES_KEPT
    rows = [
        (start, *each, 999, counts)
        for start in range(minutes_from, now // MINUTE * MINUTE, MINUTE)
        for each in series
    ]
    store.put("rollup_minutes", "start, app_id, kind, subject, shard, counts", rows)
    hours = range(since // HOUR * HOUR, hour - HOUR, HOUR)
    rows_of_hours = [(*each, start, counts) for each in series for start in hours]
    store.put("rollup_hours", "app_id, kind, subject, start, counts", rows_of_hours)
    store.execute("DELETE FROM rollup_progress")
    progress = [(1, hour - HOUR, minutes_from)]
    store.put("rollup_progress", "id, hours_until, minutes_from", progress)


def _series(apps: Sequence[FilledApp]) -> Iterator[CountedSeries]:
    yield CountedSeries("", ALL)
    for app in apps:
        yield CountedSeries(app.id, ALL)
        yield CountedSeries(app.id, PROVIDER, "stripe")
        yield CountedSeries(app.id, SOURCE, app.source)
        for event_type in EVENT_TYPES:
            yield CountedSeries(app.id, EVENT_TYPE, event_type)
        for endpoint, _ in app.endpoints:
            yield CountedSeries(app.id, ENDPOINT, endpoint)
