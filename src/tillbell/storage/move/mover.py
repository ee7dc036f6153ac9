"""A move: copies a SQLite store into an empty PostgreSQL database.

1. The file is locked; the move is refused if a gateway uses it. Leases end as at every start.
2. Both sides are marked with one id (session/move_marks.py). Neither is served from here on.
3. Rows are copied in batches (copy.py). After a kill at any point the next call continues.
4. Both sides are read from end to end and compared (verify.py).
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
from tillbell.storage.move.cancel import locked_data_file
from tillbell.storage.move.copy import StoreCopy
from tillbell.storage.move.verify import TableProof, prove_tables
from tillbell.storage.operations.claims import release_leases
from tillbell.storage.postgres.connection import PostgresConnection, connect_postgres
from tillbell.storage.postgres.partitions import cover_past
from tillbell.storage.session.connection import DbConnection
from tillbell.storage.session.migrate import migrate
from tillbell.storage.session.move_marks import (
    IncomingMove,
    OutgoingMove,
    day,
    incoming_move,
    outgoing_move,
)
from tillbell.storage.session.transaction import DbSession, DbTransaction, Fault, Operation
from tillbell.storage.sqlite.connection import open_reader, open_writer

BATCH_ROWS = 4_000
LOCK = ("migrations",)  # also held by whoever opens the target


class MoveOptions(NamedTuple):
    """How a move is made, and what is called about its progress."""

    batch_rows: int = BATCH_ROWS
    on_batch: Callable[[str, int], object] = lambda _stage, _copied: None
    on_proof: Callable[[str], object] = lambda _table: None
    fault: Fault = lambda _point: None


class MoveReport(NamedTuple):
    """The result of a move. Without proofs: it had finished before."""

    target: str
    copied: int  # rows, by this call and earlier ones
    proofs: Sequence[TableProof]

    @property
    def is_proven(self) -> bool:
        """Whether both sides are equal; if not, neither is served."""
        return all(proof.is_equal for proof in self.proofs)


def move(path: Path, url: str, clock: Clock, manner: MoveOptions | None = None) -> MoveReport:
    """Move a store, or continue its move. `Misconfigured` if it is not possible."""
    manner = manner or MoveOptions()
    with locked_data_file(path), contextlib.closing(_reached(url)) as target:
        with contextlib.closing(open_writer(path)) as source:
            migrate(source, "sqlite", clock.now())
            known = _known(source, target, path)
        if known is not None and known.finished_at is not None:
            return MoveReport(_without_password(url), known.copied, ())
        migrate(target, "postgres", clock.now())
        incoming = known or _begin(path, target, url, _MoveStart(clock.now(), manner.fault))
        return _carry(path, url, _MoveInProgress(target, incoming, clock, manner))


def _reached(url: str) -> PostgresConnection:
    try:
        return connect_postgres(url)
    except StoreUnavailable as error:
        raise Misconfigured(f"Cannot use the PostgreSQL database. {error}") from error


# ── who may move where ───────────────────────────────────────────────────────────────────────────


def _known(source: DbConnection, target: DbConnection, path: Path) -> IncomingMove | None:
    """Return the move to go on with, None to begin one; `Misconfigured` if neither may be."""
    outgoing, incoming = outgoing_move(source), _arrival(target)
    if outgoing is not None and incoming is not None and outgoing.id == incoming.id:
        return incoming
    if outgoing is not None and outgoing.finished_at is not None:
        raise Misconfigured(
            f"{path} was moved to {outgoing.target} on {day(outgoing.finished_at)}. "
            "`tillbell move --back --force` makes it usable again, as it was then."
        )
    if incoming is not None:
        raise Misconfigured(
            f"The target holds another move: of {incoming.source}, begun on "
            f"{day(incoming.begun_at)}. Give it an empty database."
        )
    return None


def _arrival(target: DbConnection) -> IncomingMove | None:
    ((is_ours, _),) = target.query("schema_exists")
    return incoming_move(target) if is_ours else None


def _refuse_full(target: DbConnection) -> None:
    tables = [table for (table,) in target.query("move_existing_rows")]
    if tables:
        raise Misconfigured(
            f"The target is not empty: it holds {', '.join(tables)}. Give it an empty database."
        )


class _MoveStart(NamedTuple):
    """When a move begins, and the faults that a test injects."""

    now: Micros
    fault: Fault


def _begin(path: Path, target: DbConnection, url: str, beginning: _MoveStart) -> IncomingMove:
    """Mark both sides. Killed between the two, the next call begins anew under another id."""
    _refuse_full(target)
    id_ = IdMaker().new("mov", beginning.now)
    _depart(path, OutgoingMove(id_, _without_password(url), beginning.now), beginning)
    target.query("begin")
    try:
        target.lock([LOCK])
        _refuse_full(target)
        target.query("insert_incoming_move", (id_, str(path), beginning.now))
    except BaseException:
        target.rollback()
        raise
    target.commit()
    return IncomingMove(id_, str(path), beginning.now)


def _depart(path: Path, outgoing: OutgoingMove, beginning: _MoveStart) -> None:
    """Close the source, in one commit: no lease is left, and the mark is made."""
    session = DbSession(lambda: open_writer(path), beginning.fault, lambda: beginning.now)
    try:
        session.begin()
        session.run_operation(Operation("release_all_leases", _release), [outgoing])
        session.run_operation(Operation("_mark", _mark), [outgoing])
        session.commit()
    finally:
        session.close()


def _release(db: DbTransaction, moves: Sequence[OutgoingMove]) -> list[int]:
    return [release_leases(db, move.begun_at) for move in moves]


def _mark(db: DbTransaction, moves: Sequence[OutgoingMove]) -> list[None]:
    for move in moves:
        db.query("delete_outgoing_move")  # an earlier try, of which the target knows nothing
        db.query("insert_outgoing_move", move)
    return [None] * len(moves)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


# ── the way ──────────────────────────────────────────────────────────────────────────────────────


class _MoveInProgress(NamedTuple):
    """A move that has begun."""

    target: DbConnection
    incoming: IncomingMove
    clock: Clock
    manner: MoveOptions


def _carry(path: Path, url: str, way: _MoveInProgress) -> MoveReport:
    with contextlib.closing(open_reader(path)) as source:
        copied = _copy(source, way)
        way.target.query("move_analyze")
        with contextlib.closing(connect_postgres(url)) as reader:
            proofs = prove_tables(source, reader, way.manner.on_proof)
    moved = MoveReport(_without_password(url), copied, proofs)
    if moved.is_proven:
        _finish(path, way)
    return moved


def _copy(source: DbConnection, way: _MoveInProgress) -> int:
    manner = way.manner
    oldest = [made_at(id_) for id_ in source.query("move_oldest")[0] if id_ is not None]
    cover_past(way.target, min(oldest, default=way.incoming.begun_at), way.incoming.begun_at)
    copying = StoreCopy(
        source, way.target, way.incoming, batch_rows=manner.batch_rows, fault=manner.fault
    )
    copying.on_batch = manner.on_batch
    copying.run()
    return copying.copied


def _finish(path: Path, way: _MoveInProgress) -> None:
    """Mark the source as gone, then the target as complete; so both are never open."""
    done = (way.incoming.id, way.clock.now())
    with contextlib.closing(open_writer(path)) as source:
        source.query("finish_outgoing_move", done)
    way.manner.fault("departed")
    way.target.query("finish_incoming_move", done)
