"""Inbox cache: every inbox in memory, so that a request finds its own without I/O."""

from __future__ import annotations

from tillbell.clock import Micros
from tillbell.deliver.config_cache import ConfigCache, Watcher
from tillbell.model.inboxes import Inbox
from tillbell.vault import Vault, hash_key

INBOX_PATH = "/inbox/"


class InboxCache:
    """The inboxes of this process. For the thread of the event loop only."""

    def __init__(self, config_cache: ConfigCache, vault: Vault) -> None:
        self._config_cache = config_cache
        self._vault = vault
        self._by_id: dict[str, Inbox] = {}
        self._by_token: dict[str, str] = {}  # hash of the token → id
        config_cache.watch(Inbox, Watcher(self._cache, self._evict))

    async def load(self) -> None:
        """Read every inbox."""
        for inbox in await self._config_cache.read_all(Inbox):
            self._cache(inbox)

    def by_token(self, token: str, now: Micros) -> Inbox | None:
        """Return the inbox of a URL; None if there is none, or if it has expired.

        It is looked up by the hash of the token, so that timing reveals nothing.
        """
        inbox = self._by_id.get(self._by_token.get(hash_key(token), ""))
        if inbox is None or (inbox.expires_at is not None and inbox.expires_at <= now):
            return None
        return inbox

    def find(self, inbox_id: str, app_id: str | None) -> Inbox | None:
        """Return an inbox of an application, by its id; None: of any, or of none."""
        inbox = self._by_id.get(inbox_id)
        return inbox if inbox is not None and app_id in (None, inbox.scope) else None

    def of_scope(self, app_id: str | None) -> list[Inbox]:
        """Return the inboxes of an application; None: all."""
        return [inbox for inbox in self._by_id.values() if app_id in (None, inbox.scope)]

    def expired(self, now: Micros) -> list[Inbox]:
        """Return the inboxes whose time is over."""
        return [
            inbox
            for inbox in self._by_id.values()
            if inbox.expires_at is not None and inbox.expires_at <= now
        ]

    def path(self, inbox: Inbox) -> str:
        """Return the path of an inbox's URL."""
        return INBOX_PATH + self._vault.open(inbox.token, inbox.id)

    def application_removed(self, app_id: str) -> None:
        """Evict the inboxes of an application that was removed."""
        for inbox in self.of_scope(app_id):
            self._evict(inbox.id)

    def _cache(self, inbox: Inbox) -> None:
        self._evict(inbox.id)
        self._by_id[inbox.id] = inbox
        self._by_token[inbox.token_hash] = inbox.id

    def _evict(self, inbox_id: str) -> None:
        inbox = self._by_id.pop(inbox_id, None)
        if inbox is not None:
            self._by_token.pop(inbox.token_hash, None)
