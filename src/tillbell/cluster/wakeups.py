"""Cluster wake-ups: what happens here when other processes store something, come or go.

| event | effect |
| --- | --- |
| a delivery is stored for an endpoint of this process | its lane asks the store |
| the same, but the lane is not open or the endpoint is not known | a sweep of all lanes, soon |
| a member joins or is removed | claims of endpoints that others own now are given up; a sweep |
| this process was removed and is back | the same |
| a record is changed | the record feed reads it |
| a member has read the changes | who waits for that looks again |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tillbell.clock import SECOND, Clock, Micros
from tillbell.cluster.record_feed import RecordFeed
from tillbell.deliver.claimer import Claimer
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.deliver.lanes import Lanes
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.storage.ports.cluster import NOTIFY_ALL, NOTIFY_RECORDS, NOTIFY_ROUND

POLL_EVERY: Micros = SECOND // 10  # how soon a requested sweep begins
SWEEP_PAUSE = 20  # times a sweep's duration: sweeps take at most a twentieth of the time


class ClusterWakeups:
    """Wakes the record feed, lanes and claimer of this process.

    `on_round` is called when a member has done a round of the record feed.
    """

    def __init__(
        self,
        *,
        record_feed: RecordFeed,
        lanes: Lanes,
        dispatcher: Dispatcher,
        claimer: Claimer,
        clock: Clock,
    ) -> None:
        self._record_feed = record_feed
        self.on_round: Callable[[], object] = lambda: None
        self._lanes = lanes
        self._dispatcher = dispatcher
        self._claimer = claimer
        self._clock = clock
        self._is_sweep_requested = False
        self._is_poll_requested = False
        self._next_sweep_at: Micros = 0
        self._polling: asyncio.Task[None] | None = None

    def notified(self, text: str) -> None:
        """Handle a notification of the store: `NOTIFY_*`, or endpoint ids with commas between."""
        if text in (NOTIFY_RECORDS, NOTIFY_ALL):
            self._start_polling()
        if text == NOTIFY_ROUND:
            self.on_round()
        elif text == NOTIFY_ALL:
            self._is_sweep_requested = True
        elif text != NOTIFY_RECORDS:
            for endpoint_id in text.split(","):
                if self._lanes.owns(endpoint_id) and not self._lanes.note_due_now(endpoint_id):
                    self._is_sweep_requested = True

    def ownership_changed(self) -> None:
        """Give up claims of endpoints that others own now, and look for work of our own."""
        self._dispatcher.release_disowned()
        self._claimer.consider_all()
        self._is_sweep_requested = True
        self._next_sweep_at = 0

    async def sweep_if_requested(self) -> None:
        """Do the sweep that was requested, unless the last one was long and recent."""
        started_at = self._clock.now()
        if not self._is_sweep_requested or started_at < self._next_sweep_at:
            return
        self._is_sweep_requested = False
        try:
            await self._claimer.sweep()
        except StoreUnavailable:
            self._is_sweep_requested = True
            raise
        ended_at = self._clock.now()
        self._next_sweep_at = ended_at + SWEEP_PAUSE * (ended_at - started_at)

    def _start_polling(self) -> None:
        self._is_poll_requested = True
        if self._polling is None or self._polling.done():
            self._polling = asyncio.get_running_loop().create_task(self._poll())

    async def _poll(self) -> None:
        """Poll the feed until nothing was notified while it was read."""
        try:
            while self._is_poll_requested:
                self._is_poll_requested = False
                await self._record_feed.poll()
        except StoreUnavailable as error:
            log_event("chore.postponed", chore="record_feed", error=str(error))
