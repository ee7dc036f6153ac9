"""`python -m bench dashboards`: what ten open dashboards cost a gateway that is fully loaded.

One gateway is loaded as fast as it takes messages, in turn without and with ten open Homes; in the
next round the other way round. The CPU of the gateway for a message says more than the rate: on a
small machine the browsers take time from everybody.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from bench import postgres, processes, table
from bench.against import Turn, lines_of, printed
from bench.dashboard.run import sign_in
from bench.dashboard.watch import WatchPlan
from bench.figures import Measures, spread
from bench.postgres import Databases
from bench.processes import Child
from bench.scene import BenchRun, CaseRun, Effort, GatewayFailed
from bench.sustained import one_load

COST_MAX = 0.05  # of the throughput


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table; 1 if the dashboards cost more than promised."""
    parser = argparse.ArgumentParser(prog="python -m bench dashboards", description=__doc__)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one load (6)")
    parser.add_argument("--stores", nargs="+", default=["sqlite", "postgres"])
    options = parser.parse_args(arguments)
    effort = Effort(rounds=options.rounds, seconds=options.seconds)
    print(f"{table.machine()}\n{table.versions()}", flush=True)
    is_kept = True
    lines = []
    with postgres.databases() if "postgres" in options.stores else nullcontext() as server:
        for store in options.stores:
            try:
                turns = _turns(effort, options.pages, server if store == "postgres" else None)
            except GatewayFailed as wrong:
                print(f"WRONG: {wrong}", file=sys.stderr)
                return 1
            lines += lines_of(f"{options.pages} open pages, {store}", turns)
            ratios = [turn.present["per_s"] / turn.reference["per_s"] for turn in turns]
            is_kept &= spread(ratios).median >= 1 - COST_MAX
    print("\n" + printed(lines, "without", "with"))
    return 0 if is_kept else 1


def _turns(effort: Effort, pages: int, databases: Databases | None) -> list[Turn]:
    with (
        tempfile.TemporaryDirectory(prefix="tillbell-bench-") as folder,
        databases.empty() if databases else nullcontext() as database,
    ):
        place = dataclasses.replace(CaseRun(effort, Path(folder) / "gateway"), database=database)
        with BenchRun(place) as scene:
            load = _Load(scene, pages)
            load.without()  # the first one warms up
            return [_turn(load, number) for number in range(effort.rounds)]


def _turn(load: _Load, number: int) -> Turn:
    if number % 2 == 0:
        reference, present = load.without(), load.with_pages()
    else:
        present, reference = load.with_pages(), load.without()
    print(
        f"{number + 1}: {reference['per_s']:,.0f} → {present['per_s']:,.0f}/s,"
        f" CPU {reference['cpu_us']:.0f} → {present['cpu_us']:.0f} µs, slowest tail"
        f" {present['tail_ms']:.0f} ms, {present['heard_mb']:.1f} MB heard,"
        f" others {reference['others']:.2f} {present['others']:.2f}",
        flush=True,
    )
    return Turn(reference, present)


class _Load:
    """Loads one gateway, again and again."""

    def __init__(self, scene: BenchRun, pages: int) -> None:
        self._scene = scene
        self._pages = pages
        self._endpoints = scene.subscribe()
        self._sent = 0
        database = scene.place.database
        url = database.url if database else f"sqlite:///{scene.gateway.data_dir / 'tillbell.db'}"
        self._session, _ = asyncio.run(sign_in(url))

    def without(self) -> Measures:
        """Load without open pages."""
        plan = {"first": self._sent, "varied": True}
        measures, loaded = one_load(self._scene, self._endpoints, 1, plan)
        self._sent += len(loaded.due)
        return measures

    def with_pages(self) -> Measures:
        """Load while pages are open."""
        with _open_pages(self._scene, self._session, self._pages) as said:
            measures = self.without()
        if said["lost"] or not said["tails"]:
            raise GatewayFailed(f"pages were not kept up to date: {said}")
        return {**measures, "tail_ms": said["tail_ms"], "heard_mb": said["bytes"] / 1e6}


@contextmanager
def _open_pages(scene: BenchRun, session: str, pages: int) -> Iterator[Measures]:
    """Keep pages open; what they say when they are closed is there afterwards."""
    watch = Child("bench.dashboard.watch", WatchPlan(scene.gateway.port, session, pages).dumped())
    said: Measures = {}
    try:
        watch.heard()
        yield said
        assert watch.process.stdin is not None
        watch.process.stdin.close()
        said |= watch.heard()
    finally:
        processes.end(watch.process)
