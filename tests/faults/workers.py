"""Workers are killed, and stopped for longer than their leases last, under load.

One that was stopped wakes up as a zombie: what it brings then comes too late and must not count.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway import READY_S

from tests.crash.checker import Hurt
from tests.crash.report import Report
from tests.faults import measures
from tests.faults.crew import Crew, serving

WORKERS = 4
STOP_EVERY_S, STOPPED_S = 20.0, 40.0
RESUMED_P99_S, RESUMED_MAX_S = 20.0, 30.0
ENOUGH = 20  # attempts from which on a p99 means something


@dataclass
class _Havoc:
    """Who was hurt."""

    crew: Crew
    chance: random.Random
    stopped: dict[int, float] = field(default_factory=dict)  # worker → when it was stopped
    hurt_at: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    kills: int = 0
    zombies: int = 0

    def kill(self) -> None:
        """Kill one that serves, if any does; start it anew at once."""
        number = self._one()
        if number is not None:
            self.crew.workers[number].kill()
            self._note(number)
            self.kills += 1
            self.crew.workers[number].launch()

    def stop(self) -> None:
        """Stop one that serves, if any does."""
        number = self._one()
        if number is not None:
            os.killpg(self.crew.workers[number].pid, signal.SIGSTOP)
            self._note(number)
            self.stopped[number] = time.monotonic()

    def _note(self, number: int) -> None:
        now = time.monotonic_ns()
        self.crew.hurts.append(Hurt.at(now))
        self.hurt_at[f"worker{number + 1}"].append(now)

    def wake(self, after_s: float = 0.0) -> None:
        """Let those go on that were stopped so long ago."""
        for number, since in list(self.stopped.items()):
            if time.monotonic() - since >= after_s:
                del self.stopped[number]
                os.killpg(self.crew.workers[number].pid, signal.SIGCONT)
                self.zombies += 1

    def _one(self) -> int | None:
        left = [
            number
            for number, worker in enumerate(self.crew.workers)
            if number not in self.stopped and worker.is_ready()
        ]
        return self.chance.choice(left) if left else None


def run(folder: Path, lasts_s: float, every_s: float, seed: int) -> Report:
    """Run the scenario."""
    report = Report(
        f"{lasts_s:g} s: a worker of {WORKERS} killed every {every_s:g} s, one stopped for "
        f"{STOPPED_S:g} s every {STOP_EVERY_S:g} s, seed {seed}"
    )
    with serving() as server, Crew(folder, [server.url()] * (WORKERS + 1)) as crew:
        havoc = _Havoc(crew, random.Random(seed))
        with crew.load():
            _rage(havoc, lasts_s, every_s)
        for worker in crew.workers:
            worker.wait_ready(time.monotonic() + READY_S)
        evidence = crew.conclude(report)
        report.figure("killed, and woken as zombies", f"{havoc.kills}, {havoc.zombies}")
        _note(measures.resumed_s(evidence, havoc.hurt_at), report)
    return report


def _rage(havoc: _Havoc, lasts_s: float, every_s: float) -> None:
    began = time.monotonic()
    next_stop = began + every_s
    while time.monotonic() - began < lasts_s:
        time.sleep(every_s)
        havoc.wake(STOPPED_S)
        if time.monotonic() >= next_stop:
            next_stop += STOP_EVERY_S
            havoc.stop()
        havoc.kill()
    while havoc.stopped:
        time.sleep(every_s)
        havoc.wake(STOPPED_S)


def _note(resumed_s: list[float], report: Report) -> None:
    report.figure("interrupted attempts for receivers that never fail", len(resumed_s))
    report.times("· made again after", resumed_s)
    if len(resumed_s) < ENOUGH:
        return
    late = [f"{one:.1f} s" for one in resumed_s if one > RESUMED_P99_S]
    report.must(
        len(late) <= len(resumed_s) / 100,
        f"{len(late)} of {len(resumed_s)} attempts made again later than {RESUMED_P99_S:g} s",
    )
    too_late = [f"{one:.1f} s" for one in resumed_s if one > RESUMED_MAX_S]
    report.must_be_empty(f"attempts made again later than {RESUMED_MAX_S:g} s", too_late)
