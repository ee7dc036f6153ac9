"""Operational webhooks: endpoints that receive messages about the gateway itself.

They are stored like the endpoints of an application, under a reserved scope. The messages
`endpoint.failing`, `endpoint.paused`, `delivery.failed` and so on of all applications go to them.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.endpoints import Endpoint
from tillbell.web.api.endpoints import (
    ALSO_NOTHING,
    EndpointIn,
    EndpointOut,
    EndpointPatch,
    EndpointUpsertIn,
    HeadersIn,
    HeadersOut,
    RotateIn,
    SecretOut,
    UserAgent,
    endpoint_list,
    rotated_answer,
    shown_endpoint,
    shown_headers,
)
from tillbell.web.api.paging import OrderedPageOf
from tillbell.web.api.routes import (
    EndpointId,
    EndpointsOf,
    GatewayOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import Listed

router = resource("/operational-webhook/endpoint", "Operational Webhook")


async def _the_endpoint(endpoint_id: EndpointId, gateway: GatewayOf) -> Endpoint:
    endpoint = await gateway.config_cache.endpoint(OPERATIONAL, endpoint_id)
    if endpoint is None:
        raise NotFound("There is no such endpoint.")
    return endpoint


EndpointOf = Annotated[Endpoint, Depends(_the_endpoint)]


@router.get("")
async def list_(page: OrderedPageOf, gateway: GatewayOf) -> Listed[EndpointOut]:
    """List operational endpoints."""
    return await endpoint_list(gateway, OPERATIONAL, page)


@router.post("", status_code=201)
async def create(body: EndpointIn, endpoints: EndpointsOf, gateway: GatewayOf) -> EndpointOut:
    """Add an operational endpoint."""
    return await shown_endpoint(gateway, await endpoints.create(OPERATIONAL, body.changes()))


@router.get("/{endpoint_id}")
async def get(endpoint: EndpointOf, gateway: GatewayOf) -> EndpointOut:
    """Show an operational endpoint."""
    return await shown_endpoint(gateway, endpoint)


@router.put("/{endpoint_id}", responses=also_answers(201, EndpointOut, "Created."))
async def upsert(
    endpoint_id: EndpointId,
    body: EndpointUpsertIn,
    endpoints: EndpointsOf,
    gateway: GatewayOf,
    response: Response,
) -> EndpointOut:
    """Replace an operational endpoint, or create it (201) if none has this uid."""
    changed = await endpoints.upsert(OPERATIONAL, endpoint_id, body.changes())
    response.status_code = 201 if changed.before is None else 200
    return await shown_endpoint(gateway, changed.record)


@router.patch("/{endpoint_id}")
async def patch(
    endpoint: EndpointOf, body: EndpointPatch, endpoints: EndpointsOf, gateway: GatewayOf
) -> EndpointOut:
    """Change the named members of an operational endpoint."""
    changed = await endpoints.patch(OPERATIONAL, endpoint.id, body.changes())
    return await shown_endpoint(gateway, changed)


@router.delete("/{endpoint_id}", status_code=204, response_model=None)
async def delete(endpoint: EndpointOf, endpoints: EndpointsOf) -> Response:
    """Delete an operational endpoint."""
    await endpoints.remove(OPERATIONAL, endpoint.id)
    return Response(status_code=204)


@router.get("/{endpoint_id}/headers")
async def get_headers(endpoint: EndpointOf, endpoints: EndpointsOf) -> HeadersOut:
    """Show the custom headers of an operational endpoint, without values of sensitive ones."""
    return shown_headers(endpoint, endpoints.opened_headers(endpoint))


@router.put("/{endpoint_id}/headers", status_code=204, response_model=None)
async def set_headers(endpoint: EndpointOf, body: HeadersIn, endpoints: EndpointsOf) -> Response:
    """Replace the custom headers of an operational endpoint."""
    await endpoints.set_headers(OPERATIONAL, endpoint.id, body.headers)
    return Response(status_code=204)


@router.get("/{endpoint_id}/secret")
async def get_secret(endpoint: EndpointOf, endpoints: EndpointsOf, gateway: GatewayOf) -> SecretOut:
    """Show the signing secret of an operational endpoint."""
    await gateway.config_cache.note_secret_read(endpoint)
    return SecretOut(key=endpoints.shown_secret(endpoint))


@router.post(
    "/{endpoint_id}/secret/rotate",
    response_model=SecretOut,
    responses=ALSO_NOTHING,
)
async def rotate_secret(
    endpoint: EndpointOf,
    endpoints: EndpointsOf,
    body: RotateIn | None = None,
    user_agent: UserAgent = "",
) -> Response:
    """Use a new signing secret for an operational endpoint.

    The old one signs too, for a day or the grace period.
    """
    body = body or RotateIn()
    secret = await endpoints.rotate(OPERATIONAL, endpoint.id, body.key, body.grace_period_seconds)
    return rotated_answer(secret, user_agent)
