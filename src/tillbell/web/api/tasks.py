"""Background tasks: long work that goes on after the answer, and survives a restart."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from pydantic import Field
from pydantic.alias_generators import to_camel

from tillbell.clock import iso, to_datetime
from tillbell.configure.reseal import RESEAL
from tillbell.deliver.expunge import EXPUNGE_ALL
from tillbell.deliver.resend import BULK_REPLAY, RECOVER, REPLAY_MISSING
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.records import Task, TaskStatus
from tillbell.process.erasure import ERASE_CUSTOMER
from tillbell.process.imports import IMPORT
from tillbell.receive.reprocess_many import REPROCESS_TASK
from tillbell.rules.nearest import hint, nearest
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import (
    Listed,
    Out,
    words,
)
from tillbell.web.edge.access import ACCESS

_TIMES = ("since", "until")  # arguments of a task that are points in time
_HIDDEN = (  # arguments that callers do not know
    *("states", "status_codes", "search", "seesAll"),
    *("columns", "decimalComma", "file", "actor", "read"),
)


_BEGUN_BY = {  # kind of task → the operation that begins it
    RECOVER: "endpoint.recover",
    BULK_REPLAY: "endpoint.bulk-replay",
    REPLAY_MISSING: "endpoint.replay-missing",
    EXPUNGE_ALL: "message.expunge-all-contents",
    REPROCESS_TASK: "callback.replay-many",
    ERASE_CUSTOMER: "customer.erase",
    RESEAL: "master-key.reseal",
}
_NOT_OURS = (  # kinds of task that SDKs know and we do not have: there are none
    "application.stats",
    "event-type.aggregate",
    "message.broadcast",
    "sdk.generate",
)
_SVIX_WORDS = {TaskStatus.PAUSED: TaskStatus.RUNNING, TaskStatus.CANCELED: TaskStatus.FAILED}


class TaskOut(Out):
    """A background task."""

    id: str
    status: Annotated[str, words("running", "finished", "failed")] = Field(
        description="Whether it runs or how it ended, in the words of Svix: a paused task is "
        "`running`, a canceled one `failed`."
    )
    state: TaskStatus = Field(description="The same, exactly.")
    task: Annotated[
        str,
        words(
            RECOVER,
            BULK_REPLAY,
            REPLAY_MISSING,
            EXPUNGE_ALL,
            REPROCESS_TASK,
            RESEAL,
            IMPORT,
            ERASE_CUSTOMER,
        ),
    ] = Field(description="What it does.")
    data: dict[str, object] = Field(
        description="What was asked for, `count` of what was done, and `skipped` by reason."
    )
    updated_at: datetime = Field(description="When it last made progress (UTC).")

    @classmethod
    def of(cls, task: Task) -> TaskOut:
        """Return a task in the shape that callers see."""
        data = {name: value for name, value in task.arguments.items() if name not in _HIDDEN}
        data |= {name: iso(data[name]) for name in _TIMES if name in data}
        return cls(
            id=task.id,
            status=_SVIX_WORDS.get(task.status, task.status),
            state=task.status,
            task=task.kind,
            data=_camel(data | task.result),
            updated_at=to_datetime(task.updated_at),
        )


def _camel(data: dict[str, Any]) -> dict[str, Any]:
    return {
        to_camel(name): _camel(value) if isinstance(value, dict) else value
        for name, value in data.items()
    }


router = resource("/background-task", "Background Task")


@router.get("")
async def list_(
    page: OrderedPageOf,
    gateway: GatewayOf,
    principal: PrincipalOf,
    status: Annotated[
        TaskStatus | None, Query(description="`paused` and `canceled` are exact; others as shown.")
    ] = None,
    task: Annotated[str | None, Query(max_length=64, description="The kind of task.")] = None,
) -> Listed[TaskOut]:
    """List background tasks. A key bound to an application sees only that application's."""
    if task is not None and task not in _BEGUN_BY and task not in _NOT_OURS:
        text = f"is no kind of task{hint(nearest(task, _BEGUN_BY))}; one of {', '.join(_BEGUN_BY)}"
        raise Invalid(Problem(("query", "task"), text, "enum"))

    async def keep(row: Task) -> bool:
        statuses = (None, row.status, _SVIX_WORDS.get(row.status, row.status))
        return status in statuses and task in (None, row.kind)

    return await listed(
        lambda page: gateway.database.list(Task, principal.key.app_id, page), page, TaskOut.of, keep
    )


async def the_task(
    task_id: Annotated[str, Path(min_length=1, max_length=64)],
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> Task:
    """Give the task of the path."""
    task = await gateway.database.get(Task, task_id, principal.key.app_id)
    if task is None:
        raise NotFound("There is no such task.")
    return task


TaskOf = Annotated[Task, Depends(the_task)]


@router.get("/{task_id}")
async def get(task: TaskOf) -> TaskOut:
    """Show a background task."""
    return TaskOut.of(task)


async def the_task_to_control(task: TaskOf, principal: PrincipalOf) -> Task:
    """Give the task of the path to who may begin such a task; `Forbidden` to others."""
    begun_by = _BEGUN_BY.get(task.kind) or f"{IMPORT}.{task.arguments['kind']}"
    principal.require(ACCESS[begun_by])
    return task


ControlledTask = Annotated[Task, Depends(the_task_to_control)]


@router.post("/{task_id}/pause")
async def pause(task: ControlledTask, gateway: GatewayOf) -> TaskOut:
    """Stop a background task after its present step. 409 `task_ended` if it has ended.

    Who may begin such a task may also pause, resume and cancel it.
    """
    return TaskOut.of(await gateway.tasks.control(task, TaskStatus.PAUSED))


@router.post("/{task_id}/resume")
async def resume(task: ControlledTask, gateway: GatewayOf) -> TaskOut:
    """Let a paused background task go on where it was. 409 `task_ended` if it has ended."""
    return TaskOut.of(await gateway.tasks.control(task, TaskStatus.RUNNING))


@router.post("/{task_id}/cancel")
async def cancel(task: ControlledTask, gateway: GatewayOf) -> TaskOut:
    """End a background task after its present step. What it has done stays.

    409 `task_ended` if it has ended, `conflict` if it is an import that writes all or nothing and
    has begun to write.
    """
    return TaskOut.of(await gateway.tasks.control(task, TaskStatus.CANCELED))
