"""The measures of the fault battery see what they are there to see."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.crash.accounts import ApiRecords, Tried
from tests.crash.checker import Evidence, Hurt
from tests.crash.producer import Answered
from tests.crash.report import Report
from tests.crash.stage import SCHEDULE
from tests.crash.truth import ReceiverLine
from tests.faults import clocks, measures
from tests.faults.crew import BEHAVIOURS
from tillbell.clock import iso

ROOT = Path(__file__).resolve().parents[2]
SECOND_NS = 1_000_000_000
ENDPOINTS = [f"ep_{number}" for number in range(len(BEHAVIOURS))]
FLAKY = BEHAVIOURS.index("flaky")


def line(at_s: float, endpoint: int = 0, sender: str = "worker1") -> ReceiverLine:
    return ReceiverLine(round(at_s * SECOND_NS), endpoint, "msg_1", "", True, 200, sender)


def evidence(*lines: ReceiverLine) -> Evidence:
    return Evidence([], list(lines), ApiRecords(), ENDPOINTS, [])


def at(monotonic_s: float) -> str:
    """Write an instant of the monotonic clock as the API would."""
    return iso(round((monotonic_s + time.time() - time.monotonic()) * 1_000_000))


def test_an_attempt_is_resumed_from_when_its_own_worker_was_hurt() -> None:
    found = evidence(line(10), line(30, sender="worker2"))
    tried = found.account.attempts["msg_1", ENDPOINTS[0]]
    tried += [Tried("a1", 0, True, at(9.9)), Tried("a2", 200, False, at(29.9))]
    hurts = {
        "worker1": [5 * SECOND_NS, 14 * SECOND_NS, 25 * SECOND_NS],
        "worker2": [11 * SECOND_NS],
    }

    assert measures.resumed_s(found, hurts) == [pytest.approx(15.9, abs=0.1)]


def test_what_waits_for_a_slow_receiver_is_not_late() -> None:
    found = evidence(line(10, FLAKY), line(90, FLAKY))
    tried = found.account.attempts["msg_1", ENDPOINTS[FLAKY]]
    tried += [Tried("a1", 0, True, at(9.9)), Tried("a2", 200, False, at(90))]

    assert measures.resumed_s(found, {"worker1": [11 * SECOND_NS]}) == []


def test_a_delay_counts_from_the_acceptance_to_the_first_request_of_each_endpoint() -> None:
    answered = [Answered(0, 8 * SECOND_NS, 202, "msg_1"), Answered(0, 1, 503, "")]
    found = evidence(line(9), line(10, 1), line(11), line(12, FLAKY))

    assert [delay for _, delay in measures.delays_s(found, answered)] == [1.0, 2.0]


def test_a_late_refusal_is_a_violation_only_while_the_database_is_away() -> None:
    late = Answered(10 * SECOND_NS, 13 * SECOND_NS, 503, "")
    for hurt, violations in ((Hurt(9 * SECOND_NS, 11 * SECOND_NS), 1), (Hurt.at(0), 0)):
        report = Report("")
        measures.refusals([late], [hurt], report)
        assert len(report.violations) == violations


def test_a_retry_before_its_time_is_seen() -> None:
    steps_s = [float(step) for step in SCHEDULE.split(",")]
    in_time = [line(0), line(steps_s[0]), line(steps_s[0] + steps_s[1])]

    assert clocks.early(evidence(*in_time)) == []
    assert len(clocks.early(evidence(*in_time[:2], line(steps_s[0] + 0.1)))) == 1


@pytest.mark.slow
def test_the_battery_holds_for_one_restart() -> None:
    command = [sys.executable, "-m", "tests.faults", "server", "--restarts", "1", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VIOLATION" not in done.stdout
