"""Source cache: every source in memory, compiled, so that a callback's is found without I/O.

All sources are read at start; the config cache reports each change. If the secrets of one cannot
be opened, that is its `problem`: its callbacks are answered 503, and no other source is affected.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any, NamedTuple

from tillbell.clock import Micros
from tillbell.deliver.config_cache import ConfigCache, Watcher
from tillbell.errors import Misconfigured
from tillbell.model.sources import ConfirmationPolicy, Source
from tillbell.providers.kit.base import Provider, ProviderSetting, SourceSetup
from tillbell.rules.proxies import Networks, is_in
from tillbell.vault import Vault, hash_key

PATH = "/api/webhooks/"
ALLOWED_NETWORKS = ProviderSetting(
    "allowedNetworks",
    "Addresses and networks, like 192.0.2.0/24 or 2001:db8::1, that callbacks may come from. What "
    "comes from elsewhere is refused with 403. The list proves nothing and raises no trust.",
    "array",
)

# The settings of every source, beside those of its adapter.
COMMON_SETTINGS = (
    ProviderSetting(
        "confirm",
        "How a notice is confirmed that is not proven well enough to move money by itself.",
        choices=tuple(choice.value for choice in ConfirmationPolicy),
    ),
    ProviderSetting("lookupUrl", "Where the provider is asked for the present state.", "url"),
    ProviderSetting(
        "lookupHeaders", "Headers sent there, with its credentials.", "object", is_secret=True
    ),
    ProviderSetting(
        "lookupBody",
        "JSON that is posted there, where the provider is not asked by a GET.",
        "object",
        is_secret=True,
    ),
    ProviderSetting(
        "lookup", "JSON pointers to status, amount and currency in its answer.", "object"
    ),
    ProviderSetting(
        "lateSuccess",
        "What is done when a payment that has failed is approved after all.",
        choices=("review", "accept_verified"),
    ),
    ALLOWED_NETWORKS,
    ProviderSetting(
        "mode",
        "Which events it takes, where the provider marks test events.",
        choices=("live", "test", "any"),
        default="live",
    ),
    ProviderSetting(
        "partialCapture",
        "What is done when less than the amount is captured: a person is asked, or it is credited.",
        choices=("ask", "credit"),
        default="ask",
    ),
    ProviderSetting(
        "movesAnySource",
        "It may also move transactions that belong to another source of the application.",
        "boolean",
        default=False,
    ),
)


class CompiledSource(NamedTuple):
    """A source with its secrets opened and its settings complete. Made anew at each change."""

    source: Source
    provider: Provider
    secrets: tuple[tuple[str, Micros | None], ...]  # text and expiry, newest first
    config: Mapping[str, Any]  # with defaults, and with secret settings opened
    problem: str = ""  # why its callbacks cannot be verified; "": they can
    allowed_networks: Networks = ()  # that callbacks may come from; (): from anywhere
    lasting_setup: SourceSetup | None = None  # for the adapter, if no secret ends

    def allows(self, peer: str) -> bool:
        """Tell whether callbacks may come from a client's address."""
        return not self.allowed_networks or is_in(peer, self.allowed_networks)

    def setup_at(self, at: Micros) -> SourceSetup:
        """Return its settings and the secrets that are valid at that time, for the adapter."""
        if self.lasting_setup is not None:
            return self.lasting_setup
        texts = [text for text, expires_at in self.secrets if expires_at is None or at < expires_at]
        return SourceSetup(tuple(texts), self.config)


def settings_of(provider: Provider) -> tuple[ProviderSetting, ...]:
    """Return every setting that a source of this provider may have."""
    own = {setting.name for setting in provider.settings}
    return (
        *provider.settings,
        *(setting for setting in COMMON_SETTINGS if setting.name not in own),
    )


def path_of(provider: str, token: str | None = None) -> str:
    """Return the path of a source's URL; without a token, of the provider's default source."""
    return f"{PATH}{provider}/{token}" if token else f"{PATH}{provider}"


