"""Where the time of an attempt went.

An attempt keeps its wait and the phases that ended, in microseconds, as one line of text:
`wait name connect tls first`. What is missing at the end did not end: the last phase under way took
the rest of the attempt's time. So an attempt that was answered has all five, and the rest is the
reading of the answer. 0: there was no such phase, as on a connection that was open already.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.messages import Attempt

PHASES = ("name", "connect", "tls", "first", "read")


class Phases(NamedTuple):
    """How long each phase of an attempt took; 0: there was none."""

    wait: Micros  # for its turn, before the attempt began; no part of its duration
    name: Micros  # look-up of the host's name
    connect: Micros  # TCP, with the wait for a free connection
    tls: Micros
    first: Micros  # from the request to the first byte of the answer
    read: Micros  # from there to the end of the answer
    last: str  # the phase in which the attempt ended, one of `PHASES`


def phases_of(attempt: Attempt) -> Phases | None:
    """Return the phases of an attempt; None if they were not measured, or nothing was sent.

    All but `wait` add up to its duration.
    """
    if not attempt.phases:
        return None
    wait, *ended = map(int, attempt.phases.split())
    rest = max(0, attempt.duration_us - sum(ended))
    name, connect, tls, first, read = [*ended, rest, 0, 0, 0, 0][: len(PHASES)]
    return Phases(wait, name, connect, tls, first, read, last=PHASES[len(ended)])
