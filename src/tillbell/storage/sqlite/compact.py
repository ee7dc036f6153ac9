"""Compact: a database file is written anew, so that nothing of what was deleted is left in it."""

from __future__ import annotations

import os
from pathlib import Path

from tillbell.errors import Misconfigured
from tillbell.storage.sqlite.connection import open_writer, translated
from tillbell.storage.sqlite.file_lock import FileLock


def compact(path: Path) -> None:
    """Replace a database by a copy of what it holds. `Misconfigured` if a process is using it.

    The copy needs as much room again. It takes the place of the old file when it is complete and on
    disk; if that is not reached, the old file stays as it was.
    """
    lock = FileLock(path)
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        _copy(path, part)
        if path.with_name(path.name + "-wal").exists():  # it belongs to the old file
            raise Misconfigured(f"Another process is reading the database {path}.")
        part.chmod(path.stat().st_mode)
        _sync(part)
        part.replace(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)
        lock.release()


def _copy(path: Path, part: Path) -> None:
    connection = open_writer(path)
    try:
        with translated():
            connection.query("copy_anew", (str(part),))
    finally:
        connection.close()  # the last one: the log is emptied into the file and removed


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
