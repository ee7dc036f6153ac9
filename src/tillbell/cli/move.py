"""`tillbell move`: move the store from SQLite to PostgreSQL, or cancel a move."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tillbell.cli.flags import StoreFlags, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tillbell.config import Settings
    from tillbell.storage.move.mover import MoveOptions, MoveReport
    from tillbell.storage.move.verify import TableProof

Switch = Annotated[bool, Parameter(negative="")]
_LOGIN_HINT = "postgresql://user@host/database; its password may come from PGPASSWORD or ~/.pgpass"


def move(
    flags: StoreFlags | None = None,
    *,
    to: str | None = None,
    back: Switch = False,
    force: Switch = False,
) -> int:
    """Move the store from SQLite into an empty PostgreSQL database; nothing is served meanwhile.

    Stop the gateway first. An interrupted move continues when the same command runs again. At the
    end both sides are compared row by row. Then only the new store can be served, the old one no
    more. The master key stays the same.

    Parameters
    ----------
    to
        The empty database: postgresql://user@host/database.
    back
        Cancel a move, so that the SQLite file can be served again.
    force
        With --back: cancel even a finished move. What was stored since then is lost to SQLite.
    """
    from tillbell.errors import Misconfigured

    settings = load_settings(flags).settings
    if not settings.database_url.startswith("sqlite:///"):
        raise Misconfigured(
            "database_url is not SQLite; name the store to move with --data-dir, or with "
            "--database-url sqlite:///path"
        )
    if back == (to is not None):
        raise Misconfigured(f"name the target: --to {_LOGIN_HINT}; or --back")
    if to is None:
        return _go_back(settings.sqlite_path, force)
    if not to.startswith(("postgresql://", "postgres://")):
        raise Misconfigured(f"--to must look like {_LOGIN_HINT}")
    return _move(settings, to)


def _move(settings: Settings, url: str) -> int:
    from tillbell.clock import SystemClock
    from tillbell.errors import Misconfigured

    try:
        from tillbell.storage.move.mover import move as move_store
    except ImportError as error:
        raise Misconfigured(
            "PostgreSQL needs its driver: pip install 'tillbell[postgres]'"
        ) from error
    try:
        with _with_progress() as options:
            moved = move_store(settings.sqlite_path, url, SystemClock(), options)
    except KeyboardInterrupt:
        print("tillbell: stopped; run the same command again to continue", file=sys.stderr)
        return 1
    return _report(moved, settings)


def _go_back(path: Path, is_forced: bool) -> int:  # noqa: FBT001 - a flag
    from tillbell.clock import SystemClock
    from tillbell.storage.move.cancel import cancel_move

    cancelled = cancel_move(path, SystemClock().now(), is_forced=is_forced)
    print(f"{path} can be served again. Empty {cancelled.target} before you move to it again.")
    return 0


def _report(moved: MoveReport, settings: Settings) -> int:
    if not moved.proofs:
        print(f"The move to {moved.target} has already finished. Start with DATABASE_URL.")
        return 0
    _show(moved.proofs)
    if not moved.is_proven:
        print(
            f"tillbell: {moved.target} differs; neither store can be served. Empty it and move "
            "again, or cancel with `tillbell move --back`.",
            file=sys.stderr,
        )
        return 1
    print(
        f"Moved to {moved.target}. Start with its URL in DATABASE_URL and with the same master key "
        f"({settings.data_dir / 'master.key'} or TILLBELL_MASTER_KEY): it opens the secrets."
    )
    return 0


def _show(proofs: Sequence[TableProof]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title, justify in (("table", "left"), ("rows", "right"), ("hash", "left"), ("", "left")):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for proof in proofs:
        verdict = "equal" if proof.is_equal else _difference(proof)
        rows, hash_ = f"{proof.source.rows:,}", proof.source.hash[:16]
        table.add_row(proof.table, rows, hash_, verdict, style=None if proof.is_equal else "red")
    Console(highlight=False, soft_wrap=True).print(table)


def _difference(proof: TableProof) -> str:
    if proof.source.rows != proof.target.rows:
        return f"DIFFERS: {proof.target.rows:,} rows there"
    return f"DIFFERS: {proof.target.hash[:16]} there"


@contextmanager
def _with_progress() -> Iterator[MoveOptions]:
    """Show the progress on standard error, if that is a terminal."""
    from rich.console import Console

    from tillbell.storage.move.mover import MoveOptions

    with Console(stderr=True).status("beginning") as status:
        yield MoveOptions(
            on_batch=lambda stage, copied: status.update(f"copying {stage}: {copied:,} rows"),
            on_proof=lambda table: status.update(f"comparing {table}"),
        )
