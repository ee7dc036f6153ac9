"""What is read from the accounts besides right and wrong: how long things took."""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from tests.crash.checker import Evidence, Hurt
from tests.crash.producer import Answered
from tests.crash.report import Report
from tests.faults.crew import BEHAVIOURS

REFUSED_S = 2.0  # a publication that cannot be taken is refused within


def resumed_s(evidence: Evidence, hurt_at: Mapping[str, Sequence[int]]) -> list[float]:
    """Return, for each interrupted attempt, the seconds from what interrupted it to the next one.

    That is the first thing that happened, after the attempt's start, to the process that sent for
    its endpoint then; `hurt_at` has these instants by process. Only of endpoints that never fail:
    where others send slowly, what is resumed waits for its turn.
    """
    senders = _senders(evidence)
    offset_ns = time.time_ns() - time.monotonic_ns()
    found = []
    good = {id_ for id_, kind in zip(evidence.endpoints, BEHAVIOURS, strict=True) if kind == "ok"}
    for (_, endpoint), tried in evidence.account.attempts.items():
        if endpoint not in good:
            continue
        ordered = sorted(tried, key=lambda one: one.started)
        for one, following in itertools.pairwise(ordered):
            if not one.interrupted:
                continue
            began_ns = _wall_ns(one.started) - offset_ns
            sender = _sender_at(senders[endpoint], began_ns)
            hurt_ns = min(
                (at for at in hurt_at.get(sender, ()) if at >= began_ns), default=began_ns
            )
            found.append((_wall_ns(following.started) - offset_ns - hurt_ns) / 1e9)
    return found


def _senders(evidence: Evidence) -> dict[str, list[tuple[int, str]]]:
    """Return who sent to each endpoint when."""
    found: dict[str, list[tuple[int, str]]] = {id_: [] for id_ in evidence.endpoints}
    for line in evidence.lines:
        found[evidence.endpoints[line.endpoint]].append((line.at_ns, line.sender))
    return found


def _sender_at(requests: list[tuple[int, str]], at_ns: int) -> str:
    """Return whose request was the first from then on: who claims begins to send at once."""
    position = min(bisect.bisect(requests, (at_ns, "")), len(requests) - 1)
    return requests[position][1]


def _wall_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1000


def delays_s(evidence: Evidence, answered: Iterable[Answered]) -> Iterator[tuple[Answered, float]]:
    """Yield each acceptance with the seconds until a receiver that never fails had its message."""
    accepted = {answer.message_id: answer for answer in answered if answer.message_id}
    seen: set[tuple[str, int]] = set()
    for line in evidence.lines:
        key = line.message_id, line.endpoint
        if key in seen or BEHAVIOURS[line.endpoint] != "ok":
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