class SourceCache:
    """The sources of this process. For the thread of the event loop only."""

    def __init__(
        self, config_cache: ConfigCache, vault: Vault, providers: Mapping[str, Provider]
    ) -> None:
        self._config_cache = config_cache
        self._vault = vault
        self.providers = providers
        self._compiled_by_id: dict[str, CompiledSource] = {}
        self._by_token: dict[str, str] = {}  # hash of the token → id
        self._defaults: dict[str, str] = {}  # provider → id
        self._unknown_provider_ids: set[str] = set()  # of sources whose provider has no adapter
        config_cache.watch(Source, Watcher(self._cache, self._evict))

    async def load(self) -> None:
        """Read every source. One whose provider has no adapter in this version is left out."""
        for source in await self._config_cache.read_all(Source):
            self._cache(source)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def by_token(self, provider: str, token: str) -> CompiledSource | None:
        """Return the source of a URL."""
        compiled = self._compiled_by_id.get(self._by_token.get(hash_key(token), ""))
        is_found = compiled is not None and compiled.provider.name == provider
        return compiled if is_found else None

    def default(self, provider: str) -> CompiledSource | None:
        """Return the source that serves a provider's URL without a token."""
        return self._compiled_by_id.get(self._defaults.get(provider, ""))

    def compiled(self, source_id: str) -> CompiledSource | None:
        """Return a source by its id."""
        return self._compiled_by_id.get(source_id)

    def name(self, source_id: str) -> str:
        """Name a source for people; one that is deleted by its id."""
        compiled = self.compiled(source_id)
        return compiled.source.name if compiled is not None else source_id

    def has_unknown_provider(self, source_id: str) -> bool:
        """Tell whether a source is stored whose provider has no adapter in this version."""
        return source_id in self._unknown_provider_ids

    def find(self, app_id: str, id_or_uid: str) -> CompiledSource | None:
        """Return a source of an application; an id wins over an equal uid."""
        by_id = self._compiled_by_id.get(id_or_uid)
        if by_id is not None and by_id.source.scope == app_id:
            return by_id
        return next((c for c in self._of(app_id) if c.source.uid == id_or_uid), None)

    def of_scope(self, app_id: str | None) -> list[CompiledSource]:
        """Return the sources of an application; None: of all."""
        return [c for c in self._compiled_by_id.values() if app_id in (None, c.source.scope)]

    def token(self, source: Source) -> str:
        """Return the last segment of a source's URL."""
        return self._vault.open(source.token, source.id)

    def _of(self, app_id: str) -> Iterator[CompiledSource]:
        return (c for c in self._compiled_by_id.values() if c.source.scope == app_id)

    # ── changes ──────────────────────────────────────────────────────────────────────────────────

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
        compiled = self._compiled_by_id.pop(source_id, None)
        if compiled is None:
            return
        source = compiled.source
        self._by_token.pop(source.token_hash, None)
        if self._defaults.get(source.provider) == source_id:
            del self._defaults[source.provider]
            self._choose_default(source.provider)

    def _choose_default(self, provider: str) -> None:
        """Let another source that is marked as default replace one that was evicted."""
        for compiled in self._compiled_by_id.values():
            if compiled.source.is_default and compiled.source.provider == provider:
                self._defaults[provider] = compiled.source.id
                return

    def application_removed(self, app_id: str) -> None:
        """Evict the sources of an application that was removed."""
        for compiled in list(self._of(app_id)):
            self._evict(compiled.source.id)

    def _compile(self, source: Source, provider: Provider) -> CompiledSource:
        defaults = {s.name: s.default for s in settings_of(provider) if s.default is not None}
        config = {**defaults, **source.config}
        try:
            secrets = tuple(
                (self._vault.open(secret.sealed, source.id), secret.expires_at)
                for secret in source.secrets
            )
            for name, sealed in source.sealed_config.items():
                config[name] = json.loads(self._vault.open(sealed, source.id))
        except Misconfigured as error:
            problem = f"Its secrets cannot be opened: {error}"
            return CompiledSource(
                source=source, provider=provider, secrets=(), config={}, problem=problem
            )
        is_lasting = all(expires_at is None for _, expires_at in secrets)
        return CompiledSource(
            source=source,
            provider=provider,
            secrets=secrets,
            config=config,
            allowed_networks=tuple(
                ip_network(network, strict=False)
                for network in config.get(ALLOWED_NETWORKS.name, ())
            ),
            lasting_setup=SourceSetup(tuple(text for text, _ in secrets), config)
            if is_lasting
            else None,
        )
