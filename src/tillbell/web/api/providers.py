"""Providers whose callbacks are understood. They are the same for all applications."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import Field

from tillbell.errors import NotFound
from tillbell.providers.kit.base import Confidence, Provider, ProviderSetting
from tillbell.providers.kit.cases import samples
from tillbell.receive.source_cache import settings_of
from tillbell.web.api.routes import GatewayOf, resource
from tillbell.web.api.shapes import Out, TrustText, words
from tillbell.web.edge.patterns import PROVIDER


class SettingOut(Out):
    """A member of a source's `config`."""

    name: str
    about: str = Field(description="What it is for.")
    type: Annotated[str, words("string", "boolean", "integer", "url", "object", "array")] = Field(
        description="What the value must be."
    )
    choices: list[str] = Field(description="The only values that are allowed; empty: any.")
    minimum: int | None = Field(description="Lowest integer that is allowed; null: no limit.")
    maximum: int | None = Field(description="Highest integer that is allowed; null: no limit.")
    default: Any = Field(description="Value if it is not set.")
    secret: bool = Field(description="Whether it is sealed when stored and never shown.")
    required: bool = Field(description="Whether a source needs it.")


class CaseOut(Out):
    """A realistic callback that can be simulated."""

    name: str
    about: str = Field(description="What the provider tells with it.")


class ProviderOut(Out):
    """A provider whose callbacks are understood."""

    name: str
    title: str = Field(description="Name of the company or product, for people.")
    about: str = Field(description="What it does and which callbacks are understood.")
    confidence: Confidence = Field(description="How well its format is known.")
    trust: TrustText = Field(description="What its callbacks prove when a secret is set.")
    trust_without_secret: TrustText | None = Field(
        description="Without a secret; null: they are refused."
    )
    secret: str | None = Field(description="Where to find its secret; null: it has none.")
    secret_required: bool = Field(description="Whether callbacks without a secret are refused.")
    answers: str = Field(description="What its callbacks are answered.")
    methods: list[str] = Field(description="HTTP methods that it may use.")
    settings: list[SettingOut] = Field(
        description="Members that the `config` of its sources can have."
    )
    cases: list[CaseOut] = Field(description="Realistic callbacks that can be simulated.")
    bulk: bool = Field(description="Many callbacks that move no money; others are processed first.")
    note: str = Field(description="What is not known about the format; empty: nothing.")


router = resource("/provider", "Provider")


class ProvidersOut(Out):
    """All providers, by name."""

    data: list[ProviderOut] = Field(description="Every provider, sorted by name.")


@router.get("")
async def list_(gateway: GatewayOf) -> ProvidersOut:
    """List providers with the settings that a source of each can have."""
    providers = gateway.source_cache.providers
    return ProvidersOut(data=[provider_out(providers[name]) for name in sorted(providers)])


@router.get("/{name}")
async def get(
    name: Annotated[str, Path(max_length=64, pattern=PROVIDER)], gateway: GatewayOf
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
