"""Lists over all applications, or over the only one that a key may see."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from tillbell.app import Gateway
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint, EndpointHealth
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.endpoint_health import HealthStatus
from tillbell.web.api.endpoints import EndpointOut, endpoint_list
from tillbell.web.api.paging import OrderedPageOf, list_page, row_id
from tillbell.web.api.routes import GatewayOf, PrincipalOf, guard, resource
from tillbell.web.api.shapes import Listed
from tillbell.web.edge.auth import Action, Capability, Tenant

router = resource("", "Overview")


async def the_scope(
    gateway: GatewayOf,
    principal: PrincipalOf,
    app: Annotated[
        str | None,
        Query(max_length=256, description="Id or uid of an application; default: every one."),
    ] = None,
) -> str | None:
    """Return the id of the only application to list; None: all. The key may see it."""
    if app is None:
        return principal.key.app_id
    application = await gateway.config_cache.application(app)
    if application is None or not principal.may_see(application.id):
        raise NotFound("There is no such application.")
    return application.id


ScopeOf = Annotated[str | None, Depends(the_scope)]


@router.get(
    "/endpoint", dependencies=guard("endpoint", Action.READ, Tenant.OWN, Capability.VIEW_BASE)
)
async def endpoints(
    scope: ScopeOf,
    page: OrderedPageOf,
    gateway: GatewayOf,
    health: Annotated[HealthStatus | None, Query()] = None,
) -> Listed[EndpointOut]:
    """List endpoints; `health=failing`: those that fail now."""
    if health is HealthStatus.FAILING:
        return await _failing(gateway, scope, page)

    async def keep(endpoint: Endpoint) -> bool:
        return endpoint.scope != OPERATIONAL

    listed = await endpoint_list(gateway, scope, page, keep)
    if health is None:
        return listed
    data = [endpoint for endpoint in listed.data if endpoint.health is health]
    return listed.model_copy(update={"data": data})


async def _failing(gateway: Gateway, scope: str | None, page: Page) -> Listed[EndpointOut]:
    async def fetch(page: Page) -> list[EndpointHealth]:
        return list(await gateway.database.failing_endpoints(scope, page))

    failing = await list_page(fetch, page, row_id)
    data = []
    for stored in failing.rows:
        endpoint = await gateway.database.get(Endpoint, stored.id, stored.scope)
        if endpoint is not None and endpoint.scope != OPERATIONAL:
            health = gateway.lanes.health(endpoint.id, stored)
            data.append(EndpointOut.of(endpoint, health, gateway.clock.now()))
    return failing.showing(data)
