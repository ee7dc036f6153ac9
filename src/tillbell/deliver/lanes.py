"""The lanes of this process, by endpoint, and what is known to wait for them in the store.

A lane is opened for an endpoint that this process owns, when something is due for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from tillbell.clock import Clock, Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.config_cache import ConfigCache
from tillbell.deliver.lane import Lane
from tillbell.model.endpoints import EndpointHealth
from tillbell.rules.delivery.health import health_at


class Lanes:
    """Opens and finds lanes. Lives on one event loop.

    `owns` tells whether this process makes an endpoint's deliveries, `window` is how many claims a
    lane may hold. `on_due` is called when a delivery of a lane waits in the store, now or later.
    """

    def __init__(
        self, config_cache: ConfigCache, clock: Clock, owns: Callable[[str], bool], window: int
    ) -> None:
        self._config_cache = config_cache
        self._clock = clock
        self._lanes: dict[str, Lane] = {}  # by endpoint id
        self._applications = Counter[str]()  # lanes, by application
        self._health: dict[str, EndpointHealth] = {}  # of endpoints without a lane yet
        self.owns = owns
        self._window = window
        self.on_due: Callable[[Lane], object] = lambda *_: None

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def get(self, endpoint_id: str) -> Lane | None:
        """Return the endpoint's lane; None if it is not open."""
        return self._lanes.get(endpoint_id)

    def open(self, compiled: CompiledEndpoint) -> Lane:
        """Return the endpoint's lane; a new one if there is none."""
        endpoint = compiled.endpoint
        lane = self._lanes.get(endpoint.id)
        if lane is None:
            health = self._health.pop(endpoint.id, None)
            health = health or EndpointHealth(id=endpoint.id, scope=endpoint.scope)
            lane = self._lanes[endpoint.id] = Lane(compiled, health, self._window)
            self._applications[lane.app_id] += 1
        return lane

    async def open_by_id(self, app_id: str, endpoint_id: str) -> Lane | None:
        """Return the lane of an endpoint that the store named; None if the endpoint is gone."""
        compiled = await self._config_cache.compiled_endpoint(app_id, endpoint_id)
        if compiled is None:  # another process may have created it just now
            compiled = await self._config_cache.reload_endpoint(app_id, endpoint_id)
        return self.open(compiled) if compiled is not None else None

    def remove(self, endpoint_id: str) -> Lane | None:
        """Remove and return the lane of an endpoint that was deleted."""
        lane = self._lanes.pop(endpoint_id, None)
        if lane is not None:
            lane.is_removed = True
            self._applications[lane.app_id] -= 1
            if not self._applications[lane.app_id]:
                del self._applications[lane.app_id]
        return lane

    def is_of_one_application(self) -> bool:
        """Tell whether all lanes belong to the same application."""
        return len(self._applications) <= 1

    def restore_health(self, health: EndpointHealth) -> None:
        """Use an endpoint's health as it is stored, at start or after a manual reset."""
        lane = self._lanes.get(health.id)
        if lane is not None:
            lane.use_health(health_at(health, lane.compiled.destination))
        else:
            self._health[health.id] = health

    def is_open(self, endpoint_id: str) -> bool:
        """Tell whether an endpoint of this process has a lane."""
        return endpoint_id in self._lanes and self.owns(endpoint_id)

    def health(self, endpoint_id: str, stored: EndpointHealth | None) -> EndpointHealth | None:
        """Return an endpoint's health of now: of its lane here, or else as it is stored.

        What another process stores is exact to ten seconds, its last success to five minutes.
        """
        if stored is not None:
            view = self._config_cache.cached_view(stored.scope)
            compiled = view.compiled_endpoints.get(endpoint_id) if view else None
            stored = health_at(stored, compiled.destination) if compiled else stored
        if not self.owns(endpoint_id):
            return stored
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            return lane.present_health()
        health = stored or self._health.get(endpoint_id)
        # A breaker lives in a lane: that of an earlier process has gone with it.
        return health.but(probe_at=None) if health is not None else None

    def probe(self, endpoint_id: str) -> None:
        """Try an endpoint whose breaker is open at once, because a person asked for it."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            lane.probe(self._clock.now())

    def try_pace(self, lane: Lane, now: Micros) -> Micros:
        """Let one attempt pass if the rates of its application and endpoint allow it.

        Return 0 if it may start, else when to ask again.
        """
        view = self._config_cache.cached_view(lane.app_id)
        if view is not None and (free_at := view.try_pace(now)):
            return free_at
        return lane.try_pace(now)

    def note_due(self, app_id: str, endpoint_id: str, due_at: Micros) -> None:
        """Take note of a delivery that this process stored; its lane is opened if it is ours.

        The owner of another process's endpoint is notified by the store.
        """
        if not self.owns(endpoint_id):
            return
        view = self._config_cache.cached_view(app_id)
        compiled = view.compiled_endpoints.get(endpoint_id) if view else None
        if compiled is not None:
            self._note_due(self.open(compiled), due_at)

    def note_due_now(self, endpoint_id: str) -> bool:
        """Take note of a delivery that another process stored; False if there is no lane."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            self._note_due(lane, self._clock.now())
        return lane is not None

    def note_retry(self, endpoint_id: str, due_at: Micros) -> None:
        """Take note of a retry that was stored."""
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            self._note_due(lane, due_at)

    def _note_due(self, lane: Lane, due_at: Micros) -> None:
        lane.note_due(due_at)
        self.on_due(lane)
