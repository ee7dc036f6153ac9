"""Upkeep of statistics: minutes are added up to hours, old ones are deleted, and samples taken.

Minutes that have passed are added to the sums of their hour, so that a read needs hours and the
last few minutes. Each sum says up to which minute it goes, so each minute is in it once, wherever
the upkeep was stopped.

An hour is added up anew some minutes after its end, when no commit that began in it can still be
under way. That may be repeated at will, because the sums replace those before. It is added up once
more, for good, before its minutes may be deleted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from importlib.metadata import version

from tillbell.clock import DAY, HOUR, MINUTE, Clock, Micros
from tillbell.errors import StoreUnavailable
from tillbell.ids import IdMaker
from tillbell.model.sources import Source
from tillbell.model.statistics import (
    ALL,
    ARRIVALS,
    ARRIVED,
    ENDPOINT,
    OVERDUE,
    PENDING,
    PROVIDER,
    SOURCE,
    CountedSeries,
    Counts,
    Marker,
    MarkerKind,
    add_counts,
)
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import DueLane
from tillbell.storage.ports.statistics import Period, RollupProgress

COMPLETE_AFTER: Micros = 5 * MINUTE  # the end of an hour: longer than any commit takes
# The end of a minute, before it is added to its hour. A commit that takes longer, or one of a
# process whose clock is behind by more, is in the sums when the hour is added up anew.
PASSED_AFTER: Micros = 2 * MINUTE
HOURS_AT_ONCE = 24  # in one run
STORE_BATCH = 500  # series of one commit
PURGE_BATCH = 500
SAMPLED_APPS_MAX = 200
SAMPLED_ENDPOINTS_MAX = 500


class RollupUpkeep:
    """Adds minutes up to hours and deletes what is past its retention."""

    def __init__(
        self, database: Database, clock: Clock, *, minutes_kept: Micros, hours_kept: Micros
    ) -> None:
        self._database = database
        self._clock = clock
        self._minutes_kept = minutes_kept
        self._hours_kept = hours_kept

    async def run(self) -> None:
        """Add up the hours that are complete, and delete what may go."""
        await self._add_up()
        await self._continue_sums()
        await self._make_final()
        now = self._clock.now()
        while await self._database.purge_statistics(
            hours_before=now - self._hours_kept,
            markers_before=now - self._hours_kept,
            limit=PURGE_BATCH,
        ):
            pass  # each is a commit, which others share

    async def _add_up(self) -> None:
        """Add up the hours that are complete."""
        progress = await self._database.rollup_progress()
        complete = (self._clock.now() - COMPLETE_AFTER) // HOUR * HOUR
        async for hour in self._stored_hours(progress.hours_until, complete):
            if not await self._store(hour, hour + HOUR, await self._database.hour_sums(hour)):
                return
            await self._advance(hours_until=hour + HOUR)

    async def _continue_sums(self) -> None:
        """Add the minutes that have passed to the sums of their hours."""
        since = (await self._database.rollup_progress()).added_until
        passed = (self._clock.now() - PASSED_AFTER) // MINUTE * MINUTE
        for _ in range(HOURS_AT_ONCE):
            if since >= passed:
                return
            minute = await self._database.next_rollup_minute(since)
            if minute is None or minute >= passed:
                await self._advance(sums_until=passed)
                return
            hour = minute // HOUR * HOUR
            until = min(hour + HOUR, passed)
            sums = await self._database.continued_sums(hour, Period(minute, until))
            if not await self._store(hour, until, sums):
                return
            await self._advance(sums_until=until)
            since = until

    async def _make_final(self) -> None:
        """Add up a last time the hours whose minutes are past their retention."""
        progress = await self._database.rollup_progress()
        due = (self._clock.now() - self._minutes_kept) // HOUR * HOUR
        due = min(due, progress.hours_until)
        async for hour in self._stored_hours(progress.minutes_from, due):
            if not await self._store(hour, hour + HOUR, await self._database.hour_sums(hour)):
                return
            await self._advance(minutes_from=hour + HOUR)

    async def _stored_hours(self, since: Micros, until: Micros) -> AsyncIterator[Micros]:
        """Yield the hours, some at once, of which minutes are stored."""
        for _ in range(HOURS_AT_ONCE):
            minute = await self._database.next_rollup_minute(since)
            if minute is None or minute >= until:
                return
            hour = minute // HOUR * HOUR
            yield hour
            since = hour + HOUR

    async def _advance(
        self, *, hours_until: Micros = 0, minutes_from: Micros = 0, sums_until: Micros = 0
    ) -> None:
        progress = RollupProgress(hours_until, minutes_from, sums_until)
        await self._database.advance_rollups(progress)

    async def _store(
        self, hour: Micros, until: Micros, sums: Mapping[CountedSeries, Counts]
    ) -> bool:
        """Store sums of an hour; False if another process has made it final meanwhile."""
        for part in _parts(sums):
            if not await self._database.store_hours(hour, until, part):
                return False
        return True


def _parts(sums: Mapping[CountedSeries, Counts]) -> Iterator[dict[CountedSeries, Counts]]:
    series = list(sums)
    for start in range(0, len(series), STORE_BATCH):
        yield {each: sums[each] for each in series[start : start + STORE_BATCH]}


class Markers:
    """Stores what happened and may explain what a plot shows."""

    def __init__(self, database: Database, clock: Clock, ids: IdMaker) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def started(self) -> None:
        """Store that this process has started."""
        await self._add("", "", MarkerKind.START, f"Tillbell {version('tillbell')} started.")

    async def circuit_moved(self, app_id: str, endpoint_id: str, *, is_open: bool) -> None:
        """Store that the circuit breaker of an endpoint has opened or closed."""
        if is_open:
            text = "The circuit opened: deliveries wait until a probe is accepted."
            await self._add(app_id, endpoint_id, MarkerKind.CIRCUIT_OPENED, text)
        else:
            text = "The circuit closed: an attempt was accepted."
            await self._add(app_id, endpoint_id, MarkerKind.CIRCUIT_CLOSED, text)

    async def _add(self, app_id: str, endpoint_id: str, kind: MarkerKind, text: str) -> None:
        now = self._clock.now()
        id_ = self._ids.new("mrk", now)
        await self._database.add_marker(Marker(id_, app_id, endpoint_id, now, kind, text))


class PendingSampler:
    """Counts each minute what waits: how many deliveries, and how long they are overdue."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def sample(self) -> None:
        """Count once. Applications and endpoints with nothing open are not counted."""
        now = self._clock.now()
        totals = await self._database.counts()
        samples: dict[CountedSeries, Counts] = {
            CountedSeries("", ALL): {PENDING: totals.waiting + totals.sending, OVERDUE: 0}
        }
        lanes = await self._database.due_lanes()
        for series, overdue in overdue_of(lanes, now).items():
            samples.setdefault(series, {})[OVERDUE] = overdue
        for app_id in [series.app_id for series in samples if series.app_id and not series.subject]:
            of_app = await self._database.totals(app_id, None, 0, now + DAY)
            samples[CountedSeries(app_id, ALL)][PENDING] = of_app.waiting + of_app.sending
        await self._database.count(samples)


