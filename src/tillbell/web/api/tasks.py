"""Work in the background: what recover and the replays started."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic.alias_generators import to_camel

from tillbell.clock import iso, to_datetime
from tillbell.errors import NotFound
from tillbell.model.records import Task, TaskStatus
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, filtered_page
from tillbell.web.api.routes import GatewayOf, PrincipalOf, guard, resource
from tillbell.web.api.shapes import (
    Listed,
    Out,
)
from tillbell.web.edge.auth import Action, Capability, Tenant


class TaskOut(Out):
    """Work in the background."""

    id: str
    status: str
    task: str
    data: dict[str, object]
    updated_at: datetime


router = resource("/background-task", "Background Task")

READ = guard("background-task", Action.READ, Tenant.OWN, Capability.VIEW_BASE)
_TIMES = ("since", "until")
_HIDDEN = ("states", "status_codes")


@router.get("", dependencies=READ)
async def list_(
    page: OrderedPageOf,
    gateway: GatewayOf,
    who: PrincipalOf,
    status: Annotated[TaskStatus | None, Query()] = None,
    task: Annotated[str | None, Query(max_length=64, description="The kind of work.")] = None,
) -> Listed[TaskOut]:
    """List background tasks; a key bound to an application sees that one's."""

    async def fetch(page: Page) -> list[Task]:
        return await gateway.database.list(Task, who.key.app_id, page)

    async def keep(found: Task) -> bool:
        return status in (None, found.status) and task in (None, found.kind)

    found = await filtered_page(fetch, page, lambda t: t.id, keep)
    return Listed(**found.shown([shown_task(one) for one in found.rows]))


@router.get("/{task_id}", dependencies=READ)
async def get(
    task_id: Annotated[str, Path(min_length=1, max_length=64)], gateway: GatewayOf, who: PrincipalOf
) -> TaskOut:
    """Show a background task."""
    found = await gateway.database.get(Task, task_id, who.key.app_id)
    if found is None:
        raise NotFound("There is no such task.")
    return shown_task(found)


def shown_task(task: Task) -> TaskOut:
    """Show background work."""
    data = {name: value for name, value in task.arguments.items() if name not in _HIDDEN}
    data |= {name: iso(data[name]) for name in _TIMES if name in data}
    return TaskOut(
        id=task.id,
        status=task.status.value,
        task=task.kind,
        data={to_camel(name): value for name, value in (data | task.result).items()},
        updated_at=to_datetime(task.updated_at),
    )
