"""What every REST route declares and is given.

A route without a guard cannot be served: `web/api` is built from routers whose every route
names its `Access`, and a test walks them all with every kind of key.

What routes are given is `async` even where it waits for nothing: the framework would run a
plain function on another thread, for ten times the cost.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from pydantic import BaseModel

from tillbell.app import Gateway
from tillbell.configure.endpoints import Endpoints
from tillbell.configure.key_usage import KeyUsage
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import Application
from tillbell.web.edge.auth import PRINCIPAL, Access, Action, Capability, Principal, Tenant
from tillbell.web.edge.paths import BASE

UID = r"^[a-zA-Z0-9\-_.]+$"

AppId = Annotated[str, Path(description="Id or uid.", pattern=UID, max_length=256)]
EndpointId = Annotated[str, Path(description="Id or uid.", pattern=UID, max_length=256)]
MessageId = Annotated[str, Path(description="Id or event id.", max_length=256)]
AttemptId = Annotated[str, Path(pattern=UID, max_length=256)]


def resource(path: str, tag: str) -> APIRouter:
    """Begin a resource: its routes are found under `/api/v1` and this path."""
    return APIRouter(
        prefix=f"{BASE}{path}",
        tags=[tag],
        generate_unique_id_function=operation_id,
        strict_content_type=False,  # keys are sent as headers: no browser adds them by itself
    )


def operation_id(route: APIRoute) -> str:
    """Name an operation: `endpoint.list`, `message-attempt.resend`."""
    named = str(route.tags[0]).lower().replace(" ", "-")
    return f"{named}.{route.name.rstrip('_').replace('_', '-')}"


class RouteGuard:
    """Lets a request pass to a route, or raises."""

    def __init__(self, access: Access) -> None:
        self.access = access

    async def __call__(self, request: Request) -> None:
        """Check the key's rights, then that the application exists for it."""
        principal: Principal = request.scope[PRINCIPAL]
        principal.require(self.access)
        if self.access.tenant is Tenant.APPLICATION:
            gateway: Gateway = request.app.state.gateway
            application = await gateway.config_cache.application(request.path_params["app_id"])
            if application is None or not principal.may_see(application.id):
                raise NotFound("There is no such application.")
            request.state.application = application


def guard(
    resource: str, action: Action, tenant: Tenant, portal: Capability | None = None
) -> list[Dependency]:
    """Declare what a route takes: `dependencies=guard(...)`."""
    return [Depends(RouteGuard(Access(resource, action, tenant, portal)))]


def app_read(resource: str, portal: Capability | None = Capability.VIEW_BASE) -> list[Dependency]:
    """Declare a route that shows things of an application."""
    return guard(resource, Action.READ, Tenant.APPLICATION, portal)


def app_write(resource: str, portal: Capability | None = None) -> list[Dependency]:
    """Declare a route that changes things of an application."""
    return guard(resource, Action.WRITE, Tenant.APPLICATION, portal)


def also_answers(status: int, model: type[BaseModel], description: str) -> dict[int | str, Any]:
    """Document a second way in which a route succeeds."""
    return {status: {"model": model, "description": description}}


async def the_gateway(request: Request) -> Gateway:
    """Give the gateway."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def the_principal(request: Request) -> Principal:
    """Give who asks."""
    principal: Principal = request.scope[PRINCIPAL]
    return principal


GatewayOf = Annotated[Gateway, Depends(the_gateway)]
PrincipalOf = Annotated[Principal, Depends(the_principal)]


async def the_usage(gateway: GatewayOf) -> KeyUsage:
    """Give the notes of when keys were used."""
    return gateway.key_usage


Usage = Annotated[KeyUsage, Depends(the_usage)]


async def the_application(app_id: AppId, request: Request, gateway: GatewayOf) -> Application:
    """Give the application of the path. Whether the key may see it, the guard has judged."""
    known: Application | None = getattr(request.state, "application", None)
    application = known or await gateway.config_cache.application(app_id)
    if application is None:
        raise NotFound("There is no such application.")
    return application


ApplicationOf = Annotated[Application, Depends(the_application)]


async def the_endpoint(endpoint_id: EndpointId, app: ApplicationOf, gateway: GatewayOf) -> Endpoint:
    """Give the endpoint of the path."""
    endpoint = await gateway.config_cache.endpoint(app.id, endpoint_id)
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    return endpoint


EndpointOf = Annotated[Endpoint, Depends(the_endpoint)]


async def the_endpoints(gateway: GatewayOf) -> Endpoints:
    """Give what changes endpoints."""
    return gateway.endpoints


EndpointsOf = Annotated[Endpoints, Depends(the_endpoints)]
