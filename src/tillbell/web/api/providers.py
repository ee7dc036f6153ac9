"""Providers whose callbacks are understood, the same for everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from tillbell.errors import NotFound
from tillbell.web.api.routes import GatewayOf, guard, resource
from tillbell.web.api.shapes.base import Out
from tillbell.web.api.shapes.sources import ProviderOut
from tillbell.web.api.source_view import provider_out
from tillbell.web.edge.auth import Action, Tenant

router = resource("/provider", "Provider")

READ = guard("provider", Action.READ, Tenant.SHARED)


class ProvidersOut(Out):
    """All providers, by name."""

    data: list[ProviderOut]


@router.get("", dependencies=READ)
async def list_(gateway: GatewayOf) -> ProvidersOut:
    """List providers with the settings that a source of each understands."""
    known = gateway.source_cache.providers
    return ProvidersOut(data=[provider_out(known[name]) for name in sorted(known)])


@router.get("/{name}", dependencies=READ)
async def get(
    name: Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9\-]+$")], gateway: GatewayOf
) -> ProviderOut:
    """Show a provider."""
    provider = gateway.source_cache.providers.get(name)
    if provider is None:
        raise NotFound("There is no such provider.")
    return provider_out(provider)
