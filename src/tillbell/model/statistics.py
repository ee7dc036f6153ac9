"""Statistics: what is counted of attempts, messages, callbacks and money, minute by minute.

What is counted together is a **series**. A **rollup** is a series' counts of one minute or hour:
numbers by code. A code is stored, so it never changes its meaning; new ones are added at the end of
their range. Times are counted in buckets (`bucket_of`): four to each doubling, so a percentile is
known to a tenth of its value.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.callbacks import Outcome
from tillbell.model.messages import Result
from tillbell.model.transactions import EffectKind

Counts = dict[int, int]  # by code


# What a series counts together. Plain texts: they are part of keys on the hot path.
ALL = "all"  # everything of an application, or of all
ENDPOINT = "endpoint"
EVENT_TYPE = "event_type"
SOURCE = "source"
PROVIDER = "provider"
AMOUNT = "amount"  # money of one provider in one currency: `amount_subject`


class CountedSeries(NamedTuple):
    """Which things are counted together. Application "": those of all applications."""

    app_id: str
    kind: str
    subject: str = ""  # an id or a name, as the kind says


class Rollup(NamedTuple):
    """The counts of a series in the minute, hour or longer time that begins at `start`."""

    start: Micros
    counts: Counts


# ── codes ────────────────────────────────────────────────────────────────────────────────────────

# How attempts ended: a `Result`, and of refused ones by which class of status code.
ENDINGS = (
    "accepted",
    "refused_3xx",
    "refused_4xx",
    "refused_5xx",
    "refused_other",  # a 2xx that is no success for the endpoint's profile
    "throttled",
    "gone",
    "timed_out",
    "unreachable",
    "blocked",
    "interrupted",
)
# What a callback was when it came.
ARRIVALS = (
    "accepted",
    "duplicate",
    "ignored",
    "unauthenticated",
    "malformed",
    "dropped",  # unauthenticated, and above the number that is stored
    "busy",  # sent back, because too many of its kind wait
    "unknown_source",
)
CONCLUSIONS = tuple(outcome.value for outcome in Outcome)
EFFECTS = tuple(kind.value for kind in EffectKind)

RESPONSE_TIMES = 100  # and the bucket: from request to answer, of accepted attempts
DELAYS = 300  # and the bucket: from the acceptance of a message to that of its delivery
BUCKETS = 200
ATTEMPTS_NEEDED = 500  # and how many: of deliveries that succeeded by their schedule
ATTEMPTS_MAX = 20  # as many or more
EXHAUSTED = 521  # deliveries whose schedule was used up
MESSAGES = 530  # published
ARRIVED = 540  # and a place in `ARRIVALS`
CONCLUDED = 560  # and a place in `CONCLUSIONS`
EFFECTS_COUNTED = 600  # and three times a place in `EFFECTS`: how many; their sum in two parts
PEAKS = 900  # from here on the largest of several numbers is taken, not their sum
PENDING = 900  # open deliveries
OVERDUE = 901  # microseconds for which the delivery that is due longest has waited

AMOUNT_PART = 10**9  # amounts are kept in two parts, so that no sum has more than 64 bits

_REFUSED = {3: 1, 4: 2, 5: 3}
_ENDING_OF_RESULT = {
    result.value: ENDINGS.index(result.value) for result in Result if result is not Result.REFUSED
}
_ARRIVAL = {name: ARRIVED + number for number, name in enumerate(ARRIVALS)}
_CONCLUSION = {name: CONCLUDED + number for number, name in enumerate(CONCLUSIONS)}
_EFFECT = {name: EFFECTS_COUNTED + 3 * number for number, name in enumerate(EFFECTS)}


def ending_code(result: Result, status_code: int) -> int:
    """Return the code of how an attempt ended."""
    # `_value_`: a plain str hashes in C, an Enum member in Python.
    code = _ENDING_OF_RESULT.get(result._value_)
    return _REFUSED.get(status_code // 100, 4) if code is None else code


def arrival_code(outcome: Outcome | None) -> int | None:
    """Return the code of what a callback was when it came; None: it is of a test.

    Without an outcome it is to be processed.
    """
    return _ARRIVAL.get("accepted" if outcome is None else outcome.value)


def conclusion_code(outcome: Outcome) -> int:
    """Return the code of how a callback ended."""
    return _CONCLUSION[outcome.value]


def effect_counts(kind: EffectKind, amount: int) -> Counts:
    """Return what one effect adds to its series."""
    code = _EFFECT[kind.value]
    high, low = divmod(amount, AMOUNT_PART)
    return {code: 1, code + 1: low, code + 2: high}


def effect_sum(counts: Counts, kind: EffectKind) -> tuple[int, int]:
    """Return how many effects were counted, and their sum in minor units."""
    code = _EFFECT[kind.value]
    high, low = counts.get(code + 2, 0), counts.get(code + 1, 0)
    return counts.get(code, 0), high * AMOUNT_PART + low


def amount_subject(provider: str | None, currency: str) -> str:
    """Return the subject of a series of amounts: no sum is over two currencies.

    >>> amount_subject("stripe", "EUR"), amount_subject(None, "EUR")
    ('stripe EUR', ' EUR')
    """
    return f"{provider or ''} {currency}"


def add_counts(to: Counts, counts: Counts) -> None:
    """Add counts to others."""
    for code, number in counts.items():
        if code < PEAKS:
            to[code] = to.get(code, 0) + number
        elif number >= to.get(code, 0):
            to[code] = number


def sum_of(parts: Iterable[Counts]) -> Counts:
    """Return the sum of counts; as quick as it can be, because reads add thousands of rows."""
    total: defaultdict[int, int] = defaultdict(int)
    for counts in parts:
        for code, number in counts.items():
            if code < PEAKS:
                total[code] += number
            elif number >= total[code]:
                total[code] = number
    return dict(total)


# ── buckets of times ─────────────────────────────────────────────────────────────────────────────


def bucket_start(bucket: int) -> int:
    """Return the shortest time in a bucket; the bucket ends where the next one starts.

    >>> bucket_start(75), bucket_start(76)
    (917504, 1048576)
    """
    if bucket < 4:
        return bucket
    return (4 + (bucket & 3)) << (bucket >> 2) - 1


_STARTS = [bucket_start(bucket) for bucket in range(1, BUCKETS)]


def bucket_of(micros: int) -> int:
    """Return the bucket of a time.

    >>> [bucket_of(n) for n in (-1, 0, 3, 4, 7, 8, 9, 10, 1_000_000)]
    [0, 0, 3, 4, 7, 8, 8, 9, 75]
    """
    return bisect_right(_STARTS, micros)


def percentile(counts: Counts, base: int, share: float) -> int | None:
    """Return the time that this share of the counted times does not exceed; None: none is counted.

    `base` is `RESPONSE_TIMES` or `DELAYS`. Within a bucket times count as evenly spread.
    """
    buckets = sorted(code - base for code in counts if base <= code < base + BUCKETS)
    wanted = share * sum(counts[base + bucket] for bucket in buckets)
    for bucket in buckets:
        number = counts[base + bucket]
        if number >= wanted:
            start, end = bucket_start(bucket), bucket_start(bucket + 1)
            return start + round((end - start) * wanted / number)
        wanted -= number
    return None


# ── markers ──────────────────────────────────────────────────────────────────────────────────────


class MarkerKind(StrEnum):
    """What happened."""

    START = "start"  # of a process of ours
    CHANGE = "change"  # of the configuration
    ROTATION = "rotation"  # of a secret
    CIRCUIT_OPENED = "circuit_opened"
    CIRCUIT_CLOSED = "circuit_closed"


class Marker(NamedTuple):
    """Something that happened at a point in time and may explain what a plot shows."""

    id: str
    app_id: str  # "": it concerns all applications
    endpoint_id: str  # "": it concerns no single endpoint
    at: Micros
    kind: MarkerKind
    text: str  # for a person
