"""API keys: shown once, kept as a hash."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response

from tillbell.clock import from_datetime
from tillbell.model.records import ApiKey
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, filtered_page
from tillbell.web.api.routes import GatewayOf, Usage, guard, resource
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.keys import KeyIn, KeyOut, NewKeyOut
from tillbell.web.edge.auth import Action, Tenant

router = resource("/key", "API Key")

ADMIN = guard("key", Action.ADMIN, Tenant.OPERATOR)

KeyId = Annotated[str, Path(max_length=64)]


@router.post("", status_code=201, dependencies=ADMIN)
async def create(body: KeyIn, gateway: GatewayOf) -> NewKeyOut:
    """Make an API key. Its text is in the answer and nowhere else."""
    expires_at = from_datetime(body.expires_at) if body.expires_at is not None else None
    key, text = await gateway.api_keys.create(
        body.name, tuple(body.scopes), app=body.app_id, expires_at=expires_at
    )
    return NewKeyOut(**KeyOut.members(key, None), key=text)


@router.get("", dependencies=ADMIN)
async def list_(page: OrderedPageOf, gateway: GatewayOf, usage: Usage) -> Listed[KeyOut]:
    """List API keys; portal tokens are not among them."""

    async def fetch(page: Page) -> list[ApiKey]:
        return await gateway.database.list(ApiKey, None, page)

    async def keep(key: ApiKey) -> bool:
        return key.capabilities is None

    found = await filtered_page(fetch, page, lambda k: k.id, keep)
    return Listed(**found.shown([KeyOut.of(k, await usage.last(k)) for k in found.rows]))


@router.get("/{key_id}", dependencies=ADMIN)
async def get(key_id: KeyId, gateway: GatewayOf, usage: Usage) -> KeyOut:
    """Show an API key, without its text."""
    key = await gateway.api_keys.key(key_id)
    return KeyOut.of(key, await usage.last(key))


@router.delete("/{key_id}", status_code=204, dependencies=ADMIN, response_model=None)
async def delete(key_id: KeyId, gateway: GatewayOf) -> Response:
    """Revoke an API key, at once."""
    await gateway.api_keys.revoke(await gateway.api_keys.key(key_id))
    return Response(status_code=204)
