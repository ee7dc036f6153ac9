"""A lane: the deliveries of one endpoint that this process holds, waiting their turn.

Memory only makes it fast. What is here is leased in the store; what does not fit stays
there, and `backlog` or `next_due` tell the dispatcher to claim it later.
"""

from __future__ import annotations

from collections import deque

from tillbell.clock import Alarm, Micros
from tillbell.deliver.compiled_endpoint import Live
from tillbell.model.endpoints import EndpointHealth
from tillbell.model.messages import Claim
from tillbell.rules.delivery.breaker import CLOSED, Breaker, allowance
from tillbell.rules.delivery.lane_width import after_acceptance
from tillbell.rules.delivery.pace import next_free


class Lane:
    """See the module."""

    __slots__ = (
        "alarm",
        "breaker",
        "free_at",
        "health",
        "in_flight",
        "is_removed",
        "live",
        "next_due",
        "ready",
        "reminded_at",
        "reserved",
        "width",
    )

    def __init__(self, live: Live, health: EndpointHealth) -> None:
        self.live = live
        self.health = health
        self.ready: deque[Claim] = deque()
        self.reserved = 0  # places promised to messages whose commit runs
        self.in_flight = 0
        self.width = live.width.narrow  # attempts at once; grows while all is well
        self.breaker: Breaker = CLOSED
        self.free_at: Micros = 0  # pace: the next message may go then
        self.next_due: Micros | None = None  # earliest delivery that waits in the store
        self.reminded_at: Micros | None = None  # when the claimer will look here again
        self.alarm: Alarm | None = None
        self.is_removed = False

    @property
    def id(self) -> str:
        """The endpoint's id."""
        return self.live.endpoint.id

    @property
    def app_id(self) -> str:
        """The application's id."""
        return self.live.endpoint.scope

    def held(self) -> int:
        """Count the deliveries we hold or have promised to."""
        return len(self.ready) + self.reserved + self.in_flight

    def allowed(self, now: Micros) -> int:
        """Say how many attempts may be in flight."""
        if self.is_removed or not self.live.is_active:
            return 0
        return allowance(self.breaker, now, concurrency=self.width)

    def may_hand_over(self, now: Micros, window: int) -> bool:
        """Tell whether a new message may skip the store's queue: nothing older waits in it."""
        return (
            (self.next_due is None or self.next_due > now)
            and not self.live.endpoint.ordering
            and self.breaker.probe_at is None
            and self.live.is_active
            and self.held() < window
        )

    def room(self, now: Micros, window: int) -> int:
        """Say how many due deliveries to claim now; claims are made in handfuls, not one by one."""
        allowed = self.allowed(now)
        if allowed == 0:
            return 0
        if self.breaker.probe_at is not None or self.breaker.ramp is not None:
            return max(0, allowed - self.held())
        free = window - self.held()
        return free if free * 2 >= window or self.held() < allowed else 0

    def accepted(self) -> bool:
        """Widen the lane if more wait than may go; tell whether it did."""
        before = self.width
        is_full = bool(self.ready) and self.in_flight >= before
        self.width = after_acceptance(before, self.live.width, is_full=is_full)
        return self.width > before

    def failed(self) -> None:
        """Make the lane narrow again."""
        self.width = self.live.width.narrow

    def pass_pace(self, now: Micros) -> Micros:
        """Let one message through if the rate allows; else say when to ask again (0: it passed)."""
        rate = self.live.endpoint.throttle_rate
        if not rate:
            return 0
        if self.free_at > now:
            return self.free_at
        self.free_at = next_free(self.free_at, now, rate)
        return 0

    def wake_at(self) -> Micros | None:
        """Say when to look at this lane again, None if nothing waits for time."""
        if self.next_due is None or self.is_removed or not self.live.is_active:
            return None
        if self.breaker.probe_at is not None:
            return max(self.next_due, self.breaker.probe_at)
        return self.next_due

    def saw_due(self, due_at: Micros) -> None:
        """Take note of a delivery that waits in the store."""
        if self.next_due is None or due_at < self.next_due:
            self.next_due = due_at
