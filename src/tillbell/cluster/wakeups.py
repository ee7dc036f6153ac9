"""Company: what the news of other processes does to our lanes.

| news | does |
| --- | --- |
| something is stored for an endpoint | its lane, if it is ours, looks at the store |
| for one whose lane is not open, or nobody knows for which | a sweep of all lanes, soon |
| processes came or went | lanes that are not ours any more are given back; a sweep |
| we were struck off and are back | our lanes are looked at; a sweep |
| a record was changed | the feed reads it |
"""

from __future__ import annotations

import asyncio

from tillbell.clock import SECOND, Clock, Micros
from tillbell.cluster.membership import Fleet
from tillbell.cluster.record_feed import Feed
from tillbell.deliver.claimer import Claimer
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.errors import StoreUnavailable
from tillbell.logs import observe
from tillbell.storage.ports.cluster import WAKE_ALL, WAKE_RECORDS

EVERY: Micros = SECOND // 10  # how soon a sweep follows that was asked for
REST = 20  # a sweep may take a twentieth of the time, with many lanes


class Company:
    """See the module."""

    def __init__(
        self, *, fleet: Fleet, feed: Feed, dispatcher: Dispatcher, claimer: Claimer, clock: Clock
    ) -> None:
        self._fleet = fleet
        self._feed = feed
        self._dispatcher = dispatcher
        self._claimer = claimer
        self._clock = clock
        self._is_nudged = False
        self._rests_until: Micros = 0
        self._reading: asyncio.Task[None] | None = None

    def woken(self, text: str) -> None:
        """Take what the store notified."""
        if text in (WAKE_RECORDS, WAKE_ALL):
            self._read_feed()
        if text == WAKE_ALL:
            self._is_nudged = True
        elif text != WAKE_RECORDS:
            for endpoint_id in text.split(","):
                if self._fleet.owns(endpoint_id) and not self._dispatcher.woken(endpoint_id):
                    self._is_nudged = True

    def owned_changed(self) -> None:
        """Take note that endpoints have new owners, or that we own again what we owned."""
        self._dispatcher.disown()
        self._claimer.notice_all()
        self._is_nudged = True
        self._rests_until = 0

    async def sweep_if_nudged(self) -> None:
        """Do the sweep that was asked for, unless the last one was long and not long ago."""
        now = self._clock.now()
        if not self._is_nudged or now < self._rests_until:
            return
        self._is_nudged = False
        try:
            await self._claimer.sweep()
        except StoreUnavailable:
            self._is_nudged = True  # as soon as the store is back
            raise
        ended = self._clock.now()
        self._rests_until = ended + REST * (ended - now)

    def _read_feed(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            await self._feed.look()
        except StoreUnavailable as error:
            observe("chore.postponed", chore="feed", error=str(error))
