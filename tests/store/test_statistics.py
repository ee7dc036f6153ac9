"""Statistics: what is counted equals what happened, by minutes and hours, after any crash."""

from __future__ import annotations

import contextlib
import math
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.store.inbound_harness import APPROVED, CREDIT, InboundHarness
from tests.store.outbound_harness import FAILED, SUCCEEDED, WAITING, OutboundHarness
from tillbell.clock import DAY, HOUR, MINUTE, SECOND, Micros
from tillbell.errors import StoreUnavailable
from tillbell.model.callbacks import Outcome
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import Result, Trigger
from tillbell.model.records import Application
from tillbell.model.statistics import (
    ALL,
    AMOUNT,
    ATTEMPTS_NEEDED,
    DELAYS,
    ENDPOINT,
    EVENT_TYPE,
    EXHAUSTED,
    MESSAGES,
    OVERDUE,
    PENDING,
    PROVIDER,
    RESPONSE_TIMES,
    SOURCE,
    CountedSeries,
    Counts,
    Marker,
    MarkerKind,
    arrival_code,
    bucket_of,
    bucket_start,
    conclusion_code,
    effect_sum,
    ending_code,
    percentile,
)
from tillbell.model.transactions import AMOUNT_MAX
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import DueLane
from tillbell.storage.ports.statistics import Period, RollupProgress
from tillbell.storage.sqlite.database import SqliteDatabase
from tillbell.testing import ManualClock
from tillbell.upkeep import statistics
from tillbell.upkeep.statistics import RollupUpkeep, overdue_of

EVERYTHING = CountedSeries("", ALL)


