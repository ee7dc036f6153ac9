"""The REST API, loaded while the gateway works already.

The framework with all our shapes takes longer to load than everything else of a start together,
and neither messages nor callbacks nor deliveries need it. So a process that was killed is back
sooner, and the first requests of the REST API wait the moment that it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tillbell.web.edge.asgi_types import App, Receive, Scope, Send


class DeferredApp:
    """An application that is made on another thread, when first needed or before (`load`)."""

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._making: asyncio.Future[App] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = await self.load()
        await app(scope, receive, send)

    async def load(self) -> App:
        """Make the application, once; whatever that raises, everyone who asks is told."""
        if self._making is None:
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
        return await asyncio.shield(self._making)
