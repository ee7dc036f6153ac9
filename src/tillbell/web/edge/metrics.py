"""Write the meters in Prometheus' text format: base units, no label per customer.

Series are those of one process, or of each of several that share a port, then with the label
`process`. Add them up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec
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
from tillbell.counters import Histogram, Meters
from tillbell.model.messages import DeliveryState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class DispatchVitals(NamedTuple):
    """What the dispatcher is doing at this moment."""

    oldest_due_age: Micros = 0  # how late the oldest delivery is that could have been sent
    in_flight: int = 0
    open_breakers: int = 0


class MetricsReading(msgspec.Struct, array_like=True):
    """What one process counts at this moment; `process` is "" if it has its port to itself."""

    process: str
    at: Micros
    meters: Meters
    vitals: DispatchVitals


def render(readings: Sequence[MetricsReading]) -> bytes:
    """Return the page that Prometheus scrapes. Reads memory only."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricsCollector(readings))
    return generate_latest(registry)


class _MetricRow(NamedTuple):
    """A counter or gauge, and how it is read: by the values of its label, or under ""."""

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    doc: str
    label: str
    read: Callable[[MetricsReading], Mapping[str, float]]


class _HistogramRow(NamedTuple):
    """A histogram, how it is read, and how many of what was counted make one of its base unit."""

    name: str
    doc: str
    read: Callable[[MetricsReading], Histogram]
    unit: int


_METRICS = (
    _MetricRow(
        CounterMetricFamily,
        "tillbell_ingest_requests",
        "Messages published, by outcome.",
        "outcome",
        lambda one: {"accepted": one.meters.messages, "duplicate": one.meters.duplicates},
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_deliveries",
        "Deliveries made by fan-out.",
        "",
        lambda one: {"": one.meters.deliveries},
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_delivery_attempts",
        "Attempts ended, by result.",
        "outcome",
        lambda one: one.meters.attempts,
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_callbacks",
        "Callbacks received, by what became of them then.",
        "outcome",
        lambda one: one.meters.callbacks,
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_callbacks_processed",
        "Callbacks processed, by outcome.",
        "outcome",
        lambda one: one.meters.outcomes,
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_pending_deliveries",
        "Deliveries that have not ended, in the whole store.",
        "state",
        lambda one: {
            DeliveryState.WAITING.value: one.meters.totals.waiting,
            DeliveryState.SENDING.value: one.meters.totals.sending,
        },
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_oldest_pending_age_seconds",
        "How late the oldest due delivery is. Alert above 60.",
        "",
        lambda one: {"": one.vitals.oldest_due_age / SECOND},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_oldest_database_transaction_age_seconds",
        "For how long somebody has held a transaction open in PostgreSQL. Alert above 300.",
        "",
        lambda one: {"": one.meters.oldest_snapshot / SECOND},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_circuit_open",
        "Endpoints whose circuit breaker is open.",
        "",
        lambda one: {"": one.vitals.open_breakers},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_attempts_in_flight",
        "Attempts under way.",
        "",
        lambda one: {"": one.vitals.in_flight},
    ),
)
_HISTOGRAMS = (
    _HistogramRow(
        "tillbell_attempt_duration_seconds",
        "Time of an attempt, from connecting to the answer.",
        lambda one: one.meters.durations,
        SECOND,
    ),
    _HistogramRow(
        "tillbell_delivery_delay_seconds",
        "From a message's acceptance to the answer to its first attempt.",
        lambda one: one.meters.delays,
        SECOND,
    ),
    _HistogramRow(
        "tillbell_commit_batch_size", "Writes of one commit.", lambda one: one.meters.batches, 1
    ),
)


class _MetricsCollector(Collector):
    def __init__(self, readings: Sequence[MetricsReading]) -> None:
        self._readings = readings
        self._labels = ["process"] if any(one.process for one in readings) else []

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "tillbell_build", "The version that runs.", value={"version": __version__}
        )
        for series in _METRICS:
            yield self._family(series)
        for spread in _HISTOGRAMS:
            yield self._histogram(spread)

    def _family(self, series: _MetricRow) -> Metric:
        own = [series.label] if series.label else []
        family = series.kind(series.name, series.doc, labels=[*own, *self._labels])
        for reading in self._readings:
            for value, count in series.read(reading).items():
                family.add_metric([*([value] if own else []), *self._of(reading)], count)
        return family

    def _histogram(self, spread: _HistogramRow) -> Metric:
        family = HistogramMetricFamily(spread.name, spread.doc, labels=self._labels)
        for reading in self._readings:
            counted = spread.read(reading)
            limits = [repr(bound / spread.unit) for bound in counted.bounds] + ["+Inf"]
            buckets = list(zip(limits, map(float, accumulate(counted.counts)), strict=True))
            family.add_metric(self._of(reading), buckets, counted.total / spread.unit)
        return family

    def _of(self, reading: MetricsReading) -> list[str]:
        return [reading.process] if self._labels else []
