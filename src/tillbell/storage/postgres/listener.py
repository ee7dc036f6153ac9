"""The listener: hears at once what other processes committed. Only ever a reason to look sooner.

It has a connection and a thread of its own. When the connection breaks, or a pooler stands
between that cannot pass notifications on, nothing is lost: everybody looks now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.storage.ports.cluster import NOTIFY_ALL
from tillbell.storage.postgres.connection import PostgresConnection, connect_postgres

POLL_S = 1.0
PAUSE_S = 1.0


class Listener:
    """Tells the event loop what was notified: `*`, `records` or ids of endpoints, by comma."""

    def __init__(self, url: str, tell: Callable[[str], object], *, is_deaf: bool) -> None:
        self._url = url
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._ended = threading.Event()
        work = self._notify_all if is_deaf else self._listen
        threading.Thread(target=work, name="tillbell-listener", daemon=True).start()

    def close(self) -> None:
        """Stop; its thread ends within a moment."""
        self._ended.set()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                link = connect_postgres(self._url)
                try:
                    link.query("listen")
                    self._deliver(NOTIFY_ALL)  # whatever was notified before that
                    self._receive(link)
                finally:
                    link.close()
            except StoreUnavailable as error:
                if not self._ended.wait(PAUSE_S):
                    log_event("listener.disconnected", error=str(error))

    def _notify_all(self) -> None:
        """Behind a pooler nothing is heard: there may be something to look at, every second."""
        while not self._ended.wait(POLL_S):
            self._deliver(NOTIFY_ALL)

    def _receive(self, link: PostgresConnection) -> None:
        while not self._ended.is_set():
            for text in link.notifications(POLL_S):
                self._deliver(text)

    def _deliver(self, text: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed under us
            self._loop.call_soon_threadsafe(self._tell, text)
