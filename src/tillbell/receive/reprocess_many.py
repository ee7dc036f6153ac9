"""Reprocess many: a background task over the callbacks that a filter selects.

The API calls it bulk replay.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tillbell.clock import Clock
from tillbell.deliver.tasks import TaskProgress, TaskRunner
from tillbell.model.callbacks import Callback
from tillbell.model.records import Task
from tillbell.receive.reprocess import BATCH_SIZE, Reprocessor
from tillbell.rules.filters.clauses import ListFilter, from_plain, to_plain
from tillbell.storage.ports.as_clauses import with_callback
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.filtered import Slice
from tillbell.storage.ports.inbound import CallbackFilter
from tillbell.storage.ports.outbound import Page

SEARCHED_AT_ONCE = 5_000  # callbacks that one step looks at, if a filter needs it
REPROCESS_TASK = "callback.replay"  # as it is stored, and shown by the API


class BulkReprocessor:
    """Reprocesses the callbacks that a filter selects, oldest first."""

    def __init__(
        self, database: Database, reprocessor: Reprocessor, tasks: TaskRunner, clock: Clock
    ) -> None:
        self._database = database
        self._reprocessor = reprocessor
        self._tasks = tasks
        self._clock = clock
        tasks.register(REPROCESS_TASK, self._step)

    async def begin(self, app_id: str, filter_: ListFilter) -> Task:
        """Start a task over the callbacks that were received until now."""
        arguments = {"filter": to_plain(self.until_now(filter_))}
        return await self._tasks.begin(REPROCESS_TASK, app_id, arguments)

    def until_now(self, filter_: ListFilter) -> ListFilter:
        """Exclude what is received later: reprocessing itself stores callbacks."""
        now = self._clock.now()
        return filter_._replace(before=min(filter_.before or now, now))

    async def selected(self, app_id: str, filter_: ListFilter, page: Page) -> Slice[Callback]:
        """Return the callbacks that a filter selects, oldest first, of the next slice."""
        oldest = page._replace(ascending=True)
        return await self._database.filtered_callbacks(app_id, filter_, oldest, SEARCHED_AT_ONCE)

    async def _step(self, task: Task) -> TaskProgress:
        page = Page(limit=BATCH_SIZE, iterator=task.cursor or None)
        slice_ = await self.selected(task.scope, _filter_of(task.arguments), page)
        count = 0
        for callback in slice_.rows:
            await self._reprocessor.wait_for_capacity()
            result = await self._reprocessor.reprocess(callback)
            count += result.callback is not None
        if len(slice_.rows) == BATCH_SIZE:
            return TaskProgress(slice_.rows[-1].id, count, is_last=False)
        return TaskProgress(slice_.end or task.cursor, count, is_last=slice_.end is None)


def _filter_of(arguments: dict[str, Any]) -> ListFilter:
    """Return the filter of a task; before, they had the members of `CallbackFilter`."""
    if "filter" in arguments:
        return from_plain(arguments["filter"])
    return with_callback(ListFilter(), _from_arguments(arguments))


def _from_arguments(arguments: dict[str, Any]) -> CallbackFilter:
    return msgspec.convert([arguments.get(name) for name in CallbackFilter._fields], CallbackFilter)
