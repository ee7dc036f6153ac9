"""Changes of API keys and portal tokens. Their text is shown once; only a hash is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec

from tillbell.clock import Micros
from tillbell.configure.parts import Parts
from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.logs import log_event
from tillbell.model.records import ApiKey, KeyScope, KeyUse
from tillbell.storage.ports.outbound import Registry
from tillbell.vault import hash_key, new_api_key

BOOTSTRAP = "key_bootstrap"  # the key of the setting admin_key
FIRST = "first"  # the uid of the key that a first start creates


class NewKey(NamedTuple):
    """A new key and its text, which is not stored."""

    key: ApiKey
    text: str


class ApiKeys:
    """Creates and revokes keys. A portal token is a key with capabilities in an application."""

    def __init__(self, parts: Parts, registry: Registry) -> None:
        self._registry = registry
        self._directory = parts.directory
        self._clock = parts.clock
        self._ids = parts.ids

    async def create(
        self,
        name: str,
        scopes: tuple[str, ...],
        app: str | None = None,
        expires_at: Micros | None = None,
        rate_limit: int | None = None,
    ) -> NewKey:
        """Create a key, limited to an application (id or uid) if one is named."""
        app_id = await self._application_id(app)
        return await self._add(
            name=name,
            scopes=scopes,
            app_id=app_id,
            expires_at=expires_at,
            rate_limit=rate_limit,
        )

    async def create_token(
        self,
        app_id: str,
        capabilities: tuple[str, ...],
        session_id: str | None,
        expires_at: Micros,
        feature_flags: tuple[str, ...] = (),
    ) -> NewKey:
        """Create a portal token of an application, and delete its expired ones."""
        await self._delete_expired(app_id)
        return await self._add(
            name="portal",
            scopes=(),
            app_id=app_id,
            capabilities=capabilities,
            feature_flags=feature_flags,
            session_id=session_id,
            expires_at=expires_at,
        )

    async def key(self, key_id: str) -> ApiKey:
        """Return a key by its id. `NotFound` for portal tokens too."""
        key = await self._registry.get(ApiKey, key_id, None)
        if key is None or key.capabilities is not None:
            raise NotFound("There is no such key.")
        return key

    async def revoke(self, key: ApiKey) -> None:
        """Delete a key or portal token and the record of its last use."""
        await self._directory.remove(ApiKey, key.id, key.scope)
        await self._directory.remove(KeyUse, key.id, key.scope)

    async def end_tokens(self, app_id: str, session_ids: Collection[str], after_us: Micros) -> None:
        """Let the portal tokens of an application, or of some sessions, expire after that time.

        0: they are deleted now. A token that expires earlier keeps its own time.
        """
        ends_at = self._clock.now() + after_us
        for key in await self._tokens(app_id):
            if session_ids and key.session_id not in session_ids:
                continue
            if after_us:
                await self._end(key, ends_at)
            else:
                await self.revoke(key)

    async def ensure_admin(self, configured: str | None) -> str | None:
        """Ensure that there is an admin key; return its text if it was created now.

        The configured key is stored, or removed if none is configured. If there is no admin key
        then, one is created: of several processes that start at the same time, by one of them.
        """
        if configured is None:
            if await self._directory.remove(ApiKey, BOOTSTRAP):
                log_event("admin_key.removed")
        else:
            await self._mirror(configured)
        if any(KeyScope.ADMIN in key.scopes for key in await self._directory.read_all(ApiKey)):
            return None
        try:
            first = await self._add(name="first key", uid=FIRST, scopes=(KeyScope.ADMIN.value,))
        except ConflictError:  # another process has just created it
            return None
        return first.text

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    async def _add(self, **fields: Any) -> NewKey:
        now = self._clock.now()
        text = new_api_key()
        key = _new_key(self._ids.new("key", now), text, now, **fields)
        await self._directory.add(key)
        return NewKey(key, text)

    async def _mirror(self, text: str) -> None:
        now = self._clock.now()

        def mirrored(key: ApiKey | None) -> ApiKey:
            if key is not None and key.hash == hash_key(text):
                return key
            return _new_key(BOOTSTRAP, text, now, name="bootstrap", scopes=(KeyScope.ADMIN.value,))

        changed = await self._directory.change_or_add(ApiKey, "", BOOTSTRAP, mirrored)
        if changed.before is not None and changed.before.hash != changed.record.hash:
            log_event("admin_key.replaced")

    async def _application_id(self, id_or_uid: str | None) -> str | None:
        if id_or_uid is None:
            return None
        application = await self._directory.application(id_or_uid)
        if application is None:
            raise Invalid(Problem(("body", "appId"), "there is no such application", "app_id"))
        return application.id

    async def _tokens(self, app_id: str) -> list[ApiKey]:
        keys = await self._directory.read_all(ApiKey, app_id)
        return [key for key in keys if key.capabilities is not None]

    async def _delete_expired(self, app_id: str) -> None:
        """Delete expired tokens, so that they do not pile up."""
        now = self._clock.now()
        for key in await self._tokens(app_id):
            if key.expires_at is not None and key.expires_at <= now:
                await self.revoke(key)

    async def _end(self, key: ApiKey, ends_at: Micros) -> None:
        def ending(token: ApiKey) -> ApiKey:
            earlier = min(token.expires_at or ends_at, ends_at)
            return msgspec.structs.replace(token, expires_at=earlier)

        with contextlib.suppress(NotFound):  # it has just been revoked
            await self._directory.change(ApiKey, key.scope, key.id, ending)


def _new_key(id_: str, text: str, now: Micros, app_id: str | None = None, **fields: Any) -> ApiKey:
    return ApiKey(
        id=id_,
        scope=app_id or "",
        app_id=app_id,
        created_at=now,
        updated_at=now,
        hash=hash_key(text),
        last4=text[-4:],
        **fields,
    )
