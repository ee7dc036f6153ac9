"""Changes of sources: checked, sealed, stored. One at a time, as with endpoints."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec

from tillbell.app import Gateway
from tillbell.clock import HOUR, SECOND
from tillbell.errors import Conflict, Invalid, Misconfigured
from tillbell.ids import token
from tillbell.model.endpoints import SigningSecret
from tillbell.model.sources import Source
from tillbell.providers.kit.base import Provider
from tillbell.receive.source_cache import LiveSource, settings_of
from tillbell.vault import hash_key
from tillbell.web.api.secret_ends import expiring
from tillbell.web.api.shapes.sources import SourceFields, SourceIn, SourcePatch, SourceRotateIn
from tillbell.web.api.source_checks import check_config, check_provider, check_secrets
from tillbell.web.api.uids import checked_uid

SECRETS_MAX = 5  # in overlap at once; the oldest goes first
TOKEN_BYTES = 24


class SourceWriter:
    """See the module."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._sources = gateway.sources
        self._turn = asyncio.Lock()

    async def create(self, app_id: str, body: SourceIn) -> LiveSource:
        """Add a source to an application."""
        _raise(check_provider(body.provider, self._sources.providers))
        provider = self._sources.providers[body.provider]
        _raise(check_secrets(provider, body.secrets, "secrets"))
        async with self._turn:
            source = self._blank(app_id, body)
            secrets = tuple(self._sealed(source, text) for text in body.secrets)
            source = msgspec.structs.replace(source, secrets=secrets)
            return await self._store(self._next(self._changed(source, provider, body)))

    async def patch(self, live: LiveSource, body: SourcePatch) -> LiveSource | None:
        """Change what the body names; None if the source is gone."""
        async with self._turn:
            present = self._sources.live(live.source.id)
            if present is None:
                return None
            source = self._changed(present.source, present.provider, body)
            if "name" in body.model_fields_set:
                source = msgspec.structs.replace(source, name=body.name)
            return await self._store(self._next(source))

    async def rotate(self, live: LiveSource, body: SourceRotateIn) -> LiveSource | None:
        """Use a new secret; the old ones are accepted for the grace period too."""
        _raise(check_secrets(live.provider, [body.secret], "secret"))
        async with self._turn:
            present = self._sources.live(live.source.id)
            if present is None:
                return None
            source = present.source
            now = self._gateway.clock.now()
            grace_s = body.grace_period_seconds
            overlap = self._gateway.settings.secret_overlap_hours * HOUR
            until = now + (grace_s * SECOND if grace_s is not None else overlap)
            old = expiring(source.secrets, now, until)
            secrets = (self._sealed(source, body.secret), *old)[:SECRETS_MAX]
            return await self._store(self._next(msgspec.structs.replace(source, secrets=secrets)))

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    def _blank(self, app_id: str, body: SourceIn) -> Source:
        now = self._gateway.clock.now()
        id_ = self._gateway.ids.new("src", now)
        text = base64.urlsafe_b64encode(token(TOKEN_BYTES)).decode()
        return Source(
            id=id_,
            scope=app_id,
            created_at=now,
            updated_at=now,
            name=body.name,
            provider=body.provider,
            token=self._gateway.vault.seal(text, id_),
            token_hash=hash_key(text),
            version=0,  # until it is stored
        )

    def _changed(self, source: Source, provider: Provider, body: SourceFields) -> Source:
        given = body.model_fields_set
        changes: dict[str, Any] = {}
        if "uid" in given:
            changes["uid"] = checked_uid(body.uid)
        if "metadata" in given:
            changes["metadata"] = body.metadata or {}
        if body.default is not None:
            changes["is_default"] = self._default(source, wanted=body.default)
        if body.disabled is not None:
            changes["is_enabled"] = not body.disabled
        if body.config is not None or source.version == 0:
            changes |= self._config(source, provider, body.config or {})
        return msgspec.structs.replace(source, **changes)

    def _config(self, source: Source, provider: Provider, given: dict[str, Any]) -> dict[str, Any]:
        """Merge what is given into what is set; check it as a whole; seal what is secret."""
        vault = self._gateway.vault
        whole = {**source.config, **self._opened(source), **given}
        whole = {name: value for name, value in whole.items() if value is not None}
        _raise(check_config(provider, whole))
        secret = {setting.name for setting in settings_of(provider) if setting.is_secret}
        sealed = {
            name: vault.seal(msgspec.json.encode(value).decode(), source.id)
            for name, value in whole.items()
            if name in secret
        }
        plain = {name: value for name, value in whole.items() if name not in secret}
        return {"config": plain, "sealed_config": sealed}

    def _opened(self, source: Source) -> dict[str, Any]:
        vault = self._gateway.vault
        try:
            return {
                name: msgspec.json.decode(vault.open(sealed, source.id))
                for name, sealed in source.sealed_config.items()
            }
        except Misconfigured as error:
            told = "Its secret settings cannot be opened; remove the source and make it anew."
            raise Conflict(told, code="source_unusable") from error

    def _default(self, source: Source, *, wanted: bool) -> bool:
        holder = self._sources.default(source.provider)
        if wanted and holder is not None and holder.source.id != source.id:
            raise Conflict(f"Provider {source.provider!r} has a default source already.")
        return wanted

    def _sealed(self, source: Source, text: str) -> SigningSecret:
        return SigningSecret(sealed=self._gateway.vault.seal(text, source.id))

    def _next(self, source: Source) -> Source:
        return msgspec.structs.replace(
            source, version=source.version + 1, updated_at=self._gateway.clock.now()
        )

    async def _store(self, source: Source) -> LiveSource:
        await self._sources.put(source)
        live = self._sources.live(source.id)
        assert live is not None
        return live


def _raise(problems: list[Any]) -> None:
    if problems:
        raise Invalid(*problems)
