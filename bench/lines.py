"""Which figures are shown, and what they must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Measures

Round = Mapping[str, Measures]  # case → its measures, of one round
_CELERY = ("celery-prefork-2", "celery-prefork-8", "celery-threads-16")


@dataclass(frozen=True)
class TableLine:
    """One line of the table; `value` takes it from a round, KeyError if that did not run."""

    title: str
    unit: str
    value: Callable[[Round], float]
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False

    def reaches(self, value: float) -> bool:
        """Tell whether a median is at least as good as it must be."""
        if self.must is None:
            return True
        return value >= self.must if self.more_is_better else value <= self.must


def _of(case: str, measure: str) -> Callable[[Round], float]:
    return lambda round_: round_[case][measure]


def _ratio(*peers: str) -> Callable[[Round], float]:
    """Compare with the best of some peers in the same round."""

    def value(round_: Round) -> float:
        best = max(round_[peer]["per_s"] for peer in peers if peer in round_) if peers else 0.0
        return round_["throughput"]["per_s"] / best

    return value


def _sum(case: str, *measures: str) -> Callable[[Round], float]:
    return lambda round_: sum(round_[case][measure] for measure in measures)


def _against(case: str, base: str) -> Callable[[Round], float]:
    return lambda round_: round_[case]["per_s"] / round_[base]["per_s"]


def _best(*peers: str) -> Callable[[Round], float]:
    return lambda round_: max(round_[peer]["per_s"] for peer in peers if peer in round_)


def _callbacks(case: str) -> tuple[TableLine, ...]:
    return (
        TableLine(
            "callback verified → committed → transition → delivered, sustained",
            "callbacks/s",
            _of(case, "per_s"),
            more_is_better=True,
        ),
        TableLine("· CPU of the gateway per callback", "µs", _of(case, "cpu_us")),
        TableLine("callback due → first delivery answered, 300/s, p50", "ms", _of(case, "p50_ms")),
        TableLine("· p99", "ms", _of(case, "p99_ms")),
        TableLine("· due → answered, p99", "ms", _of(case, "answer_p99_ms")),
        TableLine("effects of 200 copies over 50 connections", "", _of(case, "effects"), must=1),
    )


def _parts(case: str) -> tuple[TableLine, ...]:
    """Show what the cores went to."""
    return (
        TableLine("· CPU per delivery: gateway", "µs", _of(case, "cpu_us")),
        TableLine("· · PostgreSQL", "µs", _of(case, "database_us")),
        TableLine("· · load generator and receiver", "µs", _sum(case, "load_us", "receiver_us")),
        TableLine("· cores that other work took meanwhile", "", _of(case, "others")),
    )


def _several(count: int) -> tuple[TableLine, ...]:
    """Show one number of processes."""
    case = f"processes-{count}"
    name = "1 process" if count == 1 else f"{count} processes"
    more = (
        TableLine("· against 1 process", "×", _against(case, "processes-1")),
        TableLine("· the busiest process's share of their CPU", "", _of(case, "busiest")),
    )
    return (
        TableLine(f"{name}, 32 endpoints in turn", "messages/s", _of(case, "per_s")),
        *(more if count > 1 else ()),
        *_parts(case),
    )


SQLITE = (
    TableLine(
        "accepted durably → delivered once → recorded, fan-out 1, sustained",
        "messages/s",
        _of("throughput", "per_s"),
        must=15_000,
        aim=20_000,
        more_is_better=True,
    ),
    TableLine("· CPU of the gateway per delivery", "µs", _of("throughput", "cpu_us")),
    TableLine("· resident memory at the end", "MiB", _of("throughput", "rss_mb")),
    TableLine(
        "the same with fan-out 5",
        "deliveries/s",
        _of("fan-out", "per_s"),
        must=30_000,
        aim=40_000,
        more_is_better=True,
    ),
    TableLine("· CPU of the gateway per delivery", "µs", _of("fan-out", "cpu_us")),
    TableLine("due → first attempt answered, 1,000/s, p50", "ms", _of("latency-1000", "p50_ms")),
    TableLine("· p99", "ms", _of("latency-1000", "p99_ms"), must=10, aim=5),
    TableLine("· due → 202, p99", "ms", _of("latency-1000", "accept_p99_ms")),
    TableLine("due → first attempt answered, 5,000/s, p50", "ms", _of("latency-5000", "p50_ms")),
    TableLine("· p99", "ms", _of("latency-5000", "p99_ms"), must=25, aim=5),
    TableLine("· due → 202, p99", "ms", _of("latency-5000", "accept_p99_ms")),
    TableLine("50 endpoints, none hanging: p99 of 49", "ms", _of("isolation", "base_p99_ms")),
    TableLine(
        "50 endpoints, one hanging 30 s: p99 of 49", "ms", _of("isolation", "hanging_p99_ms")
    ),
    TableLine("· ratio of the two", "×", _of("isolation", "ratio"), must=2),
    TableLine("Celery + Redis + requests, prefork 2", "deliveries/s", _of(_CELERY[0], "per_s")),
    TableLine("Celery, best of prefork 2, prefork 8, threads 16", "deliveries/s", _best(*_CELERY)),
    TableLine("Dramatiq + Redis + requests, 2 × 8", "deliveries/s", _of("dramatiq", "per_s")),
    TableLine("Taskiq + Redis + aiohttp, 2 workers", "deliveries/s", _of("taskiq", "per_s")),
    TableLine(
        "Tillbell against the best Celery",
        "×",
        _ratio(*_CELERY),
        must=15,
        aim=25,
        more_is_better=True,
    ),
    TableLine("Tillbell against Dramatiq", "×", _ratio("dramatiq"), must=4, more_is_better=True),
    TableLine("Tillbell against Taskiq", "×", _ratio("taskiq"), must=4, more_is_better=True),
    *_callbacks("callbacks"),
    TableLine("pending deliveries for a receiver that is down", "", _of("memory", "pending")),
    TableLine("· resident memory with them", "MiB", _of("memory", "rss_mb"), must=200, aim=150),
    TableLine("· resident memory after a restart", "MiB", _of("memory", "restarted_mb"), must=200),
    TableLine("· restart until ready", "s", _of("memory", "start_s"), must=5),
)
POSTGRES = (
    TableLine(
        "accepted durably → delivered once → recorded, fan-out 1, sustained",
        "messages/s",
        _of("postgres-throughput", "per_s"),
        must=8_000,
        aim=10_000,
        more_is_better=True,
    ),
    *_parts("postgres-throughput"),
    TableLine("· log of PostgreSQL per delivery", "kB", _of("postgres-throughput", "wal_kb")),
    TableLine("the same with fan-out 5", "deliveries/s", _of("postgres-fan-out", "per_s")),
    *_parts("postgres-fan-out"),
    TableLine("· log of PostgreSQL per delivery", "kB", _of("postgres-fan-out", "wal_kb")),
    TableLine(
        "due → first attempt answered, 1,000/s, p50", "ms", _of("postgres-latency-1000", "p50_ms")
    ),
    TableLine("· p99", "ms", _of("postgres-latency-1000", "p99_ms"), must=10, aim=5),
    TableLine("· due → 202, p99", "ms", _of("postgres-latency-1000", "accept_p99_ms")),
    *_callbacks("postgres-callbacks"),
)
PROCESSES = (*_several(1), *_several(2), *_several(4))
PARTS: Mapping[str, Sequence[TableLine]] = {
    "SQLite": SQLITE,
    "PostgreSQL": POSTGRES,
    "processes": PROCESSES,
}
