"""Kill -9 at random moments under load, start again at once, lose nothing.

Some kills fall into start-up itself, where migration and recovery are at work.
"""

from __future__ import annotations

import bisect
import random
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import percentile

from tests.crash.checker import Evidence, Hurt, check
from tests.crash.producer import Producer
from tests.crash.report import Report
from tests.crash.stage import Stage, copy_store, integrity
from tests.crash.truth import ReceiverLine

KILL_AFTER_S = (0.05, 1.5)
IN_STARTUP = 0.2  # share of kills that do not wait until it is ready
SILENCE_S = 3.0
READY_S, FIRST_DELIVERY_S = 3.0, 5.0  # p99 to reach
ENOUGH = 50  # kills from which on a p99 means something


@dataclass
class _Times:
    """When things happened in the loop."""

    ready_s: list[float] = field(default_factory=list)
    launched_ns: list[int] = field(default_factory=list)
    kills_ns: list[int] = field(default_factory=list)


def run(folder: Path, cycles: int, seed: int) -> Report:
    """Run the battery."""
    report = Report(f"kill loop, {cycles} kills, seed {seed}")
    chance, times = random.Random(seed), _Times()
    with Stage(folder) as stage, ThreadPoolExecutor(1) as checks:
        stage.gateway.start()
        producer = Producer(stage.gateway, stage.furnish())
        producer.start()
        verdicts: list[Future[str]] = []
        try:
            for cycle in range(cycles):
                _kill_once(stage, chance, times)
                verdicts.append(_check_copy(checks, stage, folder / f"copy-{cycle}"))
            times.ready_s.append(stage.gateway.start())
        finally:
            producer.stop()
        report.figure("seconds until nothing was pending", f"{stage.quiesce():.1f}")
        _check_all(stage, producer, times, report)
        broken = [text for future in verdicts if (text := future.result()) != "ok"]
        report.must_be_empty("integrity_check not ok after a kill", broken)
        stage.gateway.stop()
        report.must(integrity(stage.gateway.data_dir) == "ok", "integrity_check at the end")
    return report


def _kill_once(stage: Stage, chance: random.Random, times: _Times) -> None:
    """Wait a random while, kill; the first cycle finds a running product, others start one."""
    if stage.gateway.process is None or stage.gateway.process.poll() is not None:
        times.launched_ns.append(time.monotonic_ns())
        if chance.random() < IN_STARTUP:
            stage.gateway.launch()
        else:
            times.ready_s.append(stage.gateway.start())
    time.sleep(chance.uniform(*KILL_AFTER_S))
    stage.gateway.kill()
    times.kills_ns.append(time.monotonic_ns())


def _check_copy(checks: ThreadPoolExecutor, stage: Stage, copy: Path) -> Future[str]:
    copy_store(stage.gateway.data_dir, copy)

    def verdict() -> str:
        try:
            return integrity(copy)
        finally:
            shutil.rmtree(copy)

    return checks.submit(verdict)


def _check_all(stage: Stage, producer: Producer, times: _Times, report: Report) -> None:
    before = len(stage.lines())
    time.sleep(SILENCE_S)
    lines = stage.lines()
    report.must(len(lines) == before, f"I3 {len(lines) - before} requests after all was settled")
    kills = [Hurt.at(kill_ns) for kill_ns in times.kills_ns]
    evidence = Evidence(producer.acknowledged, lines, stage.account(), stage.endpoints, kills)
    check(evidence, report)
    report.figure("answers to the producer (0: none)", dict(producer.answers))
    report.times("start until ready", times.ready_s)
    first_s = _first_deliveries_s(times, lines)
    report.times("start until the first delivery", first_s)
    if len(times.kills_ns) >= ENOUGH:
        _must_be_quick("ready", times.ready_s, READY_S, report)
        _must_be_quick("the first delivery", first_s, FIRST_DELIVERY_S, report)


def _must_be_quick(what: str, seconds: list[float], limit_s: float, report: Report) -> None:
    found_s = percentile(seconds, 0.99)
    report.must(found_s <= limit_s, f"{what}: p99 {found_s:.2f} s after a start, not {limit_s} s")


def _first_deliveries_s(times: _Times, lines: list[ReceiverLine]) -> list[float]:
    """Return, for each start that lived to deliver, the seconds until it did."""
    arrivals = [line.at_ns for line in lines]
    found = []
    for launched in times.launched_ns:
        first = bisect.bisect(arrivals, launched)
        kill = bisect.bisect(times.kills_ns, launched)
        alive_until = times.kills_ns[kill] if kill < len(times.kills_ns) else arrivals[-1] + 1
        if first < len(arrivals) and arrivals[first] < alive_until:
            found.append((arrivals[first] - launched) / 1e9)
    return found
