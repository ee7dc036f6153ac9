"""Endpoints with their health, as Home and the lists show them."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.endpoint_health import health_of_all
from tillbell.web.pages.page import Visit

ENDPOINTS_MAX = 250  # that are looked at for one page
WORST = ("failing", "probing", "paused", "active", "disabled")


class EndpointView(NamedTuple):
    """An endpoint, how it stands, and where its page is."""

    endpoint: Endpoint
    health: EndpointHealth | None  # None: no attempt was made
    app_name: str  # as links name it

    @property
    def name(self) -> str:
        """Return the name that people gave it, else its URL."""
        return name_of(self.endpoint)

    @property
    def state(self) -> str:
        """Return how it stands, as `STATES` names it."""
        if self.endpoint.status is not EndpointStatus.ACTIVE:
            return self.endpoint.status
        if self.failing_since is None:
            return "active"
        return "probing" if self.health and self.health.probe_at is not None else "failing"

    @property
    def failing_since(self) -> Micros | None:
        """Return since when every attempt failed; None: the last one was accepted."""
        return self.health.failing_since if self.health is not None else None

    @property
    def is_healthy(self) -> bool:
        """Tell whether it is active and does not fail."""
        return self.state == "active"


def name_of(endpoint: Endpoint) -> str:
    """Return the name that people gave an endpoint, else its uid or URL."""
    return endpoint.description or endpoint.uid or endpoint.url


async def endpoint_views(visit: Visit, limit: int = ENDPOINTS_MAX) -> list[EndpointView]:
    """Return the endpoints of the chosen application or of all, the worst first."""
    page = Page(limit)
    gateway = visit.gateway
    listed = await gateway.database.list(Endpoint, visit.app_id, page)
    endpoints = [endpoint for endpoint in listed if endpoint.scope != OPERATIONAL]
    health = await health_of_all(gateway, endpoints)
    names = {app.id: app.uid or app.id for app in visit.applications}
    views = [
        EndpointView(endpoint, health[endpoint.id], names.get(endpoint.scope, endpoint.scope))
        for endpoint in endpoints
    ]
    return sorted(views, key=lambda view: (WORST.index(view.state), view.failing_since or 0))
