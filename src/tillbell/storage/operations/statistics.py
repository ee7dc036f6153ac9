"""Statistics: reads of rollups, and how minutes become hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tillbell.clock import HOUR, MINUTE, Micros
from tillbell.ids import first_of
from tillbell.model.statistics import (
    CountedSeries,
    Counts,
    Marker,
    MarkerKind,
    Rollup,
    add_counts,
)
from tillbell.storage.engine.methods import read, write, write_by_housekeeper
from tillbell.storage.operations.pages import page_bounds
from tillbell.storage.ports.outbound import Page
from tillbell.storage.ports.statistics import Period, RollupProgress
from tillbell.storage.session.connection import DbReader, Row
from tillbell.storage.session.rollups import decode_counts, encode_counts
from tillbell.storage.session.transaction import DbTransaction

# ── reads ────────────────────────────────────────────────────────────────────────────────────────


@read
def rollups(
    db: DbReader, series: Sequence[CountedSeries], period: Period, step: Micros
) -> list[list[Rollup]]:
    """Read the counts of each series, in steps."""
    period = Period(period.since // MINUTE * MINUTE, period.until)
    hours, minutes = _parts(db, period, step)
    return [
        _in_steps(
            [row for part in hours for row in _rows(db, "rollup_hours", each, part)]
            + [row for part in minutes for row in _rows(db, "rollup_minutes", each, part)],
            period.since,
            step,
        )
        for each in series
    ]


def _in_steps(rows: Sequence[Row], since: Micros, step: Micros) -> list[Rollup]:
    steps: dict[Micros, Counts] = {}
    for start, counts in rows:
        place = since + (start - since) // step * step
        add_counts(steps.setdefault(place, {}), decode_counts(counts))
    return [Rollup(start, steps[start]) for start in sorted(steps)]


def _rows(db: DbReader, name: str, series: CountedSeries, part: Period) -> list[Row]:
    bindings = {
        "app_id": series.app_id,
        "kind": series.kind,
        "subject": series.subject,
        "since": part.since,
        "until": part.until,
    }
    return db.query(name, bindings)


@read
def rollups_by_subject(
    db: DbReader, app_id: str, kind: str, period: Period, limit: int
) -> dict[str, Counts]:
    """Read the counts of all subjects of a kind."""
    period = Period(period.since // MINUTE * MINUTE, period.until)
    hours, minutes = _parts(db, period, HOUR)
    of_kind = {"app_id": app_id, "kind": kind, "limit": limit}
    sums: dict[str, Counts] = {}
    for name, part in [
        *(("subjects_of_hours", part) for part in hours),
        *(("subjects_of_minutes", part) for part in minutes),
    ]:
        for subject, counts in db.query(name, {**of_kind, **part._asdict()}):
            if subject in sums or len(sums) < limit:
                add_counts(sums.setdefault(subject, {}), decode_counts(counts))
    return sums


def _parts(db: DbReader, period: Period, step: Micros) -> tuple[list[Period], list[Period]]:
    """Cut a period into what is read by the hour and what by the minute."""
    since, until = period
    progress = _progress(db)
    first = -(-since // HOUR) * HOUR
    last = min(until // HOUR * HOUR, progress.hours_until)
    if step % HOUR or first >= last:
        return [], [period]
    minutes = [Period(since, first), Period(last, until)]
    return [Period(first, last)], [part for part in minutes if part.since < part.until]


@read
def rollup_progress(db: DbReader) -> RollupProgress:
    """Read how far minutes are added up."""
    return _progress(db)


def _progress(db: DbReader) -> RollupProgress:
    return _as_progress(db.query("rollup_progress"))


def _as_progress(rows: Sequence[Row]) -> RollupProgress:
    return RollupProgress._make(rows[0]) if rows else RollupProgress(0, 0)


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
        for app_id, kind, subject, counts in db.query("rollups_of_minute", (minute,)):
            series = CountedSeries(app_id, kind, subject)
            add_counts(sums.setdefault(series, {}), decode_counts(counts))
    return sums


@write_by_housekeeper()
def store_hours(db: DbTransaction, hour: Micros, sums: Mapping[CountedSeries, Counts]) -> bool:
    """Store sums of an hour, unless it is final."""
    if hour < _as_progress(db.query("locked_rollup_progress")).minutes_from:
        return False
    db.execute_bulk(
        "put_rollup_hours",
        [(*series, hour, encode_counts(counts)) for series, counts in sums.items()],
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
