"""Background tasks: long work in steps, each of one or two commits, that survives a kill.

A task stores its `cursor` after every step. A step that was done before a crash and not yet
recorded is done again after it, so steps have to be repeatable.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from tillbell.clock import SECOND, Clock, Micros, wait_until
from tillbell.deliver.config_cache import ConfigCache
from tillbell.errors import ConflictError, NotFound, StoreUnavailable
from tillbell.ids import IdMaker
from tillbell.logs import log_event
from tillbell.model.records import Task, TaskStatus

RETRY_AFTER: Micros = SECOND  # after the store failed


OPEN = (TaskStatus.RUNNING, TaskStatus.PAUSED)


class TaskProgress(NamedTuple):
    """What one step did."""

    cursor: str
    processed: int
    is_last: bool
    skipped: Mapping[str, int] | None = None  # by reason; None: this kind of task skips nothing
    report: Mapping[str, Any] | None = None  # the result so far, beside the count; None: as it was


StepFunction = Callable[[Task], Awaitable[TaskProgress]]


class TaskRunner:
    """Runs tasks side by side on the event loop, each one step at a time.

    Only the process for which `is_leader` is true runs them.
    """

    def __init__(
        self, config_cache: ConfigCache, clock: Clock, ids: IdMaker, is_leader: Callable[[], bool]
    ) -> None:
        self._config_cache = config_cache
        self._clock = clock
        self._ids = ids
        self._steps: dict[str, StepFunction] = {}  # by kind of task
        self._all_or_nothing: dict[str, Callable[[Task], bool]] = {}  # by kind of task
        self._is_leader = is_leader
        self._running: dict[str, asyncio.Task[None]] = {}  # by task id

    def register(
        self, kind: str, step: StepFunction, is_all_or_nothing: Callable[[Task], bool] | None = None
    ) -> None:
        """Set the function that does one step of a kind of task.

        A task for which `is_all_or_nothing` is true has begun what it must do as a whole.
        """
        self._steps[kind] = step
        if is_all_or_nothing is not None:
            self._all_or_nothing[kind] = is_all_or_nothing

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
        if self._is_leader():
            self._start(task)
        return task

    async def control(self, task: Task, status: TaskStatus) -> Task:
        """Pause, resume or cancel a task, at the next step; return it as it is stored then.

        `ConflictError` if it has ended, or if it would be canceled in the middle of what is done as
        a whole. What it had done stays.
        """
        must_end = self._all_or_nothing.get(task.kind)

        def apply(stored: Task) -> Task:
            if stored.status not in OPEN:
                raise ConflictError(
                    f"This task has ended already: it is {stored.status.value}.", code="task_ended"
                )
            if status is TaskStatus.CANCELED and must_end is not None and must_end(stored):
                raise ConflictError(
                    "This task writes all or nothing, and has begun to write: it cannot be"
                    " canceled any more."
                )
            return msgspec.structs.replace(stored, status=status)

        changed = (await self._config_cache.change(Task, task.scope, task.id, apply)).record
        if changed.status is TaskStatus.RUNNING and self._is_leader():
            self._start(changed)
        return changed

    async def resume(self) -> None:
        """Start the stored tasks that are not running: after a restart, or of other processes."""
        if not self._is_leader():
            await self.stop()
            return
        for task in await self._config_cache.read_all(Task):
            if task.status is TaskStatus.RUNNING and task.kind in self._steps:
                self._start(task)

    async def wait_idle(self) -> None:
        """Wait until no task is running."""
        while self._running:
            await asyncio.wait(set(self._running.values()))

    async def stop(self) -> None:
        """Stop all tasks. `resume` continues them, here or in another process."""
        running = list(self._running.values())
        for work in running:
            work.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self, task: Task) -> None:
        if task.id in self._running:
            return
        work = asyncio.get_running_loop().create_task(self._run(task))
        self._running[task.id] = work
        work.add_done_callback(lambda _: self._running.pop(task.id, None))

    async def _run(self, task: Task) -> None:
        latest: Task | None = task
        while latest is not None and latest.status is TaskStatus.RUNNING:
            latest = await self._step(latest)

    async def _step(self, task: Task) -> Task | None:
        """Do one step; return the task as it is stored then, or None if it was removed."""
        try:
            progress = await self._steps[task.kind](task)
            return await self._store(task, partial(_advanced, progress=progress))
        except StoreUnavailable as error:
            log_event("task.postponed", task=task.id, error=str(error))
            await wait_until(self._clock, self._clock.now() + RETRY_AFTER)
            return task
        except Exception as error:  # noqa: BLE001 - supervised: it ends as failed, visibly
            log_event("task.error", task=task.id, exc_info=error)
            return await self._store(task, _failed)

    async def _store(self, task: Task, apply: Callable[[Task], Task]) -> Task | None:
        """Store the result of a step, unless another process has done that step meanwhile.

        It is stored also if somebody has paused or canceled the task: the step is done, and must
        not be done again.
        """

        def apply_to_same(stored: Task) -> Task:
            is_same = (stored.cursor, stored.result) == (task.cursor, task.result)
            is_over = stored.status in (TaskStatus.FINISHED, TaskStatus.FAILED)
            return apply(stored) if is_same and not is_over else stored

        try:
            changed = await self._config_cache.change(Task, task.scope, task.id, apply_to_same)
        except NotFound:
            return None
        return changed.record


def _advanced(task: Task, progress: TaskProgress) -> Task:
    is_finished = progress.is_last and task.status in OPEN
    return msgspec.structs.replace(
        task,
        cursor=progress.cursor,
        result=_result(task, progress),
        status=TaskStatus.FINISHED if is_finished else task.status,
    )


def _result(task: Task, progress: TaskProgress) -> dict[str, Any]:
    result = {"count": task.result.get("count", 0) + progress.processed}
    if progress.report is not None:
        return {**progress.report, **result}
    if progress.skipped is None:
        return task.result | result
    skipped = Counter(task.result.get("skipped", {})) + Counter(progress.skipped)
    return {**result, "skipped": dict(skipped)}


def _failed(task: Task) -> Task:
    status = TaskStatus.FAILED if task.status in OPEN else task.status
    return msgspec.structs.replace(task, status=status)
