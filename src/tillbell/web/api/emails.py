"""E-mails of an application, as its mail services report them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import Field

from tillbell.clock import to_datetime
from tillbell.errors import NotFound
from tillbell.model.emails import Email
from tillbell.web.api.paging import OrderedPageOf, listed
from tillbell.web.api.routes import ApplicationOf, GatewayOf, resource
from tillbell.web.api.shapes import Listed, Out, optional_time, words


class EmailOut(Out):
    """A sent e-mail."""

    id: str
    uid: str | None = Field(
        description="`service:id` of the mail service; of one copy `service:id:address`."
    )
    email_id: str = Field(description="Id of the e-mail at the mail service.")
    status: Annotated[str, words("sent", "delivered", "bounced", "complained")] = Field(
        description="What the mail service last reported."
    )
    to: list[str] = Field(description="Addresses of the recipients.")
    order_id: str | None = Field(description="Order id in the tags of the e-mail.")
    reason: str | None = Field(description="Why it was not delivered.")
    source_id: str
    occurred_at: datetime | None = Field(description="When its status began.")
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, email: Email) -> EmailOut:
        """Return an e-mail in the shape that callers see."""
        return cls(
            id=email.id,
            uid=email.uid,
            email_id=email.email_id,
            status=email.status,
            to=list(email.to),
            order_id=email.order_id,
            reason=email.reason,
            source_id=email.source_id,
            occurred_at=optional_time(email.news_at),
            version=email.version,
            created_at=to_datetime(email.created_at),
            updated_at=to_datetime(email.updated_at),
        )


router = resource("/app/{app_id}/email", "Email")


@router.get("")
async def list_(app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf) -> Listed[EmailOut]:
    """List e-mails, newest first."""
    return await listed(lambda page: gateway.database.list(Email, app.id, page), page, EmailOut.of)


@router.get("/{email_id}")
async def get(
    app: ApplicationOf,
    email_id: Annotated[str, Path(description="The e-mail: its id or uid.", max_length=256)],
    gateway: GatewayOf,
) -> EmailOut:
    """Show an e-mail."""
    email = await gateway.database.get(Email, email_id, app.id)
    if email is None:
        raise NotFound("There is no such e-mail.")
    return EmailOut.of(email)
