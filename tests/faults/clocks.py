"""One worker's machine has a wrong clock, which somebody sets back and forth."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

from tests.crash.checker import Evidence
from tests.crash.report import Report
from tests.crash.stage import SCHEDULE
from tests.crash.truth import ReceiverLine
from tests.faults import measures
from tests.faults.crew import Crew, serving

HOUR_S = 3_600
WRONG_BY_S = (24 * HOUR_S, -24 * HOUR_S, HOUR_S, -HOUR_S, 0)
SKEWED = 1  # which worker
STAMP_S = 5.0  # a signature's time is off by no more
EARLIEST = 0.75  # of a delay: a fifth is jitter
LATE_S = 10.0


def run(folder: Path, each_s: float) -> Report:
    """Run the scenario."""
    report = Report(f"one worker's clock wrong by ±1 day and ±1 hour, {each_s:g} s each")
    file = folder / "wrong-by"
    file.write_text("0")
    wrapper = [sys.executable, "-m", "tests.faults.skewed", str(file)]
    with serving() as server, Crew(folder, [server.url()] * 3, {SKEWED: wrapper}) as crew:
        with crew.load():
            for by_s in WRONG_BY_S:
                file.write_text(str(by_s))
                time.sleep(each_s)
        _check(crew.conclude(report), crew, report)
    return report


def _check(evidence: Evidence, crew: Crew, report: Report) -> None:
    sent = sum(line.sender == f"worker{SKEWED}" for line in evidence.lines)
    report.figure("requests of the worker with the wrong clock", sent)
    report.must(sent > 0, "the worker with the wrong clock sent nothing")
    report.must_be_empty("retries before their time", early(evidence))
    offset_s = time.time() - time.monotonic()
    off = [line for line in evidence.lines if abs(_stamp_error_s(line, offset_s)) > STAMP_S]
    report.must_be_empty(f"signatures with a time off by more than {STAMP_S:g} s", off)
    delays = [delay_s for _, delay_s in measures.delays_s(evidence, crew.producer.answered)]
    report.times("accepted until delivered", delays)
    late = [f"{delay_s:.1f} s" for delay_s in delays if delay_s > LATE_S]
    report.must_be_empty(f"delivered later than {LATE_S:g} s", late)
    alarms = crew.said()["clock.skewed"]
    report.figure("times that the clock was called wrong", alarms)
    report.must(alarms > 0, "nobody said that the clock is wrong")


def early(evidence: Evidence) -> list[str]:
    """Return the retries that came before their time."""
    steps_s = [float(step) for step in SCHEDULE.split(",")]
    found = []
    for pair, lines in evidence.requests().items():
        for step_s, (earlier, later) in zip(steps_s, itertools.pairwise(lines), strict=False):
            waited_s = (later.at_ns - earlier.at_ns) / 1e9
            if waited_s < EARLIEST * step_s:
                found.append(f"{pair}: {waited_s:.2f} s instead of {step_s:g} s")
    return found


def _stamp_error_s(line: ReceiverLine, offset_s: float) -> float:
    return line.stamped_s - (line.at_ns / 1e9 + offset_s)
