"""What REST routes share: access, and the values that they depend on.

Every route is guarded by its row in `web/edge/access.py`; a test asks all of them with every kind
of key.

Dependencies are `async` even if they wait for nothing: the framework would run a plain function
on another thread, for ten times the cost.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import compile_path

from tillbell.app import Gateway
from tillbell.configure.endpoints import Endpoints
from tillbell.configure.key_usage import KeyUsage
from tillbell.errors import Forbidden, NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.model.records import Application
from tillbell.rules.rights import Action
from tillbell.storage.session.request_act import fill_request_act
from tillbell.web.api.known_names import check_names
from tillbell.web.edge.access import ACCESS, ON_RECORD, PUBLIC
from tillbell.web.edge.asgi_types import Scope
from tillbell.web.edge.auth import PRINCIPAL, Principal, Tenant
from tillbell.web.edge.paths import APPLICATION, BASE, JSON_BODY
from tillbell.web.edge.patterns import UID
from tillbell.web.edge.resolved_path import PathResolver

AppId = Annotated[
    str, Path(description="The application: its id or uid.", pattern=UID, max_length=256)
]
EndpointId = Annotated[
    str, Path(description="The endpoint: its id or uid.", pattern=UID, max_length=256)
]
MessageId = Annotated[str, Path(description="The message: its id or event id.", max_length=256)]
AttemptId = Annotated[str, Path(pattern=UID, max_length=256)]


# Members of a body that say which rows an act means. None holds a secret or a payload.
_WHICH_ROWS = ("since", "until", "filter", "eventType", "channel", "tag", "iterator")


async def guard(request: Request) -> None:
    """Check the key against the route's row in the table of access.

    Raises `Forbidden` without the right, `NotFound` if there is no such application, `Invalid` if
    the request has names that the route does not know.
    """
    route: APIRoute = request.scope["route"]
    if route.unique_id in PUBLIC:
        return
    access = ACCESS[route.unique_id]
    principal: Principal = request.scope[PRINCIPAL]
    principal.require(access)
    if access.tenant is Tenant.APPLICATION:
        gateway: Gateway = request.app.state.gateway
        application = await gateway.config_cache.application(request.path_params["app_id"])
        if application is None or not principal.may_see(application.id):
            raise NotFound("There is no such application.")
        request.state.application = application
        request.scope[APPLICATION] = application.id
    check_names(request)
    if access.action in (Action.WRITE, Action.ADMIN) and route.unique_id not in ON_RECORD:
        gateway = request.app.state.gateway
        resolved = await PathResolver(gateway).resolve(request.url.path)
        steps = zip(route.path.split("/"), resolved.text.split("/"), strict=False)
        ids = {step.strip("{}"): name for step, name in steps if step.startswith("{")}
        note_act(gateway, request.scope, route.unique_id, ids)


def note_act(gateway: Gateway, scope: Scope, operation: str, ids: dict[str, str]) -> None:
    """Say what a request does, for the audit log: the ids in its path, which rows it means."""
    body = scope.get(JSON_BODY)
    meant = body if isinstance(body, dict) else {}
    target = next(reversed(ids.values()), "")
    act = gateway.audit.act(operation, target, app_id=scope.get(APPLICATION, ""))
    details = ids | {name: meant[name] for name in _WHICH_ROWS if name in meant}
    fill_request_act(act._replace(details=details))


class DeferredRoute(APIRoute):
    """A route that the framework prepares when it is first used.

    To read the parameters and shapes of all routes takes half of the API's loading. Until then it
    has what a request is compared with; the first read of anything else prepares it.
    """

    _preparing = RLock()  # the OpenAPI document is written on another thread

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.path, self.endpoint = path, endpoint
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.methods = {method.upper() for method in options["methods"]}
        self.name = options["name"] or endpoint.__name__
        self.tags = options["tags"]
        self.unique_id = operation_id(self)
        self._options = options

    def __getattr__(self, name: str) -> Any:
        """Prepare the route; called for what it does not have yet."""
        with self._preparing:
            options = self.__dict__.pop("_options", None)
            if options is not None:
                super().__init__(self.path, self.endpoint, **options)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None


def resource(path: str, tag: str) -> APIRouter:
    """Return the router of a resource, whose routes are under `/api/v1` and this path."""
    return APIRouter(
        prefix=f"{BASE}{path}",
        tags=[tag],
        dependencies=[Depends(guard)],
        generate_unique_id_function=operation_id,
        route_class=DeferredRoute,
        strict_content_type=False,  # safe: no browser adds an API key by itself
    )


def operation_id(route: APIRoute) -> str:
    """Name an operation: `endpoint.list`, `message-attempt.resend`."""
    tag = str(route.tags[0]).lower().replace(" ", "-")
    return f"{tag}.{route.name.rstrip('_').replace('_', '-')}"


def also_answers(status: int, model: type[BaseModel], description: str) -> dict[int | str, Any]:
    """Document a second way in which a route succeeds."""
    return {status: {"model": model, "description": description}}


def may(principal: Principal, operation: str) -> bool:
    """Tell whether a key may use an operation, by its name."""
    try:
        principal.require(ACCESS[operation])
    except Forbidden:
        return False
    return True


async def the_gateway(request: Request) -> Gateway:
    """Return the gateway."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def the_principal(request: Request) -> Principal:
    """Return who asks."""
    principal: Principal = request.scope[PRINCIPAL]
    return principal


GatewayOf = Annotated[Gateway, Depends(the_gateway)]
PrincipalOf = Annotated[Principal, Depends(the_principal)]


async def the_usage(gateway: GatewayOf) -> KeyUsage:
    """Return what knows when keys were last used."""
    return gateway.key_usage


Usage = Annotated[KeyUsage, Depends(the_usage)]


async def the_application(app_id: AppId, request: Request, gateway: GatewayOf) -> Application:
    """Return the application of the path. The guard has checked that the key may see it."""
    checked: Application | None = getattr(request.state, "application", None)
    application = checked or await gateway.config_cache.application(app_id)
    if application is None:
        raise NotFound("There is no such application.")
    return application


ApplicationOf = Annotated[Application, Depends(the_application)]


async def the_endpoint(endpoint_id: EndpointId, app: ApplicationOf, gateway: GatewayOf) -> Endpoint:
    """Return the endpoint of the path."""
    endpoint = await gateway.config_cache.endpoint(app.id, endpoint_id)
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    return endpoint


EndpointOf = Annotated[Endpoint, Depends(the_endpoint)]


async def the_endpoints(gateway: GatewayOf) -> Endpoints:
    """Return the writes of endpoints."""
    return gateway.endpoints


EndpointsOf = Annotated[Endpoints, Depends(the_endpoints)]
