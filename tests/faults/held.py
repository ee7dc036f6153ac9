"""Somebody holds a transaction open for minutes, so that nothing dead can be cleaned up."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import psycopg
from bench.figures import percentile
from bench.postgres_server import PostgresServer

from tests.crash.producer import Answered
from tests.crash.report import Report
from tests.faults import measures
from tests.faults.crew import Crew, serving

AROUND_S = 20.0  # looked at before and after
TIMES = 3.0  # as long as before, at most, while it is held
NOISE_S = 1.0  # what a busy machine adds
PHASES = ("before", "while it was held", "after")
_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
    "WHERE relname LIKE 'deliveries%' AND relkind = 'r'"
)


def run(folder: Path, held_s: float) -> Report:
    """Run the scenario."""
    report = Report(f"a transaction held open for {held_s:g} s")
    with (
        serving("autovacuum_naptime=5s") as server,
        Crew(folder, [server.url()] * 3) as crew,
    ):
        with crew.load():
            instants = _phases(server, held_s, report)
        delays = list(measures.delays_s(crew.conclude(report), crew.producer.answered))
    _compare(instants, delays, report)
    return report


def _compare(instants: list[int], delays: list[tuple[Answered, float]], report: Report) -> None:
    high = []
    for title, (start_ns, end_ns) in zip(PHASES, itertools.pairwise(instants), strict=True):
        chosen = [s for answer, s in delays if start_ns <= answer.answered_ns < end_ns]
        report.times(f"accepted until delivered, {title}", chosen)
        high.append(percentile(chosen, 0.99))
    for title, found_s in zip(PHASES[1:], high[1:], strict=True):
        is_worse = found_s > TIMES * high[0] and found_s > NOISE_S
        report.must(not is_worse, f"{title}: p99 {found_s:.2f} s, before {high[0]:.2f} s")


def _phases(server: PostgresServer, held_s: float, report: Report) -> list[int]:
    instants = [time.monotonic_ns()]
    time.sleep(AROUND_S)
    instants.append(time.monotonic_ns())
    _note_size("before", server, report)
    with psycopg.connect(server.url()) as held:
        held.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        held.execute("SELECT count(*) FROM deliveries")
        time.sleep(held_s)
        _note_size("at its end", server, report)
    instants.append(time.monotonic_ns())
    time.sleep(AROUND_S)
    instants.append(time.monotonic_ns())
    _note_size("after", server, report)
    return instants


def _note_size(title: str, server: PostgresServer, report: Report) -> None:
    size_mb = int(str(server.execute(_SIZE)[0][0])) / 2**20
    report.figure(f"table of deliveries, MiB, {title}", f"{size_mb:.1f}")
