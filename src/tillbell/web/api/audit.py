"""The audit log: what was done by hand or configured, who looked at secrets, who signed in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.model.audit import AuditedAct
from tillbell.model.transactions import AuditEntry
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import ApplicationOf, GatewayOf, resource
from tillbell.web.api.shapes import Listed, Out


class ChangeOut(Out):
    """A member that was changed. A secret is shown as `(secret)`."""

    before: Any = Field(description="What it was; null: nothing.")
    after: Any = Field(description="What it is since then; null: nothing.")


class AuditOut(Out):
    """One manual action, change of configuration, look at a secret, or sign-in."""

    id: str
    app_id: str = Field(description='The application; "": it belongs to none.')
    at: datetime = Field(description="When it was done (UTC).")
    actor: str = Field(
        description="Id of the API key or person; `system`: Tillbell itself; `anonymous`: nobody"
        " was signed in."
    )
    actor_name: str | None = Field(
        description="Name of the key, or e-mail address of the person, at that time;"
        " null: it was not noted."
    )
    action: str = Field(
        description="E.g. `transaction.hold`, with `.proposed` at its end: proposed;"
        " `endpoint.update`, `endpoint.read-secret`, `person.sign-in`."
    )
    target: str = Field(description="Id of what it was done to.")
    reason: str = Field(description='Why a manual action was done; "" for others.')
    request_id: str | None = Field(description="The request, as its answer and the log name it.")
    address: str | None = Field(description="Where the request came from.")
    changes: dict[str, ChangeOut] = Field(description="The members that were changed, by name.")
    details: dict[str, Any] = Field(description="More about a manual action, by its kind.")

    @classmethod
    def of(cls, entry: AuditEntry | AuditedAct) -> AuditOut:
        """Return an entry in the shape that callers see."""
        if isinstance(entry, AuditEntry):
            more: dict[str, Any] = {"actor_name": None, "request_id": None, "address": None}
            fields = {**entry._asdict(), **more, "changes": {}}
        else:
            actor = entry.actor
            who = {"actor": actor.id, "actor_name": actor.name}
            where = {"request_id": actor.request_id, "address": actor.address}
            fields = {**entry._asdict(), **who, **where, "reason": "", "details": {}}
            fields["changes"] = {
                name: ChangeOut(before=before, after=after)
                for name, (before, after) in entry.changes.items()
            }
        return cls(**{**fields, "at": to_datetime(entry.at)})


TargetQuery = Annotated[
    str | None, Query(max_length=256, description="Only actions on this: its id.")
]

router = resource("/app/{app_id}/audit", "Audit")


@router.get("")
async def list_(
    app: ApplicationOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    target: TargetQuery = None,
) -> Listed[AuditOut]:
    """List manual actions and changes of configuration, newest first."""
    return await listed(
        lambda page: gateway.database.history.audit_log(app.id, page, target), page, AuditOut.of
    )