async def counts_of(
    outbound: OutboundHarness, series: CountedSeries, since: Micros = 0, until: Micros | None = None
) -> Counts:
    """Return what is counted of a series, by default in the last two hours."""
    until = (outbound.now // MINUTE + 1) * MINUTE if until is None else until
    since = since or until - 2 * HOUR
    (rollups,) = await outbound.store.rollups([series], Period(since, until), until - since)
    return rollups[0].counts if rollups else {}


def upkeep(store: Database, clock: ManualClock, minutes_kept: Micros = 48 * HOUR) -> RollupUpkeep:
    return RollupUpkeep(store, clock, minutes_kept=minutes_kept, hours_kept=400 * DAY)


def start_hour(clock: ManualClock) -> Micros:
    """Move the clock to the start of an hour, so that a test knows its buckets."""
    clock.advance((HOUR - clock.now() % HOUR) / SECOND)
    return clock.now()


async def settle(outbound: OutboundHarness, duration_us: int, **fields: object) -> None:
    """Publish a message and store one attempt of it."""
    delivery = await outbound.hand_over()
    state = WAITING if fields.pop("retries", False) else SUCCEEDED
    if fields.get("result", Result.ACCEPTED) is not Result.ACCEPTED and state is SUCCEEDED:
        state = FAILED
    finished = outbound.result(delivery, state, outbound.now, duration_us=duration_us, **fields)
    finished = finished._replace(owed_since=outbound.now - 7 * SECOND)
    assert await outbound.store.finish_attempt(finished)


# ── what is counted ──────────────────────────────────────────────────────────────────────────────


async def test_an_attempt_is_counted_in_all_its_series(outbound: OutboundHarness) -> None:
    await settle(outbound, 40_000)
    expected = {
        ending_code(Result.ACCEPTED, 200): 1,
        RESPONSE_TIMES + bucket_of(40_000): 1,
        DELAYS + bucket_of(7 * SECOND + 40_000): 1,
        ATTEMPTS_NEEDED + 1: 1,
    }
    with_message = expected | {MESSAGES: 1}

    assert (
        await counts_of(outbound, CountedSeries(outbound.app, ENDPOINT, outbound.endpoint))
        == expected
    )
    for series in (
        CountedSeries(outbound.app, EVENT_TYPE, "order.paid"),
        CountedSeries(outbound.app, ALL),
        CountedSeries("", EVENT_TYPE, "order.paid"),
        EVERYTHING,
    ):
        assert await counts_of(outbound, series) == with_message, series


async def test_how_attempts_end_is_counted_by_class(outbound: OutboundHarness) -> None:
    for result, status in (
        (Result.REFUSED, 302),
        (Result.REFUSED, 404),
        (Result.REFUSED, 503),
        (Result.REFUSED, 200),
        (Result.THROTTLED, 429),
        (Result.GONE, 410),
        (Result.TIMED_OUT, 0),
        (Result.UNREACHABLE, 0),
        (Result.BLOCKED, 0),
        (Result.INTERRUPTED, 0),
    ):
        await settle(outbound, 1_000, result=result, status_code=status, retries=True)

    # By their places in the list of the model, which is stored and so never changes.
    assert await counts_of(outbound, EVERYTHING) == dict.fromkeys(range(1, 11), 1) | {MESSAGES: 10}


async def test_by_hand_counts_neither_as_delay_nor_as_attempts_needed(
    outbound: OutboundHarness,
) -> None:
    await settle(outbound, 1_000, trigger=Trigger.MANUAL)
    await settle(outbound, 1_000, trigger=Trigger.MANUAL, result=Result.REFUSED, status_code=500)
    await settle(outbound, 1_000, number=3)
    await settle(outbound, 1_000, number=70)
    await settle(outbound, 1_000, result=Result.REFUSED, status_code=500)

    assert await counts_of(outbound, EVERYTHING) == {
        ending_code(Result.ACCEPTED, 200): 3,
        ending_code(Result.REFUSED, 500): 2,
        RESPONSE_TIMES + bucket_of(1_000): 3,
        DELAYS + bucket_of(7 * SECOND + 1_000): 2,
        ATTEMPTS_NEEDED + 3: 1,
        ATTEMPTS_NEEDED + 20: 1,
        EXHAUSTED: 1,
        MESSAGES: 5,
    }


async def test_callbacks_are_counted_as_they_came_and_as_they_ended(
    inbound: InboundHarness,
) -> None:
    callback = await inbound.receive("event-1")
    await inbound.receive("event-1")
    await inbound.receive(outcome=Outcome.UNAUTHENTICATED)
    await inbound.receive(outcome=Outcome.NOTED)  # of a test: not counted
    await inbound.do(conclusion=inbound.conclusion(callback))
    arrived = {
        arrival_code(None): 1,
        arrival_code(Outcome.DUPLICATE): 1,
        arrival_code(Outcome.UNAUTHENTICATED): 1,
    }
    ended = {conclusion_code(inbound.conclusion(callback).outcome): 1}
    outbound = inbound.outbound

    of_source = CountedSeries(callback.app_id, SOURCE, callback.source_id)
    assert await counts_of(outbound, of_source) == arrived | ended
    assert await counts_of(outbound, CountedSeries(callback.app_id, ALL)) == arrived | ended
    assert await counts_of(outbound, EVERYTHING) == arrived | ended
    assert await counts_of(outbound, CountedSeries("", PROVIDER, callback.provider)) == arrived


async def test_amounts_are_exact_and_apart_by_currency(inbound: InboundHarness) -> None:
    for amount, currency in ((AMOUNT_MAX, "EUR"), (AMOUNT_MAX, "EUR"), (1, "EUR"), (5, "USD")):
        payment = await inbound.create(amount=amount, currency=currency, provider="stripe")
        await inbound.move(payment, APPROVED, effects=(CREDIT,))
    sums = await inbound.outbound.store.rollups_by_subject(
        inbound.outbound.app,
        AMOUNT,
        Period(inbound.outbound.now - HOUR, inbound.outbound.now + HOUR),
        100,
    )

    assert {name: effect_sum(counts, CREDIT) for name, counts in sums.items()} == {
        "stripe EUR": (3, 2 * AMOUNT_MAX + 1),
        "stripe USD": (1, 5),
    }


async def test_of_samples_the_peak_stays(outbound: OutboundHarness, clock: ManualClock) -> None:
    hour = start_hour(clock)
    for pending, overdue in ((5, 9), (7, 0), (3, 1)):
        await outbound.store.count({EVERYTHING: {PENDING: pending, OVERDUE: overdue}})
        clock.advance(60)
    clock.advance(2 * 3_600)
    await upkeep(outbound.store, clock).run()

    assert await counts_of(outbound, EVERYTHING, hour, hour + HOUR) == {PENDING: 7, OVERDUE: 9}


# ── minutes and hours ────────────────────────────────────────────────────────────────────────────


class Truth:
    """What happened, counted beside the store: how attempts ended by the minute, and how long."""

    def __init__(self, outbound: OutboundHarness) -> None:
        self.outbound = outbound
        self.since = outbound.now
        self.by_minute: dict[Micros, Counter[bool]] = {}
        self.durations: list[int] = []

    async def live(self, clock: ManualClock, chance: random.Random) -> None:
        """Make an attempt, and let time pass."""
        is_accepted, duration = chance.random() < 0.8, round(chance.lognormvariate(11, 1))
        if is_accepted:
            self.durations.append(duration)
            await settle(self.outbound, duration)
        else:
            await settle(self.outbound, duration, result=Result.REFUSED, status_code=500)
        minute = self.outbound.now // MINUTE * MINUTE
        self.by_minute.setdefault(minute, Counter())[is_accepted] += 1
        clock.advance(chance.choice([0, 20, 90, 400]))

    def in_steps(self, step: Micros, until: Micros | None = None) -> dict[Micros, tuple[int, int]]:
        sums: dict[Micros, Counter[bool]] = {}
        for minute, ends in self.by_minute.items():
            if until is not None and minute >= until:
                continue
            start = self.since + (minute - self.since) // step * step
            sums.setdefault(start, Counter()).update(ends)
        return {start: (ends[True], ends[False]) for start, ends in sums.items()}

    async def counted(self, until: Micros, step: Micros) -> dict[Micros, tuple[int, int]]:
        """Return what the store has counted."""
        period = Period(self.since, until)
        (rollups,) = await self.outbound.store.rollups([EVERYTHING], period, step)
        codes = ending_code(Result.ACCEPTED, 200), ending_code(Result.REFUSED, 500)
        return {r.start: (r.counts.get(codes[0], 0), r.counts.get(codes[1], 0)) for r in rollups}


async def test_over_hours_the_numbers_equal_what_happened(
    outbound: OutboundHarness, clock: ManualClock
) -> None:
    """Adding up changes no number."""
    start_hour(clock)
    truth, chance, store = Truth(outbound), random.Random(4), outbound.store
    for _ in range(120):
        await truth.live(clock, chance)
    until = outbound.now // HOUR * HOUR + HOUR

    for step in (MINUTE, 5 * MINUTE, HOUR):
        assert await truth.counted(until, step) == truth.in_steps(step)
    clock.advance(3_600 + 301)
    await upkeep(store, clock).run()
    assert (await store.rollup_progress()).hours_until == until
    for step in (MINUTE, HOUR):  # minutes are there for 48 hours
        assert await truth.counted(until, step) == truth.in_steps(step)
    clock.advance(3 * 86_400)
    await upkeep(store, clock).run()
    assert await truth.counted(until, MINUTE) == {}
    assert await truth.counted(until, HOUR) == truth.in_steps(HOUR)

    counts = await counts_of(outbound, EVERYTHING, truth.since, until)
    durations = sorted(truth.durations)
    for share in (0.5, 0.95, 0.99):
        bucket = bucket_of(durations[math.ceil(share * len(durations)) - 1])
        answer = percentile(counts, RESPONSE_TIMES, share) or 0
        assert bucket_start(bucket) <= answer <= bucket_start(bucket + 1), share

    clock.advance(401 * 86_400)
    await upkeep(store, clock).run()
    assert await truth.counted(until, HOUR) == {}


async def test_wherever_the_upkeep_stops_each_minute_counts_once(
    tmp_path: Path, clock: ManualClock
) -> None:
    """It is stopped at every commit in turn, and begins anew each time."""
    stop_in = 10**9

    def fault(point: str) -> None:
        nonlocal stop_in
        if point in ("before commit", "after commit"):
            stop_in -= 1
            if stop_in < 0:
                raise StoreUnavailable("stopped")

    store = SqliteDatabase(tmp_path / "tillbell.db", clock, fault=fault)
    await store.open()
    outbound = OutboundHarness(store, clock)
    since = start_hour(clock)
    for _ in range(5):
        await settle(outbound, 1_000)
        clock.advance(1_800)
    expected = await counts_of(outbound, EVERYTHING, since, since + 3 * HOUR)
    clock.advance(3 * 86_400)
    for commits in range(25):
        stop_in = commits
        try:
            await upkeep(store, clock).run()
        except StoreUnavailable:
            stop_in = 10**9
            assert await counts_of(outbound, EVERYTHING, since, since + 3 * HOUR) == expected
    stop_in = 10**9

    assert expected[ending_code(Result.ACCEPTED, 200)] == 5
    assert await counts_of(outbound, EVERYTHING, since, since + 3 * HOUR) == expected
    assert await store.next_rollup_minute(0) is None
    await store.close()


async def test_at_any_moment_each_minute_counts_once(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upkeep is stopped again and again while an hour is added up in part."""
    monkeypatch.setattr(statistics, "STORE_BATCH", 2)
    chance, stop_in = random.Random(8), 10**9

    def fault(point: str) -> None:
        nonlocal stop_in
        if point in ("before commit", "after commit"):
            stop_in -= 1
            if stop_in < 0:
                raise StoreUnavailable("stopped")

    store = SqliteDatabase(tmp_path / "tillbell.db", clock, fault=fault)
    await store.open()
    outbound = OutboundHarness(store, clock)
    start_hour(clock)
    truth = Truth(outbound)
    ahead = 0
    for _ in range(120):
        await truth.live(clock, chance)
        stop_in = chance.choice([0, 1, 2, 3, 4, 5, 10**9])
        with contextlib.suppress(StoreUnavailable):
            await upkeep(store, clock).run()
        stop_in = 10**9
        progress = await store.rollup_progress()
        ahead += progress.sums_until > progress.hours_until
        now = outbound.now // MINUTE * MINUTE + MINUTE
        for until in (now, now - chance.randrange(120) * MINUTE):
            if until > truth.since:
                assert await truth.counted(until, HOUR) == truth.in_steps(HOUR, until)
        types = await store.rollups_by_subject("", EVENT_TYPE, Period(truth.since, now), 10)
        assert types["order.paid"][MESSAGES] == sum(map(Counter.total, truth.by_minute.values()))
    assert ahead > 60
    await store.close()


async def test_sums_of_an_hour_never_lose_a_minute_to_an_older_process(
    outbound: OutboundHarness, clock: ManualClock
) -> None:
    hour, store = start_hour(clock), outbound.store
    await outbound.publish()
    clock.advance(60)
    older = await store.continued_sums(hour, Period(hour, hour + MINUTE))
    await outbound.publish()
    newer = await store.continued_sums(hour, Period(hour, hour + 2 * MINUTE))
    assert await store.store_hours(hour, hour + 2 * MINUTE, newer) is True
    assert await store.store_hours(hour, hour + MINUTE, older) is True
    assert (await counts_of(outbound, EVERYTHING, hour, hour + HOUR))[MESSAGES] == 2
    await store.advance_rollups(RollupProgress(sums_until=hour + MINUTE))
    assert (await counts_of(outbound, EVERYTHING, hour, hour + HOUR))[MESSAGES] == 2
    assert (await counts_of(outbound, EVERYTHING, hour, hour + MINUTE))[MESSAGES] == 1
    again = await store.continued_sums(hour, Period(hour + MINUTE, hour + 2 * MINUTE))
    assert again[EVERYTHING][MESSAGES] == 2


async def test_a_final_hour_is_not_stored_again(
    outbound: OutboundHarness, clock: ManualClock
) -> None:
    hour, store = start_hour(clock), outbound.store
    await settle(outbound, 1_000)
    assert await store.store_hours(hour, hour + HOUR, await store.hour_sums(hour)) is True
    await store.advance_rollups(RollupProgress(hours_until=hour + HOUR, minutes_from=hour + HOUR))
    await store.advance_rollups(RollupProgress(hours_until=0, minutes_from=0))

    assert await store.rollup_progress() == RollupProgress(hour + HOUR, hour + HOUR, 0)
    assert await store.store_hours(hour, hour + HOUR, {EVERYTHING: {MESSAGES: 9}}) is False
    assert (await counts_of(outbound, EVERYTHING, hour, hour + HOUR))[MESSAGES] == 1


# ── commits that fail ────────────────────────────────────────────────────────────────────────────


async def test_what_a_commit_counts_is_stored_with_it_or_not_at_all(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Also when it is not known whether it was made: then the session begins a new shard."""
    broken = ""

    def fault(point: str) -> None:
        if point == broken:
            raise StoreUnavailable("broken")

    store = SqliteDatabase(tmp_path / "tillbell.db", clock, fault=fault)
    await store.open()
    outbound = OutboundHarness(store, clock)
    await settle(outbound, 1_000)
    for broken, stored in (("before commit", 1), ("after commit", 2), ("publish", 2)):
        with pytest.raises(StoreUnavailable):
            await outbound.publish()
        broken = ""
        assert (await counts_of(outbound, EVERYTHING))[MESSAGES] == stored
    await outbound.publish()
    assert (await counts_of(outbound, EVERYTHING))[MESSAGES] == 3
    await store.close()

    reopened = SqliteDatabase(tmp_path / "tillbell.db", clock)
    await reopened.open()
    outbound = OutboundHarness(reopened, clock)
    await outbound.publish()
    assert (await counts_of(outbound, EVERYTHING))[MESSAGES] == 4
    await reopened.close()


# ── what is removed ──────────────────────────────────────────────────────────────────────────────


async def test_with_an_application_or_endpoint_its_counts_go(
    outbound: OutboundHarness, clock: ManualClock
) -> None:
    store, app = outbound.store, outbound.app
    await store.put(Application(id=app, name="Shop"))
    await store.put(Endpoint(id=outbound.endpoint, scope=app, url="https://shop.example/"))
    hour = start_hour(clock)
    await settle(outbound, 1_000)
    await store.store_hours(hour, hour + HOUR, await store.hour_sums(hour))
    marker = Marker(outbound.new("mrk"), app, outbound.endpoint, clock.now(), MarkerKind.START, "")
    await store.add_marker(marker)
    of_endpoint, of_app = CountedSeries(app, ENDPOINT, outbound.endpoint), CountedSeries(app, ALL)

    await store.remove(Endpoint, outbound.endpoint, app)
    assert await counts_of(outbound, of_endpoint) == {}
    assert of_endpoint not in await store.hour_sums(hour)
    assert await counts_of(outbound, of_app) != {}

    await store.remove(Application, app)
    assert await counts_of(outbound, of_app) == {}
    assert {series.app_id for series in await store.hour_sums(hour)} == {""}
    period = Period(hour, hour + HOUR)
    assert await store.rollups_by_subject(app, EVENT_TYPE, period, 10) == {}
    assert await store.markers(None, period, 10) == []
    assert (await counts_of(outbound, EVERYTHING))[MESSAGES] == 1


# ── subjects and markers ─────────────────────────────────────────────────────────────────────────


async def test_subjects_are_counted_over_hours_and_minutes(
    outbound: OutboundHarness, clock: ManualClock
) -> None:
    since = start_hour(clock)
    for event_type in ("a.b", "a.c", "a.c"):
        await outbound.publish(event_type=event_type)
        clock.advance(3_600)
    period = Period(since + 10 * MINUTE, clock.now() + MINUTE)

    async def messages(limit: int = 10) -> dict[str, int]:
        sums = await outbound.store.rollups_by_subject(outbound.app, EVENT_TYPE, period, limit)
        return {name: counts[MESSAGES] for name, counts in sums.items()}

    assert await messages() == {"a.c": 2}
    period = Period(since, period.until)
    assert await messages() == {"a.b": 1, "a.c": 2}
    clock.advance(400)
    await upkeep(outbound.store, clock).run()
    assert await messages() == {"a.b": 1, "a.c": 2}
    assert await messages(limit=1) == {"a.b": 1}
    assert await messages(limit=1) != await messages(limit=2)


async def test_markers_come_newest_first_and_only_those_of_the_period(
    outbound: OutboundHarness, clock: ManualClock
) -> None:
    made = []
    for app_id in ("", outbound.app, outbound.other_app, ""):
        id_ = outbound.new("mrk")
        made.append(Marker(id_, app_id, "", clock.now(), MarkerKind.START, "It started."))
        await outbound.store.add_marker(made[-1])
        clock.advance(60)
    period = Period(made[0].at + 1_000, clock.now())

    assert await outbound.store.markers(None, period, 10) == made[:0:-1]
    assert await outbound.store.markers(None, period, 1) == made[:2:-1]
    of_app = await outbound.store.markers(outbound.app, period, 10)
    assert of_app == [made[3], made[1]]
    deleted = await outbound.store.purge_statistics(
        hours_before=0, markers_before=made[2].at, limit=10
    )
    assert deleted == 2


# ── plain functions ──────────────────────────────────────────────────────────────────────────────


def test_each_time_is_in_the_bucket_that_holds_it() -> None:
    for bucket in range(199):
        start, end = bucket_start(bucket), bucket_start(bucket + 1)
        assert bucket_of(start) == bucket_of(end - 1) == bucket < bucket_of(end)
        assert end - start <= max(1, start / 4)


def test_a_percentile_lies_between_the_times_that_were_counted() -> None:
    counts = {RESPONSE_TIMES + bucket_of(time): 1 for time in (100, 1_000, 10_000)}

    assert percentile({}, RESPONSE_TIMES, 0.5) is None
    assert percentile({DELAYS + 5: 1}, RESPONSE_TIMES, 0.5) is None
    assert percentile(counts, RESPONSE_TIMES, 0.5) == pytest.approx(1_000, rel=0.2)
    assert percentile(counts, RESPONSE_TIMES, 1.0) == pytest.approx(10_000, rel=0.2)


def test_only_what_is_due_is_overdue() -> None:
    lanes = [("app_1", "ep_1", 60), ("app_1", "ep_2", 90), ("app_2", "ep_3", 170)]

    assert overdue_of([DueLane(*lane) for lane in lanes], now=100) == {
        EVERYTHING: 40,
        CountedSeries("app_1", ALL): 40,
        CountedSeries("app_2", ALL): 0,
        CountedSeries("app_1", ENDPOINT, "ep_1"): 40,
        CountedSeries("app_1", ENDPOINT, "ep_2"): 10,
    }
    assert overdue_of([], now=100) == {EVERYTHING: 0}
