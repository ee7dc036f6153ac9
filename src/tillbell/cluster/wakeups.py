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
from tillbell.cluster.membership import Cluster
from tillbell.cluster.record_feed import RecordFeed
from tillbell.deliver.claimer import Claimer
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.storage.ports.cluster import NOTIFY_ALL, NOTIFY_RECORDS

POLL_EVERY: Micros = SECOND // 10  # how soon a sweep follows that was asked for
SWEEP_PAUSE = 20  # a sweep may take a twentieth of the time, with many lanes


class ClusterWakeups:
    """See the module."""

    def __init__(
        self,
        *,
        fleet: Cluster,
        feed: RecordFeed,
        dispatcher: Dispatcher,
        claimer: Claimer,
        clock: Clock,
    ) -> None:
        self._cluster = fleet
        self._record_feed = feed
        self._dispatcher = dispatcher
        self._claimer = claimer
        self._clock = clock
        self._is_sweep_requested = False
        self._next_sweep_at: Micros = 0
        self._reading: asyncio.Task[None] | None = None

    def notified(self, text: str) -> None:
        """Take what the store notified."""
        if text in (NOTIFY_RECORDS, NOTIFY_ALL):
            self._read_feed()
        if text == NOTIFY_ALL:
            self._is_sweep_requested = True
        elif text != NOTIFY_RECORDS:
            for endpoint_id in text.split(","):
                if self._cluster.owns(endpoint_id) and not self._dispatcher.wake_lane(endpoint_id):
                    self._is_sweep_requested = True

    def ownership_changed(self) -> None:
        """Take note that endpoints have new owners, or that we own again what we owned."""
        self._dispatcher.release_disowned()
        self._claimer.consider_all()
        self._is_sweep_requested = True
        self._next_sweep_at = 0

    async def sweep_if_requested(self) -> None:
        """Do the sweep that was asked for, unless the last one was long and not long ago."""
        now = self._clock.now()
        if not self._is_sweep_requested or now < self._next_sweep_at:
            return
        self._is_sweep_requested = False
        try:
            await self._claimer.sweep()
        except StoreUnavailable:
            self._is_sweep_requested = True  # as soon as the store is back
            raise
        ended = self._clock.now()
        self._next_sweep_at = ended + SWEEP_PAUSE * (ended - now)

    def _read_feed(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        try:
            await self._record_feed.poll()
        except StoreUnavailable as error:
            log_event("chore.postponed", chore="record_feed", error=str(error))
