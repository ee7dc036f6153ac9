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
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.inbound import CallbackFilter
from tillbell.storage.ports.outbound import Page

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

    async def begin(self, app_id: str, filter_: CallbackFilter) -> Task:
        """Start a task over the callbacks that were received until now."""
        arguments = _to_arguments(self.until_now(filter_))
        return await self._tasks.begin(REPROCESS_TASK, app_id, arguments)

    def until_now(self, filter_: CallbackFilter) -> CallbackFilter:
        """Exclude what is received later: reprocessing itself stores callbacks."""
        now = self._clock.now()
        return filter_._replace(before=min(filter_.before or now, now))

    async def selected(self, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
        """Return the callbacks that a filter selects, oldest first."""
        return await self._database.callbacks(app_id, filter_, page._replace(ascending=True))

    async def _step(self, task: Task) -> TaskProgress:
        page = Page(limit=BATCH_SIZE, iterator=task.cursor or None)
        callbacks = await self.selected(task.scope, _from_arguments(task.arguments), page)
        count = 0
        for callback in callbacks:
            await self._reprocessor.wait_for_capacity()
            result = await self._reprocessor.reprocess(callback)
            count += result.callback is not None
        cursor = callbacks[-1].id if callbacks else task.cursor
        return TaskProgress(cursor, count, is_last=len(callbacks) < BATCH_SIZE)


def _to_arguments(filter_: CallbackFilter) -> dict[str, Any]:
    members = {name: value for name, value in filter_._asdict().items() if value is not None}
    arguments: dict[str, Any] = msgspec.to_builtins(members)
    return arguments


def _from_arguments(arguments: dict[str, Any]) -> CallbackFilter:
    return msgspec.convert([arguments.get(name) for name in CallbackFilter._fields], CallbackFilter)
