"""`python -m bench pages [--messages 20000] [--full]`: fill, open every page, print the table."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench import processes, table
from bench.dashboard.fill import (
    EVENT_TYPES,
    RARER,
    FilledApp,
    PostgresStore,
    SqliteStore,
    fill,
)
from bench.dashboard.records import make_records
from bench.dashboard.visits import PageCost, PageReader, urls_of
from bench.gateway import GatewayProcess
from bench.postgres import BenchDatabase, databases
from bench.scene import GatewayFailed
from tillbell.clock import HOUR, SystemClock, iso
from tillbell.configure.passwords import Passwords
from tillbell.configure.people import NewAccount, People, Visitor
from tillbell.ids import IdMaker, delivery_id
from tillbell.storage.opening import store_at
from tillbell.testing.simulator import Simulation, simulate
from tillbell.web.pages.site import PAGES

APPS, ENDPOINTS = 10, 5
FULL, USUAL = 1_000_000, 20_000
P99_MS, FIRST_LOAD = 150.0, 150_000
STREAM = "/live"  # at the end of a path: it has no end
SETTINGS = ("max_wal_size=4GB", "synchronous_commit=off", "fsync=off", "full_page_writes=off")
_SECRET = "whsec_bench0123456789"
_OWNER = NewAccount("owner@shop.example", "Olga Owner", "correct horse battery")
_FILE = "tillbell.db"


class Filled(NamedTuple):
    """What is in the store, by its name in paths, and the token of a session."""

    names: Mapping[str, str]
    session: str


def main(arguments: Sequence[str]) -> int:
    """Run; return 1 if a page is slower or larger than promised."""
    processes.end_tidily_on_sigterm()
    parser = argparse.ArgumentParser(prog="python -m bench pages", description=__doc__)
    parser.add_argument("--messages", type=int, default=USUAL, help="each with five attempts")
    parser.add_argument("--full", action="store_true", help=f"{FULL:,} messages")
    parser.add_argument("--loads", type=int, default=200, help="of each page")
    parser.add_argument("--stores", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--only", default="", help="paths that begin so")
    options = parser.parse_args(arguments)
    messages = FULL if options.full else options.messages
    print(table.machine())
    is_kept = True
    for name in options.stores:
        with _place(name) as (folder, database):
            is_kept &= _measured(name, folder, database, messages, options)
    return 0 if is_kept else 1


@contextmanager
def _place(store: str) -> Iterator[tuple[Path, BenchDatabase | None]]:
    with tempfile.TemporaryDirectory(prefix="tillbell-bench-") as folder:
        if store == "sqlite":
            yield Path(folder), None
            return
        with databases(*SETTINGS) as server, server.empty() as database:
            yield Path(folder), database


def _measured(
    store: str, folder: Path, database: BenchDatabase | None, messages: int, options: Any
) -> bool:
    """Fill one store, open its pages, print what they cost; return whether all is as promised."""
    environment = {"DATABASE_URL": database.url} if database else {}
    gateway = GatewayProcess(folder / "data", environment=environment)
    gateway.start()
    try:
        apps, names = _set_up(gateway)
    finally:
        gateway.stop()
    now = SystemClock().now()
    path = folder / "data" / _FILE
    bulk = PostgresStore(database, now) if database else SqliteStore(path)
    seconds = fill(bulk, apps, messages, now)
    rows = (
        f"{messages:,} messages, {messages * ENDPOINTS:,} attempts, {messages // RARER:,} callbacks"
    )
    print(f"\n{store}: {rows} and as many transactions, filled in {seconds:.0f} s", flush=True)
    url = database.url if database else f"sqlite:///{path}"
    session, names["person"] = asyncio.run(sign_in(url))
    started_s = gateway.start()
    try:
        entries = gateway.call("GET", f"/api/v1/app/{names['app']}/audit").json()
        names["entry"] = entries["data"][0]["id"]
        names["conflict"] = gateway.call("GET", "/api/v1/conflict").json()["data"][0]["id"]
        return _report(gateway, database, Filled(names, session), started_s, options)
    finally:
        gateway.stop()


def _report(
    gateway: GatewayProcess,
    database: BenchDatabase | None,
    filled: Filled,
    started_s: float,
    options: Any,
) -> bool:
    reader = PageReader(gateway.port, filled.session)
    sizes = reader.first_load()
    total = sum(sizes.values())
    print(f"started in {started_s:.1f} s; first load {total:,} bytes: {sizes}")
    print(f"{'page':<26} {'p50':>7} {'p99':>7} {'CPU':>6} {'DB':>6} {'bytes':>8}  slowest")
    costs: list[PageCost] = []
    failed: list[str] = []
    for page in PAGES:
        is_wanted = page.path.startswith(options.only) and not page.path.endswith(STREAM)
        if "GET" in page.methods and is_wanted:
            urls = urls_of(page.path, filled.names)
            cpu_of_database = database.cpu_s if database else lambda: 0.0
            try:
                cost = reader.measure(page.path, urls, options.loads, gateway.pid, cpu_of_database)
            except GatewayFailed as wrong:
                failed.append(str(wrong))
                continue
            costs.append(cost)
            print(_line(cost), flush=True)
    reader.close()
    slow = [cost.path for cost in costs if cost.p99_ms > P99_MS]
    print(f"p99 above {P99_MS:.0f} ms: {', '.join(slow) or 'none'}")
    for line in failed:
        print(f"FAILED: {line}")
    return not slow and not failed and total <= FIRST_LOAD


def _line(cost: PageCost) -> str:
    return (
        f"{cost.path:<26} {cost.p50_ms:7.1f} {cost.p99_ms:7.1f} {cost.cpu_ms:6.1f}"
        f" {cost.database_ms:6.1f} {cost.bytes_:8,}  {cost.slowest_ms:.1f} {cost.slowest}"
    )


def _set_up(gateway: GatewayProcess) -> tuple[list[FilledApp], dict[str, str]]:
    """Make the applications through the API, and one payment that a provider reports."""
    apps = []
    for number in range(APPS):
        app = gateway.application(f"Shop {number}")
        new_source = {"name": "Cards", "provider": "stripe", "secrets": [_SECRET]}
        source = gateway.call("POST", f"/api/v1/app/{app}/source", new_source).json()
        urls = [f"http://127.0.0.1:49151/shop-{number}/{place}" for place in range(ENDPOINTS)]
        endpoints = [(gateway.endpoint(app, url).id, url) for url in urls]
        apps.append(FilledApp(app, source["id"], endpoints))
    return apps, _names(gateway, apps[0])


def _names(gateway: GatewayProcess, first: FilledApp) -> dict[str, str]:
    """Make one of each thing that has a page of its own; return the ids by their names in paths."""
    base = f"/api/v1/app/{first.id}"
    transaction = gateway.call(
        "POST",
        f"{base}/transaction",
        {
            "direction": "pay_in",
            "amount": "149.99",
            "currency": "EUR",
            "sourceId": first.source,
            "pspTransactionId": "pi_of_the_bench",
        },
    ).json()
    path = gateway.call("GET", f"{base}/source/{first.source}").json()["path"]
    changes = ("data.object.id=pi_of_the_bench",)
    callback_url = f"http://127.0.0.1:{gateway.port}{path}"
    simulated = simulate(Simulation("stripe:approved", _SECRET, overrides=changes), callback_url)
    PageReader.send(gateway.port, simulated.request)
    endpoint = first.endpoints[0][0]
    body = {"eventType": EVENT_TYPES[0], "payload": {"data": {"id": "ORD-of-the-bench"}}}
    message = gateway.call("POST", f"{base}/msg", body).json()["id"]
    own = {"url": "http://127.0.0.1:49151/own"}
    new_key = {"name": "Reader", "scopes": ["read"]}
    since = {"since": iso(SystemClock().now() - HOUR)}
    return {
        "app": first.id,
        "endpoint": endpoint,
        "source": first.source,
        "msg": message,
        "delivery": delivery_id(message, endpoint),
        "trx": transaction["id"],
        "callback": gateway.call("GET", f"{base}/callback").json()["data"][0]["id"],
        "name": "attempts",
        "own": gateway.call("POST", "/api/v1/operational-webhook/endpoint", own).json()["id"],
        "type": EVENT_TYPES[0],
        "provider": "stripe",
        "key": gateway.call("POST", "/api/v1/key", new_key).json()["id"],
        "task": gateway.call("POST", f"{base}/endpoint/{endpoint}/recover", since).json()["id"],
    } | make_records(gateway, first.id)


async def sign_in(url: str) -> tuple[str, str]:
    """Make the owner's account beside the gateway; return the session's token, and whose it is."""
    clock = SystemClock()
    store = store_at(url, clock)
    await store.open_beside()
    people = People(store, clock, IdMaker(), Passwords())
    token = await people.new_setup_link()
    assert token is not None
    session = await people.create_first(token, _OWNER, Visitor("127.0.0.1", "bench"))
    await store.close()
    return session.token, session.person.id
