"""A move: everything of a SQLite store into an empty PostgreSQL database.

1. The file is locked: nobody serves it, or the move refuses. Leases are ended as at every start.
2. Both sides are marked with one id (departure.py). Neither is served from here on.
3. Rows are copied in batches (move_copy.py). Killed at any point, the next call goes on.
4. Both sides are read from end to end and compared (move_proof.py).
5. Only if all is equal the source is marked as gone, and then the target as complete.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tillbell.clock import Clock, Micros
from tillbell.errors import Misconfigured, StoreUnavailable
from tillbell.ids import IdMaker, made_at
from tillbell.storage.move.copy import Copying
from tillbell.storage.move.marks import Arrival, Departure, arrival_in, day, departure_of, locked
from tillbell.storage.move.verify import Proof, prove
from tillbell.storage.operations import messages
from tillbell.storage.postgres.connection import PostgresLink, open_link
from tillbell.storage.postgres.partitions import cover_past
from tillbell.storage.session.connection import Link
from tillbell.storage.session.migrate import migrate
from tillbell.storage.session.transaction import Fault, Session, Transaction
from tillbell.storage.sqlite.connection import open_reader, open_writer

BATCH_ROWS = 4_000
LOCK = ("migrations",)  # also held by whoever opens the target


class Manner(NamedTuple):
    """How a move is made, and who watches it."""

    batch_rows: int = BATCH_ROWS
    on_batch: Callable[[str, int], object] = lambda _stage, _copied: None
    on_proof: Callable[[str], object] = lambda _table: None
    fault: Fault = lambda _point: None


class Moved(NamedTuple):
    """What became of it. No proofs: it had been finished before."""

    target: str
    copied: int  # rows, by this call and earlier ones
    proofs: Sequence[Proof]

    @property
    def is_proven(self) -> bool:
        """Whether both sides are equal; if not, neither is served."""
        return all(proof.is_equal for proof in self.proofs)


def move(path: Path, url: str, clock: Clock, manner: Manner | None = None) -> Moved:
    """Move a store, or go on with its move. `Misconfigured` where that cannot be."""
    manner = manner or Manner()
    with locked(path), contextlib.closing(_reached(url)) as target:
        with contextlib.closing(open_writer(path)) as source:
            migrate(source, "sqlite", clock.now())
            known = _known(source, target, path)
        if known is not None and known.finished_at is not None:
            return Moved(_without_password(url), known.copied, ())
        migrate(target, "postgres", clock.now())
        coming = known or _begin(path, target, url, _Beginning(clock.now(), manner.fault))
        return _carry(path, url, _Way(target, coming, clock, manner))


def _reached(url: str) -> PostgresLink:
    try:
        return open_link(url)
    except StoreUnavailable as error:
        raise Misconfigured(f"Cannot use the PostgreSQL database. {error}") from error


# ── who may move where ───────────────────────────────────────────────────────────────────────────


def _known(source: Link, target: Link, path: Path) -> Arrival | None:
    """Return the move to go on with, None to begin one; `Misconfigured` if neither may be."""
    gone, coming = departure_of(source), _arrival(target)
    if gone is not None and coming is not None and gone.id == coming.id:
        return coming
    if gone is not None and gone.finished_at is not None:
        raise Misconfigured(
            f"{path} was moved to {gone.target} on {day(gone.finished_at)}. `tillbell move --back "
            "--force` makes it usable again, as it was then."
        )
    if coming is not None:
        raise Misconfigured(
            f"The target holds a move of {coming.source} that began on {day(coming.begun_at)}, and "
            "it is not this one. Give it an empty database."
        )
    return None


def _arrival(target: Link) -> Arrival | None:
    ((is_ours, _),) = target.rows("schema_exists")
    return arrival_in(target) if is_ours else None


def _refuse_full(target: Link) -> None:
    found = [table for (table,) in target.rows("move_found")]
    if found:
        raise Misconfigured(
            f"The target is not empty: it holds {', '.join(found)}. Give it an empty database."
        )


class _Beginning(NamedTuple):
    """When, and what is planted in it."""

    now: Micros
    fault: Fault


def _begin(path: Path, target: Link, url: str, beginning: _Beginning) -> Arrival:
    """Mark both sides. Killed between the two, the next call begins anew under another id."""
    _refuse_full(target)
    id_ = IdMaker().new("mov", beginning.now)
    _depart(path, Departure(id_, _without_password(url), beginning.now), beginning.fault)
    target.rows("begin")
    try:
        target.lock([LOCK])
        _refuse_full(target)
        target.rows("move_arrive", (id_, str(path), beginning.now))
    except BaseException:
        target.rollback()
        raise
    target.commit()
    return Arrival(id_, str(path), beginning.now)


def _depart(path: Path, gone: Departure, fault: Fault) -> None:
    """Close the source, in one commit: no lease is left, and the mark is made."""
    session = Session(lambda: open_writer(path), fault)
    try:
        session.begin()
        session.run(messages.orphan, [gone.begun_at])
        session.run(_mark, [gone])
        session.commit()
    finally:
        session.close()


def _mark(transaction: Transaction, departures: Sequence[Departure]) -> list[None]:
    transaction.rows("move_return")  # an earlier try, of which the target knows nothing
    transaction.rows("move_depart", departures[0])
    return [None]


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


# ── the way ──────────────────────────────────────────────────────────────────────────────────────


class _Way(NamedTuple):
    """A move that has begun."""

    target: Link
    coming: Arrival
    clock: Clock
    manner: Manner


def _carry(path: Path, url: str, way: _Way) -> Moved:
    with contextlib.closing(open_reader(path)) as source:
        copied = _copy(source, way)
        way.target.rows("move_analyze")
        with contextlib.closing(open_link(url)) as reader:
            proofs = prove(source, reader, way.manner.on_proof)
    moved = Moved(_without_password(url), copied, proofs)
    if moved.is_proven:
        _finish(path, way)
    return moved


def _copy(source: Link, way: _Way) -> int:
    manner = way.manner
    oldest = [made_at(id_) for id_ in source.rows("move_oldest")[0] if id_ is not None]
    cover_past(way.target, min(oldest, default=way.coming.begun_at), way.coming.begun_at)
    copying = Copying(
        source, way.target, way.coming, batch_rows=manner.batch_rows, fault=manner.fault
    )
    copying.on_batch = manner.on_batch
    copying.run()
    return copying.copied


def _finish(path: Path, way: _Way) -> None:
    """Mark the source as gone, then the target as complete: in this order, so that one is shut."""
    done = (way.coming.id, way.clock.now())
    with contextlib.closing(open_writer(path)) as source:
        source.rows("move_departed", done)
    way.manner.fault("departed")
    way.target.rows("move_arrived", done)
