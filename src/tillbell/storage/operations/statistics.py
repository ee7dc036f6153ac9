"""Statistics: reads of rollups, and how minutes become hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from tillbell.clock import HOUR, MINUTE, Micros
from tillbell.ids import first_of
from tillbell.model.statistics import (
    CountedSeries,
    Counts,
    Marker,
    MarkerKind,
    Rollup,
    add_counts,
    sum_of,
)
from tillbell.storage.engine.methods import read, write, write_by_housekeeper
from tillbell.storage.operations.pages import page_bounds
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.statistics import Period, RollupProgress
from tillbell.storage.session.connection import DbReader, Row, json_list
from tillbell.storage.session.rollups import decode_counts, encode_counts
from tillbell.storage.session.transaction import DbTransaction

_NOTHING = encode_counts({})

# ── reads ────────────────────────────────────────────────────────────────────────────────────────


class _RowStatements(NamedTuple):
    """The statements that read rows by the hour and by the minute."""

    hours: str
    minutes: str


_OF_WANTED = _RowStatements("rollup_hours", "rollup_minutes")
_OF_ALL = _RowStatements("subjects_of_hours", "subjects_of_minutes")


class _Cut(NamedTuple):
    """What of a period is read by the hour, and what by the minute."""

    hours: Period
    minutes: list[Period]


@read
def rollups(
    db: DbReader, series: Sequence[CountedSeries], period: Period, step: Micros
) -> list[list[Rollup]]:
    """Read the counts of each series, in steps."""
    period = Period(period.since // MINUTE * MINUTE, period.until)
    parts: dict[CountedSeries, dict[Micros, list[bytes]]] = {each: {} for each in series}
    for (app_id, kind), of_kind in groupby(sorted(parts), key=lambda each: each[:2]):
        subjects = json_list(each.subject for each in of_kind)
        bindings = {"app_id": app_id, "kind": kind, "subjects": subjects}
        for subject, start, counts in _rows(db, _OF_WANTED, bindings, period, step):
            place = period.since + (start - period.since) // step * step
            parts[CountedSeries(app_id, kind, subject)].setdefault(place, []).append(counts)
    return [
        [Rollup(start, _sum(counts)) for start, counts in sorted(parts[each].items())]
        for each in series
    ]


@read
def rollups_by_subject(
    db: DbReader, app_id: str, kind: str, period: Period, limit: int
) -> dict[str, Counts]:
    """Read the counts of all subjects of a kind."""
    period = Period(period.since // MINUTE * MINUTE, period.until)
    bindings = {"app_id": app_id, "kind": kind, "limit": limit}
    parts: dict[str, list[bytes]] = {}
    for subject, _, counts in _rows(db, _OF_ALL, bindings, period, HOUR):
        if subject in parts or len(parts) < limit:
            parts.setdefault(subject, []).append(counts)
    return {subject: _sum(counts) for subject, counts in parts.items()}


def _sum(parts: Iterable[bytes]) -> Counts:
    return sum_of(map(decode_counts, parts))


def _rows(
    db: DbReader,
    statements: _RowStatements,
    bindings: Mapping[str, object],
    period: Period,
    step: Micros,
) -> Iterator[tuple[str, Micros, bytes]]:
    """Yield subject, start and counts of the rows that make up a period: each minute once."""
    added_until = _progress(db).added_until
    cut = _cut(period, step, added_until, has_present=period.until >= added_until)
    hours = _of_part(db, statements.hours, bindings, cut.hours)
    if any(until > period.until for _, _, until, _ in hours):  # more is added up already
        cut = _cut(period, step, added_until, has_present=False)
        hours = [row for row in hours if row[1] < cut.hours.until]
    newer = {subject: until for subject, _, until, _ in hours if until > added_until}
    for subject, start, _, counts in hours:
        yield subject, start, counts
    for minutes in cut.minutes:
        part = _from_first_minute(db, minutes)
        for subject, start, counts in _of_part(db, statements.minutes, bindings, part):
            if start < cut.hours.since or start >= newer.get(subject, 0):
                yield subject, start, counts


def _from_first_minute(db: DbReader, part: Period) -> Period:
    """Return the part from its first minute that is stored on: each minute is looked up."""
    ((first,),) = db.query("next_rollup_minute", (part.since,))
    return part._replace(since=part.until if first is None else min(first, part.until))


def _of_part(db: DbReader, name: str, bindings: Mapping[str, object], part: Period) -> list[Row]:
    if part.since >= part.until:
        return []
    return db.query(name, {**bindings, "since": part.since, "until": part.until})


def _cut(period: Period, step: Micros, added_until: Micros, *, has_present: bool) -> _Cut:
    """Cut a period; `has_present`: with the sums of the hour that is added up in part."""
    since, until = period
    first = -(-since // HOUR) * HOUR
    present = added_until // HOUR * HOUR
    if has_present:
        hours_until, minutes_from = present + HOUR, added_until
    else:
        hours_until = minutes_from = min(until // HOUR * HOUR, present)
    if step % HOUR or first >= minutes_from:
        return _Cut(Period(since, since), [period])
    return _Cut(Period(first, hours_until), [Period(since, first), Period(minutes_from, until)])


@read
def rollup_progress(db: DbReader) -> RollupProgress:
    """Read how far minutes are added up."""
    return _progress(db)


def _progress(db: DbReader) -> RollupProgress:
    return _as_progress(db.query("rollup_progress"))


def _as_progress(rows: Sequence[Row]) -> RollupProgress:
    return RollupProgress._make(rows[0]) if rows else RollupProgress()


@read
def next_rollup_minute(db: DbReader, since: Micros) -> Micros | None:
    """Read the first minute that is stored, from a time on."""
    ((start,),) = db.query("next_rollup_minute", (since,))
    return start  # type: ignore[no-any-return]


# ── minutes become hours ─────────────────────────────────────────────────────────────────────────


@read
def hour_sums(db: DbReader, hour: Micros) -> dict[CountedSeries, Counts]:
    """Add up the minutes of an hour, minute by minute so that few rows are in memory."""
    sums: dict[CountedSeries, Counts] = {}
    for minute in range(hour, hour + HOUR, MINUTE):
        for *series, counts in db.query("rollups_of_minute", (minute,)):
            add_counts(sums.setdefault(CountedSeries(*series), {}), decode_counts(counts))
    return sums


@read
def continued_sums(db: DbReader, hour: Micros, part: Period) -> dict[CountedSeries, Counts]:
    """Add minutes to the stored sums of their hour. What is in a sum already is left out."""
    stored = {
        CountedSeries(*series): (until, counts)
        for *series, until, counts in db.query("rollups_of_hour", (hour,))
    }
    sums: dict[CountedSeries, Counts] = {}
    for minute in range(part.since // MINUTE * MINUTE, part.until, MINUTE):
        for *names, counts in db.query("rollups_of_minute", (minute,)):
            series = CountedSeries(*names)
            until, before = stored.get(series, (0, _NOTHING))
            if series not in sums:
                sums[series] = decode_counts(before)
            if minute >= until:
                add_counts(sums[series], decode_counts(counts))
    return sums


@write_by_housekeeper()
def store_hours(
    db: DbTransaction, hour: Micros, until: Micros, sums: Mapping[CountedSeries, Counts]
) -> bool:
    """Store sums of an hour, unless it is final or more of it is stored."""
    if hour < _as_progress(db.query("locked_rollup_progress")).minutes_from:
        return False
    db.execute_bulk(
        "put_rollup_hours",
        [(*series, hour, until, encode_counts(counts)) for series, counts in sums.items()],
    )
    return True


@write_by_housekeeper()
def advance_rollups(db: DbTransaction, progress: RollupProgress) -> None:
    """Note how far minutes are added up."""
    db.query("advance_rollup_progress", progress)


@write_by_housekeeper()
def purge_statistics(
    db: DbTransaction, *, hours_before: Micros, markers_before: Micros, limit: int
) -> int:
    """Delete minutes that are added up, and hours and markers past their retention."""
    deleted = 0
    for name, bound in (
        ("delete_rollup_minutes", _progress(db).minutes_from),
        ("delete_rollup_hours", hours_before),
        ("delete_markers", first_of("mrk", markers_before)),
    ):
        if deleted < limit:
            deleted += db.execute_each(name, [(bound, limit - deleted)]).rowcount
    return deleted


def remove_application_rollups(db: DbTransaction, app_id: str) -> None:
    """Delete what is counted of an application that is removed."""
    for name in ("remove_app_minutes", "remove_app_hours", "remove_app_markers"):
        db.query(name, (app_id,))


def remove_endpoint_rollups(db: DbTransaction, app_id: str, endpoint_id: str) -> None:
    """Delete what is counted of an endpoint that is removed. Sums of its application stay."""
    for name in ("delete_minutes_of_endpoint", "delete_hours_of_endpoint"):
        db.query(name, (app_id, endpoint_id))


# ── samples and markers ──────────────────────────────────────────────────────────────────────────


@write(optimistic=True)
def count(db: DbTransaction, counts: Mapping[CountedSeries, Counts]) -> None:
    """Count what belongs to no other write."""
    for series, numbers in counts.items():
        db.rollup_delta.count(series, numbers)


@write(optimistic=True)
def add_marker(db: DbTransaction, marker: Marker) -> None:
    """Store a marker."""
    db.query("insert_marker", marker)


@read
def markers(db: DbReader, app_id: str | None, period: Period, limit: int) -> list[Marker]:
    """Read the newest markers of a period."""
    bounds = page_bounds(Page(limit), "mrk", period.since, period.until)
    scopes = [None] if app_id is None else [app_id, ""]
    rows = [row for scope in scopes for row in _markers(db, scope, bounds.bindings)]
    rows.sort(key=lambda marker: marker.id, reverse=True)
    return rows[:limit]


def _markers(db: DbReader, app_id: str | None, bounds: Mapping[str, object]) -> Iterator[Marker]:
    by = "everywhere" if app_id is None else "by_app"
    for row in db.query("markers", {**bounds, "app_id": app_id}, by):
        marker = Marker._make(row)
        yield marker._replace(kind=MarkerKind(marker.kind))
