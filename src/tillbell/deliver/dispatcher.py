"""Dispatch: who may send now? Lanes, slots and turns.

A claim is a lease that we hold; it waits in its endpoint's lane until the lane's breaker,
pace and concurrency and a free slot of the whole server let it go. When slots are short,
lanes take turns: applications first, then endpoints. A lane's worker makes one attempt after
another; its result is settled without waiting, in the store's next commit.

Nothing here is needed to be safe: whatever memory forgets, the store still has, and its
lease runs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from tillbell.clock import SECOND, Clock, Micros
from tillbell.deliver.attempt import JudgedAttempt, broken_attempt, make_attempt
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.lane import Lane
from tillbell.deliver.leases import HeldLeases
from tillbell.http.client import HttpClient
from tillbell.logs import log_event
from tillbell.model.endpoints import EndpointHealth
from tillbell.model.messages import Claim, Result
from tillbell.rules.delivery import breaker as breakers
from tillbell.rules.delivery.pace import next_free
from tillbell.rules.delivery.turns import FairQueue

LEASE: Micros = 10 * SECOND


class DispatchSettings(Protocol):
    """The settings that bound dispatch."""

    @property
    def max_in_flight(self) -> int:
        """Attempts at once."""
        ...

    @property
    def lane_window(self) -> int:
        """Claims held per endpoint."""
        ...


class Dispatcher:
    """See the module. Lives on one event loop."""

    def __init__(
        self,
        *,
        limits: DispatchSettings,
        directory: ConfigCache,
        sender: HttpClient,
        ledger: HeldLeases,
        clock: Clock,
    ) -> None:
        self._limits = limits
        self._config_cache = directory
        self._http_client = sender
        self._leases = ledger
        self._clock = clock
        self._loop = asyncio.get_running_loop()  # kept: asking for it is a system call
        self._lanes: dict[str, Lane] = {}
        self._health: dict[str, EndpointHealth] = {}
        self._turns = FairQueue()
        self._in_flight = 0
        self._held_max = 16 * limits.max_in_flight
        self._workers: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self.owns: Callable[[str], bool] = lambda _: True  # an endpoint whose deliveries we make
        self.on_claimable: Callable[[Lane], object] = lambda *_: None
        self.on_attempt_ended: Callable[[Lane, Claim, JudgedAttempt], object] = lambda *_: None
        ledger.on_retry_stored = self._retry_stored

    # ── lanes ────────────────────────────────────────────────────────────────────────────────────

    @property
    def lanes(self) -> dict[str, Lane]:
        """All lanes in memory, by endpoint id."""
        return self._lanes

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self._in_flight

    def restore_health(self, health: EndpointHealth) -> None:
        """Take over what was stored about an endpoint: before its lane opens, or begun anew."""
        lane = self._lanes.get(health.id)
        if lane is not None:
            lane.health = health
        else:
            self._health[health.id] = health

    def lane(self, live: CompiledEndpoint) -> Lane:
        """Return the endpoint's lane, opened if need be."""
        found = self._lanes.get(live.endpoint.id)
        if found is None:
            endpoint = live.endpoint
            health = self._health.pop(endpoint.id, None)
            health = health or EndpointHealth(id=endpoint.id, scope=endpoint.scope)
            found = self._lanes[endpoint.id] = Lane(live, health)
        return found

    def refresh(self, live: CompiledEndpoint) -> None:
        """Use an endpoint's new URL, secrets and limits from the next attempt on."""
        lane = self._lanes.get(live.endpoint.id)
        if lane is None:
            return
        woke = live.is_active and not lane.compiled.is_active
        lane.compiled = live
        lane.narrow()
        if woke:
            lane.breaker = breakers.Breaker(ramp=1)
            lane.health = EndpointHealth(id=lane.id, scope=lane.app_id)  # else it pauses again
        if not live.is_active:
            self._send_back(lane)
        self.on_claimable(lane)
        self._start_attempts(lane)

    def close_lane(self, endpoint_id: str) -> None:
        """Close the lane of a removed endpoint."""
        lane = self._lanes.pop(endpoint_id, None)
        if lane is not None:
            lane.is_removed = True
            self._turns.drop(lane.app_id, lane.id)
            for claim in lane.ready:
                self._leases.forget(claim)
            lane.ready.clear()

    def note_due(self, app_id: str, endpoint_id: str, due_at: Micros) -> None:
        """Take note that a delivery waits in the store; of another's its owner takes note."""
        if not self.owns(endpoint_id):
            return
        view = self._config_cache.cached_view(app_id)
        live = view.compiled_endpoints.get(endpoint_id) if view else None
        if live is not None:
            lane = self.lane(live)
            lane.note_due(due_at)
            self.on_claimable(lane)

    def wake_lane(self, endpoint_id: str) -> bool:
        """Look at a lane that another process stored something for; False if it is not open."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            lane.note_due(self._clock.now())
            self.on_claimable(lane)
        return lane is not None

    def release_disowned(self) -> None:
        """Give back what waits in lanes that have another owner now."""
        for lane in self._lanes.values():
            if lane.ready and not self.owns(lane.id):
                self._send_back(lane)

    def probe(self, endpoint_id: str) -> None:
        """Try an endpoint whose breaker is open at once: somebody asks for it by hand."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None and lane.breaker.probe_at is not None:
            lane.breaker = lane.breaker._replace(probe_at=self._clock.now())

    # ── hand-over ────────────────────────────────────────────────────────────────────────────────

    def lease_until(self, now: Micros) -> Micros:
        """Return when a lease taken now runs out unless it is renewed."""
        return now + LEASE

    def reserve(self, live: CompiledEndpoint) -> bool:
        """Promise a new message a place in its lane, if it may start without waiting its turn."""
        if self._is_stopping or not self.owns(live.endpoint.id):
            return False
        lane = self.lane(live)
        # Others' backlogs may fill what we hold; a lane that holds nothing has a place even so.
        if self._leases.held_count >= self._held_max and lane.held_count():
            return False
        if not lane.may_hand_over(self._clock.now(), self._limits.lane_window):
            return False
        lane.reserved += 1
        return True

    def unreserve(self, endpoint_id: str) -> None:
        """Take a promise back: the message was not stored."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            lane.reserved -= 1

    def hand_over(self, claim: Claim) -> None:
        """Take a new message's claim, just committed, for which a place was reserved."""
        lane = self._lanes.get(claim.delivery.endpoint_id)
        if lane is not None:
            lane.reserved -= 1
            self.enqueue(lane, claim)

    def enqueue(self, lane: Lane, claim: Claim) -> None:
        """Put a claim that we hold into its lane."""
        self._leases.add(claim)
        lane.ready.append(claim)
        if self._is_stopping or not lane.allowed(self._clock.now()):
            self._send_back(lane)
            self.on_claimable(lane)
        else:
            self._start_attempts(lane)

    def retry_unconfirmed(self) -> None:
        """Write the results that wait for the store, ahead of what is asked of it next."""
        self._leases.retry_unconfirmed()

    # ── sending ──────────────────────────────────────────────────────────────────────────────────

    def _start_attempts(self, lane: Lane) -> None:
        """Start workers while the lane and the server have room."""
        if not lane.ready or self._is_stopping:
            return
        allowed = lane.allowed(self._clock.now())
        while lane.ready and lane.in_flight < allowed and lane.alarm is None:
            if self._in_flight >= self._limits.max_in_flight:
                self._turns.add(lane.app_id, lane.id)
                return
            self._start(lane)

    def _start(self, lane: Lane) -> None:
        claim = lane.ready.popleft()
        lane.in_flight += 1
        self._in_flight += 1
        task = self._loop.create_task(self._work(lane, claim))
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    async def _work(self, lane: Lane, claim: Claim) -> None:
        """Make attempts, one after another, while this lane may go on."""
        following: Claim | None = claim
        try:
            while following is not None:
                await self._attempt(lane, following)
                following = self._next_claim(lane)
        finally:
            lane.in_flight -= 1
            self._in_flight -= 1
            if lane.ready and not self._is_stopping:
                self._turns.add(lane.app_id, lane.id)  # behind those that wait
            self._next_turn()
            self.on_claimable(lane)

    def _next_claim(self, lane: Lane) -> Claim | None:
        if not lane.ready or self._is_stopping or self._turns or lane.alarm is not None:
            return None
        if lane.in_flight > lane.allowed(self._clock.now()):
            return None
        if self._limits.lane_window > 2 * len(lane.ready):
            self.on_claimable(lane)
        return lane.ready.popleft()

    async def _attempt(self, lane: Lane, claim: Claim) -> None:
        now = self._clock.now()
        if not lane.compiled.is_active or lane.is_removed:
            self._leases.release_one(claim)
            lane.note_due(now)
            return
        wait_until = self._app_wait(lane, now) or lane.try_pace(now)
        if wait_until:
            lane.ready.appendleft(claim)
            self._sleep(lane, wait_until)
            return
        if not self._leases.check_held(claim, now):
            lane.note_due(now)  # the lease ran out while it waited: it will be claimed again
            return
        try:
            ended = await make_attempt(claim, lane.compiled, self._http_client, now)
        except Exception as error:  # noqa: BLE001 - supervised: it must not stop its lane
            log_event("attempt.error", delivery=claim.delivery.id, exc_info=error)
            ended = broken_attempt(claim, lane.compiled, error, now)
        self._attempt_ended(lane, claim, ended)

    def _attempt_ended(self, lane: Lane, claim: Claim, ended: JudgedAttempt) -> None:
        if lane.is_removed:
            self._leases.store_discarded(claim, ended.finished)
            return
        self._leases.store_attempt(claim, ended.finished)
        if lane.compiled.endpoint.ordering:
            lane.note_due(self._clock.now())  # the next of this order key may be claimed now
        if ended.result is Result.ACCEPTED:
            if lane.breaker is not breakers.CLOSED:
                lane.breaker = breakers.after_success(lane.breaker, self._clock.now())
            if lane.widen() or lane.breaker.ramp is not None:
                self._start_attempts(lane)
        else:
            lane.breaker = breakers.after_failure(lane.breaker, self._clock.now())
            lane.narrow()
            if lane.breaker.probe_at is not None:
                self._send_back(lane)
        self.on_attempt_ended(lane, claim, ended)

    def _app_wait(self, lane: Lane, now: Micros) -> Micros:
        """Keep the application's rate over all its endpoints; say when to ask again."""
        view = self._config_cache.cached_view(lane.app_id)
        rate = view.application.throttle_rate if view else None
        if not view or not rate:
            return 0
        if view.free_at > now:
            return view.free_at
        view.free_at = next_free(view.free_at, now, rate)
        return 0

    def _sleep(self, lane: Lane, until: Micros) -> None:
        def wake() -> None:
            lane.alarm = None
            self._start_attempts(lane)

        if lane.alarm is None:
            lane.alarm = self._clock.call_at(until, wake)

    def _next_turn(self) -> None:
        while self._turns and self._in_flight < self._limits.max_in_flight:
            lane = self._lanes.get(self._turns.pop())
            if lane is not None:
                self._turn(lane)

    def _turn(self, lane: Lane) -> None:
        if lane.ready and lane.alarm is None and lane.in_flight < lane.allowed(self._clock.now()):
            self._start(lane)
            if lane.ready:
                self._turns.add(lane.app_id, lane.id)

    def _send_back(self, lane: Lane) -> None:
        """Release what waits in a lane that may not send: the store keeps it."""
        if lane.ready:
            lane.note_due(self._clock.now())
            self._leases.release([lane.ready.popleft() for _ in range(len(lane.ready))])

    def _retry_stored(self, endpoint_id: str, due_at: Micros) -> None:
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            lane.note_due(due_at)
            self.on_claimable(lane)

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────

    def stop_attempts(self) -> None:
        """Start nothing more and give back what waits."""
        self._is_stopping = True
        for lane in self._lanes.values():
            if lane.alarm is not None:
                lane.alarm.cancel()
            self._send_back(lane)

    async def drain(self, timeout_s: float) -> None:
        """Let attempts under way end in time, and their results reach the store."""
        self.stop_attempts()
        if self._workers:
            _, late = await asyncio.wait(set(self._workers), timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._leases.flush()
