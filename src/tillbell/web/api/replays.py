"""Replays to an endpoint: plan one, recover, send what a filter takes or what is missing.

Each is a background task (tasks.py). A plan says before what it would do.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import SECOND, Micros, iso, to_datetime
from tillbell.deliver.replay_plan import ReplayCount
from tillbell.deliver.resend import with_ended
from tillbell.errors import Invalid, Problem
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import DeliveryState
from tillbell.rules.delivery.fate import endpoint_obstacle
from tillbell.rules.filters.clauses import FilterList, one_of
from tillbell.statistics.plots import EndpointFigures
from tillbell.storage.ports.as_clauses import with_times
from tillbell.storage.ports.outbound import DeliverySelection, MissedPeriod
from tillbell.web.api.endpoint_health import health_of
from tillbell.web.api.endpoints import EventTypes
from tillbell.web.api.filtered import FilterIn, read_filter, types_in
from tillbell.web.api.filters import check_types, codes_of, time_range
from tillbell.web.api.rendering import states_of
from tillbell.web.api.routes import EndpointOf, GatewayOf, resource
from tillbell.web.api.shapes import Label, Out, Status, StatusCodeClass, Window, optional_time
from tillbell.web.api.tasks import TaskOut


class BulkReplayIn(Window):
    """Which deliveries are sent again."""

    event_types: EventTypes | None = None
    channel: Label | None = None
    tag: Label | None = None
    status: Status | None = None
    status_code_class: StatusCodeClass | None = None
    filter_: FilterIn = Field(default=None, alias="filter")


class ReplayPlanIn(Window):
    """Which replay is planned."""

    kind: Literal["failed", "missing", "filter"] = Field(
        description="`failed`: as `recover`; `missing`: as `replay-missing`; `filter`: as "
        "`bulk-replay` with `filter`."
    )
    filter_: FilterIn = Field(default=None, alias="filter")


class ReplayPlanOut(Out):
    """What a replay would send."""

    count: int = Field(description="Deliveries that would be made or sent again.")
    is_whole: bool = Field(description="false: there are more than could be counted.")
    oldest: datetime | None = Field(
        description="When the oldest was published; null: there is none."
    )
    newest: datetime | None = Field(
        description="When the newest was published; null: there is none."
    )
    since: datetime = Field(description="Begin of the time range (UTC).")
    until: datetime = Field(
        description="End of the time range (UTC): what comes later is left out."
    )
    takes_seconds: int | None = Field(
        description="About how long it takes at the endpoint's present pace; null: not known."
    )
    obstacle: str | None = Field(description="Why it cannot begin now; null: it can.")
    warning: str | None = Field(description="Why it would probably fail again; null: no reason.")


router = resource("/app/{app_id}/endpoint", "Endpoint")


@router.post("/{endpoint_id}/recover", status_code=202)
async def recover(endpoint: EndpointOf, body: Window, gateway: GatewayOf) -> TaskOut:
    """Send the failed deliveries of a time range again."""
    since, until = time_range(body.since, body.until, gateway.clock.now())
    return TaskOut.of(await gateway.delivery_resender.recover_failed(endpoint, since, until))


@router.post("/{endpoint_id}/replay-missing", status_code=202)
async def replay_missing(endpoint: EndpointOf, body: Window, gateway: GatewayOf) -> TaskOut:
    """Send the messages of a time range that have no delivery to this endpoint."""
    since, until = time_range(body.since, body.until, gateway.clock.now())
    return TaskOut.of(await gateway.delivery_resender.replay_missing(endpoint, since, until))


@router.post("/{endpoint_id}/bulk-replay", status_code=202)
async def bulk_replay(endpoint: EndpointOf, body: BulkReplayIn, gateway: GatewayOf) -> TaskOut:
    """Send the deliveries that match a filter again; without `status`, all finished ones.

    `filter` is that of the list of deliveries: what the list shows now is what is sent again.
    """
    if body.filter_ is not None:
        return await _filtered_replay(gateway, endpoint, body)
    since, until = time_range(body.since, body.until, gateway.clock.now())
    names, loc = body.event_types or (), ("body", "eventTypes")
    await check_types(gateway, endpoint.scope, names, loc, is_act=True)
    finished = (DeliveryState.SUCCEEDED, DeliveryState.FAILED)
    states, tried = states_of(body.status)
    selection = DeliverySelection(
        app_id=endpoint.scope,
        endpoint_id=endpoint.id,
        since=since,
        until=until,
        states=states or finished,
        tried=tried,
        event_types=tuple(body.event_types) if body.event_types else None,
        channel=body.channel,
        tag=body.tag,
        status_codes=codes_of(body.status_code_class),
    )
    return TaskOut.of(await gateway.delivery_resender.bulk_replay(endpoint, selection))


async def _filtered_replay(gateway: Gateway, endpoint: Endpoint, body: BulkReplayIn) -> TaskOut:
    beside = body.model_fields_set - {"since", "until", "filter_"}
    if beside:
        problem = "say it in `filter`, or leave `filter` out"
        raise Invalid(*(Problem(("body", name), problem, "filter") for name in sorted(beside)))
    since, until = time_range(body.since, body.until, gateway.clock.now())
    loc = ("body", "filter")
    text = body.filter_
    filter_ = await read_filter(gateway, endpoint.scope, FilterList.DELIVERY, text, loc)
    await check_types(gateway, endpoint.scope, types_in(filter_), loc, is_act=True)
    filter_ = with_times(filter_, since, until)
    return TaskOut.of(await gateway.delivery_resender.replay_filtered(endpoint, filter_))


@router.post("/{endpoint_id}/replay-plan")
async def plan_replay(
    endpoint: EndpointOf, body: ReplayPlanIn, gateway: GatewayOf
) -> ReplayPlanOut:
    """Say what `recover`, `bulk-replay` or `replay-missing` would send now; nothing is sent.

    Pass `until` of the answer to the one that you choose: then it takes nothing that came later.
    """
    since, until = time_range(body.since, body.until, gateway.clock.now())
    counted = await _replay_count(gateway, endpoint, body, since, until)
    health = await health_of(gateway, endpoint)
    figures = await gateway.plots.endpoint(endpoint)
    obstacle = endpoint_obstacle(endpoint)
    warning = None
    if health is not None and health.failing_since is not None:
        warning = (
            f"It has failed since {iso(health.failing_since)}, so this would probably fail too. "
            "Repair the receiver first."
        )
    return ReplayPlanOut(
        count=counted.deliveries,
        is_whole=counted.is_whole,
        oldest=optional_time(counted.oldest),
        newest=optional_time(counted.newest),
        since=to_datetime(since),
        until=to_datetime(until),
        takes_seconds=await _replay_time(gateway, endpoint, counted.deliveries, figures),
        obstacle=obstacle.text if obstacle is not None else None,
        warning=warning,
    )


async def _replay_count(
    gateway: Gateway, endpoint: Endpoint, body: ReplayPlanIn, since: Micros, until: Micros
) -> ReplayCount:
    planner, scope = gateway.replay_planner, endpoint.scope
    if body.filter_ is not None and body.kind != "filter":
        raise Invalid(Problem(("body", "filter"), "is for the kind `filter` only", "filter"))
    if body.kind == "missing":
        return await planner.missing(MissedPeriod(scope, endpoint.id, since, until))
    if body.kind == "failed":
        return await planner.failed(DeliverySelection(scope, endpoint.id, since, until))
    loc = ("body", "filter")
    filter_ = await read_filter(gateway, scope, FilterList.DELIVERY, body.filter_ or "", loc)
    filter_ = with_times(filter_, since, until).and_(one_of("endpoint", endpoint.id))
    return await planner.filtered(scope, with_ended(filter_))


async def _replay_time(
    gateway: Gateway, endpoint: Endpoint, count: int, figures: EndpointFigures
) -> int | None:
    """Return about how many seconds so many deliveries take; None: nothing was accepted lately."""
    compiled = await gateway.config_cache.compiled_endpoint(endpoint.scope, endpoint.id)
    usual = figures.response_times.p50
    if compiled is None or usual is None:
        return None
    by_pace = count * usual // compiled.width.narrow // SECOND
    by_rate = count // endpoint.throttle_rate if endpoint.throttle_rate else 0
    return max(1, by_pace, by_rate) if count else 0
