"""Operational webhooks: endpoints that hear about the gateway itself.

The same endpoints as an application's, kept under a reserved scope: `endpoint.failing`,
`endpoint.paused`, `delivery.failed` and so on of all applications go to them.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.endpoints import present, shown_headers
from tillbell.web.api.paging import OrderedPageOf, cut
from tillbell.web.api.routes import EndpointId, GatewayOf, WriterOf, also, guard, resource
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.endpoints import (
    EndpointIn,
    EndpointOut,
    EndpointPatch,
    EndpointUpsertIn,
    HeadersIn,
    HeadersOut,
    RotateIn,
    SecretOut,
)
from tillbell.web.edge.auth import Action, Tenant

router = resource("/operational-webhook/endpoint", "Operational Webhook")

READ = guard("operational-webhook", Action.READ, Tenant.OPERATOR)
WRITE = guard("operational-webhook", Action.WRITE, Tenant.OPERATOR)


async def _the_endpoint(endpoint_id: EndpointId, gateway: GatewayOf) -> Endpoint:
    endpoint = await gateway.directory.endpoint(OPERATIONAL, endpoint_id)
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    return endpoint


EndpointOf = Annotated[Endpoint, Depends(_the_endpoint)]


@router.get("", dependencies=READ)
async def list_(page: OrderedPageOf, gateway: GatewayOf) -> Listed[EndpointOut]:
    """List operational endpoints."""

    async def fetch(page: Page) -> list[Endpoint]:
        return await gateway.database.list(Endpoint, OPERATIONAL, page)

    found = await cut(fetch, page, lambda e: e.id)
    return Listed(**found.shown([EndpointOut.of(e) for e in found.rows]))


@router.post("", status_code=201, dependencies=WRITE)
async def create(body: EndpointIn, writer: WriterOf) -> EndpointOut:
    """Add an operational endpoint."""
    return EndpointOut.of(await writer.create(OPERATIONAL, body))


@router.get("/{endpoint_id}", dependencies=READ)
async def get(endpoint: EndpointOf) -> EndpointOut:
    """Show an operational endpoint."""
    return EndpointOut.of(endpoint)


@router.put("/{endpoint_id}", dependencies=WRITE, responses=also(201, EndpointOut, "Created."))
async def upsert(
    endpoint_id: EndpointId, body: EndpointUpsertIn, writer: WriterOf, response: Response
) -> EndpointOut:
    """Replace an operational endpoint; create it (201) if there is none with that uid."""
    endpoint, is_new = await writer.upsert(OPERATIONAL, endpoint_id, body)
    response.status_code = 201 if is_new else 200
    return EndpointOut.of(endpoint)


@router.patch("/{endpoint_id}", dependencies=WRITE)
async def patch(endpoint: EndpointOf, body: EndpointPatch, writer: WriterOf) -> EndpointOut:
    """Change some of an operational endpoint."""
    return EndpointOut.of(present(await writer.patch(OPERATIONAL, endpoint.id, body)))


@router.delete("/{endpoint_id}", status_code=204, dependencies=WRITE, response_model=None)
async def delete(endpoint: EndpointOf, gateway: GatewayOf) -> Response:
    """Remove an operational endpoint."""
    await gateway.directory.remove(Endpoint, endpoint.id, OPERATIONAL)
    return Response(status_code=204)


@router.get("/{endpoint_id}/headers", dependencies=READ)
async def get_headers(endpoint: EndpointOf, writer: WriterOf) -> HeadersOut:
    """Show the custom headers, without the values of sensitive ones."""
    return shown_headers(endpoint, writer.opened_headers(endpoint))


@router.put("/{endpoint_id}/headers", status_code=204, dependencies=WRITE, response_model=None)
async def set_headers(endpoint: EndpointOf, body: HeadersIn, writer: WriterOf) -> Response:
    """Replace the custom headers."""
    await writer.set_headers(OPERATIONAL, endpoint.id, body.headers)
    return Response(status_code=204)


@router.get("/{endpoint_id}/secret", dependencies=WRITE)
async def get_secret(endpoint: EndpointOf, writer: WriterOf) -> SecretOut:
    """Show the signing secret."""
    return SecretOut(key=writer.secret(endpoint))


@router.post("/{endpoint_id}/secret/rotate", dependencies=WRITE)
async def rotate_secret(
    endpoint: EndpointOf, writer: WriterOf, body: RotateIn | None = None
) -> SecretOut:
    """Use a new signing secret; for a day (or the grace period) the old one signs too."""
    text = await writer.rotate(OPERATIONAL, endpoint.id, body or RotateIn())
    return SecretOut(key=present(text))
