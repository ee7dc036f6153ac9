"""The checker notices each way in which the three accounts can disagree."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tests.cases import each
from tests.crash.accounts import FAILED, PENDING, SUCCEEDED, ApiRecords, Tried
from tests.crash.checker import FLIGHT_NS, Evidence, Hurt, check
from tests.crash.producer import Acknowledged
from tests.crash.report import Report
from tests.crash.truth import ReceiverLine

PAYLOAD = b'{"a": 1.10}'
DIGEST = hashlib.sha256(PAYLOAD).hexdigest()
PAIR = ("msg_1", "ep_1")


def agreeing() -> Evidence:
    """One event, delivered to one endpoint, and all sides say so."""
    account = ApiRecords({"evt-1": "msg_1"}, {"msg_1": b"[" + PAYLOAD + b"]"}, {PAIR: SUCCEEDED})
    account.attempts[PAIR].append(Tried("atmpt_1", 200, interrupted=False))
    acknowledged = [Acknowledged("evt-1", PAYLOAD, "msg_1", 0.0)]
    return Evidence(acknowledged, [line(at_ns=10)], account, ["ep_1"], [])


def line(at_ns: int, digest: str = DIGEST, signed: bool = True) -> ReceiverLine:
    return ReceiverLine(at_ns, 0, "msg_1", digest, signed, 200)


def violations(evidence: Evidence) -> list[str]:
    report = Report("")
    check(evidence, report)
    return report.violations


def lose_the_message(evidence: Evidence) -> None:
    evidence.account.messages.clear()


def store_other_bytes(evidence: Evidence) -> None:
    evidence.account.stored["msg_1"] = b'{"a":1.1}'


def deliver_nothing(evidence: Evidence) -> None:
    evidence.lines.clear()


def leave_it_pending(evidence: Evidence) -> None:
    evidence.account.statuses[PAIR] = PENDING


def deliver_other_bytes(evidence: Evidence) -> None:
    evidence.lines[0] = line(10, digest="0" * 64)


def sign_badly(evidence: Evidence) -> None:
    evidence.lines[0] = line(10, signed=False)


def deliver_twice_unrecorded(evidence: Evidence) -> None:
    evidence.lines.append(line(20))


def record_what_never_arrived(evidence: Evidence) -> None:
    evidence.account.attempts[PAIR].append(Tried("atmpt_2", 500, interrupted=False))


def deliver_twice_without_a_kill(evidence: Evidence) -> None:
    evidence.lines.append(line(20))
    evidence.account.attempts[PAIR].append(Tried("atmpt_2", 0, interrupted=True))


def repeat_what_was_answered_long_before_a_kill(evidence: Evidence) -> None:
    evidence.hurts.append(Hurt.at(10 + FLIGHT_NS + 1))
    evidence.lines.append(line(10 + FLIGHT_NS + 2))
    evidence.account.attempts[PAIR].append(Tried("atmpt_2", 0, interrupted=True))


def believe_a_late_result(evidence: Evidence) -> None:
    evidence.hurts.append(Hurt.at(15))
    evidence.lines.append(line(20))
    evidence.account.attempts[PAIR].append(Tried("atmpt_2", 200, interrupted=False))


def forget_a_delivery(evidence: Evidence) -> None:
    evidence.account.statuses.clear()


@each(
    ("spoil", "invariant"),
    [
        (lose_the_message, "I1"),
        (store_other_bytes, "I1"),
        (deliver_nothing, "I2"),
        (leave_it_pending, "I2"),
        (deliver_other_bytes, "I7"),
        (sign_badly, "I7"),
        (deliver_twice_unrecorded, "I4"),
        (record_what_never_arrived, "I4"),
        (deliver_twice_without_a_kill, "I8"),
        (repeat_what_was_answered_long_before_a_kill, "I8"),
        (believe_a_late_result, "I8 stale"),
        (forget_a_delivery, "I12"),
    ],
)
def test_a_disagreement_is_a_violation(spoil: Callable[[Evidence], None], invariant: str) -> None:
    evidence = agreeing()
    assert violations(evidence) == []
    spoil(evidence)
    assert any(found.startswith(invariant) for found in violations(evidence))


def test_a_second_delivery_after_a_kill_is_allowed_if_the_attempt_shows_as_interrupted() -> None:
    evidence = agreeing()
    evidence.lines.append(line(20))
    evidence.account.attempts[PAIR].append(Tried("atmpt_2", 0, interrupted=True))
    evidence.hurts.append(Hurt.at(15))
    assert violations(evidence) == []


def test_a_delivery_shown_as_failed_need_not_have_arrived() -> None:
    evidence = agreeing()
    evidence.lines.clear()
    evidence.account.attempts.clear()
    evidence.account.statuses[PAIR] = FAILED
    assert violations(evidence) == []
