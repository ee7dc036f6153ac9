"""Conflicts of an application: news that contradicts what is settled, for a person to judge."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.errors import NotFound
from tillbell.model.records import Application
from tillbell.model.transactions import MoneyConflict, TransactionStatus
from tillbell.money import format_amount
from tillbell.process.manual.audited import ActionReason, AwaitingSecondKey
from tillbell.web.api.manual_actions import SECOND_KEY, ActIn, proposed
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import (
    UID,
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    app_read,
    app_write,
    resource,
)
from tillbell.web.api.shapes import Listed, Out


class ConflictOut(Out):
    """A disagreement. Money has not moved because of it."""

    id: str
    transaction_id: str
    kind: str = Field(
        description="contradiction, mismatch, unconfirmed, unconfirmed_linked or stuck."
    )
    severity: str = Field(description="normal, high or critical.")
    status: TransactionStatus = Field(description="What the news claims.")
    current: TransactionStatus = Field(description="What we had when it came.")
    amount: str | None = Field(description="What the news claims, where it is about the amount.")
    currency: str | None
    why: str
    callback_id: str | None
    at: datetime
    resolution: str | None = Field(description="keep or accept; null: it waits for a person.")
    resolved_at: datetime | None
    resolved_by: str | None
    resolution_reason: str | None

    @classmethod
    def of(cls, conflict: MoneyConflict) -> ConflictOut:
        """Show a conflict."""
        shown = conflict._asdict()
        del shown["app_id"]
        shown["amount"] = _claimed(conflict)
        shown["at"] = to_datetime(conflict.at)
        if conflict.resolved_at is not None:
            shown["resolved_at"] = to_datetime(conflict.resolved_at)
        return cls(**shown)


def _claimed(conflict: MoneyConflict) -> str | None:
    if conflict.amount is None or conflict.currency is None:
        return None
    return format_amount(conflict.amount, conflict.currency)


router = resource("/app/{app_id}/conflict", "Conflict")

READ = app_read("conflict", None)
WRITE = app_write("conflict")

ConflictId = Annotated[str, Path(pattern=UID, max_length=256)]


@router.get("", dependencies=READ)
async def list_(
    app: ApplicationOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    transaction: Annotated[str | None, Query(max_length=256, description="Id or uid.")] = None,
    is_open: Annotated[
        bool, Query(alias="open", description="Only those that wait for a person.")
    ] = False,
) -> Listed[ConflictOut]:
    """List conflicts, newest first."""
    wanted = await _transaction_id(gateway, app, transaction)
    return await listed(
        lambda page: gateway.database.history.conflicts(app.id, page, wanted, open_only=is_open),
        page,
        ConflictOut.of,
    )


@router.get("/{conflict_id}", dependencies=READ)
async def get(app: ApplicationOf, conflict_id: ConflictId, gateway: GatewayOf) -> ConflictOut:
    """Return a conflict, resolved or not."""
    found = await gateway.database.conflict(app.id, conflict_id)
    if found is None:
        raise NotFound("There is no such conflict.")
    return ConflictOut.of(found)


@router.post("/{conflict_id}/keep", dependencies=WRITE)
async def keep(
    app: ApplicationOf, conflict_id: ConflictId, body: ActIn, gateway: GatewayOf, who: PrincipalOf
) -> ConflictOut:
    """Close a conflict; what we have stays."""
    act = ActionReason(who.key.id, body.reason)
    done = await gateway.conflict_resolver.resolve(app.id, conflict_id, "keep", act)
    assert isinstance(done, MoneyConflict), "keeping takes no second key"
    return ConflictOut.of(done)


@router.post(
    "/{conflict_id}/accept", dependencies=WRITE, response_model=ConflictOut, responses=SECOND_KEY
)
async def accept(
    app: ApplicationOf, conflict_id: ConflictId, body: ActIn, gateway: GatewayOf, who: PrincipalOf
) -> ConflictOut | Response:
    """Close a conflict; what the news claimed becomes true, as a step or as a reversal."""
    act = ActionReason(who.key.id, body.reason)
    done = await gateway.conflict_resolver.resolve(app.id, conflict_id, "accept", act)
    if isinstance(done, AwaitingSecondKey):
        return proposed(done, "conflict.accept")
    return ConflictOut.of(done)


async def _transaction_id(gateway: Gateway, app: Application, id_or_uid: str | None) -> str | None:
    found = await gateway.database.transaction(app.id, id_or_uid) if id_or_uid else None
    return found.id if found is not None else id_or_uid
