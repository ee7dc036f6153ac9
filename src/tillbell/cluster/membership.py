"""The fleet: processes that share a store, and what each of them may do.

- An endpoint's deliveries are made by one process, its owner (rules/delivery/ownership.py). So its
  concurrency, pace, breaker and order hold for all processes together.
- What only one may do (purge, confirm, tasks) is done by the leader.
- Every process signs in now and then. One that does not is struck off, sooner if its connection
  has ended as well, and the others own what it owned. It may still be at work: leases and their
  tokens see to it that nothing it does then counts.

With a store of its own a process is a fleet of one: it owns everything and leads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tillbell.clock import SECOND, Clock, Micros, SteeredClock
from tillbell.ids import IdMaker
from tillbell.logs import log_event
from tillbell.rules.delivery.ownership import owner_of
from tillbell.storage.ports.cluster import ClusterState, ClusterStore, Member

HEARTBEAT_EVERY: Micros = SECOND
MEMBER_TIMEOUT: Micros = 6 * SECOND  # without a sign of life
COMMIT_DELAY_MAX: Micros = 2 * SECOND  # from the making of an id to the end of its commit, at most
CLOCK_ERROR_MAX: Micros = (
    5 * SECOND
)  # from the database's time: somebody should set that machine's clock
OWNED_MAX = 200_000  # endpoints whose owner is remembered


class Cluster:
    """See the module. Lives on one event loop."""

    def __init__(self, store: ClusterStore, clock: Clock, ids: IdMaker, role: str) -> None:
        self._store = store
        self._clock = clock
        sends = role != "api"
        self._member = Member(ids.new("prc", clock.now()), role, sends)
        self._workers: tuple[str, ...] = (self.id,) if sends and not store.is_shared else ()
        self._owned: dict[str, bool] = {}
        self._term = 0
        self._alive_until: Micros = 0
        self._is_wrong = False
        self.on_ownership_changed: Callable[[], object] = lambda: None  # we own others than before

    @property
    def id(self) -> str:
        """Our own name in it."""
        return self._member.id

    @property
    def is_shared(self) -> bool:
        """Whether there may be others."""
        return self._store.is_shared

    @property
    def term(self) -> int:
        """The term in which we lead; 0 while we do not."""
        return self._term if self._is_alive else 0

    @property
    def _is_alive(self) -> bool:
        """Whether the others still think so."""
        return not self.is_shared or self._clock.now() < self._alive_until

    @property
    def workers(self) -> tuple[str, ...]:
        """The processes that own endpoints, as far as we know."""
        return self._workers

    def owns(self, endpoint_id: str) -> bool:
        """Tell whether we make this endpoint's deliveries."""
        if not self._is_alive:
            return False
        if self._workers == (self.id,):
            return True
        known = self._owned.get(endpoint_id)
        if known is None:
            if len(self._owned) >= OWNED_MAX:
                self._owned.clear()
            known = owner_of(endpoint_id, self._workers) == self.id
            self._owned[endpoint_id] = known
        return known

    def complete_before(self) -> Micros | None:
        """Return the instant before which no id can appear any more; None: there is no such delay.

        Ids are made before they are committed. In one process they are committed in their order;
        of several processes one may be the slower.
        """
        return self._clock.now() - COMMIT_DELAY_MAX if self.is_shared else None

    async def join(self) -> ClusterState:
        """Sign in for the first time."""
        return await self._heartbeat()

    async def heartbeat(self) -> None:
        """Sign in again: the heartbeat."""
        await self._heartbeat()

    def only_as_leader(
        self, work: Callable[[], Awaitable[object]]
    ) -> Callable[[], Awaitable[None]]:
        """Return work that is only done while we lead."""

        async def if_we_lead() -> None:
            if self.term:
                await work()

        return if_we_lead

    async def leave(self) -> None:
        """Sign out: the others need not wait until we count as dead."""
        self._term = 0
        await self._store.leave(self.id)

    async def _heartbeat(self) -> ClusterState:
        began = self._clock.now()
        roll = await self._store.heartbeat(self._member, MEMBER_TIMEOUT)
        if roll.now is not None and isinstance(self._clock, SteeredClock):
            self._steer(self._clock, roll.now, began)
            began = min(roll.now, self._clock.now())
        was_alive = self._is_alive
        self._alive_until = began + MEMBER_TIMEOUT
        if self.is_shared:
            self._apply(roll, was_alive=was_alive)
        self._term = roll.term
        return roll

    def _apply(self, roll: ClusterState, *, was_alive: bool) -> None:
        if roll.term != self._term:
            log_event(
                "cluster.leader_acquired" if roll.term else "cluster.leader_lost", term=roll.term
            )
        if roll.workers != self._workers:
            log_event("cluster.members_changed", senders=len(roll.workers))
            self._workers = roll.workers
            self._owned.clear()
            self.on_ownership_changed()
        elif not was_alive:  # what came due meanwhile was not ours to claim
            self.on_ownership_changed()

    def _steer(self, clock: SteeredClock, told: Micros, asked_at: Micros) -> None:
        clock.steer(told, asked_at)
        is_wrong = abs(clock.ahead) > CLOCK_ERROR_MAX
        if is_wrong and not self._is_wrong:
            log_event("clock.skewed", ahead_s=-clock.ahead // SECOND)
        self._is_wrong = is_wrong
