"""The path of a request with ids in place of other names: one text for one resource.

Many resources have two names, an id and a uid, and a uid may go to another resource later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tillbell.app import Gateway
from tillbell.deliver.config_cache import OPERATIONAL

Look = Callable[[str, str], Awaitable[str | None]]

_APPLICATIONS = frozenset({"app", "app-portal-access", "dashboard-access"})


class ResolvedPath(NamedTuple):
    """A path with ids."""

    text: str
    lacks_application: bool  # it names one that does not exist


class PathResolver:
    """Writes paths with ids."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._looks: dict[str, Look] = {
            "endpoint": self._endpoint,
            "source": self._source,
            "msg": self._message,
            "transaction": self._transaction,
        }

    async def resolve(self, path: str) -> ResolvedPath:
        """Return the path; a name that no resource has stays as it is."""
        steps = path.split("/")
        app_id = OPERATIONAL
        for number in range(1, len(steps)):
            collection, name = steps[number - 1 : number + 1]
            if collection in _APPLICATIONS:
                application = await self._gateway.config_cache.application(name)
                if application is None:
                    return ResolvedPath("/".join(steps), lacks_application=True)
                app_id = steps[number] = application.id
            elif collection in self._looks:
                steps[number] = await self._looks[collection](app_id, name) or name
        return ResolvedPath("/".join(steps), lacks_application=False)

    async def _endpoint(self, app_id: str, name: str) -> str | None:
        endpoint = await self._gateway.config_cache.endpoint(app_id, name)
        return endpoint.id if endpoint is not None else None

    async def _source(self, app_id: str, name: str) -> str | None:
        compiled = self._gateway.source_cache.find(app_id, name)
        return compiled.source.id if compiled is not None else None

    async def _message(self, app_id: str, name: str) -> str | None:
        message = await self._gateway.database.message(app_id, name)
        return message.id if message is not None else None

    async def _transaction(self, app_id: str, name: str) -> str | None:
        transaction = await self._gateway.database.transaction(app_id, name)
        return transaction.id if transaction is not None else None
