"""Fills a database with deliveries that wait: some 20,000 a second, by the server itself."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

from bench.postgres import BenchDatabase
from tillbell.clock import DAY, Micros, SystemClock
from tillbell.ids import first_of
from tillbell.storage.ports.outbound import LaneKey
from tillbell.storage.postgres import partitions
from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.postgres.partitions import DaySpan

HISTORY: Micros = 90 * DAY  # how far back partitions reach
BACKLOG: Micros = 3 * DAY  # what waits was published within this time: as long as retries last
BATCHES = 24  # of a filling: one in three hours of the backlog
PER_ENDPOINT = 100  # deliveries that wait, on average
ENDPOINTS_MIN = 1_000
DEEP, EQUAL = 0, 1  # endpoints with a tenth of everything each
_HERE = Path(__file__).parent
_FILL = (_HERE / "fill.sql").read_bytes()
_TABLES = ("messages", "bodies", "deliveries", "totals")


def endpoint_id(number: int) -> str:
    """Return the id of an endpoint, as functions.sql writes it."""
    return f"ep_01k0000000000000{number:010x}"


def app_id(endpoint: int) -> str:
    """Return the id of an endpoint's application."""
    return f"app_01k0000000000000{endpoint // 10:010x}"


def lane(endpoint: int) -> LaneKey:
    """Return an endpoint's application and id."""
    return app_id(endpoint), endpoint_id(endpoint)


class Filling:
    """A database that is filled further and further."""

    def __init__(self, database: BenchDatabase) -> None:
        self.database = database
        self.clock = SystemClock()
        self.count = 0  # deliveries that were put in
        self.endpoints = 0

    async def prepare(self) -> None:
        """Make the tables, and partitions for a quarter of a year."""
        store = PostgresDatabase(self.database.url, self.clock)
        await store.open()
        await store.close()
        now = self.clock.now()
        link = connect_postgres(self.database.url)
        partitions.make(link, DaySpan(now - HISTORY, now), partitions.WIDTH_DAYS * DAY)
        link.execute_script((_HERE / "functions.sql").read_text())
        link.close()

    def fill_to(self, count: int) -> float:
        """Put in what is missing, spread over the backlog's time; return the seconds it took."""
        began = time.monotonic()
        self.endpoints = max(count // PER_ENDPOINT, ENDPOINTS_MIN)
        now = self.clock.now()
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            cursor = psycopg.RawCursor(connection)
            missing = count - self.count
            batch = -(-missing // BATCHES)
            while self.count < count:
                number = min(batch, count - self.count)
                share = (count - self.count) / missing
                at = now - int(BACKLOG * share) - DAY // 24
                letters = first_of("msg", at)[4:14]
                cursor.execute(_FILL, (letters, self.count, number, self.endpoints, at))
                self.count += number
            for table in _TABLES:
                connection.execute(f"VACUUM (ANALYZE) {table}".encode())
            connection.execute(b"CHECKPOINT")
        return time.monotonic() - began
