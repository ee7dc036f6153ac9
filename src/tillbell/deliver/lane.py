"""A lane: the deliveries of one endpoint that this process holds in memory.

Everything in a lane is leased to this process in the store. What does not fit stays in the
store; `next_due` says when the claimer has to ask for it.
"""

from __future__ import annotations

from collections import deque

from tillbell.clock import Alarm, Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.model.endpoints import AttemptFailure, EndpointHealth
from tillbell.model.messages import Claim
from tillbell.rules.delivery.breaker import (
    CLOSED,
    Breaker,
    after_failure,
    after_success,
    allowance,
)
from tillbell.rules.delivery.health import begun_anew, health_at
from tillbell.rules.delivery.lane_width import after_acceptance
from tillbell.rules.delivery.pace import next_free


class Lane:
    """Claims that wait for their turn, and how many attempts of their endpoint may run."""

    __slots__ = (
        "app_id",
        "breaker",
        "claim_at",
        "compiled",
        "free_at",
        "health",
        "id",
        "in_flight",
        "is_removed",
        "is_slow",
        "last_failure",
        "last_success_at",
        "next_due",
        "pace_alarm",
        "ready",
        "reserved",
        "rest_until",
        "revision",
        "width",
        "window",
    )

    def __init__(self, compiled: CompiledEndpoint, health: EndpointHealth, window: int) -> None:
        self.id = compiled.endpoint.id
        self.app_id = compiled.endpoint.scope
        self.compiled = compiled
        self.revision = 0  # rises when what was learned about the endpoint becomes void
        self.use_health(health_at(health, compiled.destination))
        self.window = window  # claims held at the same time, at most
        self.ready: deque[Claim] = deque()  # claims that wait for an attempt
        self.reserved = 0  # places of new messages whose commit is under way
        self.in_flight = 0  # attempts under way
        self.width = compiled.width.narrow  # attempts at once; grows while all are accepted
        self.breaker: Breaker = CLOSED
        self.free_at: Micros = 0  # the endpoint's rate: the next attempt may start then
        self.pace_alarm: Alarm | None = None  # set while the lane waits for a rate
        self.next_due: Micros | None = None  # the earliest delivery that waits in the store
        self.claim_at: Micros | None = None  # when the claimer looks at this lane again
        self.is_removed = False
        # An endpoint that was well when it was last used is taken for quick.
        self.is_slow = health.last_success_at is None or self.health.failing_since is not None

    def use_health(self, health: EndpointHealth) -> None:
        """Use health as it is stored."""
        self.health = health
        self.last_failure: AttemptFailure | None = health.last_failure
        self.last_success_at: Micros | None = health.last_success_at
        self.rest_until = health.rest_until  # no attempt before; the receiver asked for it

    def held_count(self) -> int:
        """Count the deliveries that this process holds or has reserved a place for."""
        return len(self.ready) + self.reserved + self.in_flight

    def allowed(self, now: Micros) -> int:
        """Return how many attempts may run at the same time."""
        if self.is_removed or not self.compiled.is_active or now < self.rest_until:
            return 0
        return allowance(self.breaker, now, concurrency=self.width)

    def may_hand_over(self, now: Micros) -> bool:
        """Tell whether a new message may be sent without a claim: nothing older waits for it."""
        return (
            (self.next_due is None or self.next_due > now)
            and not self.compiled.endpoint.ordering
            and self.breaker.probe_at is None
            and now >= self.rest_until
            and self.compiled.is_active
            and self.held_count() < self.window
        )

    def claims_wanted(self, now: Micros) -> int:
        """Return how many due deliveries to claim now: many together, not one by one."""
        allowed = self.allowed(now)
        if allowed == 0:
            return 0
        if self.breaker.probe_at is not None or self.breaker.ramp is not None:
            return max(0, allowed - self.held_count())
        free = self.window - self.held_count()
        return free if free * 2 >= self.window or self.held_count() < allowed else 0

    def replace_endpoint(self, compiled: CompiledEndpoint) -> None:
        """Use an endpoint's new URL, secrets and limits from the next attempt on.

        What was learned with the old ones is forgotten: health, breaker and rest. So it is when the
        endpoint is resumed: with the old health, the next failure would pause it again.
        """
        is_resumed = compiled.is_active and not self.compiled.is_active
        if is_resumed or compiled.destination != self.compiled.destination:
            self.revision += 1
            if is_resumed or self.breaker is not CLOSED:
                self.breaker = Breaker(ramp=1)
            self.health = begun_anew(self.health).but(destination=compiled.destination)
            self.rest_until = 0
        self.compiled = compiled
        self.width = compiled.width.narrow

    def attempt_accepted(self, now: Micros) -> bool:
        """Take note of an accepted attempt; tell whether more may run now than before."""
        self.last_success_at = now
        if self.breaker is not CLOSED:
            self.breaker = after_success(self.breaker, now)
        width = self.width
        is_full = bool(self.ready) and self.in_flight >= width
        self.width = after_acceptance(width, self.compiled.width, is_full=is_full)
        return self.width > width or self.breaker.ramp is not None

    def attempt_failed(self, now: Micros, rest_until: Micros) -> None:
        """Take note of a failed attempt: the lane is narrow again, and its breaker may open.

        No attempt is made before `rest_until`, and then they begin slowly.
        """
        self.breaker = after_failure(self.breaker, now)
        self.width = self.compiled.width.narrow
        if rest_until > self.rest_until:
            self.rest_until = rest_until
            self.breaker = self.breaker._replace(ramp=1)

    def is_waiting(self, now: Micros) -> bool:
        """Tell whether no attempt may start before some later time."""
        return self.breaker.probe_at is not None or now < self.rest_until

    def present_health(self) -> EndpointHealth:
        """Return the health of now, which is newer than what is stored."""
        return self.health.but(
            last_failure=self.last_failure,
            last_success_at=self.last_success_at,
            probe_at=self.breaker.probe_at,
        )

    def probe(self, now: Micros) -> None:
        """Let an open breaker try the endpoint at once; a rest that was asked for is kept."""
        if self.breaker.probe_at is not None:
            self.breaker = self.breaker._replace(probe_at=now)

    def try_pace(self, now: Micros) -> Micros:
        """Let one attempt pass if the endpoint's rate allows it.

        Return 0 if it may start, else when to ask again.
        """
        interval = self.compiled.interval
        if not interval:
            return 0
        if self.free_at > now:
            return self.free_at
        self.free_at = next_free(self.free_at, now, interval)
        return 0

    def claimable_at(self) -> Micros | None:
        """Return when to claim for this lane; None if nothing is known to wait in the store."""
        if self.next_due is None or self.is_removed or not self.compiled.is_active:
            return None
        return max(self.next_due, self.breaker.probe_at or 0, self.rest_until)

    def note_due(self, due_at: Micros) -> None:
        """Take note of a delivery that waits in the store."""
        if self.next_due is None or due_at < self.next_due:
            self.next_due = due_at
