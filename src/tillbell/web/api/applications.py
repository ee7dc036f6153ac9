"""Applications: each is one isolated shop, merchant or tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field, ValidationError

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.endpoints import EndpointStatus
from tillbell.model.records import Application
from tillbell.web.api.paging import AscendingPageOf, listed
from tillbell.web.api.routes import (
    AppId,
    ApplicationOf,
    GatewayOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import Flag, Listed, Metadata, Name, Out, Rated, Uid
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.auth import Principal
from tillbell.web.edge.patterns import ORDER_REFERENCE
from tillbell.web.edge.problems import invalid_from

OrderReference = Annotated[
    str,
    Field(
        pattern=ORDER_REFERENCE,
        max_length=140,
        description="What of a transaction names the order that it pays: `orderId`, "
        "`merchantReference`, or `metadata.` and a name.",
    ),
]


class ApplicationIn(Rated):
    """An application to create or replace."""

    name: Name
    uid: Uid | None = None
    metadata: Metadata | None = None
    check_schemas: Flag = Field(
        default=False, description="Refuse messages that break their event type's schema."
    )
    order_reference: OrderReference = "orderId"

    def fields(self) -> dict[str, Any]:
        """Return the fields of the record."""
        return {
            "name": self.name,
            "uid": self.uid,
            "throttle_rate": self.rate,
            "metadata": self.metadata or {},
            "check_schemas": self.check_schemas,
            "order_reference": self.order_reference,
        }


class ApplicationPatch(Rated):
    """Changes to an application. Members left out stay as they are; null clears."""

    name: Name = ""
    uid: Uid | None = None
    metadata: Metadata | None = None
    check_schemas: Flag = Field(
        default=False, description="Refuse messages that break their event type's schema."
    )
    order_reference: OrderReference = "orderId"

    def fields(self) -> dict[str, Any]:
        """Return the fields of the record that the body names."""
        named = self.model_fields_set & {"name", "uid", "check_schemas", "order_reference"}
        fields: dict[str, Any] = {name: getattr(self, name) for name in named}
        if self.names_rate:
            fields["throttle_rate"] = self.rate
        if "metadata" in self.model_fields_set:
            fields["metadata"] = self.metadata or {}
        return fields


class ApplicationOut(Out):
    """An application: one isolated shop, merchant or tenant."""

    id: str
    uid: str | None
    name: str
    throttle_rate: int | None = Field(
        description="Messages a second that are delivered at most; null: no limit."
    )
    rate_limit: int | None = Field(description="Older name of `throttleRate`, with the same value.")
    metadata: dict[str, str]
    check_schemas: bool = Field(
        description="Whether messages that break their event type's schema are refused."
    )
    order_reference: str = Field(description="What of a transaction names the order that it pays.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, application: Application) -> ApplicationOut:
        """Return an application in the shape that callers see."""
        return cls(
            id=application.id,
            uid=application.uid,
            name=application.name,
            throttle_rate=application.throttle_rate,
            rate_limit=application.throttle_rate,
            metadata=application.metadata,
            check_schemas=application.check_schemas,
            order_reference=application.order_reference,
            created_at=to_datetime(application.created_at),
            updated_at=to_datetime(application.updated_at),
        )


router = resource("/app", "Application")


@router.post(
    "",
    status_code=201,
    responses=also_answers(200, ApplicationOut, "It exists already."),
)
async def create(
    body: ApplicationIn,
    gateway: GatewayOf,
    response: Response,
    get_if_exists: Annotated[bool, Query()] = False,
) -> ApplicationOut:
    """Create an application. With `get_if_exists`, return (200) the one that has this uid."""
    if not get_if_exists or body.uid is None:
        return ApplicationOut.of(await gateway.applications.create(body.fields()))
    changed = await gateway.applications.get_or_create(body.uid, body.fields())
    response.status_code = 201 if changed.before is None else 200
    return ApplicationOut.of(changed.record)


@router.get("")
async def list_(
    page: AscendingPageOf,
    gateway: GatewayOf,
    exclude_apps_with_no_endpoints: Annotated[bool, Query()] = False,
    exclude_apps_with_disabled_endpoints: Annotated[bool, Query()] = False,
    exclude_apps_with_svix_play_endpoints: Annotated[
        bool, Query(description="The SDKs of Svix know it. There are no such endpoints here.")
    ] = False,
) -> Listed[ApplicationOut]:
    """List applications, oldest first."""
    del exclude_apps_with_svix_play_endpoints

    async def keep(application: Application) -> bool:
        if not (exclude_apps_with_no_endpoints or exclude_apps_with_disabled_endpoints):
            return True
        endpoints = await gateway.config_cache.endpoints(application.id)
        if not endpoints:
            return not exclude_apps_with_no_endpoints
        is_active = any(endpoint.status is EndpointStatus.ACTIVE for endpoint in endpoints)
        return is_active or not exclude_apps_with_disabled_endpoints

    return await listed(
        lambda page: gateway.database.list(Application, "", page), page, ApplicationOut.of, keep
    )


@router.get("/{app_id}")
async def get(app: ApplicationOf) -> ApplicationOut:
    """Show an application."""
    if app.id == OPERATIONAL:
        raise NotFound("There is no such application.")
    return ApplicationOut.of(app)


@router.put(
    "/{app_id}",
    responses=also_answers(201, ApplicationOut, "Created."),
)
async def upsert(
    app_id: AppId, body: ApplicationIn, gateway: GatewayOf, response: Response
) -> ApplicationOut:
    """Replace an application, or create it (201) if none has this uid."""
    changed = await gateway.applications.upsert(app_id, body.fields())
    response.status_code = 201 if changed.before is None else 200
    return ApplicationOut.of(changed.record)


@router.patch("/{app_id}")
async def patch(app: ApplicationOf, body: ApplicationPatch, gateway: GatewayOf) -> ApplicationOut:
    """Change the named members of an application."""
    return ApplicationOut.of(await gateway.applications.patch(app.id, body.fields()))


@router.delete("/{app_id}", status_code=204, response_model=None)
async def delete(app: ApplicationOf, gateway: GatewayOf) -> Response:
    """Delete an application and everything in it."""
    await gateway.applications.remove(app.id)
    return Response(status_code=204)


async def get_or_create_application(
    gateway: Gateway, uid: str, fields: dict[str, Any], principal: Principal
) -> Application:
    """Return the application of a message or portal token; create it if it does not exist.

    `uid` comes from the path, `fields` are the members of the API's body. Raises `Forbidden` if
    the key may not create applications, and `Invalid` if a field breaks a rule or names another
    uid.
    """
    principal.require(ACCESS["application.create"])
    try:
        body = ApplicationIn.model_validate(fields)
    except ValidationError as error:
        raise invalid_from(error, "body", "application") from error
    if body.uid not in (None, uid):
        message = f"must be the one in the path, {uid}, or be left out"
        place = ("body", "application", "uid")
        raise Invalid(Problem(place, message, "application_uid_mismatch"))
    return (await gateway.applications.get_or_create(uid, body.fields())).record
