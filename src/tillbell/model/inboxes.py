"""Inboxes: URLs that keep every request that comes to them, for tests and for a first look."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.records import Record


class Inbox(Record, frozen=True, kw_only=True):
    """A URL that keeps each request as it came, and answers as its owner chose."""

    name: str
    token: str  # encrypted; the first segment of its path
    token_hash: str  # hash of the token, by which a request finds its inbox
    answer_status: int = 200
    answer_delay_ms: int = 0
    answer_headers: tuple[tuple[str, str], ...] = ()
    answer_content_type: str = "text/plain; charset=utf-8"
    answer_body: str = ""
    requests_max: int = 200  # that are stored; the oldest goes first
    retention_days: int = 7  # of each request
    expires_at: Micros | None = None  # the inbox itself; None: never


class NewInboxRequest(NamedTuple):
    """A request to an inbox, to be stored. It is sealed for its inbox and time."""

    inbox_id: str
    app_id: str  # "": it belongs to no application
    received_at: Micros
    expires_at: Micros
    method: str
    size: int  # of the body in bytes
    head: bytes  # target, header lines and address, sealed
    body: bytes  # sealed
    requests_max: int
    bytes_max: int  # of all bodies that the inbox holds


class InboxRequest(NamedTuple):
    """A stored request to an inbox. `head` and `body` are sealed."""

    id: str
    inbox_id: str
    app_id: str
    number: int  # counts from 1, without gaps
    received_at: Micros
    expires_at: Micros
    method: str
    size: int
    head: bytes
    body: bytes | None = None  # None: it was not read


class InboxTotals(NamedTuple):
    """What has come to an inbox since it exists."""

    received: int = 0
    dropped: int = 0  # to make room for newer ones


class SealedInboxRequest(NamedTuple):
    """The sealed parts of a stored request, with what they are sealed for."""

    id: str
    inbox_id: str
    received_at: Micros
    head: bytes
    body: bytes
