"""The network swallows what goes between the fleet and its database.

All processes are cut off for long; then one worker alone, both ways and one way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.postgres_server import Home
from bench.processes import rss_mb

from tests.crash.checker import Hurt
from tests.crash.report import Report
from tests.faults import measures
from tests.faults.crew import BEHAVIOURS, Crew, serving
from tests.faults.network import BOTH, CutDirection, Network

WORKERS = 2
LEASE_S = 15.0
NORMAL_S = 15.0  # after the network is back
TAKEN_OVER_S = 20.0
GROWTH_MB = 50.0  # of each process
CALM_S = 5.0
AFTER_S = 20.0  # so long what a cut did is still looked at
_WAYS: tuple[tuple[CutDirection, ...], ...] = (
    BOTH,
    (CutDirection.TO_SERVER,),
    (CutDirection.FROM_SERVER,),
)


@contextmanager
def _cuttable(folder: Path) -> Iterator[tuple[Crew, Network]]:
    with Network(1 + WORKERS) as network:
        home = Home(wrapper=network.wrapper, host=network.address(0))
        hosts = [network.address(line) for line in range(1 + WORKERS)]
        with (
            serving(home=home) as server,
            Crew(folder, [server.url(host=host) for host in hosts]) as crew,
        ):
            yield crew, network


def run_away(folder: Path, away_s: float) -> Report:
    """Cut everybody off."""
    report = Report(f"no database for {away_s:g} s, swallowed by the network")
    with _cuttable(folder) as (crew, network):
        everybody = range(1 + WORKERS)
        with crew.load():
            time.sleep(CALM_S)
            before = [rss_mb(process.pid) for process in crew.processes]
            began_ns = time.monotonic_ns()
            network.cut(*everybody)
            time.sleep(away_s)
            after = [rss_mb(process.pid) for process in crew.processes]
            network.heal(*everybody)
            since_ns = time.monotonic_ns()
            crew.hurts.append(Hurt(began_ns, since_ns))
            accepting_s, delivering_s = crew.flows_again_s(since_ns)
        text = f"accepting {accepting_s:.2f} s, delivering {delivering_s:.2f} s"
        report.figure("after the network was back", text)
        late = max(accepting_s, delivering_s) > NORMAL_S
        report.must(not late, f"not as before {NORMAL_S:g} s after the network was back")
        growth = [now - then for now, then in zip(after, before, strict=True)]
        report.figure("resident memory, MiB more", ", ".join(f"{one:+.1f}" for one in growth))
        report.must(max(growth) <= GROWTH_MB, f"a process grew by more than {GROWTH_MB:g} MiB")
        crew.conclude(report)
        measures.refusals(crew.producer.answered, crew.hurts, report)
    return report


def run_one(folder: Path, cut_s: float) -> Report:
    """Cut one worker off, in each way."""
    report = Report(f"one worker of {WORKERS} cut off for {cut_s:g} s, both ways and one way")
    with _cuttable(folder) as (crew, network):
        with crew.load():
            for ways in _WAYS:
                time.sleep(CALM_S)
                began_ns = time.monotonic_ns()
                network.cut(1, ways=ways)
                # What it had claimed it may send while it believes in its leases.
                crew.hurts.append(Hurt(began_ns, began_ns + round(LEASE_S * 1e9)))
                time.sleep(cut_s)
                network.heal(1)
                time.sleep(AFTER_S)
        evidence = crew.conclude(report)
        owned = {
            line.endpoint
            for line in evidence.lines
            if line.at_ns < crew.hurts[0].start_ns and line.sender == "worker1"
        }
        good = sum(BEHAVIOURS[endpoint] == "ok" for endpoint in owned)
        report.figure("receivers that never fail whose worker was cut off", good)
        report.must(good > 0, "the worker that was cut off had nothing to do: begin anew")
        for ways, hurt in zip(_WAYS, crew.hurts, strict=True):
            title = " and ".join(way.value for way in ways)
            end_ns = hurt.start_ns + round((cut_s + AFTER_S) * 1e9)
            delays = [
                delay_s
                for answer, delay_s in measures.delays_s(evidence, crew.producer.answered)
                if hurt.start_ns <= answer.answered_ns < end_ns
            ]
            report.times(f"accepted until delivered, cut {title}", delays)
            late = sum(delay_s > TAKEN_OVER_S for delay_s in delays)
            report.must(not late, f"cut {title}: {late} later than {TAKEN_OVER_S:g} s")
    return report
