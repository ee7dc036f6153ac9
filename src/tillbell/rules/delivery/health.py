"""Health of endpoints: when to warn, when to pause.

An endpoint is *failing* from its first failure after its last success. While attempts keep
failing, warnings follow after an hour, a day and four days, and after five days (by default) the
endpoint is paused. Only attempts count: an idle endpoint is not failing. A success resets all.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import DAY, HOUR, Micros
from tillbell.model.endpoints import EndpointHealth

WARNINGS: tuple[tuple[str, Micros], ...] = (("1h", HOUR), ("1d", DAY), ("4d", 4 * DAY))


class HealthVerdict(NamedTuple):
    """The new health, the event types to publish, and whether to pause the endpoint."""

    health: EndpointHealth
    changed: bool
    events: tuple[tuple[str, str], ...] = ()  # (event type, stage)
    pause: bool = False


def after_success(health: EndpointHealth, now: Micros) -> HealthVerdict:
    """Return the verdict after an accepted attempt."""
    if health.failing_since is None:
        return HealthVerdict(health, changed=False)
    healthy = EndpointHealth(id=health.id, scope=health.scope, last_success_at=now)
    events = (("endpoint.recovered", ""),) if health.warned else ()
    return HealthVerdict(healthy, changed=True, events=events)


def after_failure(health: EndpointHealth, now: Micros, *, pause_after: Micros) -> HealthVerdict:
    """Return the verdict after a failed attempt."""
    if health.failing_since is None:
        failing = EndpointHealth(
            id=health.id,
            scope=health.scope,
            failing_since=now,
            last_success_at=health.last_success_at,
        )
        return HealthVerdict(failing, changed=True)
    age = now - health.failing_since
    due = [name for name, after in WARNINGS if after <= age and name not in health.warned]
    if age >= pause_after:
        paused = EndpointHealth(id=health.id, scope=health.scope)
        return HealthVerdict(paused, changed=True, events=(("endpoint.paused", ""),), pause=True)
    if not due:
        return HealthVerdict(health, changed=False)
    warned = EndpointHealth(
        id=health.id,
        scope=health.scope,
        failing_since=health.failing_since,
        last_success_at=health.last_success_at,
        warned=(*health.warned, *due),
    )
    return HealthVerdict(warned, changed=True, events=(("endpoint.failing", due[-1]),))
