"""Health of endpoints: when to warn, when to pause.

An endpoint is *failing* from its first failure after its last success. Only attempts count: an idle
endpoint is not failing, and a success resets all.

Warnings and the pause need failures that follow one another. After a day and a half without any
attempt the count begins anew, so a few failures that are far apart pause nothing. While failures
follow one another, warnings are sent after an hour, a day and four days. After five days (by
default) the endpoint is paused, if all of them were sent and the last one is at least a day old.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import DAY, HOUR, MINUTE, SECOND, Micros
from tillbell.model.endpoints import AttemptFailure, EndpointHealth

SUCCESS_EVERY: Micros = 5 * MINUTE  # how exact the stored time of the last success is
FAILURE_EVERY: Micros = 10 * SECOND  # how exact the stored last failure is
REST_EVERY: Micros = SECOND  # how exact the stored end of a rest is
QUIET: Micros = 36 * HOUR  # longer than the longest wait of a schedule
LAST_NOTICE: Micros = DAY  # between the last warning and the pause
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
    recovered = _without_failures(health).but(last_success_at=now)
    events = (("endpoint.recovered", ""),) if health.warned_at or health.warned else ()
    return HealthVerdict(recovered, changed=True, events=events)


def after_failure(
    health: EndpointHealth,
    failure: AttemptFailure,
    *,
    pause_after: Micros,
    probe_at: Micros | None = None,
    rest_until: Micros = 0,
) -> HealthVerdict:
    """Return the verdict after a failed attempt.

    `probe_at`: the breaker is open until then; `rest_until`: the receiver asked to rest until then.
    """
    now = failure.at
    since = now if health.failing_since is None else health.failing_since
    dense_since = _dense_since(health, now)
    before = health.warned if dense_since < now else ()
    warnings = {name: after for name, after in WARNINGS if after < pause_after}
    due = [n for n, after in warnings.items() if after <= now - dense_since and n not in before]
    failing = health.but(
        failing_since=since,
        dense_since=dense_since,
        last_failure=failure,
        probe_at=probe_at,
        warned=(*before, *due),
        warned_at=now if due else health.warned_at,
        rest_until=max(health.rest_until, rest_until),
    )
    if due:
        events = tuple(("endpoint.failing", name) for name in due)
        return HealthVerdict(failing, changed=True, events=events)
    is_warned = warnings.keys() <= set(failing.warned) and _is_old_warning(failing, now)
    if now - dense_since >= pause_after and is_warned:
        return HealthVerdict(failing, changed=True, events=(("endpoint.paused", ""),), pause=True)
    if not _is_news(health, failing, now):
        return HealthVerdict(health, changed=False)
    return HealthVerdict(failing, changed=True)


def _dense_since(health: EndpointHealth, now: Micros) -> Micros:
    """Return since when failures follow one another, with that of now."""
    if health.failing_since is None or health.last_failure is None:
        return now
    if now - health.last_failure.at > QUIET:
        return now
    return health.failing_since if health.dense_since is None else health.dense_since


def _is_old_warning(health: EndpointHealth, now: Micros) -> bool:
    return health.warned_at is not None and now - health.warned_at >= LAST_NOTICE


def _is_news(before: EndpointHealth, after: EndpointHealth, now: Micros) -> bool:
    """Tell whether an endpoint has begun to fail, its breaker has moved, or the failure is old."""
    if before.failing_since is None or before.probe_at != after.probe_at:
        return True
    if after.rest_until - before.rest_until >= REST_EVERY or before.warned != after.warned:
        return True
    failure = before.last_failure
    return failure is None or now - failure.at >= FAILURE_EVERY


def begun_anew(health: EndpointHealth) -> EndpointHealth:
    """Return the health of an endpoint that begins anew: it keeps only what it remembers."""
    return _without_failures(health).but(rest_until=0)


def health_at(health: EndpointHealth, destination: str) -> EndpointHealth:
    """Return what a stored health says about this destination: of another one, nothing."""
    if health.destination in ("", destination):
        return health if health.destination else health.but(destination=destination)
    return begun_anew(health).but(destination=destination)


def _without_failures(health: EndpointHealth) -> EndpointHealth:
    return health.but(
        failing_since=None, dense_since=None, probe_at=None, warned=(), warned_at=None
    )