class UnstoredCallbacks:
    """Counts the callbacks that are not stored, so that no flood of them costs a commit each.

    What was counted since the last `store` is lost if the process dies.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: dict[CountedSeries, Counts] = {}

    def add(self, source: Source, provider: str, arrival: str) -> None:
        """Count a callback of a source; `arrival` is one of `ARRIVALS`."""
        for series in (
            CountedSeries(source.scope, SOURCE, source.id),
            CountedSeries(source.scope, PROVIDER, provider),
            CountedSeries(source.scope, ALL),
            CountedSeries("", PROVIDER, provider),
        ):
            self._add(series, arrival)
        self._add(CountedSeries("", ALL), arrival)

    def add_unknown_source(self) -> None:
        """Count a callback for a path that no source has."""
        self._add(CountedSeries("", ALL), "unknown_source")

    def _add(self, series: CountedSeries, arrival: str) -> None:
        code = ARRIVED + ARRIVALS.index(arrival)
        counts = self._counts.setdefault(series, {})
        counts[code] = counts.get(code, 0) + 1

    async def store(self) -> None:
        """Store what was counted; what cannot be stored now is kept for the next time."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            await self._database.count(counts)
        except StoreUnavailable:
            for series, numbers in counts.items():
                add_counts(self._counts.setdefault(series, {}), numbers)
            raise


def overdue_of(lanes: list[DueLane], now: Micros) -> dict[CountedSeries, Micros]:
    """Return for how long the delivery that is due longest has waited: of all, of applications
    and of endpoints, those that have waited longest.
    """
    by_app: dict[str, Micros] = {}
    for lane in lanes:
        overdue = max(0, now - lane.due_at)
        by_app[lane.app_id] = max(by_app.get(lane.app_id, 0), overdue)
    apps = sorted(by_app, key=by_app.__getitem__, reverse=True)[:SAMPLED_APPS_MAX]
    endpoints = sorted(lanes, key=lambda lane: lane.due_at)[:SAMPLED_ENDPOINTS_MAX]
    return {
        CountedSeries("", ALL): max(by_app.values(), default=0),
        **{CountedSeries(app_id, ALL): by_app[app_id] for app_id in apps},
        **{
            CountedSeries(lane.app_id, ENDPOINT, lane.endpoint_id): now - lane.due_at
            for lane in endpoints
            if lane.due_at < now
        },
    }
