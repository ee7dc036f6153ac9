"""The health of endpoints: since when one fails, how, and whether attempts are made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import Micros, to_datetime
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.model.endpoints import AttemptFailure, Endpoint, EndpointHealth
from tillbell.rules.delivery.breaker import CircuitState, circuit_state
from tillbell.rules.filters.clauses import ListFilter
from tillbell.rules.filters.endpoints import asks_health, endpoint_fits
from tillbell.statistics.plots import EndpointFigures
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import ListPage, filtered_page
from tillbell.web.api.shapes import Out, optional_time


class HealthStatus(StrEnum):
    """Whether the last attempts at an endpoint failed."""

    OK = "ok"
    FAILING = "failing"


class LastFailureOut(Out):
    """The last failed attempt at an endpoint."""

    at: datetime = Field(description="When the attempt ended (UTC).")
    status: int = Field(description="The status code of the answer; 0: there was none.")
    error: str = Field(description='Class of failure, e.g. `connect_refused`; "": it answered.')
    text: str = Field(description="What happened and what to do, for a person.")

    @classmethod
    def of(cls, failure: AttemptFailure) -> LastFailureOut:
        """Return a failure in the shape that callers see."""
        return cls(
            at=to_datetime(failure.at),
            status=failure.status,
            error=failure.error,
            text=failure.text,
        )


class CircuitOut(Out):
    """The circuit breaker of an endpoint. While it is open, deliveries wait."""

    state: CircuitState = Field(description="Whether attempts are made, stopped or probed.")
    next_probe_at: datetime | None = Field(description="When one attempt is made; null: closed.")


class DayOut(Out):
    """How attempts at an endpoint have gone in 24 hours."""

    attempts: int = Field(description="Attempts that ended.")
    success_rate: float | None = Field(
        description="The share of them that was accepted, from 0 to 1; null: there was no attempt."
    )
    p95_ms: float | None = Field(
        description="Milliseconds from request to answer that 95 of 100 accepted attempts did not "
        "exceed, exact to a tenth of the value; null: none was accepted."
    )

    @classmethod
    def of(cls, figures: EndpointFigures) -> DayOut:
        """Return figures in the shape that callers see."""
        p95 = figures.response_p95
        return cls(
            attempts=figures.attempts,
            success_rate=figures.success_rate,
            p95_ms=None if p95 is None else p95 / 1_000,
        )


class EndpointHealthOut(Out):
    """How attempts at an endpoint have ended."""

    health: HealthStatus = Field(
        description="`failing` from the first failed attempt after the last accepted one."
    )
    failing_since: datetime | None = Field(
        description="When the first failed attempt after the last accepted one ended; null: none."
    )
    last_success_at: datetime | None = Field(description="Exact to five minutes.")
    last_failure: LastFailureOut | None = Field(description="It stays after a success.")
    circuit: CircuitOut = Field(description="Its circuit breaker, which stops attempts.")
    last_24_hours: DayOut = Field(description="How attempts have gone in the last 24 hours.")


def health_members(
    health: EndpointHealth | None, figures: EndpointFigures, now: Micros
) -> dict[str, Any]:
    """Return health by the names of `EndpointHealthOut`; None: no attempt was made."""
    since = health.failing_since if health else None
    failure = health.last_failure if health else None
    probe_at = health.probe_at if health else None
    return {
        "health": HealthStatus.OK if since is None else HealthStatus.FAILING,
        "failing_since": optional_time(since),
        "last_success_at": optional_time(health.last_success_at if health else None),
        "last_failure": LastFailureOut.of(failure) if failure else None,
        "circuit": CircuitOut(
            state=circuit_state(probe_at, now), next_probe_at=optional_time(probe_at)
        ),
        "last_24_hours": DayOut.of(figures),
    }


async def health_of(gateway: Gateway, endpoint: Endpoint) -> EndpointHealth | None:
    """Return the health of an endpoint; None if no attempt was made."""
    stored = None
    if not gateway.lanes.is_open(endpoint.id):
        stored = await gateway.database.get(EndpointHealth, endpoint.id, endpoint.scope)
    return gateway.lanes.health(endpoint.id, stored)


async def health_of_all(
    gateway: Gateway, endpoints: Sequence[Endpoint]
) -> dict[str, EndpointHealth | None]:
    """Return the health of endpoints by id, in one read; None: no attempt was made."""
    keys = [(each.scope, each.id) for each in endpoints if not gateway.lanes.is_open(each.id)]
    stored = await gateway.database.get_many(EndpointHealth, keys) if keys else {}
    return {each.id: gateway.lanes.health(each.id, stored.get(each.id)) for each in endpoints}


class EndpointRow(NamedTuple):
    """An endpoint with its health; None: no attempt was made."""

    endpoint: Endpoint
    health: EndpointHealth | None


async def endpoint_page(
    gateway: Gateway, scope: str | None, filter_: ListFilter, page: Page
) -> ListPage[EndpointRow]:
    """Return a page of the endpoints of a scope that fit a filter; None: of every scope."""
    needs_health = asks_health(filter_)

    async def fetch(page: Page) -> list[EndpointRow]:
        listed = await gateway.database.list(Endpoint, scope, page)
        healths = await health_of_all(gateway, listed) if needs_health else {}
        return [EndpointRow(each, healths.get(each.id)) for each in listed]

    async def keep(row: EndpointRow) -> bool:
        of = row.endpoint
        compiled = await gateway.config_cache.compiled_endpoint(of.scope, of.id)

        def takes(event_type: str) -> bool:
            is_asked = compiled is not None and compiled.takes_messages
            return is_asked and compiled is not None and compiled.takes_type(event_type)

        is_failing = row.health is not None and row.health.failing_since is not None
        health = HealthStatus.FAILING if is_failing else HealthStatus.OK
        return of.scope != OPERATIONAL and endpoint_fits(of, health, takes, filter_)

    listed = await filtered_page(fetch, page, lambda row: row.endpoint.id, keep)
    if needs_health:
        return listed
    healths = await health_of_all(gateway, [row.endpoint for row in listed.rows])
    return listed.with_rows([row._replace(health=healths[row.endpoint.id]) for row in listed.rows])
