"""The server is stopped as by a power cut and started again, and its backends are ended.

Both under load, again and again.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from bench.postgres_server import PostgresServer

from tests.crash.checker import Hurt
from tests.crash.report import Report
from tests.faults import measures
from tests.faults.crew import Crew, serving

ACCEPTING_S, DELIVERING_S = 5.0, 10.0  # after the server answers
STORM_S = 10.0
_EACH_S = 0.5
_TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE application_name = 'tillbell'"
)


def run(folder: Path, restarts: int, seed: int) -> Report:
    """Run the scenario."""
    report = Report(f"database: {restarts} immediate restarts, backends ended, seed {seed}")
    chance = random.Random(seed)
    with serving() as server, Crew(folder, [server.url()] * 3) as crew:
        with crew.load():
            flows = [_restart(server, crew, chance) for _ in range(restarts)]
            _storm(server, crew, report)
        _note(flows, report)
        crew.conclude(report)
        measures.refusals(crew.producer.answered, crew.hurts[:restarts], report)
    return report


def _restart(server: PostgresServer, crew: Crew, chance: random.Random) -> tuple[float, float]:
    time.sleep(chance.uniform(0.2, 2.0))
    began_ns = time.monotonic_ns()
    server.stop("immediate")
    time.sleep(chance.uniform(0.0, 1.0))
    server.start()
    since_ns = time.monotonic_ns()
    crew.hurts.append(Hurt(began_ns, since_ns))
    return crew.flows_again_s(since_ns)


def _storm(server: PostgresServer, crew: Crew, report: Report) -> None:
    """End every connection of the product, twice a second."""
    began_ns, ended = time.monotonic_ns(), 0
    while time.monotonic_ns() - began_ns < STORM_S * 1e9:
        ended += int(str(server.execute(_TERMINATE)[0][0]))
        time.sleep(_EACH_S)
    since_ns = time.monotonic_ns()
    crew.hurts.append(Hurt(began_ns, since_ns))
    accepting_s, delivering_s = crew.flows_again_s(since_ns)
    report.figure(f"connections ended in {STORM_S:g} s", ended)
    text = f"accepting {accepting_s:.2f} s, delivering {delivering_s:.2f} s"
    report.figure("after the last of them", text)


def _note(flows: list[tuple[float, float]], report: Report) -> None:
    for what, limit_s, seconds in (
        ("accepting", ACCEPTING_S, [flow[0] for flow in flows]),
        ("delivering", DELIVERING_S, [flow[1] for flow in flows]),
    ):
        report.times(f"{what} again after the server answers", seconds)
        slow = [f"{one:.1f} s" for one in seconds if one > limit_s]
        report.must_be_empty(f"{what} again later than {limit_s:g} s", slow)
