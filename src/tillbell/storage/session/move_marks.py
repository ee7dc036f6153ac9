"""Marks of a move in both stores: they keep two gateways from serving one store.

A move (storage/move/mover.py) marks the source and the target with the same id before the first
row is copied. From then on neither is served, until all rows are in the target and compared. So
two gateways never deliver the same messages, wherever the move is stopped.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tillbell.clock import SECOND, Micros
from tillbell.errors import Misconfigured
from tillbell.storage.session.connection import DbConnection


class OutgoingMove(NamedTuple):
    """The mark in the source of a move."""

    id: str
    target: str  # without password
    begun_at: Micros
    finished_at: Micros | None = None


class IncomingMove(NamedTuple):
    """The mark in the target of a move, and how far the copy is."""

    id: str
    source: str
    begun_at: Micros
    stage: str = ""
    last_key: str = ""
    copied: int = 0
    finished_at: Micros | None = None


def outgoing_move(link: DbConnection) -> OutgoingMove | None:
    """Return the mark of a SQLite store that was moved or is being moved."""
    return next((OutgoingMove(*row) for row in link.query("outgoing_move")), None)


def incoming_move(link: DbConnection) -> IncomingMove | None:
    """Return the mark of a PostgreSQL store into which another was moved or is being moved."""
    return next((IncomingMove(*row) for row in link.query("incoming_move")), None)


def refuse_moved_store(link: DbConnection, path: Path) -> None:
    """Raise `Misconfigured` if a store was moved or is being moved."""
    gone = outgoing_move(link)
    if gone is None:
        return
    if gone.finished_at is None:
        raise Misconfigured(
            f"A move of {path} to {gone.target} began on {day(gone.begun_at)} and has not "
            "finished. Continue it with `tillbell move --to …`, or cancel it with "
            "`tillbell move --back`."
        )
    raise Misconfigured(
        f"{path} was moved to {gone.target} on {day(gone.finished_at)}: start with DATABASE_URL. "
        "`tillbell move --back --force` makes the file usable again, as it was then."
    )


def refuse_unfinished_move(link: DbConnection) -> None:
    """Raise `Misconfigured` if a move into this store has not finished."""
    coming = incoming_move(link)
    if coming is not None and coming.finished_at is None:
        raise Misconfigured(
            f"A move of {coming.source} into this database began on {day(coming.begun_at)} and has "
            "not finished. Continue it with `tillbell move --to …` on the machine of that file."
        )


def day(at: Micros) -> str:
    """Write a time for people, to the minute.

    >>> day(0)
    '1970-01-01 00:00 UTC'
    """
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M UTC")
