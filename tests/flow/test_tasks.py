"""A background task that is removed while it works ends, and its record does not come back."""

from __future__ import annotations

from tests.flow.gateway_harness import GatewayHarness
from tillbell.deliver.tasks import TaskProgress
from tillbell.model.records import Task


async def test_a_task_whose_application_is_removed_ends(harness: GatewayHarness) -> None:
    gateway = harness.gateway

    async def remove_application(_: Task) -> TaskProgress:
        await gateway.applications.remove(harness.app.id)
        return TaskProgress("somewhere", 1, is_last=False)

    gateway.tasks.register("removing", remove_application)
    await gateway.tasks.begin("removing", harness.app.id, {})
    await gateway.tasks.wait_idle()

    assert await gateway.database.list(Task, None) == []
