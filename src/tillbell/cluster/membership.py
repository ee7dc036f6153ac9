"""Membership: the processes that share a store, and what each of them may do.

- One worker makes the deliveries of an endpoint: its owner (rules/delivery/ownership.py). So an
  endpoint's concurrency, rate, breaker and order hold for all processes together.
- What only one process may do (purge, status checks, tasks) is done by the leader.
- Every member writes a heartbeat. One that misses it is removed, sooner if its connection has
  ended as well, and the others own what it owned. It may still be running: then leases and their
  tokens make sure that nothing it does counts.

With a store of its own a process is the only member: it owns everything and leads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tillbell.clock import SECOND, Clock, Micros, SteeredClock
from tillbell.ids import IdMaker
from tillbell.logs import log_event
from tillbell.rules.delivery.ownership import owner_of
from tillbell.storage.ports.cluster import ClusterState, ClusterStore, Member

HEARTBEAT_EVERY: Micros = SECOND
MEMBER_TIMEOUT: Micros = 6 * SECOND  # without a heartbeat
COMMIT_DELAY_MAX: Micros = 2 * SECOND  # from the making of an id to the end of its commit
CLOCK_ERROR_MAX: Micros = 5 * SECOND  # off the database's time; more is logged
OWNED_MAX = 200_000  # endpoints whose owner is cached


class Cluster:
    """This process's view of the cluster. Lives on one event loop.

    `on_ownership_changed` is called when this process may own other endpoints than before.
    """

    def __init__(self, store: ClusterStore, clock: Clock, ids: IdMaker, role: str) -> None:
        self._store = store
        self._clock = clock
        is_worker = role != "api"
        self._member = Member(ids.new("prc", clock.now()), role, is_worker)
        self._workers: tuple[str, ...] = (self.id,) if is_worker and not store.is_shared else ()
        self._owned: dict[str, bool] = {}  # by endpoint id
        self._term = 0
        self._alive_until: Micros = 0
        self._is_clock_wrong = False
        self.on_ownership_changed: Callable[[], object] = lambda: None

    @property
    def id(self) -> str:
        """The id of this member."""
        return self._member.id

    @property
    def is_shared(self) -> bool:
        """Whether there may be other members."""
        return self._store.is_shared

    @property
    def term(self) -> int:
        """The term in which this process leads; 0 while it does not."""
        return self._term if self._is_alive else 0

    @property
    def is_leader(self) -> bool:
        """Whether this process leads."""
        return self.term > 0

    @property
    def _is_alive(self) -> bool:
        """Whether the other members count this process as alive."""
        return not self.is_shared or self._clock.now() < self._alive_until

    @property
    def workers(self) -> tuple[str, ...]:
        """The ids of the members that own endpoints, as of the last heartbeat."""
        return self._workers

    def owns(self, endpoint_id: str) -> bool:
        """Tell whether this process makes an endpoint's deliveries."""
        if not self._is_alive:
            return False
        if self._workers == (self.id,):
            return True
        is_owner = self._owned.get(endpoint_id)
        if is_owner is None:
            if len(self._owned) >= OWNED_MAX:
                self._owned.clear()
            is_owner = owner_of(endpoint_id, self._workers) == self.id
            self._owned[endpoint_id] = is_owner
        return is_owner

    def complete_before(self) -> Micros | None:
        """Return the instant before which no new id can appear; None in a single process.

        Ids are made before they are committed. A single process commits them in their order; of
        several processes one may be slower than another.
        """
        return self._clock.now() - COMMIT_DELAY_MAX if self.is_shared else None

    def only_as_leader(
        self, work: Callable[[], Awaitable[object]]
    ) -> Callable[[], Awaitable[None]]:
        """Return a function that does the work if this process leads, and else nothing."""

        async def work_as_leader() -> None:
            if self.is_leader:
                await work()

        return work_as_leader

    async def heartbeat(self) -> ClusterState:
        """Join the cluster, or stay in it; return its state."""
        started_at = self._clock.now()
        state = await self._store.heartbeat(self._member, MEMBER_TIMEOUT)
        if state.now is not None and isinstance(self._clock, SteeredClock):
            self._steer(self._clock, state.now, started_at)
            started_at = min(state.now, self._clock.now())
        was_alive = self._is_alive
        self._alive_until = started_at + MEMBER_TIMEOUT
        if self.is_shared:
            self._apply(state, was_alive=was_alive)
        self._term = state.term
        return state

    async def leave(self) -> None:
        """Leave the cluster: the others own our endpoints at once."""
        self._term = 0
        await self._store.leave(self.id)

    def _apply(self, state: ClusterState, *, was_alive: bool) -> None:
        if state.term != self._term:
            event = "cluster.leader_acquired" if state.term else "cluster.leader_lost"
            log_event(event, term=state.term)
        has_changed = state.workers != self._workers
        if has_changed:
            log_event("cluster.members_changed", workers=len(state.workers))
            self._workers = state.workers
            self._owned.clear()
        # While it did not count as alive, this process owned nothing.
        if has_changed or not was_alive:
            self.on_ownership_changed()

    def _steer(self, clock: SteeredClock, database_now: Micros, asked_at: Micros) -> None:
        """Follow the database's clock; log once if this machine's clock is far off."""
        clock.steer(database_now, asked_at)
        is_wrong = abs(clock.ahead) > CLOCK_ERROR_MAX
        if is_wrong and not self._is_clock_wrong:
            log_event("clock.skewed", ahead_s=-clock.ahead // SECOND)
        self._is_clock_wrong = is_wrong
