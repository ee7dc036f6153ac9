"""API keys. A key is shown once; only its hash is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import Micros, to_datetime
from tillbell.errors import Forbidden, Invalid, NotFound, Problem
from tillbell.model.people import Role
from tillbell.model.records import ApiKey
from tillbell.rules.rights import SCOPES_OF, not_covered
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.filters import instant
from tillbell.web.api.paging import ListPage, OrderedPageOf, filtered_page, row_id
from tillbell.web.api.routes import GatewayOf, PrincipalOf, Usage, resource
from tillbell.web.api.shapes import Decides, In, Listed, Name, Out, Time, optional_time
from tillbell.web.edge.auth import Principal
from tillbell.web.edge.patterns import KEY_SCOPE

KeyScopeText = Annotated[
    str,
    Decides(),
    Field(
        pattern=KEY_SCOPE,
        description="`admin`, `write`, `read`, `view`, `publish`, or `<resource>:read|write`.",
    ),
]


class KeyIn(In):
    """A new API key."""

    name: Name
    scopes: list[KeyScopeText] = Field(
        default=[], max_length=50, description="What the key may do; not more than you may."
    )
    role: Role | None = Field(
        default=None, description="Instead of scopes: those of a role, as docs/security.md says."
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
async def create(body: KeyIn, gateway: GatewayOf, principal: PrincipalOf) -> NewKeyOut:
    """Create an API key that may do no more than you. Its text is in this answer only."""
    key, text = await gateway.api_keys.create(
        body.name,
        _scopes(body, principal),
        app=await _place(body, gateway, principal),
        expires_at=instant(body.expires_at),
        rate_limit=body.rate_limit,
    )
    return NewKeyOut(**KeyOut.members(key, None), key=text)


@router.get("")
async def list_(
    page: OrderedPageOf, gateway: GatewayOf, usage: Usage, principal: PrincipalOf
) -> Listed[KeyOut]:
    """List API keys, without portal tokens."""

    keys = await key_page(gateway, principal.key.app_id, page)
    return keys.showing([KeyOut.of(key, await usage.last_used_at(key)) for key in keys.rows])


@router.get("/{key_id}")
async def get(key_id: KeyId, gateway: GatewayOf, usage: Usage, principal: PrincipalOf) -> KeyOut:
    """Show an API key, without its text."""
    key = await _key(key_id, gateway, principal)
    return KeyOut.of(key, await usage.last_used_at(key))


@router.delete("/{key_id}", status_code=204, response_model=None)
async def delete(key_id: KeyId, gateway: GatewayOf, principal: PrincipalOf) -> Response:
    """Revoke an API key at once."""
    await gateway.api_keys.revoke(await _key(key_id, gateway, principal))
    return Response(status_code=204)


async def key_page(gateway: Gateway, app_id: str | None, page: Page) -> ListPage[ApiKey]:
    """Return a page of keys without portal tokens: of all applications (None), or bound to one."""

    async def keep(key: ApiKey) -> bool:
        return key.capabilities is None and app_id in (None, key.app_id)

    return await filtered_page(
        lambda page: gateway.database.list(ApiKey, None, page), page, row_id, keep
    )


async def _key(key_id: str, gateway: Gateway, principal: Principal) -> ApiKey:
    key = await gateway.api_keys.key(key_id)
    if principal.key.app_id not in (None, key.app_id):
        raise NotFound("There is no such key.")
    return key


def _scopes(body: KeyIn, principal: Principal) -> tuple[str, ...]:
    """Return what a new key may do. `Forbidden` if that is more than who asks may."""
    if bool(body.scopes) == (body.role is not None):
        raise Invalid(Problem(("body", "scopes"), "give scopes or a role"))
    scopes = tuple(sorted(SCOPES_OF[body.role])) if body.role is not None else tuple(body.scopes)
    above = not_covered(principal.key.scopes, scopes)
    if above:
        raise Forbidden(
            f"You may not do this yourself, so no key of yours may: {', '.join(above)}."
        )
    return scopes


async def _place(body: KeyIn, gateway: Gateway, principal: Principal) -> str | None:
    """Return the application of a new key: the only one of who asks, if that is bound to one."""
    own = principal.key.app_id
    if own is None or body.app_id is None:
        return own or body.app_id
    app = await gateway.config_cache.application(body.app_id)
    if app is None or app.id != own:
        raise Invalid(Problem(("body", "appId"), "there is no such application", "app_id"))
    return own
