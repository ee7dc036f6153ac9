"""Cancel a move: the store that was moved can be served again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tillbell.clock import Micros
from tillbell.errors import Misconfigured
from tillbell.storage.session.migrate import migrate
from tillbell.storage.session.move_marks import OutgoingMove, day, outgoing_move
from tillbell.storage.sqlite.connection import open_writer
from tillbell.storage.sqlite.file_lock import FileLock


@contextlib.contextmanager
def locked_data_file(path: Path) -> Iterator[None]:
    """Keep every gateway from using a file; `Misconfigured` if one does."""
    if not path.is_file():
        raise Misconfigured(f"There is no database at {path}.")
    lock = FileLock(path)
    try:
        yield
    finally:
        lock.release()


def cancel_move(path: Path, now: Micros, *, is_forced: bool) -> OutgoingMove:
    """Make a store that was moved usable again; return the mark it had.

    `is_forced` is needed if the move was finished. What was stored since then is only in the other
    database, and what was delivered from there will be delivered again from here.
    """
    with locked_data_file(path), contextlib.closing(open_writer(path)) as source:
        migrate(source, "sqlite", now)
        gone = outgoing_move(source)
        if gone is None:
            raise Misconfigured(f"{path} was not moved.")
        if gone.finished_at is not None and not is_forced:
            raise Misconfigured(
                f"{path} was moved to {gone.target} on {day(gone.finished_at)}. What was "
                "stored since then is only there. Stop the gateways that run there, then add "
                "--force to use the file as it was at the time of the move."
            )
        source.query("delete_outgoing_move")
        return gone
