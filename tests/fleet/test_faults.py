"""A fleet whose database fails, and whose machines have wrong clocks. `make faults` has more."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from bench.postgres_server import PostgresServer, programs

from tests.fleet.local_fleet import LocalFleet, eventually
from tests.patience import PATIENCE_S
from tillbell import logs
from tillbell.app import Gateway
from tillbell.clock import DAY, SECOND, Micros, SystemClock
from tillbell.errors import StoreUnavailable
from tillbell.model.messages import Message
from tillbell.storage.postgres import database
from tillbell.testing.exchange import ReceiverExchange
from tillbell.upkeep import chores

REFUSED_S = 20  # a publication that cannot be taken is refused within 2 s; machines are busy
COUNT = 20
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = 'tillbell' AND pid <> pg_backend_pid()"
)


class WrongClock(SystemClock):
    """A machine's clock that somebody has set."""

    def __init__(self, by: Micros) -> None:
        self.by = by

    def now(self) -> Micros:
        return super().now() + self.by


@pytest.fixture(autouse=True)
def product_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up a silent server as soon as the product does: other tests wait for longer."""
    monkeypatch.setattr(database, "READ_TIMEOUT_S", 1.8)


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What is logged meanwhile."""
    handlers = logging.root.handlers[:]
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    logs.configure()
    logging.root.handlers[:] = handlers


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that only this test uses."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL: install the dev dependencies")
    server = PostgresServer(found, is_durable=True)
    yield server
    server.remove()


@pytest.fixture
async def own(server: PostgresServer, tmp_path: Path) -> AsyncIterator[LocalFleet]:
    """A fleet on that server."""
    async with LocalFleet(server.url(), tmp_path) as fleet:
        yield fleet


