"""The listener: receives at once what other processes notified.

Notifications only make a process look sooner. The listener has a connection and a thread of its
own. Nothing is lost when the connection breaks, or when a pooler stands between that passes no
notifications on: every process also looks from time to time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable

from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.storage.ports.cluster import NOTIFY_ALL, NOTIFY_RECORDS
from tillbell.storage.postgres.connection import PostgresConnection, connect_postgres

POLL_S = 1.0
PAUSE_S = 1.0
RECORDS_POLLS = 5
RECORDS_POLL_S = POLL_S / RECORDS_POLLS


class Listener:
    """Calls `on_notification` on the event loop: with `*`, `records` or ids of endpoints, by comma.

    With a pooler it calls it with `*` every second instead, and with `records` more often: whoever
    changes a record waits until all have read it.
    """

    def __init__(
        self, url: str, on_notification: Callable[[str], object], *, has_pooler: bool
    ) -> None:
        self._url = url
        self._on_notification = on_notification
        self._loop = asyncio.get_running_loop()
        self._ended = threading.Event()
        target = self._notify_all if has_pooler else self._listen
        threading.Thread(target=target, name="tillbell-listener", daemon=True).start()

    def close(self) -> None:
        """Stop; the thread ends within a second or two."""
        self._ended.set()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                connection = connect_postgres(self._url)
                try:
                    connection.query("listen")
                    self._deliver(NOTIFY_ALL)  # for what was notified before that
                    self._receive(connection)
                finally:
                    connection.close()
            except StoreUnavailable as error:
                if not self._ended.wait(PAUSE_S):
                    log_event("listener.disconnected", error=str(error))

    def _notify_all(self) -> None:
        for number in itertools.count():
            if self._ended.wait(RECORDS_POLL_S):
                return
            self._deliver(NOTIFY_RECORDS if number % RECORDS_POLLS else NOTIFY_ALL)

    def _receive(self, connection: PostgresConnection) -> None:
        while not self._ended.is_set():
            for text in connection.notifications(POLL_S):
                self._deliver(text)

    def _deliver(self, text: str) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._on_notification, text)
