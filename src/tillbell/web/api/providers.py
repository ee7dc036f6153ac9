"""Providers whose callbacks are understood. They are the same for all applications."""

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
    minimum: int | None
    maximum: int | None
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
    trust: str = Field(description="What its callbacks prove when a secret is set.")
    trust_without_secret: str | None = Field(
        description="Without a secret; null: they are refused."
    )
    secret: str | None = Field(description="Where to find its secret; null: it has none.")
    secret_required: bool
    answers: str
    methods: list[str]
    settings: list[SettingOut]
    cases: list[CaseOut]
    bulk: bool = Field(description="Many callbacks that move no money; others are processed first.")
    note: str


router = resource("/provider", "Provider")

READ = guard("provider", Action.READ, Tenant.SHARED)


class ProvidersOut(Out):
    """All providers, by name."""

    data: list[ProviderOut]


@router.get("", dependencies=READ)
async def list_(gateway: GatewayOf) -> ProvidersOut:
    """List providers with the settings that a source of each can have."""
    providers = gateway.source_cache.providers
    return ProvidersOut(data=[provider_out(providers[name]) for name in sorted(providers)])


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
    """Return a provider in the shape that callers see."""
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
        cases=[
            CaseOut(name=name, about=sample.about)
            for name, sample in samples(provider.name).items()
        ],
        bulk=provider.is_bulk,
        note=provider.note,
    )


def _setting_out(setting: ProviderSetting) -> SettingOut:
    return SettingOut(
        name=setting.name,
        about=setting.about,
        type=setting.type,
        choices=list(setting.choices),
        minimum=setting.minimum,
        maximum=setting.maximum,
        default=setting.default,
        secret=setting.is_secret,
        required=setting.is_required,
    )
