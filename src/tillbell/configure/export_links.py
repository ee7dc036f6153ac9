"""Links of exports: made and revoked, and who has the token of one."""

from __future__ import annotations

import hmac

import msgspec

from tillbell.clock import HOUR, Micros
from tillbell.configure.parts import Parts
from tillbell.errors import NotFound
from tillbell.model.exports import ExportLink
from tillbell.storage.ports.outbound import Registry
from tillbell.vault import hash_key, new_token

_USE_EVERY = HOUR  # how exactly the last use is kept


class ExportLinks:
    """Makes and revokes links of exports. A token opens that one export and nothing else."""

    def __init__(self, parts: Parts, registry: Registry) -> None:
        self._registry = registry
        self._directory = parts.directory
        self._clock = parts.clock
        self._ids = parts.ids

    async def create(self, draft: ExportLink) -> tuple[ExportLink, str]:
        """Store a link; return it and its token, which is not stored."""
        now = self._clock.now()
        id_, secret = self._ids.new("exl", now), new_token()
        link = msgspec.structs.replace(
            draft, id=id_, created_at=now, updated_at=now, hash=hash_key(secret)
        )
        await self._directory.add(link)
        return link, f"{id_}.{secret}"

    async def opened_by(self, token: str) -> ExportLink | None:
        """Return the link of a token and note its use; None if it is wrong, revoked or expired."""
        id_, _, secret = token.partition(".")
        link = await self._registry.get(ExportLink, id_, None)
        if link is None or not hmac.compare_digest(link.hash, hash_key(secret)):
            return None
        now = self._clock.now()
        if link.expires_at is not None and link.expires_at <= now:
            return None
        if link.last_used_at is None or link.last_used_at <= now - _USE_EVERY:
            await self._note_use(link, now)
        return link

    async def revoke(self, app_id: str, id_: str) -> None:
        """Revoke a link at once. `NotFound` if there is none."""
        if not await self._directory.remove(ExportLink, id_, app_id):
            raise NotFound("There is no such link.")

    async def remove_expired(self) -> None:
        """Remove the links that have expired."""
        now = self._clock.now()
        for link in await self._registry.list(ExportLink, None):
            if link.expires_at is not None and link.expires_at <= now:
                await self._directory.remove(ExportLink, link.id, link.scope)

    async def _note_use(self, link: ExportLink, now: Micros) -> None:
        def used(stored: ExportLink) -> ExportLink:
            return msgspec.structs.replace(stored, last_used_at=now)

        await self._directory.change(ExportLink, link.scope, link.id, used)
