"""Four processes on one PostgreSQL at once: what SQLite's one writer decides, locks decide here."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from tests.store.inbound_harness import APPROVED, CREDIT, REQUEST, InboundHarness
from tests.store.outbound_harness import LEASE, SUCCEEDED, OutboundHarness
from tillbell.clock import DAY, HOUR
from tillbell.model.audit import Actor, ActorKind, AuditedAct
from tillbell.model.messages import Claim, Delivery, DeliveryState, Result
from tillbell.model.records import Application
from tillbell.model.statistics import ALL, ENDPOINT, MESSAGES, CountedSeries, ending_code
from tillbell.storage.ports.inbound import (
    ChangesCommitted,
    ChangeSet,
    PreconditionFailed,
    ReceivedCallback,
)
from tillbell.storage.ports.outbound import (
    DeliverySelection,
    DuplicateEventId,
    IdempotencyUse,
    Publication,
    PublicationStored,
)
from tillbell.storage.ports.statistics import Period, RollupProgress
from tillbell.storage.postgres.database import PostgresDatabase
from tillbell.testing import ManualClock
from tillbell.upkeep.audit_check import check_audit_log

PROCESSES = 4
COPIES = 200
ACCEPTED = ending_code(Result.ACCEPTED, 200)


@pytest.fixture
async def stores(
    empty_database: Callable[[], str], clock: ManualClock
) -> AsyncIterator[list[PostgresDatabase]]:
    url = empty_database()
    opened = [PostgresDatabase(url, clock) for _ in range(PROCESSES)]
    for store in opened:
        await store.open()
    yield opened
    for store in opened:
        await store.close()


@pytest.fixture
def worlds(stores: list[PostgresDatabase], clock: ManualClock) -> list[OutboundHarness]:
    """The same shop, seen from each process."""
    made = [OutboundHarness(store, clock) for store in stores]
    for outbound in made[1:]:
        outbound.app, outbound.endpoint, outbound.second = (
            made[0].app,
            made[0].endpoint,
            made[0].second,
        )
    return made


@pytest.fixture
def tills(worlds: list[OutboundHarness]) -> list[InboundHarness]:
    made = [InboundHarness(outbound) for outbound in worlds]
    for inbound in made[1:]:
        inbound.source, inbound.second = made[0].source, made[0].second
    return made


async def test_an_event_id_is_published_once(worlds: list[OutboundHarness]) -> None:
    async def publish(
        outbound: OutboundHarness, number: int
    ) -> PublicationStored | DuplicateEventId | IdempotencyUse:
        message = outbound.message(event_id=f"event-{number % 20}")
        delivery = outbound.waiting(message, outbound.endpoint)
        return await outbound.store.publish(Publication(message, {"": b"{}"}, [delivery]))

    turns = zip(itertools.cycle(worlds), range(20 * COPIES // 5), strict=False)
    outcomes = await asyncio.gather(*(publish(outbound, n) for outbound, n in turns))

    assert Counter(type(one) for one in outcomes)[PublicationStored] == 20
    assert (await worlds[0].store.counts()).waiting == 20


async def test_an_idempotency_key_is_answered_once(worlds: list[OutboundHarness]) -> None:
    found = await asyncio.gather(
        *(w.store.store_idempotent_answer(IdempotencyUse(f"key-{n}", str(i), b"a"), w.now)
          for n in range(10) for i, w in enumerate(worlds * 10))
    )  # fmt: skip
    firsts = [one for one in found if one is None]

    assert len(firsts) == 10


async def test_of_many_copies_of_a_callback_one_counts(tills: list[InboundHarness]) -> None:
    """Two hundred copies of each event over four processes."""
    arrivals = [
        (inbound, ReceivedCallback(inbound.callback(f"event-{n % 20}"), REQUEST))
        for inbound, n in zip(itertools.cycle(tills), range(20 * COPIES), strict=False)
    ]
    random.Random(9).shuffle(arrivals)
    stored = await asyncio.gather(
        *(inbound.store.receive(arrival) for inbound, arrival in arrivals)
    )
    callbacks = [one.callback for one in stored]
    firsts = [one for one in callbacks if one.outcome is None]

    assert sorted(one.dedupe_key or "" for one in firsts) == sorted(f"event-{n}" for n in range(20))
    by_key = {one.dedupe_key: one.id for one in firsts}
    duplicates = [one for one in callbacks if one.outcome is not None]
    assert all(one.duplicate_of == by_key[one.dedupe_key] for one in duplicates)


async def test_no_two_processes_claim_one_delivery(worlds: list[OutboundHarness]) -> None:
    for _ in range(400):
        await worlds[0].publish(worlds[0].endpoint, worlds[0].second)

    async def work(outbound: OutboundHarness) -> list[Delivery]:
        mine: list[Delivery] = []
        for _ in range(60):
            wanted = {(outbound.app, outbound.endpoint): 7, (outbound.app, outbound.second): 5}
            claims = await outbound.store.claim(wanted, outbound.now, outbound.now + LEASE)
            mine += [claim.delivery for claim in claims]
            await asyncio.gather(*(_settle(outbound, claim) for claim in claims))
        return mine

    shares = await asyncio.gather(*map(work, worlds))
    claimed = [delivery.id for share in shares for delivery in share]

    assert len(claimed) == len(set(claimed)) == 800
    assert (await worlds[0].store.counts()).succeeded == 800


async def _settle(outbound: OutboundHarness, claim: Claim) -> None:
    settlement = outbound.result(claim.delivery, SUCCEEDED)
    assert await outbound.store.finish_attempt(settlement)


async def test_a_lost_lease_is_claimed_by_one(
    worlds: list[OutboundHarness], clock: ManualClock
) -> None:
    await worlds[0].publish()
    await worlds[0].claim()
    clock.advance(LEASE / 1_000_000 + 1)
    found = await asyncio.gather(*(outbound.claim() for outbound in worlds))
    claims = [claim for share in found for claim in share]

    assert len(claims) == 1
    assert claims[0].delivery.attempts == 2


async def test_of_an_order_key_one_at_a_time_leaves(worlds: list[OutboundHarness]) -> None:
    await asyncio.gather(
        *(outbound.publish(order_key=f"key-{n % 3}") for n in range(20) for outbound in worlds)
    )
    seen: list[str] = []
    while True:
        found = await asyncio.gather(*(outbound.claim(50) for outbound in worlds))
        claims = [(w, claim) for w, share in zip(worlds, found, strict=True) for claim in share]
        if not claims:
            break
        keys = [claim.delivery.order_key for _, claim in claims]
        assert len(keys) == len(set(keys)), "two of one key at once"
        seen += [claim.delivery.id for _, claim in claims]
        await asyncio.gather(*(_settle(outbound, claim) for outbound, claim in claims))

    assert len(seen) == len(set(seen)) == 80


async def test_a_decision_that_rests_on_one_version_is_made_once(
    tills: list[InboundHarness],
) -> None:
    for _ in range(10):
        waits = await tills[0].create()
        changes = [
            (
                inbound,
                ChangeSet(transaction_writes=(inbound.step(waits, APPROVED, effects=(CREDIT,)),)),
            )
            for inbound in tills * 5
        ]
        done = await asyncio.gather(
            *(inbound.store.commit_changes(change) for inbound, change in changes)
        )

        assert Counter(type(one) for one in done) == {
            ChangesCommitted: 1,
            PreconditionFailed: 5 * PROCESSES - 1,
        }
        assert len(await tills[0].store.effects(waits.app_id, waits.id)) == 1


async def test_refunds_of_all_processes_stay_within_what_was_paid(
    tills: list[InboundHarness],
) -> None:
    paid = await tills[0].captured()
    steps = [(inbound, inbound.refunding(paid, 3_000)) for inbound in tills * 3]
    done = await asyncio.gather(
        *(
            inbound.store.commit_changes(ChangeSet(transaction_writes=(step,)))
            for inbound, step in steps
        )
    )

    assert sum(isinstance(one, ChangesCommitted) for one in done) == 3
    children = await tills[0].store.linked_transactions(paid.app_id, paid.id)
    assert sum(one.amount for one in children) == 9_000


async def test_a_uid_is_taken_once(worlds: list[OutboundHarness]) -> None:
    async def put(outbound: OutboundHarness) -> bool:
        try:
            await outbound.store.put(Application(id=outbound.new("app"), name="shop", uid="shop"))
        except Exception as error:
            return "taken" not in str(error)
        return True

    assert sum(await asyncio.gather(*(put(outbound) for outbound in worlds * 10))) == 1


async def test_counts_of_all_processes_add_up(worlds: list[OutboundHarness]) -> None:
    await asyncio.gather(*(outbound.publish() for outbound in worlds * 50))
    claims = (await asyncio.gather(*(outbound.claim(30) for outbound in worlds)))[0]
    await asyncio.gather(*(_settle(worlds[0], claim) for claim in claims))
    store, until = worlds[0].store, worlds[0].now + DAY
    of_endpoint = await store.totals(worlds[0].app, worlds[0].endpoint, 0, until)
    everything = DeliverySelection(
        worlds[0].app, worlds[0].endpoint, 0, until, tuple(DeliveryState)
    )
    rows = await store.select(everything, "", 1_000)

    assert of_endpoint == await store.totals(worlds[0].app, None, 0, until)
    assert sum(of_endpoint) == len(rows) == 50 * PROCESSES
    assert of_endpoint.succeeded == len(claims)


async def test_all_processes_count_in_one_minute(worlds: list[OutboundHarness]) -> None:
    """At once, and with the purge's connection too; nobody waits for a row of another."""
    published = await asyncio.gather(*(o.hand_over() for o in worlds * 25))
    writers = worlds * (len(published) // len(worlds))
    await asyncio.gather(
        *(o.store.finish_attempt(o.result(d)) for o, d in zip(writers, published, strict=True))
    )
    store, since = worlds[0].store, worlds[0].now // HOUR * HOUR
    series = [CountedSeries("", ALL), CountedSeries(worlds[0].app, ENDPOINT, worlds[0].endpoint)]

    for _ in range(2):
        of_all, of_endpoint = await store.rollups(series, Period(since, since + HOUR), HOUR)
        assert of_all[0].counts[MESSAGES] == of_all[0].counts[ACCEPTED] == 25 * PROCESSES
        assert of_endpoint[0].counts[ACCEPTED] == 25 * PROCESSES
        # All of them add the hour up at once, and one of them deletes its minutes.
        sums = await store.hour_sums(since)
        await asyncio.gather(*(o.store.store_hours(since, since + HOUR, sums) for o in worlds))
        await store.advance_rollups(RollupProgress(since + HOUR, since + HOUR))
        await asyncio.gather(*(_purge_minutes(o) for o in worlds))


async def _purge_minutes(outbound: OutboundHarness) -> None:
    while await outbound.store.purge_statistics(hours_before=0, markers_before=0, limit=1):
        pass


async def test_the_audit_log_is_one_chain_whoever_adds_to_it(
    stores: list[PostgresDatabase],
) -> None:
    actor = Actor("key_1", "ops", ActorKind.KEY)
    acts = [
        AuditedAct(f"aud_{n:03}", "app_1", n, actor, "endpoint.update", "ep_1") for n in range(80)
    ]
    await asyncio.gather(
        *(stores[n % PROCESSES].put(audit=[act]) for n, act in enumerate(acts)),
        stores[0].purge_audit(before=3, limit=2),
    )
    proof = await check_audit_log(stores[1])
    assert proof.break_ is None
    assert proof.bounds.head.sequence == len(acts)
