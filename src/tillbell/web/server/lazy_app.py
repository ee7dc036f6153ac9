"""An application that is loaded while the gateway already works: the REST API.

The framework with all our shapes takes longer to load than the rest of a start together, and
messages, callbacks and deliveries do not need it. So a process that was killed is back sooner;
the first requests to the REST API wait until it is loaded.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from tillbell.web.edge.asgi_types import App, Receive, Scope, Send

SWITCH_INTERVAL_S = 0.0002  # how long the loading thread may keep Python's lock


class DeferredApp:
    """An application that is made on another thread: by `load`, or by the first request."""

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._making: asyncio.Future[App] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = await self.load()
        await app(scope, receive, send)

    async def load(self) -> App:
        """Make the application once. An error is raised for every caller, now and later."""
        if self._making is None:
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make_beside_others))
        return await asyncio.shield(self._making)

    def _make_beside_others(self) -> App:
        """Make the application, and let the other threads run often meanwhile.

        A commit passes Python's lock back and forth many times. While a library is imported, each
        pass would take the whole default interval (5 ms), and results would be stored late.
        """
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        try:
            return self._make()
        finally:
            sys.setswitchinterval(interval_s)
