"""Changes of sources."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from tillbell.configure.names import checked_uid
from tillbell.configure.parts import Parts
from tillbell.configure.secrets import overlap, rotated
from tillbell.configure.source_checks import check_config, check_provider, check_secrets
from tillbell.deliver.record_changes import ChangedRecord
from tillbell.errors import ConflictError, Invalid, Misconfigured, NotFound
from tillbell.ids import token
from tillbell.model.endpoints import SigningSecret
from tillbell.model.sources import Source
from tillbell.providers.kit.base import Provider
from tillbell.receive.source_cache import CompiledSource, SourceCache, settings_of
from tillbell.vault import hash_key

TOKEN_BYTES = 24


class SourceChanges(NamedTuple):
    """The changes of a request. `fields` are fields of the record by name."""

    fields: Mapping[str, Any]
    config: Mapping[str, Any] | None = None  # merged into the current one; null clears


class SourceSettings:
    """Creates, changes and removes sources and their secrets."""

    def __init__(self, parts: Parts, sources: SourceCache) -> None:
        self._directory, self._clock, self._ids, self._vault, self._overlap_hours = parts
        self._sources = sources

    async def create(
        self, app_id: str, provider_name: str, secrets: list[str], changes: SourceChanges
    ) -> CompiledSource:
        """Add a source to an application. `Conflict` if its uid is taken."""
        _raise(check_provider(provider_name, self._sources.providers))
        provider = self._sources.providers[provider_name]
        _raise(check_secrets(provider, secrets, "secrets"))
        blank = self._blank(app_id, provider_name)
        sealed = tuple(self._sealed(blank, text) for text in secrets)
        with_config = changes._replace(config=changes.config or {})
        source = self._changed(msgspec.structs.replace(blank, secrets=sealed), with_config)
        await self._directory.add(source)
        return await self._single_default(ChangedRecord(source, None))

    async def patch(self, app_id: str, id_: str, changes: SourceChanges) -> CompiledSource:
        """Change the named fields. `NotFound` if the source does not exist."""
        changed = await self._change(app_id, id_, lambda current: self._changed(current, changes))
        return await self._single_default(changed)

    async def rotate(
        self, app_id: str, id_: str, secret: str, grace_s: int | None = None
    ) -> CompiledSource:
        """Use a new secret. The old ones are also accepted for the grace period."""
        grace = overlap(self._clock.now(), grace_s, self._overlap_hours)

        def with_new_secret(current: Source) -> Source:
            _raise(check_secrets(self._provider(current), [secret], "secret"))
            secrets = rotated(self._sealed(current, secret), current.secrets, grace)
            return msgspec.structs.replace(current, secrets=secrets)

        return self._compiled((await self._change(app_id, id_, with_new_secret)).record)

    async def remove(self, app_id: str, id_: str) -> None:
        """Remove a source. Its callbacks stay in the log."""
        await self._directory.remove(Source, id_, app_id)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, app_id: str, id_: str, apply: Callable[[Source], Source]
    ) -> ChangedRecord[Source]:
        return await self._directory.change(Source, app_id, id_, apply)

    def _compiled(self, source: Source) -> CompiledSource:
        compiled = self._sources.compiled(source.id)
        if compiled is None:
            raise NotFound("There is no such source.")
        return compiled

    def _provider(self, source: Source) -> Provider:
        """Return a source's adapter. `NotFound` if this version does not have it."""
        provider = self._sources.providers.get(source.provider)
        if provider is None:
            raise NotFound("There is no such source.")
        return provider

    def _blank(self, app_id: str, provider: str) -> Source:
        now = self._clock.now()
        id_ = self._ids.new("src", now)
        text = base64.urlsafe_b64encode(token(TOKEN_BYTES)).decode()
        return Source(
            id=id_,
            scope=app_id,
            created_at=now,
            updated_at=now,
            name="",
            provider=provider,
            token=self._vault.seal(text, id_),
            token_hash=hash_key(text),
        )

    def _changed(self, source: Source, changes: SourceChanges) -> Source:
        provider = self._provider(source)
        checked_uid(changes.fields.get("uid"))
        if changes.fields.get("is_default"):
            self._refuse_second_default(source)
        settings = {}
        if changes.config is not None:
            settings = self._config(source, provider, changes.config)
        return msgspec.structs.replace(source, **changes.fields, **settings)

    def _config(
        self, source: Source, provider: Provider, config: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Merge settings into the current ones, check the result, and seal the secret ones."""
        merged = {**source.config, **self._opened(source), **config}
        merged = {name: value for name, value in merged.items() if value is not None}
        _raise(check_config(provider, merged))
        secret = {setting.name for setting in settings_of(provider) if setting.is_secret}
        sealed = {
            name: self._vault.seal(msgspec.json.encode(value).decode(), source.id)
            for name, value in merged.items()
            if name in secret
        }
        plain = {name: value for name, value in merged.items() if name not in secret}
        return {"config": plain, "sealed_config": sealed}

    def _opened(self, source: Source) -> dict[str, Any]:
        try:
            return {
                name: msgspec.json.decode(self._vault.open(sealed, source.id))
                for name, sealed in source.sealed_config.items()
            }
        except Misconfigured as error:
            message = "Its secret settings cannot be opened; delete the source and create it again."
            raise ConflictError(message, code="source_unusable") from error

    # ── one default for each provider ────────────────────────────────────────────────────────────

    def _refuse_second_default(self, source: Source) -> None:
        holder = self._sources.default(source.provider)
        if holder is not None and holder.source.id != source.id:
            raise _second_default(source.provider)

    async def _single_default(self, changed: ChangedRecord[Source]) -> CompiledSource:
        """Undo the change if another source became the provider's default at the same time.

        Then both changes may be undone, but two defaults never remain.
        """
        source, before = changed
        is_new = source.is_default and (before is None or not before.is_default)
        if is_new and await self._has_rival(source):
            await self._undo_default(source, before)
            raise _second_default(source.provider)
        return self._compiled(source)

    async def _undo_default(self, source: Source, before: Source | None) -> None:
        if before is None:
            await self.remove(source.scope, source.id)
            return

        def undone(current: Source) -> Source:
            if current.version == source.version:
                return before
            return msgspec.structs.replace(current, is_default=False)

        await self._change(source.scope, source.id, undone)

    async def _has_rival(self, source: Source) -> bool:
        return any(
            other.is_default and other.provider == source.provider and other.id != source.id
            for other in await self._directory.read_all(Source)
        )

    def _sealed(self, source: Source, text: str) -> SigningSecret:
        return SigningSecret(sealed=self._vault.seal(text, source.id))


def _second_default(provider: str) -> ConflictError:
    return ConflictError(f"Provider {provider!r} has a default source already.")


def _raise(problems: list[Any]) -> None:
    if problems:
        raise Invalid(*problems)
