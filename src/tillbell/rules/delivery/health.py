"""Health of endpoints: when to warn, when to pause.

An endpoint is *failing* from its first failure after its last success. While attempts keep
failing, warnings follow after an hour, a day and four days, and after five days (by default) the
endpoint is paused. Only attempts count: an idle endpoint is not failing. A success resets all.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import DAY, HOUR, MINUTE, SECOND, Micros
from tillbell.model.endpoints import AttemptFailure, EndpointHealth

SUCCESS_EVERY: Micros = 5 * MINUTE  # how exact the stored time of the last success is
FAILURE_EVERY: Micros = 10 * SECOND  # how exact the stored last failure is
WARNINGS: tuple[tuple[str, Micros], ...] = (("1h", HOUR), ("1d", DAY), ("4d", 4 * DAY))


class HealthVerdict(NamedTuple):
    """The new health, the event types to publish, and whether to pause the endpoint."""

    health: EndpointHealth
    changed: bool  # whether to store it now
    events: tuple[tuple[str, str], ...] = ()  # (event type, stage)
    pause: bool = False


def after_success(health: EndpointHealth, now: Micros) -> HealthVerdict:
    """Return the verdict after an accepted attempt."""
    stored_at = health.last_success_at
    if health.failing_since is None and health.probe_at is None:
        if stored_at is not None and now - stored_at < SUCCESS_EVERY:
            return HealthVerdict(health, changed=False)
        well = health.but(last_success_at=now)
        return HealthVerdict(well, changed=True)
    recovered = health.but(failing_since=None, last_success_at=now, probe_at=None, warned=())
    events = (("endpoint.recovered", ""),) if health.warned else ()
    return HealthVerdict(recovered, changed=True, events=events)


def after_failure(
    health: EndpointHealth,
    failure: AttemptFailure,
    *,
    pause_after: Micros,
    probe_at: Micros | None = None,
) -> HealthVerdict:
    """Return the verdict after a failed attempt. `probe_at`: the breaker is open until then."""
    now = failure.at
    since = now if health.failing_since is None else health.failing_since
    age = now - since
    due = [name for name, after in WARNINGS if after <= age and name not in health.warned]
    failing = health.but(
        failing_since=since,
        last_failure=failure,
        probe_at=probe_at,
        warned=(*health.warned, *due),
    )
    if age >= pause_after:
        return HealthVerdict(failing, changed=True, events=(("endpoint.paused", ""),), pause=True)
    if due:
        return HealthVerdict(failing, changed=True, events=(("endpoint.failing", due[-1]),))
    if not _is_news(health, failing, now):
        return HealthVerdict(health, changed=False)
    return HealthVerdict(failing, changed=True)


def _is_news(before: EndpointHealth, after: EndpointHealth, now: Micros) -> bool:
    """Tell whether an endpoint has begun to fail, its breaker has moved, or the failure is old."""
    if before.failing_since is None or before.probe_at != after.probe_at:
        return True
    failure = before.last_failure
    return failure is None or now - failure.at >= FAILURE_EVERY


def begun_anew(health: EndpointHealth) -> EndpointHealth:
    """Return the health of an endpoint that begins anew: it keeps only what it remembers."""
    return health.but(failing_since=None, probe_at=None, warned=())
