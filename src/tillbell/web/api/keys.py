"""API keys: shown once, kept as a hash."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response

from tillbell.app import Gateway
from tillbell.clock import from_datetime
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.records import ApiKey, KeyUse
from tillbell.storage.ports.outbound import Page
from tillbell.vault import hash_key, new_api_key
from tillbell.web.api.paging import OrderedPageOf, cut_filtered
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
    app_id = await _bound_to(gateway, body.app_id)
    now = gateway.clock.now()
    text = new_api_key()
    key = ApiKey(
        id=gateway.ids.new("key", now),
        scope=app_id or "",
        created_at=now,
        updated_at=now,
        name=body.name,
        hash=hash_key(text),
        last4=text[-4:],
        scopes=tuple(body.scopes),
        app_id=app_id,
        expires_at=from_datetime(body.expires_at) if body.expires_at is not None else None,
    )
    await gateway.directory.put(key)
    return NewKeyOut(**KeyOut.members(key, None), key=text)


@router.get("", dependencies=ADMIN)
async def list_(page: OrderedPageOf, gateway: GatewayOf, usage: Usage) -> Listed[KeyOut]:
    """List API keys; portal tokens are not among them."""

    async def fetch(page: Page) -> list[ApiKey]:
        return await gateway.database.list(ApiKey, None, page)

    async def keep(key: ApiKey) -> bool:
        return key.capabilities is None

    found = await cut_filtered(fetch, page, lambda k: k.id, keep)
    return Listed(**found.shown([KeyOut.of(k, await usage.last(k)) for k in found.rows]))


@router.get("/{key_id}", dependencies=ADMIN)
async def get(key_id: KeyId, gateway: GatewayOf, usage: Usage) -> KeyOut:
    """Show an API key, without its text."""
    key = await _found(gateway, key_id)
    return KeyOut.of(key, await usage.last(key))


@router.delete("/{key_id}", status_code=204, dependencies=ADMIN, response_model=None)
async def delete(key_id: KeyId, gateway: GatewayOf) -> Response:
    """Revoke an API key, at once."""
    key = await _found(gateway, key_id)
    await revoke(gateway, key)
    return Response(status_code=204)


async def revoke(gateway: Gateway, key: ApiKey) -> None:
    """Delete a key or portal token with the note of its use."""
    await gateway.directory.remove(ApiKey, key.id, key.scope)
    await gateway.database.remove(KeyUse, key.id, key.scope)


async def _bound_to(gateway: Gateway, id_or_uid: str | None) -> str | None:
    if id_or_uid is None:
        return None
    application = await gateway.directory.application(id_or_uid)
    if application is None:
        raise Invalid(Problem(("body", "appId"), "there is no such application", "app_id"))
    return application.id


async def _found(gateway: Gateway, key_id: str) -> ApiKey:
    key = await gateway.database.get(ApiKey, key_id, None)
    if key is None or key.capabilities is not None:
        raise NotFound("There is no such key.")
    return key
