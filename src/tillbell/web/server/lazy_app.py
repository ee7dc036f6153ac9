"""An application that is loaded when somebody asks for it: the REST API, and the pages.

The framework with all our shapes takes longer to load, and more memory, than the rest of a start
together. Messages, callbacks and deliveries do not need it. So a process that was killed is back
sooner, and one that nobody asks anything stays small. The first request waits until it is loaded,
which another thread does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from tillbell.web.edge.asgi_types import App, Receive, Scope, Send

SWITCH_INTERVAL_S = 0.0002  # how long the loading thread may keep Python's lock


class DeferredApp:
    """An application that is made on another thread, by the first request."""

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._making: asyncio.Future[App] | None = None
        self._is_made = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = await self.load()
        await app(scope, receive, send)

    async def load(self) -> App:
        """Make the application once. An error is raised for every caller, now and later."""
        if self._making is None:
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make_beside_others))
        app = await asyncio.shield(self._making)
        self._is_made.set()
        return app

    async def wait_made(self) -> None:
        """Wait until somebody has had it made."""
        await self._is_made.wait()

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
