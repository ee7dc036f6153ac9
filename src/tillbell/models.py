"""The nouns. One page, no behaviour, no I/O.

Instants (`…_at`) are `Micros`, durations end in their unit. Records are frozen;
a change is a new record. Which word means what: ARCHITECTURE.md, *Words*.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

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


# ── configuration ────────────────────────────────────────────────────────────────────────────────


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


class SigningSecret(msgspec.Struct, frozen=True, kw_only=True):
    """One secret of an endpoint, sealed by the vault with the endpoint's id as context."""

    sealed: str
    expires_at: Micros | None = None  # None: the current one


class EndpointStatus(StrEnum):
    """May we send to it? Only `ACTIVE` may."""

    ACTIVE = "active"
    DISABLED = "disabled"  # by its owner, or by the receiver's 410
    PAUSED = "paused"  # by us, after days of nothing but failures; messages are kept


class Endpoint(Record, frozen=True, kw_only=True):
    """Where a subscriber wants messages, and in which dialect."""

    url: str
    description: str = ""
    profile: str = "standard"
    status: EndpointStatus = EndpointStatus.ACTIVE
    status_reason: str | None = None  # owner, gone, failing: why it is not active
    selectors: tuple[str, ...] | None = None  # None: every event type
    channels: tuple[str, ...] | None = None  # None: every channel
    throttle_rate: int | None = None  # messages a second
    max_concurrency: int | None = None  # attempts at once; None: the server's default
    metadata: dict[str, str] = {}
    secrets: tuple[SigningSecret, ...] = ()  # newest first; empty: unsigned profile without secret
    headers: dict[str, str] = {}  # custom headers; values sealed by the vault
    secret_headers: tuple[str, ...] = ()  # names in `headers` whose value is never shown
    retry_schedule: tuple[int, ...] | None = None  # seconds before attempt 2, 3, …; None: profile's
    timeout_s: int | None = None
    success: str | None = None  # "2xx" or "200"
    ordering: str | None = None  # "fifo": one at a time per order key
    header_names: dict[str, str] | None = None  # profile's header name → this endpoint's
    handshake: bool = False  # its receiver was asked before it was saved (CloudEvents)
    version: int = 1  # raised by every change


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


class EndpointHealth(Record, frozen=True, kw_only=True):
    """How an endpoint has been doing. `id` is the endpoint's."""

    failing_since: Micros | None = None  # first failure after the last success
    last_success_at: Micros | None = None
    warned: tuple[str, ...] = ()  # warnings already sent in this failure: "1h", "1d", "4d"


# ── messages and deliveries ──────────────────────────────────────────────────────────────────────


class Message(NamedTuple):
    """One published fact, immutable. Its payload is stored apart (`Store.body`)."""

    id: str
    app_id: str
    event_type: str
    created_at: Micros
    event_id: str | None = None  # the publisher's own id; unique within the application
    channels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    deliver_at: Micros | None = None
    order_key: str | None = None
    expires_at: Micros | None = None  # payload is purged then; None: by the server's retention


class DeliveryState(StrEnum):
    """Where a delivery stands. The first two are open: something will still happen."""

    WAITING = "waiting"  # due now or later: first attempt or retry
    SENDING = "sending"  # leased: an attempt is open
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # every attempt used up; can be resent
    DISCARDED = "discarded"  # its endpoint was removed


OPEN_STATES = (DeliveryState.WAITING, DeliveryState.SENDING)


class Trigger(StrEnum):
    """Why an attempt was made."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"  # resend, recover or replay by a person or the API


class Delivery(NamedTuple):
    """The duty to bring one message to one endpoint; the same id over retries and resends.

    `due_at` is when it may be claimed; while `SENDING` it is the end of the lease.
    `attempts` counts every attempt ever opened, `tries` those of the present run
    of the schedule (a resend starts a new run). `token` fences the lease.
    """

    id: str
    app_id: str
    endpoint_id: str
    message_id: str
    variant: str  # which rendered body: "" is the payload as published
    state: DeliveryState
    due_at: Micros
    created_at: Micros
    attempts: int = 0
    tries: int = 0
    token: int = 0
    trigger: Trigger = Trigger.SCHEDULED
    started_at: Micros | None = None  # when the open attempt began
    order_key: str | None = None


class Result(StrEnum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    THROTTLED = "throttled"
    GONE = "gone"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"
    INTERRUPTED = "interrupted"


class Attempt(NamedTuple):
    """One try to send a delivery, as it ended."""

    id: str
    delivery_id: str
    app_id: str
    endpoint_id: str
    message_id: str
    event_type: str
    number: int
    trigger: Trigger
    result: Result
    started_at: Micros
    duration_us: int
    url: str = ""
    status_code: int = 0  # 0: no status line was read
    error: str = ""  # class of failure, e.g. "tls_error"; "" when accepted
    detail: str = ""  # one line for a person
    response: bytes = b""  # first 16 KiB of the body, as bytes


class Reply(NamedTuple):
    """What the sender saw. A receiver that fails is a value: `error` names the class of failure.

    `error` is "" when a whole status line was read; then `status` is set. Classes:
    blocked_url, blocked_address, blocked_header, unusable (as it is stored), dns_error,
    dns_timeout, connect_timeout, connect_refused, connect_error, tls_error, timeout, reset,
    protocol_error, overloaded (of our own: too few descriptors or slots).
    """

    status: int
    error: str
    detail: str  # one line for a person: what happened, what to do
    body: bytes  # first 16 KiB of the answer
    retry_after: str  # header as received, "" if none
    duration_us: int
    head: bytes = b""  # status line and headers as received; more of the answer may follow


class Claim(NamedTuple):
    """A delivery that we may send now, with all that the attempt needs.

    `body` is None when the payload has been purged: nothing can be sent any more.
    """

    delivery: Delivery
    message: Message
    body: bytes | None
