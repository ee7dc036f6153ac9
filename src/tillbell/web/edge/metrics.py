"""The `/metrics` page: our counters in the text format of Prometheus.

Base units, no label per customer. The series are those of one process. If several processes share
a port they are those of all, with the label `process`, to be added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tillbell import __version__
from tillbell.clock import SECOND
from tillbell.counters import Histogram
from tillbell.model.messages import DeliveryState
from tillbell.web.server.shared_metrics import MetricsReading

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(readings: Sequence[MetricsReading]) -> bytes:
    """Write the page. Reads memory only."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricsCollector(readings))
    return generate_latest(registry)


class _MetricRow(NamedTuple):
    """A counter or gauge. `read` returns its values by label value, or one under "".

    Several labels, and their values, have blanks between them.
    """

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    doc: str
    label: str
    read: Callable[[MetricsReading], Mapping[str, float]]


class _HistogramRow(NamedTuple):
    """A histogram. `unit` counted units make one base unit."""

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
        lambda reading: {
            "accepted": reading.meters.messages,
            "duplicate": reading.meters.duplicates,
        },
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_request_errors",
        "Requests answered 500 because of a bug. Alert above 0.",
        "",
        lambda reading: {"": reading.meters.request_errors},
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_deliveries",
        "Deliveries made by fan-out.",
        "",
        lambda reading: {"": reading.meters.deliveries},
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_delivery_attempts",
        "Attempts ended, by result.",
        "outcome",
        lambda reading: reading.meters.attempts,
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_callbacks",
        "Callbacks received, by what became of them then.",
        "outcome",
        lambda reading: reading.meters.callbacks,
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_callbacks_processed",
        "Callbacks processed, by outcome.",
        "outcome",
        lambda reading: reading.meters.outcomes,
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_provider_callbacks",
        "Callbacks received, by provider and what became of them then.",
        "provider outcome",
        lambda reading: reading.meters.provider_callbacks,
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_provider_callbacks_processed",
        "Callbacks processed, by provider and outcome.",
        "provider outcome",
        lambda reading: reading.meters.provider_outcomes,
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_alert_mails",
        "E-mails of alerts, by whether the mail server took them.",
        "outcome",
        lambda reading: reading.meters.mails,
    ),
    _MetricRow(
        CounterMetricFamily,
        "tillbell_requests",
        "Requests answered, by route (names in place of values) and status.",
        "method route status",
        lambda reading: reading.meters.requests,
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_held",
        "1: started with --hold and not released, so nothing is sent.",
        "",
        lambda reading: {"": int(reading.vitals.is_held)},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_database_bytes",
        "Size of the database.",
        "",
        lambda reading: {"": reading.meters.database_bytes},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_event_loop_lag_seconds",
        "How late the event loop was at worst in the last seconds. Alert above 1.",
        "",
        lambda reading: {"": reading.meters.loop_lag_s},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_pending_deliveries",
        "Deliveries that have not ended, in the whole store.",
        "state",
        lambda reading: {
            DeliveryState.WAITING.value: reading.meters.totals.waiting,
            DeliveryState.SENDING.value: reading.meters.totals.sending,
        },
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_oldest_pending_age_seconds",
        "How late the oldest due delivery is. Alert above 60.",
        "",
        lambda reading: {"": reading.vitals.oldest_due_age / SECOND},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_oldest_database_transaction_age_seconds",
        "For how long somebody has held a transaction open in PostgreSQL. Alert above 300.",
        "",
        lambda reading: {"": reading.meters.oldest_snapshot / SECOND},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_circuit_open",
        "Endpoints whose circuit breaker is open.",
        "",
        lambda reading: {"": reading.vitals.open_breakers},
    ),
    _MetricRow(
        GaugeMetricFamily,
        "tillbell_attempts_in_flight",
        "Attempts under way.",
        "",
        lambda reading: {"": reading.vitals.in_flight},
    ),
)
_HISTOGRAMS = (
    _HistogramRow(
        "tillbell_request_duration_seconds",
        "From the head of a request to its answer.",
        lambda reading: reading.meters.request_durations,
        SECOND,
    ),
    _HistogramRow(
        "tillbell_attempt_duration_seconds",
        "Time of an attempt, from connecting to the answer.",
        lambda reading: reading.meters.durations,
        SECOND,
    ),
    _HistogramRow(
        "tillbell_delivery_delay_seconds",
        "From a message's acceptance to the answer to its first attempt.",
        lambda reading: reading.meters.delays,
        SECOND,
    ),
    _HistogramRow(
        "tillbell_commit_batch_size",
        "Writes of one commit.",
        lambda reading: reading.meters.batches,
        1,
    ),
)


def _same(pid: int) -> int:
    return pid


class _MetricsCollector(Collector):
    def __init__(self, readings: Sequence[MetricsReading]) -> None:
        self._readings = readings
        self._labels = ["process"] if any(reading.process for reading in readings) else []

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "tillbell_build", "The version that runs.", value={"version": __version__}
        )
        for metric in _METRICS:
            yield self._family(metric)
        for histogram in _HISTOGRAMS:
            yield self._histogram(histogram)
        yield from self._process_figures()

    def _process_figures(self) -> Iterator[Metric]:
        """Add memory, CPU time and open files of each process, as other programs name them."""
        families: dict[str, Metric] = {}
        for reading in self._readings:
            labels = {"process": reading.process} if self._labels else {}
            if not reading.pid:
                continue
            collector = ProcessCollector(pid=partial(_same, reading.pid), registry=None)
            for metric in collector.collect():
                family = Metric(metric.name, metric.documentation, metric.type)
                family = families.setdefault(metric.name, family)
                for sample in metric.samples:
                    family.add_sample(sample.name, sample.labels | labels, sample.value)
        yield from families.values()

    def _family(self, row: _MetricRow) -> Metric:
        labels = row.label.split()
        family = row.kind(row.name, row.doc, labels=[*labels, *self._labels])
        for reading in self._readings:
            for value, count in row.read(reading).items():
                family.add_metric([*value.split(), *self._process(reading)], count)
        return family

    def _histogram(self, row: _HistogramRow) -> Metric:
        family = HistogramMetricFamily(row.name, row.doc, labels=self._labels)
        for reading in self._readings:
            histogram = row.read(reading)
            bounds = [repr(bound / row.unit) for bound in histogram.bounds] + ["+Inf"]
            buckets = list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
            family.add_metric(self._process(reading), buckets, histogram.total / row.unit)
        return family

    def _process(self, reading: MetricsReading) -> list[str]:
        return [reading.process] if self._labels else []
