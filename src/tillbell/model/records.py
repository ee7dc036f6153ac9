"""Records that owners configure: applications, event types, keys, tasks.

Instants (`…_at`) are `Micros`, durations end in their unit. Records are frozen; a change is a new
record. Which word means what: ARCHITECTURE.md, *Words*.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from tillbell.clock import Micros


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Base of the things that users configure. It only carries msgspec's options.

    `id` names it, `scope` is the id of the application it belongs to ("" for none),
    `uid` is the name its owner gave it, unique within kind and scope.
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
    check_schemas: bool = False  # refuse messages that break their event type's schema


class EventType(Record, frozen=True, kw_only=True):
    """A kind of message that the operator registered. `uid` is its name, `order.paid`."""

    description: str = ""
    schemas: dict[str, Any] | None = None  # version → JSON Schema
    archived: bool = False
    deprecated: bool = False
    group_name: str | None = None
    feature_flags: tuple[str, ...] | None = None


class KeyScope(StrEnum):
    """What an API key may do."""

    ADMIN = "admin"  # everything, keys included
    WRITE = "write"
    READ = "read"
    PUBLISH = "publish"  # create messages, nothing else


class ApiKey(Record, frozen=True, kw_only=True):
    """A key to the API. Only a hash is kept. A portal token is a key bound to one application."""

    name: str
    hash: str  # hex SHA-256 of the key's text
    last4: str
    scopes: tuple[str, ...]
    app_id: str | None = None  # bound to this application
    capabilities: tuple[str, ...] | None = None  # of a portal token
    session_id: str | None = None
    expires_at: Micros | None = None


class KeyUse(Record, frozen=True, kw_only=True):
    """When an API key was last used. `id` is the key's; apart from it, so that a revoked key
    cannot come back by being used."""

    last_used_at: Micros


class TaskStatus(StrEnum):
    """Where a background task stands."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class Task(Record, frozen=True, kw_only=True):
    """Long work (recover, bulk replay) that survives a restart: it goes on at `cursor`."""

    kind: str
    status: TaskStatus = TaskStatus.RUNNING
    arguments: dict[str, Any] = {}
    cursor: str = ""
    result: dict[str, Any] = {}


class PollCursor(Record, frozen=True, kw_only=True):
    """How far a consumer has polled messages. `uid` is `<sink>/<consumer>`."""

    iterator: str
