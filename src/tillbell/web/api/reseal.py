"""Sealing every stored secret anew, after a new master key."""

from __future__ import annotations

from tillbell.web.api.routes import GatewayOf, resource
from tillbell.web.api.tasks import TaskOut

router = resource("/reseal", "Master Key")


@router.post("", status_code=202)
async def reseal(gateway: GatewayOf) -> TaskOut:
    """Seal every stored secret under the newest master key, in the background.

    `count` of the task are records and requests that were sealed anew, `skipped.unreadable` those
    that no key opens. When it has finished without any, older keys are no longer needed.
    """
    return TaskOut.of(await gateway.resealer.begin())
