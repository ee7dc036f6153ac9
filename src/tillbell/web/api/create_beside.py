"""Making an application beside the first message, or portal token, of it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from tillbell.app import Gateway
from tillbell.model.records import Application
from tillbell.web.api.shapes.applications import ApplicationIn
from tillbell.web.edge.auth import Access, Action, Principal, Tenant
from tillbell.web.edge.problems import invalid_from

CREATE = Access("application", Action.WRITE, Tenant.OPERATOR)


async def create_beside(
    gateway: Gateway, uid: str, fields: dict[str, Any], principal: Principal
) -> Application:
    """Create the application of a message or a portal token, unless somebody just has.

    The fields are as the API names them. `Conflict` if they name another uid, which is taken.
    """
    principal.require(CREATE)
    try:
        body = ApplicationIn.model_validate(fields)
    except ValidationError as error:
        raise invalid_from(error, "body", "application") from error
    if body.uid not in (None, uid):
        return await gateway.applications.create(body.fields())
    return (await gateway.applications.get_or_create(uid, body.fields())).record
