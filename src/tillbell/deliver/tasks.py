"""Background tasks: long work in steps, each a commit or two, that survives a kill.

A task keeps where it stands (`cursor`) after every step. A step that was done but not
noted is done again after a restart, so steps are written to be repeatable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from tillbell.clock import SECOND, Clock
from tillbell.deliver.config_cache import ConfigCache
from tillbell.errors import NotFound, StoreUnavailable
from tillbell.ids import IdMaker
from tillbell.logs import log_event
from tillbell.model.records import Task, TaskStatus

PAUSE_S = 1


class TaskProgress(NamedTuple):
    """What one step did."""

    cursor: str
    processed: int
    is_last: bool


StepFunction = Callable[[Task], Awaitable[TaskProgress]]


class TaskRunner:
    """Runs tasks side by side on the event loop, one step at a time each."""

    def __init__(
        self, directory: ConfigCache, clock: Clock, ids: IdMaker, is_ours: Callable[[], bool]
    ) -> None:
        self._config_cache = directory
        self._clock = clock
        self._ids = ids
        self._work: dict[str, StepFunction] = {}
        self._is_ours = is_ours  # whether this process runs them: one of all does
        self._running: dict[str, asyncio.Task[None]] = {}

    def register(self, kind: str, work: StepFunction) -> None:
        """Say what a kind of task does in one step."""
        self._work[kind] = work

    async def begin(self, kind: str, app_id: str, arguments: dict[str, Any]) -> Task:
        """Store a task and start it."""
        now = self._clock.now()
        task = Task(
            id=self._ids.new("qtask", now),
            scope=app_id,
            created_at=now,
            updated_at=now,
            kind=kind,
            arguments=arguments,
        )
        await self._config_cache.add(task)
        if self._is_ours():
            self._start(task)
        return task

    async def resume(self) -> None:
        """Go on with the tasks that a stop or a kill left behind, or another process began."""
        if not self._is_ours():
            await self.stop()
            return
        for task in await self._config_cache.read_all(Task):
            if task.status is TaskStatus.RUNNING and task.kind in self._work:
                self._start(task)

    async def wait_idle(self) -> None:
        """Wait until no task is running."""
        while self._running:
            await asyncio.wait(set(self._running.values()))

    async def stop(self) -> None:
        """Leave the rest for the next start."""
        running = list(self._running.values())
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self, task: Task) -> None:
        if task.id in self._running:
            return
        running = asyncio.get_running_loop().create_task(self._run(task))
        self._running[task.id] = running
        running.add_done_callback(lambda _: self._running.pop(task.id, None))

    async def _run(self, task: Task) -> None:
        present: Task | None = task
        while present is not None and present.status is TaskStatus.RUNNING:
            present = await self._step(present)

    async def _step(self, task: Task) -> Task | None:
        """Do one step; return the task as it is stored then, None if it was removed."""
        try:
            step = await self._work[task.kind](task)
            return await self._keep(task, partial(_moved, step=step))
        except StoreUnavailable as error:
            log_event("task.postponed", task=task.id, error=str(error))
            await self._pause()
            return task
        except Exception as error:  # noqa: BLE001 - supervised: it ends as failed, visibly
            log_event("task.error", task=task.id, exc_info=error)
            return await self._keep(task, _failed)

    async def _keep(self, task: Task, apply: Callable[[Task], Task]) -> Task | None:
        """Store what a step did, unless somebody else has moved the task on meanwhile."""

        def apply_to_own(stored: Task) -> Task:
            return apply(stored) if stored.version == task.version else stored

        try:
            changed = await self._config_cache.change(Task, task.scope, task.id, apply_to_own)
        except NotFound:
            return None
        return changed.record

    async def _pause(self) -> None:
        rung = asyncio.Event()
        self._clock.call_at(self._clock.now() + PAUSE_S * SECOND, rung.set)
        await rung.wait()


def _moved(task: Task, step: TaskProgress) -> Task:
    return msgspec.structs.replace(
        task,
        cursor=step.cursor,
        result={"count": task.result.get("count", 0) + step.processed},
        status=TaskStatus.FINISHED if step.is_last else TaskStatus.RUNNING,
    )


def _failed(task: Task) -> Task:
    return msgspec.structs.replace(task, status=TaskStatus.FAILED)
