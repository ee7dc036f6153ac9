"""How an endpoint stands: a code, why, and what to do, for the API and for pages."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus


class EndpointCode(StrEnum):
    """How an endpoint stands."""

    HEALTHY = "healthy"  # its last attempt was accepted
    UNTRIED = "untried"  # no attempt has ended yet
    FAILING = "failing"  # every attempt since a time failed; others are made by the schedule
    CIRCUIT_OPEN = "circuit_open"  # it fails, and only probes are sent
    PAUSED = "paused"  # by us, after days of failures
    GONE = "gone"  # its receiver answered that it is
    DISABLED = "disabled"  # by its owner


class EndpointStanding(NamedTuple):
    """How an endpoint stands, why, and what to do."""

    code: EndpointCode
    text: str  # for a person
    since: Micros | None = None
    next_at: Micros | None = None  # of the next probe


_DISABLED = (
    "Its owner has disabled it: new messages are not sent to it. Enable it, then replay what it"
    " has missed."
)
_GONE = (
    "Its receiver answered that it is gone (410; at Slack and Discord also 404). If that was a"
    " mistake, enable it, then replay what it has missed."
)
_PAUSED = (
    "All attempts failed for days, so it was paused. Messages wait until it is enabled, and none is"
    " lost while its payload is kept. Repair the receiver, then enable the endpoint."
)
_HEALTHY = "Its last attempt was accepted. Nothing needs doing."
_UNTRIED = "No attempt has ended yet. Publish a message, or send an example."
_OPEN = "It keeps failing, so only one delivery at a time is sent, as a probe. None is lost."
_FAILING = "Its last attempt failed; deliveries are tried again by the schedule."


def endpoint_standing(
    endpoint: Endpoint, health: EndpointHealth | None, now: Micros
) -> EndpointStanding:
    """Return how an endpoint stands; without health no attempt was made.

    A probe that is due is planned for now.
    """
    if endpoint.status is EndpointStatus.PAUSED:
        text = _with_reason(_PAUSED, health)
        return EndpointStanding(EndpointCode.PAUSED, text, endpoint.updated_at)
    if endpoint.status is EndpointStatus.DISABLED:
        is_gone = endpoint.status_reason == "gone"
        code, text = (EndpointCode.GONE, _GONE) if is_gone else (EndpointCode.DISABLED, _DISABLED)
        return EndpointStanding(code, text, endpoint.updated_at)
    if health is None or (health.failing_since is None and health.last_success_at is None):
        return EndpointStanding(EndpointCode.UNTRIED, _UNTRIED, endpoint.created_at)
    if health.failing_since is None:
        return EndpointStanding(EndpointCode.HEALTHY, _HEALTHY, health.last_success_at)
    if health.probe_at is not None:
        text = _with_reason(_OPEN, health)
        next_at = max(health.probe_at, now)
        return EndpointStanding(EndpointCode.CIRCUIT_OPEN, text, health.failing_since, next_at)
    text = _with_reason(_FAILING, health)
    return EndpointStanding(EndpointCode.FAILING, text, health.failing_since)


def _with_reason(text: str, health: EndpointHealth | None) -> str:
    failure = health.last_failure if health is not None else None
    return f"{text} {failure.text}" if failure is not None and failure.text else text
