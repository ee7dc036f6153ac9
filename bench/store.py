"""The store alone: what one operation costs on the disk at hand.

    python -m bench.store [--runs 5] [--postgres]

A cycle is what a delivered message costs: message, payload and leased delivery in one
commit, its attempt and the delivery's move in a later one.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import postgres
from bench.figures import percentile, spread
from tillbell.clock import SECOND, SystemClock
from tillbell.ids import IdMaker, attempt_id, delivery_id
from tillbell.model.messages import Attempt, Delivery, DeliveryState, Message, Result, Trigger
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import FinishedAttempt, Publication
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.sqlite.database import SqliteDatabase

BODY = b"x" * 1_000
MESSAGES = 20_000


class StoreCase(NamedTuple):
    """How messages arrive and where they go."""

    name: str
    batch: int
    endpoints: int = 50
    fan_out: int = 1
    is_claimed: bool = False


CASES = (
    StoreCase("cycle, one at a time", 1),
    StoreCase("cycle, batches of 10", 10),
    StoreCase("cycle, batches of 100", 100),
    StoreCase("cycle, batches of 500", 500),
    StoreCase("cycle, batches of 500, 1 endpoint", 500, endpoints=1),
    StoreCase("cycle, batches of 500, 1000 endpoints", 500, endpoints=1_000),
    StoreCase("fan-out 5, batches of 100", 100, fan_out=5),
    StoreCase("through claim, batches of 100", 100, is_claimed=True),
)


class Run(NamedTuple):
    """What one run of a case took, for each delivery, and how long batches waited."""

    per_second: float
    cpu_us: float
    server_us: float  # CPU of PostgreSQL
    waits_ms: Sequence[float]


class Load:
    """Makes messages and results as the gateway would."""

    def __init__(self, case: StoreCase, database: Database) -> None:
        self.case = case
        self.database = database
        self.clock = SystemClock()
        self.ids = IdMaker()
        now = self.clock.now()
        self.app = self.ids.new("app", now)
        self.endpoints = [self.ids.new("ep", now) for _ in range(case.endpoints)]
        self.turn = 0

    def publication(self) -> Publication:
        now = self.clock.now()
        message = Message(self.ids.new("msg", now), self.app, "order.paid", now)
        deliveries = [self.delivery(message.id, now) for _ in range(self.case.fan_out)]
        return Publication(message, {"": BODY}, deliveries)

    def delivery(self, message_id: str, now: int) -> Delivery:
        self.turn += 1
        endpoint = self.endpoints[self.turn % len(self.endpoints)]
        waiting = Delivery(
            delivery_id(message_id, endpoint),
            self.app,
            endpoint,
            message_id,
            "",
            DeliveryState.WAITING,
            now,
            now,
        )
        return waiting if self.case.is_claimed else opened(waiting, now)

    async def claim(self, limit: int) -> list[Delivery]:
        now = self.clock.now()
        wanted = {(self.app, endpoint): limit for endpoint in self.endpoints}
        claims = await self.database.claim(wanted, now, now + 15 * SECOND)
        return [claim.delivery for claim in claims]


def opened(delivery: Delivery, now: int) -> Delivery:
    return delivery._replace(
        state=DeliveryState.SENDING,
        due_at=now + 15 * SECOND,
        attempts=1,
        tries=1,
        token=1,
        started_at=now,
    )


def accepted(delivery: Delivery) -> FinishedAttempt:
    attempt = Attempt(
        attempt_id(delivery.id, delivery.attempts),
        delivery.id,
        delivery.app_id,
        delivery.endpoint_id,
        delivery.message_id,
        "order.paid",
        delivery.attempts,
        Trigger.SCHEDULED,
        Result.ACCEPTED,
        delivery.started_at or 0,
        700,
        "https://shop.example/hook",
        200,
    )
    return FinishedAttempt(delivery.id, delivery.token, attempt, DeliveryState.SUCCEEDED, 0, None)


class EmptyDatabase(NamedTuple):
    """An empty database, and how to see what its server has used."""

    database: Database
    server_cpu_s: Callable[[], float]


Empty = Callable[[], AbstractContextManager[EmptyDatabase]]


@contextmanager
def in_a_file() -> Iterator[EmptyDatabase]:
    """Make one in a new file."""
    with tempfile.TemporaryDirectory() as folder:
        yield EmptyDatabase(SqliteDatabase(Path(folder) / "x.db", SystemClock()), lambda: 0.0)


@contextmanager
def on(databases: postgres.Databases) -> Iterator[EmptyDatabase]:
    """Make one on a server."""
    with databases.empty() as empty:
        yield EmptyDatabase(PostgresDatabase(empty.url, SystemClock()), empty.cpu_s)


async def measure(case: StoreCase, messages: int, empty: Empty) -> Run:
    """Run one case on an empty store; results ride with the next batch of messages."""
    with empty() as (database, server_cpu_s):
        await database.open()
        load = Load(case, database)
        rounds = max(1, messages // case.batch // case.fan_out)
        batches = [[load.publication() for _ in range(case.batch)] for _ in range(rounds)]
        waits: list[float] = []
        cpu, server, start = time.process_time(), server_cpu_s(), time.perf_counter()
        done: list[FinishedAttempt] = []
        for publications in batches:
            began = time.perf_counter()
            await together(database.publish, publications, database.finish_attempt, done)
            waits.append((time.perf_counter() - began) * 1_000)
            leased = (
                await load.claim(case.batch)
                if case.is_claimed
                else [d for p in publications for d in p.deliveries]
            )
            done = [accepted(delivery) for delivery in leased]
        await asyncio.gather(*map(database.finish_attempt, done))
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        server = server_cpu_s() - server
        await database.close()
    deliveries = rounds * case.batch * case.fan_out
    return Run(deliveries / wall, cpu / deliveries * 1e6, server / deliveries * 1e6, waits)


async def together(
    publish: Callable[[Publication], Awaitable[object]],
    publications: Sequence[Publication],
    settle: Callable[[FinishedAttempt], Awaitable[object]],
    settlements: Sequence[FinishedAttempt],
) -> None:
    """Write both kinds in one round of the loop: they share a commit."""
    futures = [publish(p) for p in publications] + [settle(s) for s in settlements]
    for future in futures:
        await future


def line(case: StoreCase, runs: Sequence[Run]) -> str:
    """Write a case's figures in one line."""
    rate = spread([run.per_second for run in runs])
    cpu = spread([run.cpu_us for run in runs])
    server = spread([run.server_us for run in runs])
    waits = [wait for run in runs for wait in run.waits_ms]
    return (
        f"{case.name:38} {rate.median:9,.0f}/s ({rate.low:,.0f}–{rate.high:,.0f})"
        f"  {cpu.median:6.1f} µs CPU ({cpu.low:.1f}–{cpu.high:.1f})"
        f"  server {server.median:6.1f} ({server.low:.1f}–{server.high:.1f})"
        f"  batch p50 {percentile(waits, 0.5):.2f} p99 {percentile(waits, 0.99):.1f}"
        f" max {max(waits):.1f} ms"
    )


def main() -> None:
    """Measure all cases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--postgres", action="store_true", help="on a server of its own")
    options = parser.parse_args()
    print("deliveries; CPU is that of the whole process, making of futures included")
    with postgres.databases() if options.postgres else nullcontext() as databases:
        empty = in_a_file if databases is None else partial(on, databases)
        for case in CASES:
            messages = min(options.messages, 2_000 * case.batch)
            runs = [asyncio.run(measure(case, messages, empty)) for _ in range(options.runs)]
            print(line(case, runs), flush=True)


if __name__ == "__main__":
    main()
