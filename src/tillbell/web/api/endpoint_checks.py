"""What an endpoint's body says, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tillbell.errors import Invalid, Problem
from tillbell.model.endpoints import Endpoint, EndpointStatus
from tillbell.profiles import PROFILES
from tillbell.rules.delivery.headers import check_custom_headers
from tillbell.rules.delivery.selectors import check
from tillbell.web.api.shapes.endpoints import EndpointFields
from tillbell.web.api.uids import checked_uid

_AS_IS = ("uid", "success", "ordering", "max_concurrency", "header_names")


def changes_of(body: EndpointFields) -> dict[str, Any]:
    """Turn what a body names into fields of the record. Null clears; what is left out stays."""
    given = body.model_fields_set
    changes: dict[str, Any] = {name: getattr(body, name) for name in given.intersection(_AS_IS)}
    checked_uid(body.uid)
    if "url" in given:
        changes["url"] = getattr(body, "url", "")
    if "description" in given:
        changes["description"] = body.description or ""
    if "metadata" in given:
        changes["metadata"] = body.metadata or {}
    if "timeout" in given:
        changes["timeout_s"] = body.timeout
    if body.gives_rate:
        changes["throttle_rate"] = body.rate
    if body.profile is not None:
        changes["profile"] = body.profile
    if body.handshake is not None:
        changes["handshake"] = body.handshake
    return changes | _lists(body) | _status(body.disabled)


def _lists(body: EndpointFields) -> dict[str, Any]:
    given = body.model_fields_set
    changes: dict[str, Any] = {}
    if given & {"event_types", "filter_types"}:
        changes["selectors"] = _tuple(body.event_types or body.filter_types)
    if "channels" in given:
        changes["channels"] = _tuple(body.channels)
    if "retry_schedule" in given:
        changes["retry_schedule"] = _tuple(body.retry_schedule)
    return changes


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return tuple(values) if values is not None else None


def _status(disabled: bool | None) -> dict[str, Any]:  # noqa: FBT001 - the wire's own flag
    if disabled is None:
        return {}
    if disabled:
        return {"status": EndpointStatus.DISABLED, "status_reason": "owner"}
    return {"status": EndpointStatus.ACTIVE, "status_reason": None}


def check_endpoint(
    endpoint: Endpoint, body: EndpointFields, known: Collection[str]
) -> list[Problem]:
    """List what is wrong with an endpoint, apart from its URL, headers and secret."""
    if endpoint.profile not in PROFILES:
        message = f"unknown profile; there are {', '.join(sorted(PROFILES))}"
        return [Problem(("body", "profile"), message, "profile")]
    problems: list[Problem] = []
    if endpoint.handshake and endpoint.profile != "cloudevents":
        message = "only profile cloudevents has a handshake"
        problems.append(Problem(("body", "handshake"), message, "handshake"))
    named = "eventTypes" if body.event_types else "filterTypes"
    if body.event_types or body.filter_types:
        found = check(endpoint.selectors or (), known)
        problems += [Problem(("body", named, *p.loc[2:]), p.msg, p.type) for p in found]
    names = endpoint.header_names or {}
    wrong = check_custom_headers(dict.fromkeys(names.values(), ""))
    problems += [Problem(("body", "headerNames", *p.loc[2:]), p.msg, p.type) for p in wrong]
    return problems


def check_secret(profile: str, text: str, member: str) -> None:
    """Raise `Invalid` if a profile cannot use this secret."""
    wrong = PROFILES[profile].check_secret(text)
    if wrong is not None:
        raise Invalid(Problem(("body", member), wrong, "secret"))
