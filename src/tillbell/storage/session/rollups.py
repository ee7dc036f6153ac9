"""What a commit counts, and the rows in which a session stores it.

The counts of a commit are written within it, so a crash loses both or neither. One row holds the
counts of a series in one minute that **one session** has stored: its **shard**. The session has
them in memory, and each commit replaces the rows that it adds to. So nothing is read before it is
written, and no two processes ever write the same row; readers add the shards up.

Memory and rows are equal only while every commit is known to have succeeded. After any other one,
the session goes on with a new shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from tillbell.clock import MINUTE, Micros
from tillbell.ids import token
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.messages import Attempt, DeliveryState, Result, Trigger
from tillbell.model.statistics import (
    ALL,
    AMOUNT,
    ATTEMPTS_MAX,
    ATTEMPTS_NEEDED,
    DELAYS,
    ENDPOINT,
    EVENT_TYPE,
    EXHAUSTED,
    MESSAGES,
    PROVIDER,
    RESPONSE_TIMES,
    SOURCE,
    CountedSeries,
    Counts,
    add_counts,
    amount_subject,
    arrival_code,
    bucket_of,
    conclusion_code,
    effect_counts,
    ending_code,
)
from tillbell.model.transactions import Effect, Transaction
from tillbell.storage.ports.outbound import FinishedAttempt, Publication

# Rows of one shard that are replaced again and again: while somebody holds a transaction open,
# PostgreSQL keeps each version, and goes through all of them.
COMMITS_MAX = 1_000

Key = TypeVar("Key")
SeriesKey = tuple[str, str, str]  # a `CountedSeries`, or equal to one
RollupRow = tuple[Micros, str, str, str, int, bytes]  # start, the series, shard, counts
encode_counts = msgspec.msgpack.Encoder().encode
decode_counts = msgspec.msgpack.Decoder(Counts).decode


class RollupDelta:
    """What one commit counts."""

    def __init__(self) -> None:
        # By application, endpoint and event type; and by application and event type.
        self._attempts: dict[tuple[str, str, str], Counts] = {}
        self._messages: dict[tuple[str, str], int] = {}
        self._arrivals: dict[tuple[str, str, str], Counts] = {}  # application, source, provider
        self._conclusions: dict[tuple[str, str], Counts] = {}  # application, source
        self._amounts: dict[tuple[str, str], Counts] = {}  # application, subject
        self._others: dict[CountedSeries, Counts] = {}

    def __bool__(self) -> bool:
        return bool(
            self._attempts
            or self._messages
            or self._arrivals
            or self._conclusions
            or self._amounts
            or self._others
        )

    # ── what operations count ────────────────────────────────────────────────────────────────────

    def count_publications(self, publications: Iterable[Publication]) -> None:
        """Count messages that are stored."""
        for publication in publications:
            key = publication.message.app_id, publication.message.event_type
            self._messages[key] = self._messages.get(key, 0) + 1

    def count_finished(self, finished: Iterable[FinishedAttempt]) -> None:
        """Count attempts that ended, and what became of their deliveries."""
        accepted, scheduled = Result.ACCEPTED, Trigger.SCHEDULED
        for f in finished:
            attempt = f.attempt
            counts = self._counts_of(attempt)
            code = ending_code(attempt.result, attempt.status_code)
            counts[code] = counts.get(code, 0) + 1
            if attempt.result is accepted:
                code = RESPONSE_TIMES + bucket_of(attempt.duration_us)
                counts[code] = counts.get(code, 0) + 1
            if attempt.trigger is scheduled:
                _count_ending(counts, f)

    def count_interrupted(self, attempts: Iterable[Attempt]) -> None:
        """Count attempts of which no answer was recorded."""
        for attempt in attempts:
            counts = self._counts_of(attempt)
            code = ending_code(attempt.result, attempt.status_code)
            counts[code] = counts.get(code, 0) + 1

    def _counts_of(self, attempt: Attempt) -> Counts:
        key = attempt.app_id, attempt.endpoint_id, attempt.event_type
        counts = self._attempts.get(key)
        if counts is None:
            counts = self._attempts[key] = {}
        return counts

    def count_arrivals(self, callbacks: Iterable[Callback]) -> None:
        """Count callbacks that are stored."""
        for callback in callbacks:
            code = arrival_code(callback.outcome)
            if code is not None:
                key = callback.app_id, callback.source_id, callback.provider
                counts = self._arrivals.setdefault(key, {})
                counts[code] = counts.get(code, 0) + 1

    def count_conclusion(self, app_id: str, source_id: str, outcome: Outcome) -> None:
        """Count a callback that was processed."""
        code = conclusion_code(outcome)
        counts = self._conclusions.setdefault((app_id, source_id), {})
        counts[code] = counts.get(code, 0) + 1

    def count_effects(self, transaction: Transaction, effects: Iterable[Effect]) -> None:
        """Count the money that a transaction moves."""
        for effect in effects:
            key = transaction.app_id, amount_subject(transaction.provider, effect.currency)
            add_counts(self._amounts.setdefault(key, {}), effect_counts(effect.kind, effect.amount))

    def count(self, series: CountedSeries, counts: Counts) -> None:
        """Count something of one series."""
        add_counts(self._others.setdefault(series, {}), counts)

    # ── what the session stores ──────────────────────────────────────────────────────────────────

    def merge(self, other: RollupDelta) -> None:
        """Add what another one counted."""
        if not self:
            self._attempts, self._messages = other._attempts, other._messages
            self._arrivals, self._conclusions = other._arrivals, other._conclusions
            self._amounts, self._others = other._amounts, other._others
            return
        for key, number in other._messages.items():
            self._messages[key] = self._messages.get(key, 0) + number
        _merge(self._attempts, other._attempts)
        _merge(self._arrivals, other._arrivals)
        _merge(self._conclusions, other._conclusions)
        _merge(self._amounts, other._amounts)
        _merge(self._others, other._others)

    def add_to(self, counts_of: Callable[[SeriesKey], Counts]) -> None:
        """Add what was counted to the counts of each series."""
        by_type: dict[tuple[str, str], Counts] = {}
        for (app_id, endpoint_id, event_type), counts in self._attempts.items():
            add_counts(counts_of((app_id, ENDPOINT, endpoint_id)), counts)
            of_type = by_type.get((app_id, event_type))
            if of_type is None:
                by_type[app_id, event_type] = counts.copy()
            else:
                add_counts(of_type, counts)
        for key, number in self._messages.items():
            by_type.setdefault(key, {})[MESSAGES] = number
        for (app_id, event_type), counts in by_type.items():
            add_counts(counts_of((app_id, EVENT_TYPE, event_type)), counts)
            add_counts(counts_of((app_id, ALL, "")), counts)
            add_counts(counts_of(("", EVENT_TYPE, event_type)), counts)
            add_counts(counts_of(("", ALL, "")), counts)
        self._add_callbacks_to(counts_of)
        for series, counts in self._others.items():
            add_counts(counts_of(series), counts)

    def _add_callbacks_to(self, counts_of: Callable[[SeriesKey], Counts]) -> None:
        """Do the same for callbacks and the money that they move."""
        for (app_id, source_id, provider), counts in self._arrivals.items():
            add_counts(counts_of((app_id, SOURCE, source_id)), counts)
            for scope in (app_id, ""):
                add_counts(counts_of((scope, PROVIDER, provider)), counts)
                add_counts(counts_of((scope, ALL, "")), counts)
        for (app_id, source_id), counts in self._conclusions.items():
            add_counts(counts_of((app_id, SOURCE, source_id)), counts)
            for scope in (app_id, ""):
                add_counts(counts_of((scope, ALL, "")), counts)
        for (app_id, subject), counts in self._amounts.items():
            for scope in (app_id, ""):
                add_counts(counts_of((scope, AMOUNT, subject)), counts)


def _merge(into: dict[Key, Counts], other: dict[Key, Counts]) -> None:
    for key, counts in other.items():
        add_counts(into.setdefault(key, {}), counts)


def _count_ending(counts: Counts, finished: FinishedAttempt) -> None:
    """Count what became of a delivery by its schedule."""
    attempt = finished.attempt
    if attempt.result is Result.ACCEPTED:
        code = ATTEMPTS_NEEDED + min(attempt.number, ATTEMPTS_MAX)
        counts[code] = counts.get(code, 0) + 1
        if finished.owed_since is not None:
            ended_at = attempt.started_at + attempt.duration_us
            code = DELAYS + bucket_of(ended_at - finished.owed_since)
            counts[code] = counts.get(code, 0) + 1
    elif finished.state is DeliveryState.FAILED:
        counts[EXHAUSTED] = counts.get(EXHAUSTED, 0) + 1


class RollupShard:
    """The rows of one session: what they hold in the present minute, as far as it is on disk."""

    def __init__(self) -> None:
        self._begin(0)

    def _begin(self, minute: Micros) -> None:
        self._id = int.from_bytes(token(8), "big") >> 1
        self._minute = minute
        self._commits = 0
        self._counts: dict[SeriesKey, Counts] = {}
        self._written: dict[SeriesKey, Counts] = {}

    def rows(self, delta: RollupDelta, now: Micros) -> Sequence[RollupRow]:
        """Return the rows that this commit puts into the place of those before."""
        minute = now // MINUTE * MINUTE
        if minute != self._minute or self._commits == COMMITS_MAX:
            self._begin(minute)
        written: dict[SeriesKey, Counts] = {}
        self._written = written
        delta.add_to(self._counts_of)
        return [(minute, *key, self._id, encode_counts(counts)) for key, counts in written.items()]

    def _counts_of(self, key: SeriesKey) -> Counts:
        """Return the counts that this commit writes of a series."""
        counts = self._written.get(key)
        if counts is None:
            stored = self._counts.get(key)
            counts = self._written[key] = {} if stored is None else stored.copy()
        return counts

    def committed(self) -> None:
        """Note that the last rows are on disk."""
        self._counts.update(self._written)
        self._written = {}
        self._commits += 1
