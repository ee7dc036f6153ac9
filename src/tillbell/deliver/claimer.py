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
from tillbell.deliver.config_cache import Directory
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.deliver.lane import Lane
from tillbell.errors import StoreUnavailable
from tillbell.logs import observe
from tillbell.model.messages import Claim
from tillbell.rules.delivery.turns import Turns
from tillbell.storage.ports.database import Database

BATCH_MAX = 500  # claims in one commit
HANDFUL = 16  # of each lane at least, however many want some
SWEEP: Micros = 30 * SECOND
PAUSE: Micros = SECOND  # after the store failed
LANES_PAGE = 5_000


class Claimer:
    """See the module."""

    def __init__(
        self,
        *,
        database: Database,
        dispatcher: Dispatcher,
        directory: Directory,
        clock: Clock,
        window: int,
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._directory = directory
        self._clock = clock
        self._window = window
        self._hungry: dict[str, Lane] = {}
        self._turns = Turns()  # of those that are hungry
        self._later: list[tuple[Micros, str]] = []
        self._news = asyncio.Event()
        self.is_resting = False  # True while there is nothing to claim
        self._alarm: Alarm | None = None
        self._alarm_at: Micros = 0
        dispatcher.on_hungry = self.notice

    def notice(self, lane: Lane) -> None:
        """Look at a lane: claim for it now, or when its next delivery is due."""
        now = self._clock.now()
        at = lane.wake_at()
        if at is None:
            return
        if at > now:
            self._remind_of(lane, at)
        elif lane.id not in self._hungry and lane.room(now, self._window):
            self._queue(lane)
            self._news.set()
            self.is_resting = False

    def notice_all(self) -> None:
        """Look at all lanes: what came due may not have been ours to claim."""
        for lane in self._dispatcher.lanes.values():
            self.notice(lane)

    async def run(self) -> None:
        """Claim for ever; a store that fails is asked again."""
        while True:
            self.is_resting = not self._news.is_set()
            await self._news.wait()
            self._news.clear()
            self.is_resting = False
            try:
                while self._hungry:
                    await self._claim()
            except StoreUnavailable as error:
                observe("claim.failed", error=str(error))
                self._clock.call_at(self._clock.now() + PAUSE, self._news.set)
            except Exception as error:  # noqa: BLE001 - supervised: claiming must never end
                observe("claim.broken", exc_info=error)
                self._clock.call_at(self._clock.now() + PAUSE, self._news.set)

    async def sweep(self) -> None:
        """Learn of every lane with open deliveries from the store."""
        after = ""
        while True:
            lanes = await self._database.lanes(after, LANES_PAGE)
            for found in lanes:
                if not self._dispatcher.owns(found.endpoint_id):
                    continue
                live = await self._directory.live(found.app_id, found.endpoint_id)
                # Perhaps another process has made it just now.
                live = live or await self._directory.live_anew(found.app_id, found.endpoint_id)
                if live is None:
                    continue
                lane = self._dispatcher.lane(live)
                lane.saw_due(found.due_at)
                self.notice(lane)
            if len(lanes) < LANES_PAGE:
                return
            after = lanes[-1].endpoint_id

    async def _claim(self) -> None:
        now = self._clock.now()
        wanted: dict[str, int] = {}
        lanes: dict[str, Lane] = {}
        total = 0
        share = max(HANDFUL, BATCH_MAX // len(self._hungry))
        while self._hungry and total < BATCH_MAX:
            id_ = self._turns.take()
            lane = self._hungry.pop(id_)
            room = min(lane.room(now, self._window), BATCH_MAX - total, share)
            if room > 0 and self._dispatcher.owns(id_) and lane.next_due is not None:
                wanted[id_] = room
                lanes[id_] = lane
                total += room
        if not wanted:
            return
        for lane in lanes.values():
            lane.next_due = None
        self._dispatcher.offer_results()
        try:
            until = self._dispatcher.lease_until(now)
            by_key = {(lanes[id_].app_id, id_): room for id_, room in wanted.items()}
            claims = await self._database.claim(by_key, now, until)
            self._distribute(claims, lanes)
            await self._look_ahead(lanes, wanted, claims, now)
        except Exception:
            for lane in lanes.values():
                lane.saw_due(now)
                self._queue(lane)
            raise

    def _queue(self, lane: Lane) -> None:
        self._hungry[lane.id] = lane
        self._turns.add(lane.app_id, lane.id)

    def _distribute(self, claims: list[Claim], lanes: dict[str, Lane]) -> None:
        for claim in claims:
            self._dispatcher.take(lanes[claim.delivery.endpoint_id], claim)

    async def _look_ahead(
        self, lanes: dict[str, Lane], wanted: dict[str, int], claims: list[Claim], now: Micros
    ) -> None:
        """Find out when lanes that gave fewer than wanted are due next; full ones have more."""
        got: dict[str, int] = {}
        for claim in claims:
            got[claim.delivery.endpoint_id] = got.get(claim.delivery.endpoint_id, 0) + 1
        short = [id_ for id_, count in wanted.items() if got.get(id_, 0) < count]
        for id_ in wanted.keys() - set(short):
            lanes[id_].saw_due(now)
        if short:
            keys = [(lanes[id_].app_id, id_) for id_ in short]
            for id_, due_at in (await self._database.next_due(keys)).items():
                # What is due already but was not given (an order key is busy) comes free with
                # the attempt that holds it; do not spin on it.
                lanes[id_].saw_due(max(due_at, now + SECOND // 10))
        for lane in lanes.values():
            self.notice(lane)

    def _remind_of(self, lane: Lane, at: Micros) -> None:
        if lane.reminded_at is None or at < lane.reminded_at:
            lane.reminded_at = at
            self._remind(at, lane.id)

    def _remind(self, at: Micros, endpoint_id: str) -> None:
        heapq.heappush(self._later, (at, endpoint_id))
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Set the alarm to the first reminder."""
        first = self._later[0][0]
        if self._alarm is None or first < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = first
            self._alarm = self._clock.call_at(first, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            at, endpoint_id = heapq.heappop(self._later)
            lane = self._dispatcher.lanes.get(endpoint_id)
            if lane is not None and lane.reminded_at == at:
                lane.reminded_at = None
                self.notice(lane)
        if self._later:
            self._set_alarm()
