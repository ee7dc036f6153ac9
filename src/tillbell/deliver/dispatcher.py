"""Dispatch: which claims are sent now.

A claim waits in its endpoint's lane until the lane's breaker, rate and width allow an attempt and
there is a slot for it (slots.py). A slot makes one attempt of its lane after another; when other
lanes wait for a slot, lanes take turns: applications first, then endpoints. Results are written
with the store's next commit; nobody waits for them.

Nothing here is needed for safety: what memory loses is still in the store, and its lease ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from tillbell.clock import Clock, Micros
from tillbell.deliver.attempt import JudgedAttempt, broken_attempt, make_attempt, superseded
from tillbell.deliver.body_memory import BodyMemory, HeldMemory
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.lane import Lane
from tillbell.deliver.lanes import Lanes
from tillbell.deliver.leases import HeldLeases
from tillbell.deliver.slots import Slots
from tillbell.http.client import HttpClient
from tillbell.logs import log_event
from tillbell.model.messages import READ_LATER, Claim, Result
from tillbell.rules.delivery.slot_shares import QUICK
from tillbell.rules.delivery.turns import FairQueue

ReadBody = Callable[[str, str, str], Awaitable[bytes | None]]  # application, message, variant


async def _no_body(app_id: str, message_id: str, variant: str) -> bytes | None:
    """Find nothing: the default of `read_body`."""


class SendingLimits(NamedTuple):
    """What attempts of a process may use together."""

    max_in_flight: int  # slots: attempts at the same time
    body_memory: int  # bytes of long bodies; each counts twice
    body_max: int  # bytes of the longest body


class Dispatcher:
    """Sends what lanes hold. Lives on one event loop.

    `on_claimable` is called with a lane that may have room for more claims, `on_attempt_ended`
    after each attempt. Bodies that were too long to wait in memory are read with `read_body` when
    `body_memory` has room.
    """

    def __init__(
        self,
        *,
        lanes: Lanes,
        http_client: HttpClient,
        leases: HeldLeases,
        clock: Clock,
        limits: SendingLimits,
    ) -> None:
        self._lanes = lanes
        self._http_client = http_client
        self._leases = leases
        self._clock = clock
        self._loop = asyncio.get_running_loop()  # kept: asking for it is a system call
        self._slots = Slots(limits.max_in_flight, lanes.is_of_one_application)
        self._body_max = limits.body_max
        self.body_memory = BodyMemory(limits.body_memory)
        self._waiting = FairQueue()  # quick lanes that wait for a slot
        self._slow_waiting = FairQueue()  # slow ones
        self._are_slow_first = False
        self._held_max = 16 * limits.max_in_flight
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self.is_held = False  # nothing is sent: see hold.py
        self.read_body: ReadBody = _no_body
        self.on_claimable: Callable[[Lane], object] = lambda *_: None
        self.on_attempt_ended: Callable[[Lane, Claim, JudgedAttempt], object] = lambda *_: None

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self._slots.taken

    # ── configuration ────────────────────────────────────────────────────────────────────────────

    def endpoint_changed(self, compiled: CompiledEndpoint) -> None:
        """Use an endpoint's new URL, secrets and limits from the next attempt on."""
        lane = self._lanes.get(compiled.endpoint.id)
        if lane is None:
            return
        lane.replace_endpoint(compiled)
        if not compiled.is_active:
            self._release_ready(lane)
        self.on_claimable(lane)
        self._start_attempts(lane)

    def endpoint_removed(self, endpoint_id: str) -> None:
        """Close the lane of a removed endpoint and forget its claims."""
        lane = self._lanes.remove(endpoint_id)
        if lane is not None:
            self._waiting.drop(lane.app_id, lane.id)
            self._slow_waiting.drop(lane.app_id, lane.id)
            for claim in lane.ready:
                self._leases.forget(claim)
            lane.ready.clear()

    def release_disowned(self) -> None:
        """Give up the claims of endpoints that another process owns now."""
        for lane in self._lanes:
            if lane.ready and not self._lanes.owns(lane.id):
                self._release_ready(lane)

    # ── filling lanes ────────────────────────────────────────────────────────────────────────────

    def reserve(self, compiled: CompiledEndpoint, now: Micros) -> bool:
        """Reserve a place for a new message in its lane; False if it has to wait for its turn."""
        if self._is_stopping or self.is_held or not self._lanes.owns(compiled.endpoint.id):
            return False
        lane = self._lanes.open(compiled)
        # Other lanes' backlogs may use up all that is held; an empty lane takes one even then.
        if self._leases.held_count >= self._held_max and lane.held_count():
            return False
        if not lane.may_hand_over(now):
            return False
        lane.reserved += 1
        return True

    def unreserve(self, endpoint_id: str) -> None:
        """Free a reserved place: the message was not stored."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            lane.reserved -= 1

    def hand_over(self, claim: Claim) -> None:
        """Take a new message's claim, just committed, into its reserved place."""
        lane = self._lanes.get(claim.delivery.endpoint_id)
        if lane is not None:
            lane.reserved -= 1
            self.enqueue(lane, claim)

    def enqueue(self, lane: Lane, claim: Claim) -> None:
        """Put a claim of this process into its lane."""
        self._leases.add(claim)
        lane.ready.append(claim)
        allowed = lane.allowed(self._clock.now())
        if self._is_stopping or not allowed:
            self._release_ready(lane)
            self.on_claimable(lane)
        else:
            self._start_up_to(lane, allowed)
        if lane.ready and lane.ready[-1] is claim:
            lane.ready[-1] = claim.waiting()

    def _release_ready(self, lane: Lane) -> None:
        """Give the claims of a lane that may not send back to the store."""
        if lane.ready:
            lane.note_due(self._clock.now())
            self._leases.release(tuple(lane.ready))
            lane.ready.clear()

    # ── sending ──────────────────────────────────────────────────────────────────────────────────

    def _start_attempts(self, lane: Lane) -> None:
        """Start as many attempts as the lane and the process have room for."""
        if lane.ready and not self._is_stopping:
            self._start_up_to(lane, lane.allowed(self._clock.now()))

    def _start_up_to(self, lane: Lane, allowed: int) -> None:
        """Start attempts until so many run, or no slot is free; then the lane waits for one."""
        while lane.ready and lane.in_flight < allowed and lane.pace_alarm is None:
            if not self._slots.may_take(lane.app_id, is_slow=lane.is_slow):
                self._wait_for_slot(lane)
                return
            self._start_attempt(lane)

    def _wait_for_slot(self, lane: Lane) -> None:
        queue = self._slow_waiting if lane.is_slow else self._waiting
        queue.add(lane.app_id, lane.id)

    def _start_attempt(self, lane: Lane) -> None:
        claim = lane.ready.popleft()
        lane.in_flight += 1
        self._slots.take(lane.app_id, is_slow=lane.is_slow)
        task = self._loop.create_task(self._attempt_in_turn(lane, claim))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt_in_turn(self, lane: Lane, first: Claim) -> None:
        """Make one attempt after another in one slot, while the lane may keep it."""
        claim: Claim | None = first
        was_slow = lane.is_slow
        try:
            while claim is not None:
                if claim.is_short:
                    await self._attempt(lane, claim)
                else:
                    await self._attempt_with_long_body(lane, claim)
                if lane.is_slow is not was_slow:
                    was_slow = lane.is_slow
                    self._slots.change(lane.app_id, is_slow=was_slow)
                    self._fill_slots()
                claim = self._next_claim(lane)
        finally:
            lane.in_flight -= 1
            self._slots.give_back(lane.app_id, is_slow=was_slow)
            if lane.ready and not self._is_stopping:
                self._wait_for_slot(lane)  # behind the lanes that wait already
            self._fill_slots()
            self.on_claimable(lane)

    def _next_claim(self, lane: Lane) -> Claim | None:
        """Take the lane's next claim; None if it may not go on, or another lane waits."""
        if not lane.ready or self._is_stopping or self._waiting or lane.pace_alarm is not None:
            return None
        if self._slow_waiting and (lane.is_slow or self._slots.are_all_taken):
            return None
        if lane.in_flight > lane.allowed(self._clock.now()):
            return None
        if lane.window > 2 * len(lane.ready):
            self.on_claimable(lane)
        return lane.ready.popleft()

    def _fill_slots(self) -> None:
        """Give free slots to the lanes that wait, one each in turn.

        Slow lanes and quick ones are asked first by turns, so that none of both waits for ever.
        """
        if not self._waiting and not self._slow_waiting:
            return
        self._are_slow_first = not self._are_slow_first
        for is_slow in (self._are_slow_first, not self._are_slow_first):
            queue = self._slow_waiting if is_slow else self._waiting
            may_take = partial(self._slots.may_take, is_slow=is_slow)
            while queue and (endpoint_id := queue.pop_of(may_take)) is not None:
                self._start_waiting(endpoint_id)

    def _start_waiting(self, endpoint_id: str) -> None:
        """Start an attempt of a lane whose turn it is, if it still wants one."""
        lane = self._lanes.get(endpoint_id)
        if lane is None or not lane.ready or lane.pace_alarm is not None:
            return
        if lane.in_flight >= lane.allowed(self._clock.now()):
            return
        # It may have become slow or quick since it began to wait.
        if self._slots.may_take(lane.app_id, is_slow=lane.is_slow):
            self._start_attempt(lane)
        if lane.ready:
            self._wait_for_slot(lane)

    async def _attempt_with_long_body(self, lane: Lane, claim: Claim) -> None:
        """Make an attempt once there is memory for its body, and for what is not read of it.

        The length of a body that is not read yet is not known: it counts as the longest.
        """
        size = 2 * (len(claim.body or b"") or self._body_max)
        if not self.body_memory.has_room(lane.app_id, size):
            claim = claim.waiting()
        async with self.body_memory.hold(lane.app_id, size) as held:
            await self._attempt(lane, claim, held)

    async def _attempt(self, lane: Lane, claim: Claim, held: HeldMemory | None = None) -> None:
        now = self._clock.now()
        if not lane.compiled.is_active or lane.is_removed:
            self._leases.release([claim])
            lane.note_due(now)
            return
        free_at = self._lanes.try_pace(lane, now)
        if free_at:
            lane.ready.appendleft(claim.waiting())
            self._wait_for_pace(lane, free_at)
            return
        if not self._leases.check_held(claim, now):
            lane.note_due(now)  # its lease ended while it waited: it will be claimed again
            return
        compiled, revision = lane.compiled, lane.revision
        waited = self._leases.waited(claim, now)
        try:
            if claim.body == READ_LATER:
                d = claim.delivery
                body = await self.read_body(d.app_id, d.message_id, d.variant)
                claim = claim._replace(body=body)
                if held is not None:
                    held.resize(2 * len(body or b""))
            judged = await make_attempt(claim, compiled, self._http_client, now, waited)
        except Exception as error:  # noqa: BLE001 - supervised: it must not stop its lane
            log_event("attempt.error", delivery=claim.delivery.id, exc_info=error)
            judged = broken_attempt(claim, compiled, error, now)
        if lane.revision != revision:
            judged = superseded(judged, self._clock.now())
        self._attempt_ended(lane, claim, judged)

    def _wait_for_pace(self, lane: Lane, until: Micros) -> None:
        def pace_allows() -> None:
            lane.pace_alarm = None
            self._start_attempts(lane)

        if lane.pace_alarm is None:
            lane.pace_alarm = self._clock.call_at(until, pace_allows)

    def _attempt_ended(self, lane: Lane, claim: Claim, judged: JudgedAttempt) -> None:
        if lane.is_removed:
            self._leases.store_discarded(claim, judged.finished)
            return
        self._leases.store_attempt(claim, judged.finished)
        now = self._clock.now()
        if judged.counts:
            lane.is_slow = judged.finished.attempt.duration_us >= QUICK
        if lane.compiled.endpoint.ordering:
            lane.note_due(now)  # the next of this order key may be claimed now
        if not judged.counts:
            pass  # neither the breaker nor the width learns from it
        elif judged.result is Result.ACCEPTED:
            if lane.attempt_accepted(now):
                self._start_attempts(lane)
        else:
            lane.attempt_failed(now, judged.rest_until)
            if lane.is_waiting(now):
                self._release_ready(lane)
        self.on_attempt_ended(lane, claim, judged)

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────

    def stop_attempts(self) -> None:
        """Start no more attempts and give up the claims that wait."""
        self._is_stopping = True
        for lane in self._lanes:
            if lane.pace_alarm is not None:
                lane.pace_alarm.cancel()
            self._release_ready(lane)

    async def drain(self, timeout_s: float) -> None:
        """Wait for attempts under way, up to the timeout, and for their results to be stored."""
        self.stop_attempts()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._leases.flush()
