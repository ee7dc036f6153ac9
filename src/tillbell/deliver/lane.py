"""A lane: the deliveries of one endpoint that this process holds, waiting their turn.

Memory only makes it fast. What is here is leased in the store; what does not fit stays
there, and `backlog` or `next_due` tell the dispatcher to claim it later.
"""

from __future__ import annotations

from collections import deque

from tillbell.clock import Alarm, Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.model.endpoints import EndpointHealth
from tillbell.model.messages import Claim
from tillbell.rules.delivery.breaker import CLOSED, Breaker, allowance
from tillbell.rules.delivery.lane_width import after_acceptance
from tillbell.rules.delivery.pace import next_free


class Lane:
    """See the module."""

    __slots__ = (
        "alarm",
        "alarm_at",
        "breaker",
        "compiled",
        "free_at",
        "health",
        "in_flight",
        "is_removed",
        "next_due",
        "ready",
        "reserved",
        "width",
    )

    def __init__(self, live: CompiledEndpoint, health: EndpointHealth) -> None:
        self.compiled = live
        self.health = health
        self.ready: deque[Claim] = deque()
        self.reserved = 0  # places promised to messages whose commit runs
        self.in_flight = 0
        self.width = live.width.narrow  # attempts at once; grows while all is well
        self.breaker: Breaker = CLOSED
        self.free_at: Micros = 0  # pace: the next message may go then
        self.next_due: Micros | None = None  # earliest delivery that waits in the store
        self.alarm_at: Micros | None = None  # when the claimer will look here again
        self.alarm: Alarm | None = None
        self.is_removed = False

    @property
    def id(self) -> str:
        """The endpoint's id."""
        return self.compiled.endpoint.id

    @property
    def app_id(self) -> str:
        """The application's id."""
        return self.compiled.endpoint.scope

    def held_count(self) -> int:
        """Count the deliveries we hold or have promised to."""
        return len(self.ready) + self.reserved + self.in_flight

    def allowed(self, now: Micros) -> int:
        """Say how many attempts may be in flight."""
        if self.is_removed or not self.compiled.is_active:
            return 0
        return allowance(self.breaker, now, concurrency=self.width)

    def may_hand_over(self, now: Micros, window: int) -> bool:
        """Tell whether a new message may skip the store's queue: nothing older waits in it."""
        return (
            (self.next_due is None or self.next_due > now)
            and not self.compiled.endpoint.ordering
            and self.breaker.probe_at is None
            and self.compiled.is_active
            and self.held_count() < window
        )

    def claims_wanted(self, now: Micros, window: int) -> int:
        """Say how many due deliveries to claim now; claims are made in handfuls, not one by one."""
        allowed = self.allowed(now)
        if allowed == 0:
            return 0
        if self.breaker.probe_at is not None or self.breaker.ramp is not None:
            return max(0, allowed - self.held_count())
        free = window - self.held_count()
        return free if free * 2 >= window or self.held_count() < allowed else 0

    def widen(self) -> bool:
        """Widen the lane if more wait than may go; tell whether it did."""
        before = self.width
        is_full = bool(self.ready) and self.in_flight >= before
        self.width = after_acceptance(before, self.compiled.width, is_full=is_full)
        return self.width > before

    def narrow(self) -> None:
        """Make the lane narrow again."""
        self.width = self.compiled.width.narrow

    def try_pace(self, now: Micros) -> Micros:
        """Let one message through if the rate allows; else say when to ask again (0: it passed)."""
        rate = self.compiled.endpoint.throttle_rate
        if not rate:
            return 0
        if self.free_at > now:
            return self.free_at
        self.free_at = next_free(self.free_at, now, rate)
        return 0

    def wake_at(self) -> Micros | None:
        """Say when to look at this lane again, None if nothing waits for time."""
        if self.next_due is None or self.is_removed or not self.compiled.is_active:
            return None
        if self.breaker.probe_at is not None:
            return max(self.next_due, self.breaker.probe_at)
        return self.next_due

    def note_due(self, due_at: Micros) -> None:
        """Take note of a delivery that waits in the store."""
        if self.next_due is None or due_at < self.next_due:
            self.next_due = due_at
