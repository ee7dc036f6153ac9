"""The audit log of an application: who did what to its money, and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from tillbell.model.transactions import AuditEntry
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, list_page
from tillbell.web.api.routes import ApplicationOf, GatewayOf, app_read, resource
from tillbell.web.api.shapes.audit import AuditOut
from tillbell.web.api.shapes.base import Listed

router = resource("/app/{app_id}/audit", "Audit")

READ = app_read("audit", None)


@router.get("", dependencies=READ)
async def list_(
    app: ApplicationOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    target: Annotated[str | None, Query(max_length=256, description="Id.")] = None,
) -> Listed[AuditOut]:
    """List what was done, newest first."""

    async def fetch(page: Page) -> list[AuditEntry]:
        return await gateway.database.history.audit(app.id, page, target)

    found = await list_page(fetch, page, lambda entry: entry.id)
    return Listed(**found.shown([AuditOut.of(one) for one in found.rows]))
