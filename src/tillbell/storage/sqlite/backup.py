"""Backup: a copy of the whole store as it was at one moment, made while it is in use."""

from __future__ import annotations

import os
from pathlib import Path

from tillbell.errors import Misconfigured
from tillbell.storage.sqlite.connection import copy_pages, open_reader


def copy(source: Path, target: Path) -> None:
    """Copy a database; the target gets its name when it is complete and on disk.

    The source is read in one transaction; without it the copy would start again at every commit of
    the writer. Until the copy is done the log grows.
    """
    if not os.access(target.parent, os.W_OK):
        raise Misconfigured(f"Cannot write the backup {target}: no such folder, or not writable.")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    reader = open_reader(source)
    try:
        reader.query("begin_reading")
        copy_pages(reader, part)
    finally:
        reader.close()
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
