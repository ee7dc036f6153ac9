"""The claimer: brings deliveries that wait in the store into lanes that have room.

It knows when each lane's next delivery is due, so it asks the store only for lanes with work and
room: applications in turn, and for each lane a share of every commit. A sweep over all lanes now
and then finds what nobody announced: clock jumps, other processes, leases that ended.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter

from tillbell.clock import SECOND, Alarm, Clock, Micros
from tillbell.deliver.dispatcher import Dispatcher
from tillbell.deliver.lane import Lane
from tillbell.deliver.lanes import Lanes
from tillbell.deliver.leases import HeldLeases
from tillbell.errors import StoreUnavailable
from tillbell.logs import log_event
from tillbell.rules.delivery.turns import FairQueue
from tillbell.storage.ports.database import Database

BATCH_MAX = 500  # claims in one commit
LANE_CLAIMS_MIN = 16  # of each lane at least, however many lanes want some
SWEEP_EVERY: Micros = 30 * SECOND
RETRY_AFTER: Micros = SECOND  # after the store failed
BUSY_RETRY_AFTER: Micros = SECOND // 10
LANES_PAGE = 5_000


class Claimer:
    """Claims deliveries for the lanes of this process, in a task of its own."""

    def __init__(
        self,
        *,
        database: Database,
        lanes: Lanes,
        dispatcher: Dispatcher,
        leases: HeldLeases,
        clock: Clock,
    ) -> None:
        self._database = database
        self._lanes = lanes
        self._dispatcher = dispatcher
        self._leases = leases
        self._clock = clock
        self._claimable: dict[str, Lane] = {}  # by endpoint id
        self._turns = FairQueue()  # of the claimable lanes
        self._wakeup = asyncio.Event()
        self.is_idle = False  # True while there is nothing to claim
        self._later: list[tuple[Micros, str]] = []  # heap of instants and endpoint ids
        self._alarm: Alarm | None = None
        self._alarm_at: Micros = 0
        self._task: asyncio.Task[None] | None = None

    # ── which lanes ──────────────────────────────────────────────────────────────────────────────

    def consider(self, lane: Lane) -> None:
        """Claim for a lane if something is due and it has room, else when something is due."""
        claim_at = lane.claimable_at()
        if claim_at is None:
            return
        now = self._clock.now()
        if claim_at > now:
            self._consider_at(lane, claim_at)
        elif lane.id not in self._claimable and lane.claims_wanted(now):
            self._queue(lane)
            self._wakeup.set()
            self.is_idle = False

    def consider_all(self) -> None:
        """Consider all lanes: this process may own other endpoints than before."""
        for lane in self._lanes:
            self.consider(lane)

    async def sweep(self) -> None:
        """Ask the store for every endpoint with open deliveries, and consider their lanes."""
        after = ""
        while True:
            due_lanes = await self._database.due_lanes(after, LANES_PAGE)
            for due in due_lanes:
                if not self._lanes.owns(due.endpoint_id):
                    continue
                lane = await self._lanes.open_by_id(due.app_id, due.endpoint_id)
                if lane is not None:
                    lane.note_due(due.due_at)
                    self.consider(lane)
            if len(due_lanes) < LANES_PAGE:
                return
            after = due_lanes[-1].endpoint_id

    def _queue(self, lane: Lane) -> None:
        self._claimable[lane.id] = lane
        self._turns.add(lane.app_id, lane.id)

    # ── claiming ─────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin to claim."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Claim no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Claim until cancelled; after an error of the store try again."""
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

    async def _claim(self) -> None:
        """Claim one commit's worth of deliveries."""
        now = self._clock.now()
        wanted = self._take_claimable(now)
        if not wanted:
            return
        for lane in wanted:
            lane.next_due = None
        self._leases.retry_unconfirmed()
        try:
            await self._claim_for(wanted, now)
        except Exception:
            for lane in wanted:
                lane.note_due(now)
                self._queue(lane)
            raise

    def _take_claimable(self, now: Micros) -> dict[Lane, int]:
        """Take lanes in turn; return how many claims each of them gets at most."""
        wanted: dict[Lane, int] = {}
        room = BATCH_MAX
        share = max(LANE_CLAIMS_MIN, BATCH_MAX // len(self._claimable))
        while self._claimable and room > 0:
            lane = self._claimable.pop(self._turns.pop())
            count = min(lane.claims_wanted(now), room, share)
            if count > 0 and self._lanes.owns(lane.id) and lane.next_due is not None:
                wanted[lane] = count
                room -= count
        return wanted

    async def _claim_for(self, wanted: dict[Lane, int], now: Micros) -> None:
        lanes = {lane.id: lane for lane in wanted}
        counts = {(lane.app_id, lane.id): count for lane, count in wanted.items()}
        claims = await self._database.claim(counts, now, self._leases.lease_until(now))
        for claim in claims:
            self._dispatcher.enqueue(lanes[claim.delivery.endpoint_id], claim)
        claimed = Counter(claim.delivery.endpoint_id for claim in claims)
        await self._note_next_due(wanted, claimed, now)
        for lane in wanted:
            self.consider(lane)

    async def _note_next_due(
        self, wanted: dict[Lane, int], claimed: Counter[str], now: Micros
    ) -> None:
        """Find out when the next delivery of each lane is due."""
        emptied: list[Lane] = []
        for lane, count in wanted.items():
            if claimed[lane.id] < count:
                emptied.append(lane)
            else:
                lane.note_due(now)  # there may be more
        if emptied:
            lanes = {lane.id: lane for lane in emptied}
            keys = [(lane.app_id, lane.id) for lane in emptied]
            for endpoint_id, due_at in (await self._database.next_due(keys)).items():
                # A due delivery that was not claimed waits behind another of its order key.
                # The end of that attempt makes the lane due; do not ask at once again.
                lanes[endpoint_id].note_due(max(due_at, now + BUSY_RETRY_AFTER))

    # ── time ─────────────────────────────────────────────────────────────────────────────────────

    def _consider_at(self, lane: Lane, at: Micros) -> None:
        if lane.claim_at is None or at < lane.claim_at:
            lane.claim_at = at
            heapq.heappush(self._later, (at, lane.id))
            self._set_alarm()

    def _set_alarm(self) -> None:
        """Set the alarm for the earliest lane."""
        earliest = self._later[0][0]
        if self._alarm is None or earliest < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = earliest
            self._alarm = self._clock.call_at(earliest, self._consider_due)

    def _consider_due(self) -> None:
        self._alarm = None
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            at, endpoint_id = heapq.heappop(self._later)
            lane = self._lanes.get(endpoint_id)
            if lane is not None and lane.claim_at == at:
                lane.claim_at = None
                self.consider(lane)
        if self._later:
            self._set_alarm()
