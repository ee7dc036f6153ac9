"""The port to statistics: counts by the minute and by the hour, and markers.

What attempts, messages, callbacks and money add is counted by the writes of the other ports, in
their commits. Each is counted in the minute in which it was stored, so a minute is complete once it
has passed. No read goes through history: what it costs depends on the time and the number of series
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tillbell.clock import Micros
from tillbell.model.statistics import CountedSeries, Counts, Marker, Rollup


class Period(NamedTuple):
    """A time from the minute of `since` to before `until`."""

    since: Micros
    until: Micros


class RollupProgress(NamedTuple):
    """How far minutes are added up and deleted."""

    hours_until: Micros = 0  # hours that began before are added up for good or nearly so
    minutes_from: Micros = 0  # minutes before may be deleted: their hours are final
    sums_until: Micros = 0  # minutes before are in the sums of their hours

    @property
    def added_until(self) -> Micros:
        """Minutes before are in the sums of their hours, however they came there."""
        return max(self.hours_until, self.sums_until)


class StatisticsReads(Protocol):
    """What is counted."""

    async def rollups(
        self, series: Sequence[CountedSeries], period: Period, step: Micros
    ) -> list[list[Rollup]]:
        """Return the counts of each series, in steps from the start of the period on.

        A step is a whole number of minutes; one in which nothing was counted is left out. Of
        minutes that are deleted something is known only if step and start are whole hours.
        """
        ...

    async def rollups_by_subject(
        self, app_id: str, kind: str, period: Period, limit: int
    ) -> dict[str, Counts]:
        """Return the counts of a period for each subject of a kind, at most `limit`."""
        ...

    async def markers(self, app_id: str | None, period: Period, limit: int) -> Sequence[Marker]:
        """Return the newest markers of a period, newest first.

        To those of an application belong those that concern all.
        """
        ...


class StatisticsStore(StatisticsReads, Protocol):
    """What is counted, and how it is kept."""

    async def count(self, counts: Mapping[CountedSeries, Counts]) -> None:
        """Add to counts what belongs to no other write: samples."""
        ...

    async def add_marker(self, marker: Marker) -> None:
        """Store a marker."""
        ...

    async def rollup_progress(self) -> RollupProgress:
        """Return how far minutes are added up."""
        ...

    async def next_rollup_minute(self, since: Micros) -> Micros | None:
        """Return the first minute that is stored, from a time on; None: there is none."""
        ...

    async def hour_sums(self, hour: Micros) -> dict[CountedSeries, Counts]:
        """Add up the minutes of an hour."""
        ...

    async def continued_sums(self, hour: Micros, part: Period) -> dict[CountedSeries, Counts]:
        """Add the minutes of a part of an hour to what is stored of it.

        Series of which nothing was counted in that part are left out. The part begins no later
        than where the sums end.
        """
        ...

    async def store_hours(
        self, hour: Micros, until: Micros, sums: Mapping[CountedSeries, Counts]
    ) -> bool:
        """Store sums of an hour up to the minute `until`, in place of those before.

        A sum up to a later minute stays. False, and nothing is stored, if the hour is final.
        """
        ...

    async def advance_rollups(self, progress: RollupProgress) -> None:
        """Note how far minutes are added up. It never goes back."""
        ...

    async def purge_statistics(
        self, *, hours_before: Micros, markers_before: Micros, limit: int
    ) -> int:
        """Delete at most `limit` rows; return how many. 0: nothing is left.

        Minutes go when their hour is final (`RollupProgress.minutes_from`).
        """
        ...
