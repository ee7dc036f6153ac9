"""Sources and providers as the API shows them."""

from __future__ import annotations

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.model.sources import ConfirmationPolicy, Trust
from tillbell.providers.kit.base import DeclaredProof, Provider, ProviderSetting, SourceSetup
from tillbell.providers.kit.cases import samples
from tillbell.receive.source_cache import CompiledSource, path_of, settings_of
from tillbell.rules.payments.trust import confirmation_policy
from tillbell.web.api.shapes.sources import CaseOut, ProviderOut, SettingOut, SourceOut

_UNSIGNED = {
    ConfirmationPolicy.PULL: (
        "Money moves after the provider, asked at `lookupUrl`, has confirmed it."
    ),
    ConfirmationPolicy.REVIEW: "Money moves after a person has confirmed it.",
    ConfirmationPolicy.TRUST: "Money moves by itself: its owner chose to believe it unproven.",
}


def source_out(gateway: Gateway, live: CompiledSource) -> SourceOut:
    """Show a source. The path of a default one is the provider's, without a token."""
    source, provider = live.source, live.provider
    token = gateway.source_cache.token(source)
    path = path_of(source.provider, None if source.is_default else token)
    told = _trust_text(live)
    trust = told.trust
    settings = gateway.settings
    return SourceOut(
        id=source.id,
        uid=source.uid,
        name=source.name,
        provider=source.provider,
        url=(settings.public_url or settings.local_url) + path,
        path=path,
        token=token,
        default=source.is_default,
        disabled=not source.is_enabled,
        trust=trust.word if trust is not None else "refused",
        allows=_allows(trust, live),
        answers=told.answers,
        methods=sorted(provider.methods),
        confidence=provider.confidence,
        note=told.note,
        problem=live.problem or None,
        secret_expiries=[
            to_datetime(secret.expires_at) if secret.expires_at is not None else None
            for secret in source.secrets
        ],
        config=source.config,
        secret_settings=sorted(source.sealed_config),
        metadata=source.metadata,
        version=source.version,
        created_at=to_datetime(source.created_at),
        updated_at=to_datetime(source.updated_at),
    )


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


def _trust_text(live: CompiledSource) -> DeclaredProof:
    """Say what a source proves and is answered: its adapter's word, or its owner's."""
    provider = live.provider
    if provider.declared_proof is not None:
        return provider.declared_proof(
            SourceSetup(tuple(text for text, _ in live.secrets), live.config)
        )
    has_proof = bool(live.source.secrets) or provider.secret is None
    trust = provider.best_trust if has_proof else provider.bare_trust
    return DeclaredProof(trust, provider.answers, provider.note)


def _allows(trust: Trust | None, live: CompiledSource) -> str:
    if trust is None:
        return "Nothing: without a secret every callback is refused."
    if trust is Trust.SIGNED:
        return "Money moves by itself."
    return _UNSIGNED[confirmation_policy(live.config)]
