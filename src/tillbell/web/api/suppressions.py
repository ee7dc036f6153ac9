"""Suppressed addresses: e-mails to them bounced, or were reported as unwanted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Response
from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.errors import NotFound
from tillbell.model.emails import Suppression
from tillbell.process.manual.audited import ActionReason
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    resource,
)
from tillbell.web.api.shapes import Listed, Out, words


class SuppressionOut(Out):
    """An e-mail address that must not be used again."""

    id: str
    address: str = Field(description="The address, in lower case.")
    reason: Annotated[str, words("bounced", "complained")] = Field(
        description="Why it must not be written to."
    )
    source_id: str
    email_id: str = Field(description="The e-mail that bounced or was complained about.")
    created_at: datetime

    @classmethod
    def of(cls, suppression: Suppression) -> SuppressionOut:
        """Return a suppressed address in the shape that callers see."""
        return cls(
            id=suppression.id,
            address=suppression.uid or "",
            reason=suppression.reason,
            source_id=suppression.source_id,
            email_id=suppression.email_id,
            created_at=to_datetime(suppression.created_at),
        )


router = resource("/app/{app_id}/suppression", "Suppression")


async def the_suppression(
    suppression_id: Annotated[
        str, Path(description="The suppressed address, or its id.", max_length=320)
    ],
    app: ApplicationOf,
    gateway: GatewayOf,
) -> Suppression:
    """Give the suppressed address of the path."""
    suppression = await gateway.database.get(Suppression, suppression_id, app.id)
    if suppression is None:
        suppression = await gateway.database.get(Suppression, suppression_id.lower(), app.id)
    if suppression is None:
        raise NotFound("This address is not suppressed.")
    return suppression


SuppressionOf = Annotated[Suppression, Depends(the_suppression)]


@router.get("")
async def list_(
    app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf
) -> Listed[SuppressionOut]:
    """List suppressed addresses, newest first."""
    return await listed(
        lambda page: gateway.database.list(Suppression, app.id, page), page, SuppressionOut.of
    )


@router.get("/{suppression_id}")
async def get(suppression: SuppressionOf) -> SuppressionOut:
    """Show a suppressed address. 404 means that the address may be used."""
    return SuppressionOut.of(suppression)


@router.delete("/{suppression_id}", status_code=204, response_model=None)
async def delete(
    suppression: SuppressionOf, gateway: GatewayOf, principal: PrincipalOf
) -> Response:
    """Allow an address again, until it bounces once more. The audit log says who did it."""
    reason = ActionReason(
        principal.key.id, f"{suppression.reason} by e-mail {suppression.email_id}"
    )
    await gateway.audited_decisions.remove(suppression, "suppression.delete", reason)
    return Response(status_code=204)
