"""E-mails of an application, as its mail services tell of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from tillbell.errors import NotFound
from tillbell.model.emails import Email
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, list_page
from tillbell.web.api.routes import ApplicationOf, GatewayOf, app_read, resource
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.emails import EmailOut

router = resource("/app/{app_id}/email", "Email")

READ = app_read("email", None)


@router.get("", dependencies=READ)
async def list_(app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf) -> Listed[EmailOut]:
    """List e-mails, newest first."""

    async def fetch(page: Page) -> list[Email]:
        return await gateway.database.list(Email, app.id, page)

    found = await list_page(fetch, page, lambda email: email.id)
    return Listed(**found.shown([EmailOut.of(one) for one in found.rows]))


@router.get("/{email_id}", dependencies=READ)
async def get(
    app: ApplicationOf,
    email_id: Annotated[str, Path(description="Id, or `service:id`.", max_length=256)],
    gateway: GatewayOf,
) -> EmailOut:
    """Show an e-mail."""
    found = await gateway.database.get(Email, email_id, app.id)
    if found is None:
        raise NotFound("There is no such e-mail.")
    return EmailOut.of(found)
