"""API keys. A key is shown once; only its hash is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import Field

from tillbell.clock import Micros, to_datetime
from tillbell.model.records import ApiKey
from tillbell.web.api.filters import instant
from tillbell.web.api.paging import OrderedPageOf, filtered_page, row_id
from tillbell.web.api.routes import GatewayOf, Usage, resource
from tillbell.web.api.shapes import Decides, In, Listed, Name, Out, Time, optional_time
from tillbell.web.edge.patterns import KEY_SCOPE

KeyScopeText = Annotated[
    str,
    Decides(),
    Field(
        pattern=KEY_SCOPE,
        description="`admin`, `write`, `read`, `publish`, or `<resource>:read|write`.",
    ),
]


class KeyIn(In):
    """A new API key."""

    name: Name
    scopes: list[KeyScopeText] = Field(
        min_length=1, max_length=50, description="What the key may do."
    )
    app_id: Name | None = Field(
        default=None, description="Id or uid of the only application that the key may use."
    )
    expires_at: Time | None = Field(
        default=None, description="When it stops to work (UTC); null: never."
    )
    rate_limit: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = Field(
        default=None, description="Requests a second; 0: no limit; null: as the server is set."
    )


class KeyOut(Out):
    """An API key without its text."""

    id: str
    name: str
    last4: str = Field(description="Last four characters of its text, to recognise it.")
    scopes: list[str] = Field(description="What the key may do.")
    app_id: str | None = Field(description="The only application that the key may use; null: all.")
    created_at: datetime
    expires_at: datetime | None = Field(description="When it stops to work (UTC); null: never.")
    last_used_at: datetime | None = Field(description="Exact to the hour.")

    rate_limit: int | None = Field(
        description="Requests a second; 0: no limit; null: as the server is set."
    )

    @classmethod
    def of(cls, key: ApiKey, last_used_at: Micros | None) -> KeyOut:
        """Return a key in the shape that callers see."""
        return cls(**cls.members(key, last_used_at))

    @staticmethod
    def members(key: ApiKey, last_used_at: Micros | None) -> dict[str, Any]:
        """Return a key by the names of `KeyOut`."""
        return {
            "id": key.id,
            "name": key.name,
            "last4": key.last4,
            "scopes": list(key.scopes),
            "app_id": key.app_id,
            "created_at": to_datetime(key.created_at),
            "expires_at": optional_time(key.expires_at),
            "last_used_at": optional_time(last_used_at),
            "rate_limit": key.rate_limit,
        }


class NewKeyOut(KeyOut):
    """A new API key. Its text is shown here and never again."""

    key: str = Field(
        description="The text of the key, for `Authorization: Bearer …`. It is not stored: keep it."
    )


router = resource("/key", "API Key")


KeyId = Annotated[str, Path(max_length=64)]


@router.post("", status_code=201)
async def create(body: KeyIn, gateway: GatewayOf) -> NewKeyOut:
    """Create an API key. Its text is in this answer only."""
    key, text = await gateway.api_keys.create(
        body.name,
        tuple(body.scopes),
        app=body.app_id,
        expires_at=instant(body.expires_at),
        rate_limit=body.rate_limit,
    )
    return NewKeyOut(**KeyOut.members(key, None), key=text)


@router.get("")
async def list_(page: OrderedPageOf, gateway: GatewayOf, usage: Usage) -> Listed[KeyOut]:
    """List API keys, without portal tokens."""

    async def keep(key: ApiKey) -> bool:
        return key.capabilities is None

    keys = await filtered_page(
        lambda page: gateway.database.list(ApiKey, None, page), page, row_id, keep
    )
    return keys.showing([KeyOut.of(key, await usage.last_used_at(key)) for key in keys.rows])


@router.get("/{key_id}")
async def get(key_id: KeyId, gateway: GatewayOf, usage: Usage) -> KeyOut:
    """Show an API key, without its text."""
    key = await gateway.api_keys.key(key_id)
    return KeyOut.of(key, await usage.last_used_at(key))


@router.delete("/{key_id}", status_code=204, response_model=None)
async def delete(key_id: KeyId, gateway: GatewayOf) -> Response:
    """Revoke an API key at once."""
    await gateway.api_keys.revoke(await gateway.api_keys.key(key_id))
    return Response(status_code=204)
