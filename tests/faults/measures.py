"""What is read from the accounts besides right and wrong: how long things took."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

from tests.crash.checker import Evidence, Hurt
from tests.crash.producer import Answered
from tests.crash.report import Report

REFUSED_S = 2.0  # a publication that cannot be taken is refused within


def resumed_s(evidence: Evidence) -> list[float]:
    """Return, for each interrupted attempt, the seconds from what interrupted it to the next one.

    Which process made it is not known: the first that was hurt after the attempt's start counts,
    so this is rather too much than too little.
    """
    starts = sorted(hurt.start_ns for hurt in evidence.hurts)
    offset_ns = time.time_ns() - time.monotonic_ns()
    found = []
    for tried in evidence.account.attempts.values():
        ordered = sorted(tried, key=lambda one: one.started)
        for one, following in itertools.pairwise(ordered):
            if not one.interrupted:
                continue
            began_ns = _wall_ns(one.started) - offset_ns
            hurt_ns = next((start for start in starts if start >= began_ns), began_ns)
            found.append((_wall_ns(following.started) - offset_ns - hurt_ns) / 1e9)
    return found


def _wall_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1000


def delays_s(
    evidence: Evidence, answered: Iterable[Answered], behaviours: tuple[str, ...]
) -> Iterator[tuple[Answered, float]]:
    """Yield each acceptance with the seconds until a receiver that never fails had its message."""
    accepted = {answer.message_id: answer for answer in answered if answer.message_id}
    seen: set[tuple[str, int]] = set()
    for line in evidence.lines:
        key = line.message_id, line.endpoint
        if key in seen or behaviours[line.endpoint] != "ok":
            continue
        seen.add(key)
        if line.message_id in accepted:
            answer = accepted[line.message_id]
            yield answer, max(0.0, (line.at_ns - answer.answered_ns) / 1e9)


def refusals(answered: Iterable[Answered], hurts: Iterable[Hurt], report: Report) -> None:
    """Note how the producer was answered while the database was away."""
    spans = list(hurts)
    asked = [
        answer
        for answer in answered
        if any(hurt.start_ns <= answer.asked_ns <= hurt.end_ns for hurt in spans)
    ]
    report.times("answers while it was away, seconds", [answer.took_s for answer in asked])
    slow = [f"{answer.took_s:.1f} s: {answer.status}" for answer in asked if _is_slow(answer)]
    report.must_be_empty(f"answers later than {REFUSED_S:g} s while it was away", slow)
    none = [answer for answer in asked if answer.status == 0]
    report.must_be_empty("publications without an answer while it was away", none)


def _is_slow(answer: Answered) -> bool:
    return answer.took_s > REFUSED_S
