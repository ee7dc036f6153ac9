"""The hold: a gateway that accepts and stores, but sends nothing until somebody releases it.

It is for a restored backup, which would begin at once to send what was sent already. Each process
that was started with the setting holds itself. A release is stored, so that every process of a
cluster sees it; a start without the setting does not hold either.
"""

from __future__ import annotations

import msgspec

from tillbell.clock import Clock
from tillbell.deliver.claimer import Claimer
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.http.client import HttpClient
from tillbell.logs import log_event
from tillbell.model.records import Release

_ID = "release"


class Hold:
    """Holds this process back from sending. Lives on one event loop."""

    def __init__(
        self,
        *,
        config_cache: ConfigCache,
        dispatcher: Dispatcher,
        claimer: Claimer,
        http_client: HttpClient,
        clock: Clock,
    ) -> None:
        self._config_cache = config_cache
        self._dispatcher = dispatcher
        self._claimer = claimer
        self._http_client = http_client
        self._clock = clock
        self._version = 0  # of the last release before this process began to hold

    @property
    def is_on(self) -> bool:
        """Whether this process sends nothing."""
        return self._dispatcher.is_held

    async def begin(self) -> None:
        """Send nothing from now on. To be called before anything is claimed."""
        self._version = await self._stored_version()
        self._dispatcher.is_held = self._http_client.is_held = True
        log_event("hold.begun")

    async def release(self) -> None:
        """Let every process of the cluster send. Harmless if none holds."""
        now = self._clock.now()

        def released(release: Release | None) -> Release:
            if release is None:
                return Release(id=_ID, released_at=now)
            return msgspec.structs.replace(release, released_at=now)

        await self._config_cache.change_or_add(Release, "", _ID, released)
        await self.check()

    async def check(self) -> None:
        """Begin to send if there was a release since this process began to hold."""
        if not self.is_on or await self._stored_version() == self._version:
            return
        self._dispatcher.is_held = self._http_client.is_held = False
        log_event("hold.released")
        self._claimer.start()
        await self._claimer.sweep()

    async def _stored_version(self) -> int:
        return max((each.version for each in await self._config_cache.read_all(Release)), default=0)
