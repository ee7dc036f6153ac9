"""No fault, no second delivery: eight workers, and exactly one attempt of each delivery."""

from __future__ import annotations

import time
from pathlib import Path

from tests.crash.checker import Evidence
from tests.crash.report import Report
from tests.faults.crew import Crew, serving

WORKERS = 8
ENDPOINTS = 10
RATE = 1_000.0  # events a second: more than can be delivered, so that claims are needed
_POLL_S = 0.1


def run(folder: Path, deliveries: int) -> Report:
    """Run the scenario."""
    report = Report(f"H5 {deliveries:,} deliveries by {WORKERS} workers, nothing hurt")
    wanted = -(-deliveries // ENDPOINTS)
    with (
        serving() as server,
        Crew(folder, [server.url()] * (WORKERS + 1), behaviours=("ok",) * ENDPOINTS) as crew,
    ):
        began = time.monotonic()
        with crew.load(RATE) as producer:
            while len(producer.acknowledged) < wanted:
                time.sleep(_POLL_S)
        evidence = crew.conclude(report)
        took_s = (max(line.at_ns for line in evidence.lines) / 1e9) - began
        _note(evidence, took_s, report)
    return report


def _note(evidence: Evidence, took_s: float, report: Report) -> None:
    report.figure("deliveries", len(evidence.account.statuses))
    report.figure("deliveries a second", f"{len(evidence.lines) / took_s:.0f}")
    senders = {line.sender for line in evidence.lines}
    report.must(len(senders) > 1, f"only {senders} delivered anything")
    report.figure("workers that delivered", len(senders))
    again = [pair for pair, tried in evidence.account.attempts.items() if len(tried) != 1]
    report.must_be_empty("deliveries with more than one attempt", again)
