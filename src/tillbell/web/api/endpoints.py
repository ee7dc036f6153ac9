"""Endpoints of an application."""

from __future__ import annotations

from fastapi import Response

from tillbell.model.endpoints import Endpoint
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, list_page
from tillbell.web.api.routes import (
    ApplicationOf,
    EndpointId,
    EndpointOf,
    EndpointsOf,
    GatewayOf,
    also_answers,
    app_read,
    app_write,
    resource,
)
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.endpoints import (
    EndpointIn,
    EndpointOut,
    EndpointPatch,
    EndpointUpsertIn,
    HeadersIn,
    HeadersOut,
    HeadersPatchIn,
    RotateIn,
    SecretOut,
)
from tillbell.web.edge.auth import Capability

router = resource("/app/{app_id}/endpoint", "Endpoint")

READ = app_read("endpoint")
WRITE = app_write("endpoint", Capability.MANAGE_ENDPOINT)
SHOW_SECRET = app_write("endpoint", Capability.VIEW_SECRET)  # a read key may not see it
ROTATE = app_write("endpoint", Capability.MANAGE_SECRET)


@router.get("", dependencies=READ)
async def list_(app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf) -> Listed[EndpointOut]:
    """List an application's endpoints."""

    async def fetch(page: Page) -> list[Endpoint]:
        return await gateway.database.list(Endpoint, app.id, page)

    found = await list_page(fetch, page, lambda e: e.id)
    return Listed(**found.shown([EndpointOut.of(e) for e in found.rows]))


@router.post("", status_code=201, dependencies=WRITE)
async def create(app: ApplicationOf, body: EndpointIn, endpoints: EndpointsOf) -> EndpointOut:
    """Add an endpoint."""
    return EndpointOut.of(await endpoints.create(app.id, body.changes()))


@router.get("/{endpoint_id}", dependencies=READ)
async def get(endpoint: EndpointOf) -> EndpointOut:
    """Show an endpoint."""
    return EndpointOut.of(endpoint)


@router.put(
    "/{endpoint_id}", dependencies=WRITE, responses=also_answers(201, EndpointOut, "Created.")
)
async def upsert(
    app: ApplicationOf,
    endpoint_id: EndpointId,
    body: EndpointUpsertIn,
    endpoints: EndpointsOf,
    response: Response,
) -> EndpointOut:
    """Replace an endpoint; create it (201) if there is none with that uid."""
    changed = await endpoints.upsert(app.id, endpoint_id, body.changes())
    response.status_code = 201 if changed.before is None else 200
    return EndpointOut.of(changed.record)


@router.patch("/{endpoint_id}", dependencies=WRITE)
async def patch(endpoint: EndpointOf, body: EndpointPatch, endpoints: EndpointsOf) -> EndpointOut:
    """Change some of an endpoint. `disabled: false` also ends a pause."""
    return EndpointOut.of(await endpoints.patch(endpoint.scope, endpoint.id, body.changes()))


@router.delete("/{endpoint_id}", status_code=204, dependencies=WRITE, response_model=None)
async def delete(endpoint: EndpointOf, endpoints: EndpointsOf) -> Response:
    """Remove an endpoint; what still waits for it is discarded."""
    await endpoints.remove(endpoint.scope, endpoint.id)
    return Response(status_code=204)


@router.get("/{endpoint_id}/headers", dependencies=READ)
async def get_headers(endpoint: EndpointOf, endpoints: EndpointsOf) -> HeadersOut:
    """Show the custom headers, without the values of sensitive ones."""
    return shown_headers(endpoint, endpoints.opened_headers(endpoint))


@router.put("/{endpoint_id}/headers", status_code=204, dependencies=WRITE, response_model=None)
async def set_headers(endpoint: EndpointOf, body: HeadersIn, endpoints: EndpointsOf) -> Response:
    """Replace the custom headers."""
    await endpoints.set_headers(endpoint.scope, endpoint.id, body.headers)
    return Response(status_code=204)


@router.patch("/{endpoint_id}/headers", status_code=204, dependencies=WRITE, response_model=None)
async def patch_headers(
    endpoint: EndpointOf, body: HeadersPatchIn, endpoints: EndpointsOf
) -> Response:
    """Set some custom headers and delete others."""
    gone = body.delete_headers or []
    await endpoints.patch_headers(endpoint.scope, endpoint.id, body.headers, gone)
    return Response(status_code=204)


@router.get("/{endpoint_id}/secret", dependencies=SHOW_SECRET)
async def get_secret(endpoint: EndpointOf, endpoints: EndpointsOf) -> SecretOut:
    """Show the signing secret."""
    return SecretOut(key=endpoints.secret(endpoint))


@router.post("/{endpoint_id}/secret/rotate", dependencies=ROTATE)
async def rotate_secret(
    endpoint: EndpointOf, endpoints: EndpointsOf, body: RotateIn | None = None
) -> SecretOut:
    """Use a new signing secret; for a day (or the grace period) the old one signs too."""
    body = body or RotateIn()
    text = await endpoints.rotate(endpoint.scope, endpoint.id, body.key, body.grace_period_seconds)
    return SecretOut(key=text)


def shown_headers(endpoint: Endpoint, opened: dict[str, str]) -> HeadersOut:
    """Leave out the values that nobody may see again."""
    secret = set(endpoint.secret_headers)
    plain = {name: value for name, value in opened.items() if name not in secret}
    return HeadersOut(headers=plain, sensitive=sorted(secret))
