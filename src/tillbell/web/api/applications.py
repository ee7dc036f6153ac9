"""Applications."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.endpoints import EndpointStatus
from tillbell.model.records import Application
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.create_beside import CREATE
from tillbell.web.api.paging import OrderedPageOf, filtered_page
from tillbell.web.api.routes import (
    AppId,
    ApplicationOf,
    GatewayOf,
    also_answers,
    app_read,
    guard,
    resource,
)
from tillbell.web.api.shapes.applications import ApplicationIn, ApplicationOut, ApplicationPatch
from tillbell.web.api.shapes.base import Listed
from tillbell.web.edge.auth import Action, Capability, Tenant

router = resource("/app", "Application")


@router.post(
    "",
    status_code=201,
    dependencies=guard(*CREATE),
    responses=also_answers(200, ApplicationOut, "It was there."),
)
async def create(
    body: ApplicationIn,
    gateway: GatewayOf,
    response: Response,
    get_if_exists: Annotated[bool, Query()] = False,
) -> ApplicationOut:
    """Create an application; with `get_if_exists`, return the one that has the uid (200)."""
    if not get_if_exists or body.uid is None:
        return ApplicationOut.of(await gateway.applications.create(body.fields()))
    found = await gateway.applications.get_or_create(body.uid, body.fields())
    response.status_code = 201 if found.before is None else 200
    return ApplicationOut.of(found.record)


@router.get("", dependencies=guard("application", Action.READ, Tenant.OPERATOR))
async def list_(
    page: OrderedPageOf,
    gateway: GatewayOf,
    exclude_apps_with_no_endpoints: Annotated[bool, Query()] = False,
    exclude_apps_with_disabled_endpoints: Annotated[bool, Query()] = False,
) -> Listed[ApplicationOut]:
    """List applications."""

    async def fetch(page: Page) -> list[Application]:
        return await gateway.database.list(Application, "", page)

    async def keep(application: Application) -> bool:
        if not (exclude_apps_with_no_endpoints or exclude_apps_with_disabled_endpoints):
            return True
        endpoints = await gateway.config_cache.endpoints(application.id)
        if not endpoints:
            return not exclude_apps_with_no_endpoints
        is_active = any(e.status is EndpointStatus.ACTIVE for e in endpoints)
        return is_active or not exclude_apps_with_disabled_endpoints

    found = await filtered_page(fetch, page, lambda a: a.id, keep)
    return Listed(**found.shown([ApplicationOut.of(a) for a in found.rows]))


@router.get("/{app_id}", dependencies=app_read("application", Capability.VIEW_BASE))
async def get(app: ApplicationOf) -> ApplicationOut:
    """Show an application."""
    if app.id == OPERATIONAL:
        raise NotFound("There is no such application.")
    return ApplicationOut.of(app)


@router.put(
    "/{app_id}",
    dependencies=guard(*CREATE),
    responses=also_answers(201, ApplicationOut, "Created."),
)
async def upsert(
    app_id: AppId, body: ApplicationIn, gateway: GatewayOf, response: Response
) -> ApplicationOut:
    """Replace an application; create it (201) if there is none with that uid."""
    changed = await gateway.applications.upsert(app_id, body.fields())
    response.status_code = 201 if changed.before is None else 200
    return ApplicationOut.of(changed.record)


@router.patch("/{app_id}", dependencies=guard(*CREATE))
async def patch(app: ApplicationOf, body: ApplicationPatch, gateway: GatewayOf) -> ApplicationOut:
    """Change some of an application."""
    return ApplicationOut.of(await gateway.applications.patch(app.id, body.fields()))


@router.delete("/{app_id}", status_code=204, dependencies=guard(*CREATE), response_model=None)
async def delete(app: ApplicationOf, gateway: GatewayOf) -> Response:
    """Delete an application with everything in it."""
    await gateway.applications.remove(app.id)
    return Response(status_code=204)
