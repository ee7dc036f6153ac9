"""When API keys were last used, stored at most once an hour for each.

This is a record of its own, so that noting a use cannot restore a key that is just being revoked.
"""

from __future__ import annotations

import msgspec

from tillbell.clock import HOUR, Clock, Micros
from tillbell.deliver.config_cache import ConfigCache
from tillbell.errors import Unavailable
from tillbell.model.records import ApiKey, KeyUse
from tillbell.storage.ports.outbound import Registry

NOTE_EVERY = HOUR
_KEYS_MAX = 100_000


class KeyUsage:
    """Notes the use of keys. If the store is unavailable, the request goes on without the note."""

    def __init__(self, registry: Registry, directory: ConfigCache, clock: Clock) -> None:
        self._registry = registry
        self._directory = directory
        self._clock = clock
        self._noted: dict[str, Micros] = {}

    def is_due(self, key: ApiKey) -> bool:
        """Return whether a use now must be noted."""
        noted = self._noted.get(key.id)
        return noted is None or noted + NOTE_EVERY <= self._clock.now()

    async def record_use(self, key: ApiKey) -> None:
        """Note that a key is used now."""
        now = self._clock.now()
        if len(self._noted) >= _KEYS_MAX:
            self._noted.clear()
        self._noted[key.id] = now

        def used(use: KeyUse | None) -> KeyUse:
            if use is None:
                return KeyUse(id=key.id, scope=key.scope, last_used_at=now)
            return msgspec.structs.replace(use, last_used_at=max(use.last_used_at, now))

        try:
            await self._directory.change_or_add(KeyUse, key.scope, key.id, used)
        except Unavailable:
            return  # the note may be lost

    async def last_used_at(self, key: ApiKey) -> Micros | None:
        """Return when a key was last used, to the hour; None if never."""
        use = await self._registry.get(KeyUse, key.id, key.scope)
        return use.last_used_at if use else None