async def publish_until_taken(fleet: LocalFleet, by: Gateway) -> Message:
    """Publish as a producer does who repeats what was refused; each refusal comes soon."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            return await asyncio.wait_for(fleet.publish(by), REFUSED_S)


async def all_arrived(fleet: LocalFleet, messages: list[Message]) -> None:
    """Wait until each message has arrived."""

    async def have_arrived() -> bool:
        arrived = [request.header("webhook-id") for request in fleet.receiver.requests]
        return {message.id for message in messages} <= set(arrived)

    await eventually(have_arrived)


async def all_delivered(fleet: LocalFleet, messages: list[Message]) -> None:
    """Wait until each message has arrived, and its attempt is recorded as the only one."""
    await all_arrived(fleet, messages)
    for message in messages:
        await eventually(partial(fleet.attempts_of, message))
        assert await fleet.attempts_of(message) == 1


async def test_connections_that_the_server_ends_again_and_again_stop_no_loop(
    fleet: LocalFleet,
) -> None:
    api, worker = await fleet.start("api"), await fleet.start("worker")
    await fleet.agreed(1)
    await fleet.knows(worker, (await fleet.endpoint(api, "/a")).id)
    messages = []
    with psycopg.connect(fleet.url, autocommit=True) as other:
        for _ in range(COUNT):
            other.execute(TERMINATE)
            messages.append(await publish_until_taken(fleet, api))

    await all_delivered(fleet, messages)


@pytest.mark.slow
async def test_while_the_server_is_down_nothing_is_taken_and_then_all_is_as_before(
    own: LocalFleet, server: PostgresServer
) -> None:
    api, worker = await own.start("api"), await own.start("worker")
    await own.agreed(1)
    await own.knows(worker, (await own.endpoint(api, "/a")).id)
    before = [await own.publish(api) for _ in range(COUNT)]

    await asyncio.to_thread(server.stop, "immediate")
    for _ in range(COUNT):
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(own.publish(api), REFUSED_S)
    await asyncio.to_thread(server.start)
    after = [await publish_until_taken(own, api) for _ in range(COUNT)]

    await all_arrived(own, before)  # one whose result the server lost arrives twice
    await all_delivered(own, after)
    assert await own.messages() == len(before + after), "what was refused is not there"


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["a day ahead", "a day behind"])
async def test_a_machine_with_a_wrong_clock_sends_nothing_early_and_signs_with_the_right_time(
    fleet: LocalFleet, said: io.StringIO, by: Micros
) -> None:
    api, worker = await fleet.start("api"), await fleet.start("worker", WrongClock(by))
    await fleet.agreed(1)
    fleet.receiver.on("/a", refuse_the_first)
    delays = {"retry_schedule": (2,)}
    await fleet.knows(worker, (await fleet.endpoint(api, "/a", **delays)).id)
    messages = [await fleet.publish(api) for _ in range(COUNT)]

    await asyncio.wait_for(fleet.receiver.wait_for(COUNT + 1), PATIENCE_S)
    first, *_, again = fleet.receiver.requests

    assert again.header("webhook-id") == first.header("webhook-id")
    assert again.at - first.at >= 1.5 * SECOND, "a fifth of jitter, and not at once"
    assert len({one.header("webhook-id") for one in fleet.receiver.requests}) == len(messages)
    for one in fleet.receiver.requests:
        stamp = int(one.header("webhook-timestamp") or 0)
        assert abs(stamp * SECOND - one.at) < 5 * SECOND
    assert said.getvalue().count('"clock.skewed"') == 1


async def refuse_the_first(exchange: ReceiverExchange) -> None:
    await exchange.answer(500 if exchange.nth == 1 else 200)


async def test_a_transaction_that_somebody_holds_open_is_in_nobodys_way(
    fleet: LocalFleet,
) -> None:
    api, worker = await fleet.start("api"), await fleet.start("worker")
    await fleet.agreed(1)
    await fleet.knows(worker, (await fleet.endpoint(api, "/a")).id)
    messages = [await fleet.publish(api)]
    with psycopg.connect(fleet.url) as held:
        held.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        held.execute("SELECT count(*) FROM pg_class")
        messages += [await fleet.publish(api) for _ in range(COUNT)]
        await all_delivered(fleet, messages)


async def test_a_transaction_that_is_open_for_long_is_said_once_until_it_ends(
    fleet: LocalFleet,
    said: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chores, "LONG_TRANSACTION", SECOND // 2)
    monkeypatch.setattr(chores, "FRESH_TOTALS_AFTER", SECOND // 2)
    api = await fleet.start("api")
    await fleet.endpoint(api, "/a")

    async def heard(event: str) -> bool:
        await api.long_transactions.check()
        return f'"{event}"' in said.getvalue()

    with psycopg.connect(fleet.url) as held:
        held.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        held.execute("SELECT count(*) FROM pg_class")
        await eventually(lambda: heard("database.long_transaction"))
        await api.long_transactions.check()
        assert api.meters.oldest_snapshot > SECOND // 2
        await fleet.publish(api)
        assert fresh_rows(fleet.url) == 1
    await eventually(lambda: heard("database.long_transaction_ended"))
    await fleet.publish(api)
    assert fresh_rows(fleet.url) == 1
    assert said.getvalue().count('"database.long_transaction"') == 1


def fresh_rows(url: str) -> int:
    """Count the messages that are counted in rows of a turn."""
    with psycopg.connect(url) as connection:
        (found,) = connection.execute(
            "SELECT coalesce(sum(waiting + sending + succeeded), 0)::bigint FROM totals "
            "WHERE app_id = '' AND shard >= 16"
        ).fetchone() or (0,)
    return int(found)


@pytest.mark.slow
async def test_a_server_that_says_nothing_is_not_waited_for(
    own: LocalFleet, server: PostgresServer
) -> None:
    api, worker = await own.start("api"), await own.start("worker")
    await own.agreed(1)
    await own.knows(worker, (await own.endpoint(api, "/a")).id)
    messages = [await own.publish(api)]
    await all_delivered(own, messages)

    with stopped(server):
        for _ in range(COUNT):
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(own.publish(api), REFUSED_S)
    messages += [await publish_until_taken(own, api) for _ in range(COUNT)]

    await all_delivered(own, messages)


@contextlib.contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """Stop all its processes meanwhile: connections stand, and no answer comes."""
    pids = [server.pid, *children(server.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
