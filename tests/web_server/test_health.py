"""Health tells an operator what is wrong with us, and nothing about customers' receivers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.flow.gateway_harness import START, GatewayHarness
from tillbell.counters import Meters
from tillbell.errors import MethodNotAllowed, StoreUnavailable
from tillbell.model.callbacks import Outcome
from tillbell.model.messages import Result
from tillbell.storage.ports.outbound import Totals
from tillbell.testing import ManualClock
from tillbell.web.edge.health import PATHS, HealthApp
from tillbell.web.edge.metrics import render
from tillbell.web.server.shared_metrics import DispatchVitals, MetricsReading


class Page(NamedTuple):
    """An answer of a health page."""

    status: int
    body: bytes

    def checks(self) -> dict[str, bool]:
        return {check["name"]: check["ok"] for check in json.loads(self.body)["checks"]}


async def get(health: HealthApp, path: str, query: str = "", method: str = "GET") -> Page:
    async def receive() -> dict[str, Any]:
        raise AssertionError("health reads no body")

    scope = {"path": path, "query_string": query.encode(), "method": method}
    answer = await health(scope, receive)
    return Page(answer.status, answer.body)


def series(page: bytes) -> dict[str, float]:
    return {
        sample.name + "".join(f"{{{v}}}" for v in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


async def test_a_gateway_at_work_is_ready(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path) as harness:
        health = HealthApp(harness.gateway)
        for path in PATHS:
            assert (await get(health, path)).status == 200
        verbose = await get(health, "/readyz", "verbose")
        assert verbose.checks() == {"store": True, "intake": True, "dispatch": True}
        with pytest.raises(MethodNotAllowed):
            await get(health, "/readyz", method="POST")


async def test_a_store_that_takes_no_write_makes_it_unready(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        health = HealthApp(harness.gateway)
        assert (await get(health, "/readyz")).status == 200
        await harness.gateway.database.close()
        harness.manual_clock.advance(2)
        verbose = await get(health, "/readyz", "verbose")
        assert (verbose.status, verbose.checks()["store"]) == (503, False)
        assert (await get(health, "/livez")).status == 200
        assert (await get(health, "/metrics")).status == 200
        await harness.gateway.database.open()


async def test_the_store_is_asked_once_a_second_whoever_asks_us(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        health = HealthApp(harness.gateway)
        await get(health, "/readyz")
        await harness.gateway.database.close()
        assert (await get(health, "/readyz")).status == 200
        harness.manual_clock.advance(1)
        assert (await get(health, "/readyz")).status == 503
        await harness.gateway.database.open()


async def test_a_gateway_that_refuses_messages_is_unready_and_says_why(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path) as harness:
        harness.gateway.publisher.refusal = StoreUnavailable("The disk is nearly full.")
        verbose = await get(HealthApp(harness.gateway), "/readyz", "verbose")
        assert (verbose.status, verbose.checks()["intake"]) == (503, False)
        assert b"disk is nearly full" in verbose.body


async def test_work_that_nobody_does_makes_it_unready(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        endpoint = await harness.endpoint()
        live = await harness.gateway.config_cache.compiled_endpoint(harness.app.id, endpoint.id)
        assert live is not None
        lane = harness.gateway.lanes.open(live)
        health = HealthApp(harness.gateway)
        lane.next_due = harness.clock.now() - 59_000_000
        assert (await get(health, "/readyz")).status == 200
        lane.next_due = harness.clock.now() - 61_000_000
        assert (await get(health, "/readyz", "verbose")).checks()["dispatch"] is False
        page = series((await get(health, "/metrics")).body)
        assert page["tillbell_oldest_pending_age_seconds"] == 61


@pytest.mark.parametrize("trouble", ["resting", "saturated", "paced", "removed"])
async def test_a_customers_endpoint_never_makes_us_unready(tmp_path: Path, trouble: str) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        endpoint = await harness.endpoint()
        live = await harness.gateway.config_cache.compiled_endpoint(harness.app.id, endpoint.id)
        assert live is not None
        lane = harness.gateway.lanes.open(live)
        now = harness.clock.now()
        lane.next_due = now - 3_600_000_000
        if trouble == "resting":
            lane.breaker = lane.breaker._replace(probe_at=now + 1)
        elif trouble == "saturated":
            lane.in_flight = lane.width
        elif trouble == "paced":
            lane.free_at = now + 1
        else:
            lane.is_removed = True
        assert (await get(HealthApp(harness.gateway), "/readyz")).status == 200
        lane.in_flight = 0


async def test_metrics_count_what_happened(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path) as harness:
        await harness.endpoint()
        await harness.publish()
        await harness.ended.get()
        page = series((await get(HealthApp(harness.gateway), "/metrics")).body)
        assert page["tillbell_ingest_requests_total{accepted}"] == 1
        assert page["tillbell_deliveries_total"] == 1
        assert page["tillbell_delivery_attempts_total{accepted}"] == 1
        assert page["tillbell_attempt_duration_seconds_count"] == 1
        assert page["tillbell_delivery_delay_seconds_count"] == 1
        assert page["tillbell_commit_batch_size_count"] >= 3


def test_meters_render_in_base_units() -> None:
    meters = Meters()
    meters.attempt(Result.REFUSED, 1_000, None)
    meters.attempt(Result.ACCEPTED, 90_000_000, 2_500)
    meters.duplicate()
    meters.accepted(3)
    meters.batch(2)
    meters.restore(Totals(waiting=4, sending=1, failed=7))
    vitals = DispatchVitals(oldest_due_age=1_500_000, in_flight=2, open_breakers=5)
    meters.received("stored", "stripe")
    meters.concluded(Outcome.APPLIED, "stripe")
    meters.request("GET", "/api/v1/app/{app_id}", 404, 0.002)
    page = series(render([MetricsReading("", 0, meters, vitals, os.getpid())]))
    assert page["tillbell_provider_callbacks_total{stored}{stripe}"] == 1
    assert page["tillbell_provider_callbacks_processed_total{applied}{stripe}"] == 1
    assert page["tillbell_requests_total{GET}{/api/v1/app/{app_id}}{404}"] == 1
    assert page["tillbell_request_duration_seconds_bucket{0.0025}"] == 1
    assert page["process_resident_memory_bytes"] > 1_000_000
    assert page["process_open_fds"] > 0
    assert page["tillbell_attempt_duration_seconds_bucket{0.001}"] == 1
    assert page["tillbell_attempt_duration_seconds_bucket{60.0}"] == 1
    assert page["tillbell_attempt_duration_seconds_bucket{+Inf}"] == 2
    assert page["tillbell_attempt_duration_seconds_sum"] == 90.001
    assert page["tillbell_delivery_delay_seconds_bucket{0.0025}"] == 1
    assert page["tillbell_commit_batch_size_bucket{2.0}"] == 1
    assert page["tillbell_deliveries_total"] == 3
    assert page["tillbell_ingest_requests_total{duplicate}"] == 1
    assert page["tillbell_pending_deliveries{waiting}"] == 4
    assert page["tillbell_oldest_pending_age_seconds"] == 1.5
    assert page["tillbell_circuit_open"] == 5
    assert page["tillbell_attempts_in_flight"] == 2
