"""Whether an endpoint fits a filter. Endpoints are configuration: their lists are read whole."""

from __future__ import annotations

from collections.abc import Callable

from tillbell.model.endpoints import Endpoint
from tillbell.rules.filters.clauses import Clause, ListFilter, OneOf, StartsWith


def endpoint_fits(
    endpoint: Endpoint, health: str, takes: Callable[[str], bool], filter_: ListFilter
) -> bool:
    """Tell whether an endpoint fits a filter of endpoints: with this health, and what it takes."""
    after, before = filter_.after, filter_.before
    is_in_time = (after is None or endpoint.created_at >= after) and (
        before is None or endpoint.created_at < before
    )
    return is_in_time and all(_fits(endpoint, health, takes, clause) for clause in filter_.clauses)


def asks_health(filter_: ListFilter) -> bool:
    """Tell whether a filter asks for the health of endpoints."""
    return any(clause.field == "health" for clause in filter_.clauses)


def _fits(endpoint: Endpoint, health: str, takes: Callable[[str], bool], clause: Clause) -> bool:
    if clause.field == "takes":
        wanted = [match.values for match in clause.matches if isinstance(match, OneOf)]
        return any(takes(name) for names in wanted for name in names) is not clause.is_negated
    texts = {
        "id": (endpoint.id,),
        "uid": (endpoint.uid,),
        "status": (endpoint.status,),
        "health": (health,),
        "profile": (endpoint.profile,),
        "channel": endpoint.channels or (),
        "url": (endpoint.url,),
        "app": (endpoint.scope,),
    }[clause.field]
    has_match = any(
        text is not None and _matches(text, match) for text in texts for match in clause.matches
    )
    return has_match is not clause.is_negated


def _matches(text: str, match: object) -> bool:
    if isinstance(match, OneOf):
        return text in match.values
    return isinstance(match, StartsWith) and text.startswith(match.prefix)
