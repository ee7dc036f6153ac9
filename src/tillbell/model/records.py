"""What users configure: applications, event types, keys; and tasks, cursors.

Times (`…_at`) are `Micros`; the names of durations end in their unit. Records are frozen: a change
makes a new record.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from tillbell.clock import Micros


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Base of what is stored as JSON with an id. It only sets msgspec's options.

    `scope` is the id of the application that it belongs to, "" for none. `uid` is the name that
    its owner gave it, unique within kind and scope.
    """

    id: str
    scope: str = ""
    uid: str | None = None
    created_at: Micros = 0
    updated_at: Micros = 0
    version: int = 1  # raised by every change


class Application(Record, frozen=True, kw_only=True):
    """One isolated shop, merchant or tenant. Test and live are two applications."""

    name: str
    throttle_rate: int | None = None
    metadata: dict[str, str] = {}
    check_schemas: bool = False  # refuse messages that do not fit their event type's schema
    # What of a transaction names the order it pays: `merchantReference`, `metadata.<name>`, or
    order_reference: str = "orderId"


class EventType(Record, frozen=True, kw_only=True):
    """A registered kind of message. `uid` is its name: `order.paid`."""

    description: str = ""
    schemas: dict[str, Any] | None = None  # version → JSON Schema
    archived: bool = False
    deprecated: bool = False
    group_name: str | None = None
    feature_flags: tuple[str, ...] | None = None  # portal tokens without one do not see it


class KeyScope(StrEnum):
    """What an API key may do."""

    ADMIN = "admin"  # everything, keys included
    WRITE = "write"
    READ = "read"
    VIEW = "view"  # read, but export nothing
    PUBLISH = "publish"  # create messages, nothing else


class ApiKey(Record, frozen=True, kw_only=True):
    """A key to the API. Only its hash is stored. A portal token is a key for one application."""

    name: str
    hash: str  # hex SHA-256 of the key's text
    last4: str
    scopes: tuple[str, ...]
    app_id: str | None = None  # it opens only this application
    capabilities: tuple[str, ...] | None = None  # of a portal token
    feature_flags: tuple[str, ...] = ()  # of a portal token: it sees event types that need one
    session_id: str | None = None
    expires_at: Micros | None = None
    rate_limit: int | None = None  # requests a second; None: as the setting says


class KeyUse(Record, frozen=True, kw_only=True):
    """When an API key was last used. `id` is the key's.

    A record of its own, so that using a key can never restore one that was revoked.
    """

    last_used_at: Micros


class Release(Record, frozen=True, kw_only=True):
    """When processes that were started with `hold` were last told to send. There is one."""

    released_at: Micros


class Retention(Record, frozen=True, kw_only=True):
    """For how many days things are kept, where somebody has said so here. There is one.

    None: as the settings say.
    """

    body_days: int | None = None
    history_days: int | None = None
    audit_days: int | None = None


class TaskStatus(StrEnum):
    """How a background task stands."""

    RUNNING = "running"
    PAUSED = "paused"  # by hand: it goes on when somebody resumes it
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"  # by hand: what it had done stays


class Task(Record, frozen=True, kw_only=True):
    """Long work (recover, bulk replay) that survives a restart: it continues at `cursor`."""

    kind: str
    status: TaskStatus = TaskStatus.RUNNING
    arguments: dict[str, Any] = {}
    cursor: str = ""
    result: dict[str, Any] = {}


class PollCursor(Record, frozen=True, kw_only=True):
    """How far a consumer has polled messages. `uid` is `<sink>/<consumer>`."""

    iterator: str
