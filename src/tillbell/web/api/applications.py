"""Applications."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Query, Response

from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.endpoints import EndpointStatus
from tillbell.model.records import Application
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.application_writes import CREATE, create_application, make_application
from tillbell.web.api.paging import OrderedPageOf, cut_filtered
from tillbell.web.api.routes import App, AppId, GatewayOf, also, app_read, guard, resource
from tillbell.web.api.shapes.applications import ApplicationIn, ApplicationOut, ApplicationPatch
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.uids import checked_uid
from tillbell.web.edge.auth import Action, Capability, Tenant

router = resource("/app", "Application")


@router.post(
    "",
    status_code=201,
    dependencies=guard(*CREATE),
    responses=also(200, ApplicationOut, "It was there."),
)
async def create(
    body: ApplicationIn,
    gateway: GatewayOf,
    response: Response,
    get_if_exists: Annotated[bool, Query()] = False,
) -> ApplicationOut:
    """Create an application; with `get_if_exists`, return the one that has the uid (200)."""
    if get_if_exists and body.uid is not None:
        existing = await gateway.directory.application(body.uid)
        if existing is not None:
            response.status_code = 200
            return ApplicationOut.of(existing)
    return ApplicationOut.of(await create_application(gateway, body))


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
        endpoints = await gateway.directory.endpoints(application.id)
        if not endpoints:
            return not exclude_apps_with_no_endpoints
        is_active = any(e.status is EndpointStatus.ACTIVE for e in endpoints)
        return is_active or not exclude_apps_with_disabled_endpoints

    found = await cut_filtered(fetch, page, lambda a: a.id, keep)
    return Listed(**found.shown([ApplicationOut.of(a) for a in found.rows]))


@router.get("/{app_id}", dependencies=app_read("application", Capability.VIEW_BASE))
async def get(app: App) -> ApplicationOut:
    """Show an application."""
    _refuse_reserved(app.id)
    return ApplicationOut.of(app)


@router.put(
    "/{app_id}", dependencies=guard(*CREATE), responses=also(201, ApplicationOut, "Created.")
)
async def upsert(
    app_id: AppId, body: ApplicationIn, gateway: GatewayOf, response: Response
) -> ApplicationOut:
    """Replace an application; create it (201) if there is none with that uid."""
    _refuse_reserved(app_id)
    existing = await gateway.directory.application(app_id)
    if existing is None:
        response.status_code = 201
        return ApplicationOut.of(await create_application(gateway, body, uid=app_id))
    fresh = make_application(gateway, existing.id, body, uid=body.uid or existing.uid)
    fresh = msgspec.structs.replace(fresh, created_at=existing.created_at)
    await gateway.directory.put(fresh)
    return ApplicationOut.of(fresh)


@router.patch("/{app_id}", dependencies=guard(*CREATE))
async def patch(app: App, body: ApplicationPatch, gateway: GatewayOf) -> ApplicationOut:
    """Change some of an application."""
    _refuse_reserved(app.id)
    given = body.model_fields_set
    changes: dict[str, Any] = {"updated_at": gateway.clock.now()}
    if body.gives_rate:
        changes["throttle_rate"] = body.rate
    if "uid" in given:
        changes["uid"] = checked_uid(body.uid)
    if "metadata" in given:
        changes["metadata"] = body.metadata or {}
    changes |= {name: getattr(body, name) for name in given & {"name", "check_schemas"}}
    fresh = msgspec.structs.replace(app, **changes)
    await gateway.directory.put(fresh)
    return ApplicationOut.of(fresh)


@router.delete("/{app_id}", status_code=204, dependencies=guard(*CREATE), response_model=None)
async def delete(app: App, gateway: GatewayOf) -> Response:
    """Delete an application with everything in it."""
    _refuse_reserved(app.id)
    await gateway.directory.remove(Application, app.id)
    return Response(status_code=204)


def _refuse_reserved(app_id: str) -> None:
    if app_id == OPERATIONAL:
        raise NotFound("There is no such application.")
