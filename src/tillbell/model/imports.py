"""Imports of tables: what is kept of a file until its background task has read it."""

from __future__ import annotations

from tillbell.model.records import Record


class ImportPart(Record, frozen=True, kw_only=True):
    """Some rows of a file, of whole records. `id` is the task's with the part's number behind it.

    `rows`: of each row its number in the file and its cells.
    """

    rows: tuple[tuple[int, tuple[str, ...]], ...]
