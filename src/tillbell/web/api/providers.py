"""Providers whose callbacks are understood, the same for everybody."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import Field

from tillbell.errors import NotFound
from tillbell.providers.kit.base import Provider, ProviderSetting
from tillbell.providers.kit.cases import samples
from tillbell.receive.source_cache import settings_of
from tillbell.web.api.routes import GatewayOf, guard, resource
from tillbell.web.api.shapes import Out
from tillbell.web.edge.auth import Action, Tenant


class SettingOut(Out):
    """A member of a source's `config`."""

    name: str
    about: str
    type: str
    choices: list[str]
    default: Any
    secret: bool
    required: bool


class CaseOut(Out):
    """A realistic callback that can be simulated."""

    name: str
    about: str


class ProviderOut(Out):
    """A provider whose callbacks are understood."""

    name: str
    title: str
    about: str
    confidence: str
    trust: str = Field(description="Of its callbacks, when a secret is set.")
    trust_without_secret: str | None = Field(description="null: without one they are refused.")
    secret: str | None = Field(description="Where its secret is found; null: it has none.")
    secret_required: bool
    answers: str
    methods: list[str]
    settings: list[SettingOut]
    cases: list[CaseOut]
    bulk: bool = Field(description="Many and of little value: kept off the way of money.")
    note: str


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


def provider_out(provider: Provider) -> ProviderOut:
    """Show a provider."""
    rule, bare = provider.secret, provider.bare_trust
    return ProviderOut(
        name=provider.name,
        title=provider.title,
        about=provider.about,
        confidence=provider.confidence,
        trust=provider.best_trust.word,
        trust_without_secret=bare.word if bare is not None else None,
        secret=rule.about if rule is not None else None,
        secret_required=rule is not None and rule.is_required,
        answers=provider.answers,
        methods=sorted(provider.methods),
        settings=[_setting_out(setting) for setting in settings_of(provider)],
        cases=[CaseOut(name=n, about=s.about) for n, s in samples(provider.name).items()],
        bulk=provider.is_bulk,
        note=provider.note,
    )


def _setting_out(setting: ProviderSetting) -> SettingOut:
    return SettingOut(
        name=setting.name,
        about=setting.about,
        type=setting.type,
        choices=list(setting.choices),
        default=setting.default,
        secret=setting.is_secret,
        required=setting.is_required,
    )
