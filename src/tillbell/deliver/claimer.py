"""The claimer: brings deliveries that wait in the store into lanes that have room.

It knows when each lane's next delivery is due, so it asks the store only for lanes with
work and room: applications in turn, and of each commit a share for each lane. A sweep of all
lanes now and then finds what it did not hear of: clock jumps, other processes, leases that
ran out.
"""

from __future__ import annotations

import asyncio
import heapq

from tillbell.clock import SECOND, Alarm, Clock, Micros
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.deliver.lane import Lane
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.model.messages import Claim
from tillbell.rules.delivery.turns import FairQueue
from tillbell.storage.ports.database import Database

BATCH_MAX = 500  # claims in one commit
LANE_CLAIMS_MIN = 16  # of each lane at least, however many want some
SWEEP_EVERY: Micros = 30 * SECOND
RETRY_AFTER: Micros = SECOND  # after the store failed
LANES_PAGE = 5_000


class Claimer:
    """See the module."""

    def __init__(
        self,
        *,
        database: Database,
        dispatcher: Dispatcher,
        directory: ConfigCache,
        clock: Clock,
        window: int,
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._config_cache = directory
        self._clock = clock
        self._window = window
        self._claimable: dict[str, Lane] = {}
        self._turns = FairQueue()  # of those that are hungry
        self._later: list[tuple[Micros, str]] = []
        self._wakeup = asyncio.Event()
        self.is_idle = False  # True while there is nothing to claim
        self._alarm: Alarm | None = None
        self._alarm_at: Micros = 0
        dispatcher.on_claimable = self.consider

    def consider(self, lane: Lane) -> None:
        """Look at a lane: claim for it now, or when its next delivery is due."""
        now = self._clock.now()
        at = lane.wake_at()
        if at is None:
            return
        if at > now:
            self._schedule(lane, at)
        elif lane.id not in self._claimable and lane.claims_wanted(now, self._window):
            self._queue(lane)
            self._wakeup.set()
            self.is_idle = False

    def consider_all(self) -> None:
        """Look at all lanes: what came due may not have been ours to claim."""
        for lane in self._dispatcher.lanes.values():
            self.consider(lane)

    async def run(self) -> None:
        """Claim for ever; a store that fails is asked again."""
        while True:
            self.is_idle = not self._wakeup.is_set()
            await self._wakeup.wait()
            self._wakeup.clear()
            self.is_idle = False
            try:
                while self._claimable:
                    await self._claim()
            except StoreUnavailable as error:
                log_event("claim.failed", error=str(error))
                self._clock.call_at(self._clock.now() + RETRY_AFTER, self._wakeup.set)
            except Exception as error:  # noqa: BLE001 - supervised: claiming must never end
                log_event("claim.error", exc_info=error)
                self._clock.call_at(self._clock.now() + RETRY_AFTER, self._wakeup.set)

    async def sweep(self) -> None:
        """Learn of every lane with open deliveries from the store."""
        after = ""
        while True:
            lanes = await self._database.due_lanes(after, LANES_PAGE)
            for found in lanes:
                if not self._dispatcher.owns(found.endpoint_id):
                    continue
                live = await self._config_cache.compiled_endpoint(found.app_id, found.endpoint_id)
                # Perhaps another process has made it just now.
                live = live or await self._config_cache.reload_endpoint(
                    found.app_id, found.endpoint_id
                )
                if live is None:
                    continue
                lane = self._dispatcher.lane(live)
                lane.note_due(found.due_at)
                self.consider(lane)
            if len(lanes) < LANES_PAGE:
                return
            after = lanes[-1].endpoint_id

    async def _claim(self) -> None:
        now = self._clock.now()
        wanted: dict[str, int] = {}
        lanes: dict[str, Lane] = {}
        total = 0
        share = max(LANE_CLAIMS_MIN, BATCH_MAX // len(self._claimable))
        while self._claimable and total < BATCH_MAX:
            id_ = self._turns.pop()
            lane = self._claimable.pop(id_)
            room = min(lane.claims_wanted(now, self._window), BATCH_MAX - total, share)
            if room > 0 and self._dispatcher.owns(id_) and lane.next_due is not None:
                wanted[id_] = room
                lanes[id_] = lane
                total += room
        if not wanted:
            return
        for lane in lanes.values():
            lane.next_due = None
        self._dispatcher.retry_unconfirmed()
        try:
            until = self._dispatcher.lease_until(now)
            by_key = {(lanes[id_].app_id, id_): room for id_, room in wanted.items()}
            claims = await self._database.claim(by_key, now, until)
            self._distribute(claims, lanes)
            await self._look_ahead(lanes, wanted, claims, now)
        except Exception:
            for lane in lanes.values():
                lane.note_due(now)
                self._queue(lane)
            raise

    def _queue(self, lane: Lane) -> None:
        self._claimable[lane.id] = lane
        self._turns.add(lane.app_id, lane.id)

    def _distribute(self, claims: list[Claim], lanes: dict[str, Lane]) -> None:
        for claim in claims:
            self._dispatcher.enqueue(lanes[claim.delivery.endpoint_id], claim)

    async def _look_ahead(
        self, lanes: dict[str, Lane], wanted: dict[str, int], claims: list[Claim], now: Micros
    ) -> None:
        """Find out when lanes that gave fewer than wanted are due next; full ones have more."""
        got: dict[str, int] = {}
        for claim in claims:
            got[claim.delivery.endpoint_id] = got.get(claim.delivery.endpoint_id, 0) + 1
        short = [id_ for id_, count in wanted.items() if got.get(id_, 0) < count]
        for id_ in wanted.keys() - set(short):
            lanes[id_].note_due(now)
        if short:
            keys = [(lanes[id_].app_id, id_) for id_ in short]
            for id_, due_at in (await self._database.next_due(keys)).items():
                # What is due already but was not given (an order key is busy) comes free with
                # the attempt that holds it; do not spin on it.
                lanes[id_].note_due(max(due_at, now + SECOND // 10))
        for lane in lanes.values():
            self.consider(lane)

    def _schedule(self, lane: Lane, at: Micros) -> None:
        if lane.alarm_at is None or at < lane.alarm_at:
            lane.alarm_at = at
            self._schedule_next(at, lane.id)

    def _schedule_next(self, at: Micros, endpoint_id: str) -> None:
        heapq.heappush(self._later, (at, endpoint_id))
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Set the alarm to the first reminder."""
        first = self._later[0][0]
        if self._alarm is None or first < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = first
            self._alarm = self._clock.call_at(first, self._alarm_rang)

    def _alarm_rang(self) -> None:
        self._alarm = None
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            at, endpoint_id = heapq.heappop(self._later)
            lane = self._dispatcher.lanes.get(endpoint_id)
            if lane is not None and lane.alarm_at == at:
                lane.alarm_at = None
                self.consider(lane)
        if self._later:
            self._set_alarm()
