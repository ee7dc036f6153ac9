"""Write the meters in Prometheus' text format: base units, no label per customer.

Series are those of one process; add them up over processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tillbell import __version__
from tillbell.clock import SECOND, Micros
from tillbell.flow.meters import Histogram, Meters
from tillbell.models import DeliveryState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Vitals(NamedTuple):
    """What the dispatcher is doing at this moment."""

    oldest_due_age: Micros = 0  # how late the oldest delivery is that could have been sent
    in_flight: int = 0
    open_breakers: int = 0


def render(meters: Meters, vitals: Vitals) -> bytes:
    """Return the page that Prometheus scrapes. Reads memory only."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(meters, vitals))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(self, meters: Meters, vitals: Vitals) -> None:
        self._meters = meters
        self._vitals = vitals

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "tillbell_build", "The version that runs.", value={"version": __version__}
        )
        yield from _counters(self._meters)
        yield from _histograms(self._meters)
        yield from _gauges(self._meters, self._vitals)


def _counters(meters: Meters) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "tillbell_ingest_requests", "Messages published, by outcome.", labels=["outcome"]
    )
    requests.add_metric(["accepted"], meters.messages)
    requests.add_metric(["duplicate"], meters.duplicates)
    yield requests
    yield CounterMetricFamily(
        "tillbell_deliveries", "Deliveries made by fan-out.", value=meters.deliveries
    )
    attempts = CounterMetricFamily(
        "tillbell_delivery_attempts", "Attempts ended, by result.", labels=["outcome"]
    )
    for result, count in meters.attempts.items():
        attempts.add_metric([result], count)
    yield attempts
    yield from _callback_counters(meters)


def _callback_counters(meters: Meters) -> Iterator[Metric]:
    callbacks = CounterMetricFamily(
        "tillbell_callbacks", "Callbacks received, by what became of them then.", labels=["outcome"]
    )
    for how, count in meters.callbacks.items():
        callbacks.add_metric([how], count)
    yield callbacks
    outcomes = CounterMetricFamily(
        "tillbell_callbacks_processed", "Callbacks processed, by outcome.", labels=["outcome"]
    )
    for outcome, count in meters.outcomes.items():
        outcomes.add_metric([outcome], count)
    yield outcomes


def _histograms(meters: Meters) -> Iterator[Metric]:
    yield _histogram(
        "tillbell_attempt_duration_seconds",
        "Time of an attempt, from connecting to the answer.",
        meters.durations,
        SECOND,
    )
    yield _histogram(
        "tillbell_delivery_delay_seconds",
        "From a message's acceptance to the answer to its first attempt.",
        meters.delays,
        SECOND,
    )
    yield _histogram("tillbell_commit_batch_size", "Writes of one commit.", meters.batches, 1)


def _histogram(name: str, doc: str, counted: Histogram, unit: int) -> Metric:
    limits = [repr(bound / unit) for bound in counted.bounds] + ["+Inf"]
    buckets = list(zip(limits, map(float, accumulate(counted.counts)), strict=True))
    return HistogramMetricFamily(name, doc, buckets=buckets, sum_value=counted.total / unit)


def _gauges(meters: Meters, vitals: Vitals) -> Iterator[Metric]:
    pending = GaugeMetricFamily(
        "tillbell_pending_deliveries", "Deliveries that have not ended.", labels=["state"]
    )
    pending.add_metric([DeliveryState.WAITING.value], meters.totals.waiting)
    pending.add_metric([DeliveryState.SENDING.value], meters.totals.sending)
    yield pending
    yield GaugeMetricFamily(
        "tillbell_oldest_pending_age_seconds",
        "How late the oldest due delivery is. Alert above 60.",
        value=vitals.oldest_due_age / SECOND,
    )
    yield GaugeMetricFamily(
        "tillbell_oldest_transaction_age_seconds",
        "For how long somebody has held a transaction open in PostgreSQL. Alert above 300.",
        value=meters.oldest_snapshot / SECOND,
    )
    yield GaugeMetricFamily(
        "tillbell_circuit_open", "Endpoints resting after failures.", value=vitals.open_breakers
    )
    yield GaugeMetricFamily(
        "tillbell_attempts_in_flight", "Attempts under way.", value=vitals.in_flight
    )
