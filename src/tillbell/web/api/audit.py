"""The audit log of an application: each manual action, its API key and its reason."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.model.transactions import AuditEntry
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import ApplicationOf, GatewayOf, app_read, resource
from tillbell.web.api.shapes import Listed, Out


class AuditOut(Out):
    """One manual action."""

    id: str
    at: datetime = Field(description="When it was done (UTC).")
    actor: str = Field(description="Id of the API key.")
    action: str = Field(
        description="E.g. `transaction.hold`; with `.proposed` at its end: proposed."
    )
    target: str = Field(description="Id of what it was done to.")
    reason: str = Field(description="Why it was done, in the words of who did it.")
    details: dict[str, Any] = Field(description="More about the action, by its kind.")

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditOut:
        """Return an entry in the shape that callers see."""
        fields = entry._asdict() | {"at": to_datetime(entry.at)}
        del fields["app_id"]
        return cls(**fields)


router = resource("/app/{app_id}/audit", "Audit")

READ = app_read("audit", None)


@router.get("", dependencies=READ)
async def list_(
    app: ApplicationOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    target: Annotated[
        str | None, Query(max_length=256, description="Only actions on this: its id.")
    ] = None,
) -> Listed[AuditOut]:
    """List manual actions, newest first."""
    return await listed(
        lambda page: gateway.database.history.audit(app.id, page, target), page, AuditOut.of
    )
