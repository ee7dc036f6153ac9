"""Plans of replays: how many deliveries, and from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.ids import made_at
from tillbell.rules.filters.clauses import ListFilter
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import DeliverySelection, MissedPeriod, Page

COUNTED_MAX = 10_000  # deliveries; more are not counted
_BATCH = 500


class ReplayCount(NamedTuple):
    """What a replay would send now."""

    deliveries: int
    is_whole: bool  # False: there are more
    oldest: Micros | None  # when it was published; None: there is nothing
    newest: Micros | None


class ReplayPlanner:
    """Counts what a replay would take, and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def failed(self, selection: DeliverySelection) -> ReplayCount:
        """Count the deliveries that a selection takes."""
        ids = await self._database.select(selection, "", COUNTED_MAX + 1)
        return _counted(ids)

    async def missing(self, period: MissedPeriod) -> ReplayCount:
        """Count the messages of a period without a delivery to its endpoint.

        Some of them the endpoint may not want: that is judged when they are sent.
        """
        ids: list[str] = []
        after: str | None = ""
        while after is not None and len(ids) <= COUNTED_MAX:
            messages, after = await self._database.missing_messages(period, after, _BATCH)
            ids += [message.id for message in messages]
        return _counted(ids)

    async def filtered(self, app_id: str, filter_: ListFilter) -> ReplayCount:
        """Count the deliveries that fit a filter."""
        ids: list[str] = []
        page = Page(_BATCH, None, ascending=True)
        while len(ids) <= COUNTED_MAX:
            slice_ = await self._database.filtered_deliveries(app_id, filter_, page, COUNTED_MAX)
            ids += [row.delivery.id for row in slice_.rows]
            after = ids[-1] if len(slice_.rows) == _BATCH else slice_.end
            if after is None:
                break
            page = Page(_BATCH, after, ascending=True)
        return _counted(ids)


def _counted(ids: Sequence[str]) -> ReplayCount:
    times = [made_at(id_) for id_ in ids[:COUNTED_MAX]]
    oldest, newest = min(times, default=None), max(times, default=None)
    return ReplayCount(len(times), len(ids) <= COUNTED_MAX, oldest, newest)
