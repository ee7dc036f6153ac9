"""Replay many callbacks: a background task (tasks.py) over those that a filter selects."""

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

REPROCESS_TASK = "callback.replay"


class BulkReprocessor:
    """See the module."""

    def __init__(
        self, database: Database, rereader: Reprocessor, tasks: TaskRunner, clock: Clock
    ) -> None:
        self._database = database
        self._reprocessor = rereader
        self._tasks = tasks
        self._clock = clock
        tasks.register(REPROCESS_TASK, self._step)

    async def begin(self, app_id: str, filter_: CallbackFilter) -> Task:
        """Begin to replay what the filter selects of what has come until now."""
        return await self._tasks.begin(REPROCESS_TASK, app_id, _arguments(self.until_now(filter_)))

    def until_now(self, filter_: CallbackFilter) -> CallbackFilter:
        """Leave out what is yet to come, which is what a replay itself stores."""
        now = self._clock.now()
        return filter_._replace(before=min(filter_.before or now, now))

    async def selected(self, app_id: str, filter_: CallbackFilter, page: Page) -> list[Callback]:
        """Return those that a replay would take, oldest first."""
        return await self._database.callbacks(app_id, filter_, page._replace(ascending=True))

    async def _step(self, task: Task) -> TaskProgress:
        page = Page(limit=BATCH_SIZE, iterator=task.cursor or None)
        found = await self.selected(task.scope, _filter(task.arguments), page)
        moved = 0
        for callback in found:
            await self._reprocessor.wait_for_capacity()
            replayed = await self._reprocessor.reprocess(callback)
            moved += replayed.callback is not None
        cursor = found[-1].id if found else task.cursor
        return TaskProgress(cursor, moved, is_last=len(found) < BATCH_SIZE)


def _arguments(filter_: CallbackFilter) -> dict[str, Any]:
    given = {name: value for name, value in filter_._asdict().items() if value is not None}
    arguments: dict[str, Any] = msgspec.to_builtins(given)
    return arguments


def _filter(arguments: dict[str, Any]) -> CallbackFilter:
    blank = CallbackFilter()._asdict()
    return msgspec.convert([arguments.get(name) for name in blank], CallbackFilter)
