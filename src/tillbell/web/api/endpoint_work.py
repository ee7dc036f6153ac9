"""What is done with an endpoint: counted, tried, recovered, replayed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from fastapi import Response

from tillbell.app import Gateway
from tillbell.catalog import CATALOG
from tillbell.clock import DAY, from_datetime
from tillbell.deliver.config_cache import ApplicationView
from tillbell.deliver.publish import MessageDraft, PublishReceipt
from tillbell.errors import ConflictError, Invalid, NotFound, Problem
from tillbell.model.endpoints import Endpoint, EndpointStatus
from tillbell.model.messages import DeliveryState
from tillbell.model.records import Application
from tillbell.rules.delivery.selectors import check_event_type, compile_filter
from tillbell.storage.ports.outbound import DeliverySelection, Totals
from tillbell.web.api.filters import TimeQuery, codes_of, time_range
from tillbell.web.api.rendering import answer, message_doc, states_of
from tillbell.web.api.routes import (
    ApplicationOf,
    EndpointOf,
    GatewayOf,
    app_read,
    app_write,
    resource,
)
from tillbell.web.api.shapes.base import Window
from tillbell.web.api.shapes.endpoints import (
    AttemptStatsOut,
    BulkReplayIn,
    ExampleIn,
    StatsOut,
    TaskOut,
)
from tillbell.web.api.shapes.messages import MessageOut
from tillbell.web.api.tasks import shown_task
from tillbell.web.edge.auth import Capability

router = resource("/app/{app_id}/endpoint/{endpoint_id}", "Endpoint")

ATTEMPT = app_write("endpoint", Capability.CREATE_ATTEMPTS)
STATS_DAYS = 28


@router.get("/stats", dependencies=app_read("endpoint"))
async def stats(
    endpoint: EndpointOf, gateway: GatewayOf, since: TimeQuery = None, until: TimeQuery = None
) -> StatsOut:
    """Count the endpoint's deliveries of that time (default: 28 days) by where they stand."""
    totals = await _totals(endpoint, gateway, since, until)
    return StatsOut(
        success=totals.succeeded,
        pending=totals.waiting,
        sending=totals.sending,
        fail=totals.failed,
        canceled=totals.discarded,
    )


@router.get("/attempt-stats", dependencies=app_read("endpoint"))
async def attempt_stats(
    endpoint: EndpointOf, gateway: GatewayOf, since: TimeQuery = None, until: TimeQuery = None
) -> AttemptStatsOut:
    """Count the endpoint's deliveries of that time (default: 28 days) that have ended."""
    totals = await _totals(endpoint, gateway, since, until)
    return AttemptStatsOut(success=totals.succeeded, fail=totals.failed, canceled=totals.discarded)


async def _totals(
    endpoint: Endpoint, gateway: Gateway, since: datetime | None, until: datetime | None
) -> Totals:
    end = from_datetime(until) if until is not None else gateway.clock.now()
    start = from_datetime(since) if since is not None else end - STATS_DAYS * DAY
    if end < start:
        raise Invalid(Problem(("query", "until"), "must not be before since", "span"))
    return await gateway.database.history.totals(endpoint.scope, endpoint.id, start, end)


@router.post("/recover", status_code=202, dependencies=ATTEMPT)
async def recover(endpoint: EndpointOf, body: Window, gateway: GatewayOf) -> TaskOut:
    """Send again what failed in that time."""
    since, until = time_range(body.since, body.until, gateway.clock.now())
    return shown_task(await gateway.delivery_resender.recover_failed(endpoint, since, until))


@router.post("/replay-missing", status_code=202, dependencies=ATTEMPT)
async def replay_missing(endpoint: EndpointOf, body: Window, gateway: GatewayOf) -> TaskOut:
    """Send messages of that time that this endpoint never had."""
    since, until = time_range(body.since, body.until, gateway.clock.now())
    return shown_task(await gateway.delivery_resender.replay_missing(endpoint, since, until))


@router.post("/bulk-replay", status_code=202, dependencies=ATTEMPT)
async def bulk_replay(endpoint: EndpointOf, body: BulkReplayIn, gateway: GatewayOf) -> TaskOut:
    """Send again what a filter selects; without `status`, whatever ended."""
    since, until = time_range(body.since, body.until, gateway.clock.now())
    ended = (DeliveryState.SUCCEEDED, DeliveryState.FAILED)
    selection = DeliverySelection(
        app_id=endpoint.scope,
        endpoint_id=endpoint.id,
        since=since,
        until=until,
        states=states_of(body.status) or ended,
        event_types=tuple(body.event_types) if body.event_types else None,
        channel=body.channel,
        tag=body.tag,
        status_codes=codes_of(body.status_code_class),
    )
    return shown_task(await gateway.delivery_resender.bulk_replay(selection))


@router.post(
    "/send-example",
    status_code=202,
    dependencies=ATTEMPT,
    response_model=None,
    responses={202: {"model": MessageOut}},
)
async def send_example(
    app: ApplicationOf, endpoint: EndpointOf, body: ExampleIn, gateway: GatewayOf
) -> Response:
    """Send a sample of an event type to this endpoint only, whatever it has selected."""
    if (wrong := check_event_type(body.event_type)) is not None:
        raise Invalid(Problem(("body", "eventType"), wrong, "event_type"))
    if endpoint.status is EndpointStatus.DISABLED:
        raise ConflictError("This endpoint is disabled; enable it first.", code="endpoint_disabled")
    payload = await _example(gateway, body)
    view = await _only(gateway, app, endpoint)
    draft = MessageDraft(body.event_type, msgspec.json.encode(payload), tags=("example",))
    published = await gateway.publisher.publish_for(view, draft)
    assert isinstance(published, PublishReceipt)
    return answer(await message_doc(gateway, published.message, with_content=True), 202)


async def _only(gateway: Gateway, app: Application, endpoint: Endpoint) -> ApplicationView:
    """Make a view of the application in which there is only this endpoint, and it takes all."""
    live = await gateway.config_cache.compiled_endpoint(app.id, endpoint.id)
    if live is None:
        raise NotFound
    everything = compile_filter(None, None)
    return ApplicationView(app, {endpoint.id: live._replace(filter=everything)})


async def _example(gateway: Gateway, body: ExampleIn) -> Any:
    if body.payload is not None:
        return body.payload
    kind = await gateway.config_cache.event_type(body.event_type)
    examples = _examples(kind.schemas) if kind else []
    if body.example_index < len(examples):
        return examples[body.example_index]
    if body.event_type in CATALOG:
        return CATALOG[body.event_type].sample
    message = "there is no sample of this type; give `payload`, or `examples` in its schema"
    raise Invalid(Problem(("body", "eventType"), message, "no_sample"))


def _examples(schemas: dict[str, Any] | None) -> list[Any]:
    if not schemas:
        return []
    latest = schemas[max(schemas)]
    found = latest.get("examples") if isinstance(latest, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
