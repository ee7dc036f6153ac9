"""Expunge: delete every payload that an application has published until now.

A background task (tasks.py). Messages, deliveries and attempts stay; deliveries that are still
open fail, because there is no body left to send.
"""

from __future__ import annotations

from tillbell.clock import Clock
from tillbell.deliver.tasks import TaskProgress, TaskRunner
from tillbell.model.records import Task
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import MessageFilter, Page

EXPUNGE_ALL = "application.purge_content"
BATCH_SIZE = 200  # messages of one step


class Expunger:
    """Deletes the payloads of an application in a background task."""

    def __init__(self, database: Database, tasks: TaskRunner, clock: Clock) -> None:
        self._database = database
        self._tasks = tasks
        self._clock = clock
        tasks.register(EXPUNGE_ALL, self._step)

    async def expunge_all(self, app_id: str) -> Task:
        """Begin to delete the payloads of an application's messages."""
        return await self._tasks.begin(EXPUNGE_ALL, app_id, {"until": self._clock.now()})

    async def _step(self, task: Task) -> TaskProgress:
        page = Page(limit=BATCH_SIZE, iterator=task.cursor or None, ascending=True)
        until = MessageFilter(before=task.arguments["until"])
        messages = await self._database.messages(task.scope, until, page)
        for message in messages:
            await self._database.expunge(message.app_id, message.id)
        cursor = messages[-1].id if messages else task.cursor
        return TaskProgress(cursor, len(messages), is_last=len(messages) < BATCH_SIZE)
