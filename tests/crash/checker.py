"""The invariants: do the producer's, the receiver's and the product's accounts agree?

The reports name each by a number. I1 acknowledged is readable with identical bytes;
I2 delivered, or visibly failed; I3 silence after the end; I4 attempts and requests match;
I7 bytes signed = sent = stored; I8 a second delivery only of what was in flight when
something was hurt, and one result counts; I12 nothing is uncounted.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from tests.crash.accounts import FAILED, SUCCEEDED, TERMINAL, ApiRecords
from tests.crash.producer import Acknowledged
from tests.crash.report import Report
from tests.crash.truth import ReceiverLine

Pair = tuple[str, str]  # message id, endpoint id
# What was asked so long before something was hurt is answered and recorded; the slowest receiver
# takes 2 s.
FLIGHT_NS = 5_000_000_000


class Hurt(NamedTuple):
    """From when until when something was hurt, by the machine's monotonic clock."""

    start_ns: int
    end_ns: int

    @classmethod
    def at(cls, instant_ns: int) -> Hurt:
        """A kill."""
        return cls(instant_ns, instant_ns)


@dataclass(frozen=True)
class Evidence:
    """What the three sides say, and when a process or its database was hurt."""

    acknowledged: list[Acknowledged]
    lines: list[ReceiverLine]
    account: ApiRecords
    endpoints: list[str]
    hurts: list[Hurt]

    def requests(self) -> dict[Pair, list[ReceiverLine]]:
        """Group the receiver's lines by delivery, in order of arrival."""
        found: dict[Pair, list[ReceiverLine]] = defaultdict(list)
        for line in self.lines:
            found[line.message_id, self.endpoints[line.endpoint]].append(line)
        return found


def check(evidence: Evidence, report: Report) -> None:
    """Check every invariant; note figures and violations."""
    requests = evidence.requests()
    report.figure("events acknowledged", len(evidence.acknowledged))
    report.figure("requests at the receivers", len(evidence.lines))
    report.figure("attempts interrupted", evidence.account.interrupted)
    check_readable(evidence.acknowledged, evidence.account, report)
    _check_delivered(evidence, requests, report)
    _check_bytes(evidence, report)
    _check_attempts(evidence, requests, report)
    _check_duplicates(evidence, requests, report)
    _check_counts(evidence, report)


def check_readable(acknowledged: list[Acknowledged], account: ApiRecords, report: Report) -> None:
    """I1: each acknowledged event is there once, under its id, byte for byte."""
    missing = [
        event.event_id
        for event in acknowledged
        if event.event_id not in account.messages
        or event.message_id not in {"", account.messages[event.event_id]}
    ]
    altered = [
        event.event_id
        for event in acknowledged
        if (id_ := account.messages.get(event.event_id))
        and event.payload not in account.stored[id_]
    ]
    report.must_be_empty("I1 acknowledged and lost", missing)
    report.must_be_empty("I1 acknowledged and not byte for byte", altered)


def _check_delivered(
    evidence: Evidence, requests: dict[Pair, list[ReceiverLine]], report: Report
) -> None:
    """I2: a 2xx at the receiver, or shown as failed; and nothing pending."""
    account = evidence.account
    wanted = [
        (account.messages[event.event_id], endpoint)
        for event in evidence.acknowledged
        if event.event_id in account.messages
        for endpoint in evidence.endpoints
    ]
    unseen = [
        pair
        for pair in wanted
        if account.statuses.get(pair) != FAILED
        and not any(line.answer == 200 for line in requests.get(pair, ()))
    ]
    claimed = [
        pair
        for pair, status in account.statuses.items()
        if status == SUCCEEDED and not any(line.answer == 200 for line in requests.get(pair, ()))
    ]
    still_open = [pair for pair, status in account.statuses.items() if status not in TERMINAL]
    report.must_be_empty("I2 neither delivered nor shown as failed", unseen)
    report.must_be_empty("I2 shown as delivered, receiver knows nothing", claimed)
    report.must_be_empty("I2 still pending after quiescence", still_open)
    report.figure(
        "deliveries that used up their schedule", Counter(account.statuses.values())[FAILED]
    )


def _check_bytes(evidence: Evidence, report: Report) -> None:
    """I7: every body that arrived is an event's payload, and its signature fits."""
    sent = {
        evidence.account.messages.get(event.event_id, ""): hashlib.sha256(event.payload).hexdigest()
        for event in evidence.acknowledged
    }
    altered = [
        line.message_id
        for line in evidence.lines
        if line.message_id in sent and sent[line.message_id] != line.sha256
    ]
    report.must_be_empty("I7 bodies altered", altered)
    report.must_be_empty(
        "I7 bad signatures", [x.message_id for x in evidence.lines if not x.signed]
    )
    known = set(evidence.account.stored)
    strangers = [line.message_id for line in evidence.lines if line.message_id not in known]
    report.must_be_empty("I7 delivered, but not in the store", strangers)


def _check_attempts(
    evidence: Evidence, requests: dict[Pair, list[ReceiverLine]], report: Report
) -> None:
    """I4: answered attempts are requests with that answer; the rest are accounted for."""
    wrong: list[object] = []
    for pair in set(requests) | set(evidence.account.attempts):
        lines, tried = requests.get(pair, []), evidence.account.attempts.get(pair, [])
        answered = Counter(one.status_code for one in tried if one.status_code)
        got = Counter(line.answer for line in lines if line.answer)
        if answered - got or len(lines) > len(tried):
            wrong.append((*pair, dict(got), dict(answered), len(lines), len(tried)))
        unanswered_by_us = sum((got - answered).values())
        unanswered = sum(1 for one in tried if not one.status_code)
        if unanswered_by_us > unanswered:
            wrong.append((*pair, "requests without an attempt", unanswered_by_us, unanswered))
    report.must_be_empty("I4 attempts and requests that disagree", wrong)


def _check_duplicates(
    evidence: Evidence, requests: dict[Pair, list[ReceiverLine]], report: Report
) -> None:
    """I8, I3: after a 2xx another request comes only if the first was in flight at a hurt.

    And of two requests with a 2xx one result counts: that of the other was refused or lost.
    """
    duplicates, unexplained = 0, []
    for pair, lines in requests.items():
        for earlier, later in itertools.pairwise(lines):
            if earlier.answer == 200:
                duplicates += 1
                if not any(_explains(hurt, earlier, later) for hurt in evidence.hurts):
                    unexplained.append(pair)
    report.figure("I8 second deliveries", duplicates)
    report.must_be_empty("I8 second deliveries of what was not in flight", unexplained)
    accepted_twice = [
        pair
        for pair, tried in evidence.account.attempts.items()
        if sum(one.status_code == 200 for one in tried) > 1
    ]
    report.must_be_empty("I8 stale results that were accepted", accepted_twice)
    report.must(
        duplicates <= evidence.account.interrupted,
        f"I8 {duplicates} second deliveries, {evidence.account.interrupted} interrupted attempts",
    )


def _explains(hurt: Hurt, earlier: ReceiverLine, later: ReceiverLine) -> bool:
    """Tell whether the earlier one was in flight when this happened."""
    if later.at_ns <= hurt.start_ns:
        return False
    return hurt.start_ns - FLIGHT_NS <= earlier.at_ns <= hurt.end_ns


def _check_counts(evidence: Evidence, report: Report) -> None:
    """I12: every message has exactly one delivery for each endpoint."""
    account = evidence.account
    expected = len(account.stored) * len(evidence.endpoints)
    report.must(
        len(account.statuses) == expected,
        f"I12 {len(account.statuses)} deliveries listed, {expected} expected",
    )
