"""Making applications: by their own route, and beside the first message of one."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from tillbell.app import Gateway
from tillbell.model.records import Application
from tillbell.web.api.shapes.applications import ApplicationIn
from tillbell.web.api.uids import checked_uid
from tillbell.web.edge.auth import Access, Action, Principal, Tenant
from tillbell.web.edge.problems import invalid_from

CREATE = Access("application", Action.WRITE, Tenant.OPERATOR)


async def create_beside(
    gateway: Gateway, fields: dict[str, Any], principal: Principal
) -> Application:
    """Create the application of a message or a portal token. `Conflict` if its uid is taken."""
    principal.require(CREATE)
    try:
        body = ApplicationIn.model_validate(fields)
    except ValidationError as error:
        raise invalid_from(error, "body", "application") from error
    return await create_application(gateway, body)


async def create_application(
    gateway: Gateway, body: ApplicationIn, uid: str | None = None
) -> Application:
    """Create an application; `uid` names it if the body does not."""
    id_ = gateway.ids.new("app", gateway.clock.now())
    application = make_application(gateway, id_, body, uid=body.uid or uid)
    await gateway.directory.put(application)
    return application


def make_application(
    gateway: Gateway, id_: str, body: ApplicationIn, uid: str | None
) -> Application:
    """Make it, without keeping it."""
    now = gateway.clock.now()
    return Application(
        id=id_,
        uid=checked_uid(uid),
        created_at=now,
        updated_at=now,
        name=body.name,
        throttle_rate=body.rate,
        metadata=body.metadata or {},
        check_schemas=body.check_schemas,
    )
