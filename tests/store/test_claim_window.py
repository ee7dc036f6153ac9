"""The claim window: a claim looks only at what may have become due, and misses nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import closing

import psycopg
import pytest

from tests.store.outbound_harness import BODY, LEASE, OutboundHarness
from tillbell.clock import HOUR, SECOND
from tillbell.model.messages import Delivery
from tillbell.storage.operations.claim_window import (
    COMMIT_MARGIN,
    FULL_SCAN_EVERY,
    LANES_MAX,
    LEASES_MARGIN,
    UNBOUNDED,
    ClaimBounds,
    ClaimWindow,
)
from tillbell.storage.ports.outbound import Publication
from tillbell.storage.postgres.connection import connect_postgres
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.storage.session.statements import load
from tillbell.testing import ManualClock

NOW = 1_760_000_000 * SECOND
LANE, OTHER = ("app_1", "ep_1"), ("app_1", "ep_2")


def looked(
    horizon: ClaimWindow, now: int, reached: int | None = None, left: int | None = None
) -> ClaimBounds:
    """Claim from a lane as the store does; return where it looked."""
    view = horizon.bounds([LANE], now)
    horizon.advance(view, {LANE: reached or now}, left or now, now)
    return view


# ── the rule ─────────────────────────────────────────────────────────────────────────────────────


def test_the_first_look_is_at_everything_and_the_next_where_it_ended() -> None:
    horizon = ClaimWindow(FULL_SCAN_EVERY)
    assert looked(horizon, NOW) == UNBOUNDED
    assert looked(horizon, NOW + SECOND) == ClaimBounds(
        {LANE: NOW - COMMIT_MARGIN}, NOW - LEASES_MARGIN
    )
    assert looked(horizon, NOW + 2 * SECOND).since(LANE) == NOW + SECOND - COMMIT_MARGIN
    assert horizon.bounds([OTHER], NOW).since(OTHER) == 0


def test_everything_is_looked_at_again_now_and_then() -> None:
    horizon = ClaimWindow(FULL_SCAN_EVERY)
    wholes = [n for n in range(100) if looked(horizon, NOW + n * SECOND).since(LANE) == 0]

    assert wholes == [0, 30, 60, 90]


def test_a_lane_that_had_more_is_looked_at_from_the_last_that_was_taken() -> None:
    horizon = ClaimWindow(FULL_SCAN_EVERY)
    looked(horizon, NOW, reached=NOW - HOUR)
    assert looked(horizon, NOW, reached=NOW - HOUR // 2).since(LANE) == NOW - HOUR - COMMIT_MARGIN
    assert looked(horizon, NOW).since(LANE) == NOW - HOUR // 2 - COMMIT_MARGIN
    assert looked(horizon, NOW, reached=NOW - HOUR).since(LANE) == NOW - COMMIT_MARGIN
    assert horizon.bounds([LANE], NOW).since(LANE) == NOW - COMMIT_MARGIN, "it never goes back"


def test_lost_leases_are_looked_at_from_the_first_that_was_left_to_others() -> None:
    horizon = ClaimWindow(FULL_SCAN_EVERY)
    looked(horizon, NOW, left=NOW - 5 * SECOND)
    assert looked(horizon, NOW + SECOND).leases == NOW - 5 * SECOND - LEASES_MARGIN
    assert looked(horizon, NOW + 2 * SECOND).leases == NOW + SECOND - LEASES_MARGIN
    assert looked(horizon, NOW + FULL_SCAN_EVERY).leases == 0


def test_lanes_with_order_keys_are_looked_at_whole() -> None:
    ordered: set[tuple[str, str]] = set()
    horizon = ClaimWindow(FULL_SCAN_EVERY, ordered)
    looked(horizon, NOW)
    ordered.add(LANE)

    assert looked(horizon, NOW).since(LANE) == 0


def test_a_clock_that_went_back_is_not_trusted() -> None:
    horizon = ClaimWindow(FULL_SCAN_EVERY)
    looked(horizon, NOW)

    assert looked(horizon, NOW - SECOND) == UNBOUNDED


def test_it_does_not_grow_without_end() -> None:
    horizon = ClaimWindow(FULL_SCAN_EVERY)
    many = {("app", f"ep_{n}"): NOW for n in range(LANES_MAX + 1)}
    horizon.advance(UNBOUNDED, many, NOW, NOW)
    looked(horizon, NOW)

    assert horizon.bounds(many, NOW).lanes == {}
    assert horizon.bounds([LANE], NOW).lanes == {LANE: NOW - COMMIT_MARGIN}


# ── every store ──────────────────────────────────────────────────────────────────────────────────


async def test_one_that_may_go_at_last_is_claimed_at_once_however_long_it_waited(
    outbound: OutboundHarness,
) -> None:
    held = await outbound.hand_over(order_key="k")
    await outbound.publish(order_key="k")
    for _ in range(20):
        outbound.clock.advance(5)
        await outbound.store.renew([(held.app_id, held.id, held.token)], outbound.now + LEASE)
        assert await outbound.claim() == []
    await outbound.store.finish_attempt(outbound.result(held))

    assert len(await outbound.claim()) == 1


async def test_a_lost_lease_waits_for_whoever_wants_its_lane(outbound: OutboundHarness) -> None:
    message = outbound.message()
    await outbound.add(message, [outbound.leased(message, outbound.endpoint)])
    for _ in range(20):
        outbound.clock.advance(5)
        assert await outbound.claim(endpoint=outbound.second) == []

    assert len(await outbound.claim()) == 1


async def test_a_lost_lease_that_had_no_room_is_claimed_when_there_is(
    outbound: OutboundHarness,
) -> None:
    held = await outbound.hand_over()
    older = [await outbound.publish() for _ in range(6)]
    outbound.clock.advance(12)
    taken = []
    for _ in range(3):
        outbound.clock.advance(4)
        taken += [claim.message for claim in await outbound.claim(2)]
    assert taken == older
    outbound.clock.advance(4)

    again = [claim.delivery.id for claim in await outbound.claim(10)]
    assert held.id in again


async def test_a_backlog_is_claimed_to_its_end_in_its_order(outbound: OutboundHarness) -> None:
    messages = []
    for _ in range(30):
        messages.append(await outbound.publish())
        outbound.clock.advance(7)
    taken = []
    while claims := await outbound.claim(4):
        taken += [claim.message.id for claim in claims]
        outbound.clock.advance(1)

    assert taken == [message.id for message in messages]


async def test_a_retry_and_a_release_are_claimed_when_they_are_due(
    outbound: OutboundHarness,
) -> None:
    await outbound.publish()
    for _ in range(20):
        claimed = await outbound.claimed()
        await outbound.store.release([(claimed.app_id, claimed.id, claimed.token)], outbound.now)
        outbound.clock.advance(3)

    assert len(await outbound.claim()) == 1


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def url(used_schema: Callable[[], str]) -> str:
    return used_schema()


@pytest.fixture
async def shop(url: str, clock: ManualClock) -> AsyncIterator[OutboundHarness]:
    database = PostgresDatabase(url, clock)
    await database.open()
    yield OutboundHarness(database, clock)
    await database.close()


async def test_what_became_due_long_ago_is_found_at_the_next_whole_look(
    shop: OutboundHarness,
) -> None:
    assert await shop.claim() == []
    message = shop.message()
    late = shop.waiting(message, shop.endpoint, due_at=shop.now - HOUR)
    await shop.add(message, [late])
    assert await shop.claim() == []
    shop.clock.advance(FULL_SCAN_EVERY / SECOND)

    assert [claim.delivery.id for claim in await shop.claim()] == [late.id]


async def test_one_that_may_go_by_another_process_is_claimed_at_once(
    url: str, shop: OutboundHarness, clock: ManualClock
) -> None:
    other = PostgresDatabase(url, clock)
    await other.open()
    await shop.publish(order_key="k")
    second = await shop.publish(order_key="k")
    shop.store.writer._session.ordered_lanes.clear()  # type: ignore[attr-defined]  # published elsewhere
    held = await shop.claimed()
    for _ in range(4):
        clock.advance(5)
        await shop.store.renew([(held.app_id, held.id, held.token)], shop.now + LEASE)
        assert await shop.claim() == []
    await other.finish_attempt(shop.result(held))

    assert [claim.message for claim in await shop.claim()] == [second]
    await other.close()


async def test_a_claim_that_was_not_committed_moves_nothing(url: str, clock: ManualClock) -> None:
    planned: list[Exception] = []

    def fault(point: str) -> None:
        if point == "before commit" and planned:
            raise planned.pop()

    database = PostgresDatabase(url, clock, fault=fault)
    await database.open()
    outbound = OutboundHarness(database, clock)
    await outbound.publish()
    clock.advance(60)
    planned.append(psycopg.OperationalError("gone"))
    with pytest.raises(Exception, match="gone"):
        await outbound.claim()

    assert len(await outbound.claim()) == 1
    await database.close()


def _pages_of_a_claim(url: str, shop: OutboundHarness, since: int) -> int:
    """How many pages the statement of a claim touches, of a lane in which nothing waits."""
    text = re.sub(r"\?(\d+)", r"$\1", load("postgres")("due_deliveries")).rstrip(";")
    with closing(connect_postgres(url)) as link:
        link.query("begin")  # with the settings that claims run under
        link.connection.execute(f"PREPARE walk AS {text}".encode(), prepare=False)
        ((plan,),) = link.connection.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE walk (ARRAY['{shop.app}'], "
            f"ARRAY['{shop.endpoint}'], ARRAY[{shop.now}], ARRAY[10], ARRAY[{since}])".encode(),
            prepare=False,
        ).fetchall()
    root = plan[0]["Plan"]
    return int(root["Shared Hit Blocks"]) + int(root["Shared Read Blocks"])


async def _delivered(shop: OutboundHarness, count: int) -> None:
    for _ in range(count // 100):
        messages = [shop.message() for _ in range(100)]
        waiting: list[Delivery] = [shop.waiting(m, shop.endpoint) for m in messages]
        for message, delivery in zip(messages, waiting, strict=True):
            shop.store.publish(Publication(message, {"": BODY}, [delivery]))
        claims = await shop.claim(100)
        settled = [shop.store.finish_attempt(shop.result(claim.delivery)) for claim in claims]
        assert [await one for one in settled] == [True] * 100
        shop.clock.advance(5)


async def test_while_a_transaction_is_held_a_claim_does_not_walk_over_what_it_keeps(
    url: str, shop: OutboundHarness
) -> None:
    with psycopg.connect(url) as held:
        held.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        held.execute("SELECT count(*) FROM deliveries")
        await _delivered(shop, 2_000)
        lane = shop.app, shop.endpoint
        window: ClaimWindow = shop.store._claim_window  # type: ignore[attr-defined]
        since = window.bounds([lane], shop.now).since(lane)
        everything = _pages_of_a_claim(url, shop, 0)
        seen = _pages_of_a_claim(url, shop, since)

    assert since > 0
    assert seen < everything / 2, (seen, everything)


async def test_totals_are_counted_in_fresh_rows_while_they_turn(
    url: str, shop: OutboundHarness
) -> None:
    async def shards() -> set[bool]:
        with psycopg.connect(url) as connection:
            return {row[0] for row in connection.execute("SELECT shard >= 16 FROM totals")}

    await shop.publish()
    assert await shards() == {False}
    await shop.store.use_fresh_totals(is_on=True)
    await shop.publish()
    assert await shards() == {False, True}
    with psycopg.connect(url) as connection:
        before = connection.execute("SELECT shard, waiting FROM totals WHERE shard < 16").fetchall()
        await shop.publish()
        after = connection.execute("SELECT shard, waiting FROM totals WHERE shard < 16").fetchall()
    assert before == after
    assert (await shop.store.counts()).waiting == 3

    await shop.store.use_fresh_totals(is_on=False)
    await shop.publish()
    assert (await shop.store.counts()).waiting == 4
    with psycopg.connect(url) as connection:
        (usual,) = connection.execute(
            "SELECT sum(waiting) FROM totals WHERE shard < 16 AND app_id = ''"
        ).fetchone() or (0,)
    assert usual == 2
