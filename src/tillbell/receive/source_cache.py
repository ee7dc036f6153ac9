"""Sources in memory: who may send us callbacks, found without I/O, with their secrets open.

All sources are read at start, and the directory shows each as it is stored. What is wrong with one
(a secret sealed under a key that we do not have, say) is its `problem`: it is answered 503 and
costs the others nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.deliver.config_cache import ConfigCache, Watcher
from tillbell.errors import Misconfigured
from tillbell.model.sources import ConfirmationPolicy, Source
from tillbell.providers.kit.base import Provider, ProviderSetting, SourceSetup
from tillbell.vault import Vault, hash_key

PATH = "/api/webhooks/"

# What every source understands besides the settings of its adapter.
COMMON_SETTINGS = (
    ProviderSetting(
        "confirm",
        "What is done with news that is not proven well enough to move money by itself.",
        choices=tuple(choice.value for choice in ConfirmationPolicy),
    ),
    ProviderSetting("lookupUrl", "Where the provider is asked for the present state.", "url"),
    ProviderSetting(
        "lookupHeaders", "Headers sent there, with its credentials.", "object", is_secret=True
    ),
    ProviderSetting(
        "lookup", "JSON pointers to status, amount and currency in its answer.", "object"
    ),
    ProviderSetting(
        "lateSuccess",
        "What is done when a payment that has failed is approved after all.",
        choices=("review", "accept_verified"),
    ),
)


class CompiledSource(NamedTuple):
    """One source, compiled. Rebuilt whenever it changes."""

    source: Source
    provider: Provider
    secrets: tuple[tuple[str, Micros | None], ...]  # text, expiry; newest first
    config: Mapping[str, Any]  # defaults filled in, secrets open
    problem: str = ""  # why nothing can be proven of what it sends

    def setup_at(self, at: Micros) -> SourceSetup:
        """Return what the adapter may know of it, with the secrets that are good at that time."""
        texts = [text for text, expires_at in self.secrets if expires_at is None or at < expires_at]
        return SourceSetup(tuple(texts), self.config)


def settings_of(provider: Provider) -> tuple[ProviderSetting, ...]:
    """Return every setting that a source of this provider understands."""
    own = {setting.name for setting in provider.settings}
    return (*provider.settings, *(common for common in COMMON_SETTINGS if common.name not in own))


def path_of(provider: str, token: str | None = None) -> str:
    """Return the path of a source's URL; without a token that of the provider's default."""
    return f"{PATH}{provider}/{token}" if token else f"{PATH}{provider}"


class SourceCache:
    """See the module. Not for use from other threads than the event loop's."""

    def __init__(
        self, directory: ConfigCache, vault: Vault, providers: Mapping[str, Provider]
    ) -> None:
        self._config_cache = directory
        self._vault = vault
        self.providers = providers
        self._compiled_by_id: dict[str, CompiledSource] = {}
        self._by_token: dict[str, str] = {}  # hash of the token → id
        self._defaults: dict[str, str] = {}  # provider → id
        self._unknown_provider_ids: set[str] = (
            set()
        )  # ids of those whose provider this version does not know
        directory.watch(Source, Watcher(self._cache, self._evict))

    async def load(self) -> None:
        """Read every source. Those of providers that this version does not know stay unseen."""
        for source in await self._config_cache.read_all(Source):
            self._cache(source)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def by_token(self, provider: str, token: str) -> CompiledSource | None:
        """Find the source of a URL."""
        live = self._compiled_by_id.get(self._by_token.get(hash_key(token), ""))
        return live if live is not None and live.provider.name == provider else None

    def default(self, provider: str) -> CompiledSource | None:
        """Find the source that serves a provider's URL without a token."""
        return self._compiled_by_id.get(self._defaults.get(provider, ""))

    def compiled(self, source_id: str) -> CompiledSource | None:
        """Return a source by its id."""
        return self._compiled_by_id.get(source_id)

    def has_unknown_provider(self, source_id: str) -> bool:
        """Tell whether a source is there, and only its provider's adapter is not."""
        return source_id in self._unknown_provider_ids

    def find(self, app_id: str, id_or_uid: str) -> CompiledSource | None:
        """Return a source of an application; an id wins over an equal uid."""
        found = self._compiled_by_id.get(id_or_uid)
        if found is not None and found.source.scope == app_id:
            return found
        return next((live for live in self._of(app_id) if live.source.uid == id_or_uid), None)

    def token(self, source: Source) -> str:
        """Return the last segment of a source's URL."""
        return self._vault.open(source.token, source.id)

    def _of(self, app_id: str) -> Iterator[CompiledSource]:
        return (live for live in self._compiled_by_id.values() if live.source.scope == app_id)

    # ── what is stored ───────────────────────────────────────────────────────────────────────────

    def _cache(self, source: Source) -> None:
        self._evict(source.id)
        provider = self.providers.get(source.provider)
        if provider is None:
            self._unknown_provider_ids.add(source.id)
            return
        self._compiled_by_id[source.id] = self._compile(source, provider)
        self._by_token[source.token_hash] = source.id
        if source.is_default:
            self._defaults.setdefault(source.provider, source.id)

    def _evict(self, source_id: str) -> None:
        self._unknown_provider_ids.discard(source_id)
        live = self._compiled_by_id.pop(source_id, None)
        if live is None:
            return
        self._by_token.pop(live.source.token_hash, None)
        if self._defaults.get(live.source.provider) == source_id:
            del self._defaults[live.source.provider]
            self._elect(live.source.provider)

    def _elect(self, provider: str) -> None:
        """Let another default take the place of one that is gone."""
        for live in self._compiled_by_id.values():
            if live.source.is_default and live.source.provider == provider:
                self._defaults[provider] = live.source.id
                return

    def application_removed(self, app_id: str) -> None:
        """Forget the sources of an application that was removed."""
        for live in list(self._of(app_id)):
            self._evict(live.source.id)

    def _compile(self, source: Source, provider: Provider) -> CompiledSource:
        config = {s.name: s.default for s in settings_of(provider) if s.default is not None}
        config |= source.config
        try:
            secrets = tuple(
                (self._vault.open(secret.sealed, source.id), secret.expires_at)
                for secret in source.secrets
            )
            for name, sealed in source.sealed_config.items():
                config[name] = json.loads(self._vault.open(sealed, source.id))
        except Misconfigured as error:
            return CompiledSource(
                source, provider, (), {}, f"Its secrets cannot be opened: {error}"
            )
        return CompiledSource(source, provider, secrets, config)
