"""Exports that are kept: links for spreadsheets, and schedules."""

from __future__ import annotations

from enum import StrEnum

from tillbell.clock import Micros
from tillbell.model.records import Record


class ExportLink(Record, frozen=True, kw_only=True):
    """A URL that answers with one export, always current. Only the hash of its token is stored."""

    name: str
    kind: str  # of the rows: "order"
    format: str
    filter: str = ""
    has_mark: bool = False  # CSV begins with the mark of UTF-8
    hash: str  # hex SHA-256 of the token
    created_by: str = ""  # id of the key or person
    expires_at: Micros | None = None
    last_used_at: Micros | None = None  # exact to the hour


class ExportTarget(StrEnum):
    """Where a scheduled export goes."""

    FOLDER = "folder"
    MESSAGE = "message"


class ExportSchedule(Record, frozen=True, kw_only=True):
    """An export that is made every day or hour, at a minute in UTC."""

    name: str
    kind: str
    format: str
    filter: str = ""
    has_mark: bool = False
    every: str = "day"
    hour: int = 0  # of a daily one
    minute: int = 0
    target: ExportTarget
    event_type: str | None = None  # of the message
    last_due_at: Micros | None = None  # for which it was made last
    last_file: str | None = None  # below the data folder
    last_error: str | None = None
