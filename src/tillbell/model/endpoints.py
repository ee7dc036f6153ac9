"""Endpoints: where subscribers want messages, and their health."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

import msgspec

from tillbell.clock import Micros
from tillbell.model.records import Record

ANY_PRODUCT = "*"  # every product that has no endpoint of its own


class SigningSecret(msgspec.Struct, frozen=True, kw_only=True):
    """One secret of an endpoint or source, encrypted by the vault with its id as context."""

    sealed: str
    expires_at: Micros | None = None  # None: the current one


class EndpointStatus(StrEnum):
    """Whether we send to an endpoint: only while it is `ACTIVE`."""

    ACTIVE = "active"
    DISABLED = "disabled"  # by its owner, or by the receiver's 410 (of some profiles 404)
    PAUSED = "paused"  # by us, after days in which every attempt failed; messages are kept


class Endpoint(Record, frozen=True, kw_only=True):
    """Where a subscriber wants messages, and in which format."""

    url: str
    description: str = ""
    profile: str = "standard"
    status: EndpointStatus = EndpointStatus.ACTIVE
    status_reason: str | None = None  # why it is not active: "owner", "gone", "failing"
    selectors: tuple[str, ...] | None = None  # None: every event type
    channels: tuple[str, ...] | None = None  # None: every channel
    payload_filter: dict[str, Any] | None = None  # as its owner wrote it; None: every payload
    source_id: str | None = None  # only what is about transactions of this source
    product_id: str | None = None  # only orders with this product; or ANY_PRODUCT
    own_lines: bool = False  # of these orders only the lines with its products
    throttle_rate: int | None = None  # messages a second
    max_concurrency: int | None = None  # attempts at once; None: the server's default
    metadata: dict[str, str] = {}
    secrets: tuple[SigningSecret, ...] = ()  # newest first; empty if its profile does not sign
    headers: dict[str, str] = {}  # custom headers; values encrypted by the vault
    secret_headers: tuple[str, ...] = ()  # names in `headers` whose values are never shown
    retry_schedule: tuple[int, ...] | None = None  # seconds before attempt 2, 3, …; None: profile's
    timeout_s: int | None = None
    success: str | None = None  # "2xx" or "200"
    ordering: str | None = None  # "fifo": one at a time per order key
    header_names: dict[str, str] | None = None  # profile's header name → this endpoint's
    text_template: str | None = None  # for profiles of chats: what it says; None: the profile's
    declared_version: int = 1  # the owner's own number, without effect; `version` counts changes
    handshake: bool = False  # its receiver was asked before it was saved (CloudEvents)
    allowed_rate: int | None = None  # messages a minute that it granted then; None: any number

    def destination(self) -> str:
        """Return a digest of all that decides how an attempt ends.

        It is another one when the owner changes the URL, the secrets or the headers. Then what was
        learned about the endpoint says nothing about it any more.
        """
        parts = (
            self.url,
            self.profile,
            [secret.sealed for secret in self.secrets],
            self.headers,
            self.header_names,
            self.timeout_s,
            self.success,
        )
        return hashlib.blake2b(msgspec.json.encode(parts), digest_size=9).hexdigest()


class AttemptFailure(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt at an endpoint failed, for people."""

    at: Micros
    status: int  # 0: there was no answer
    error: str  # class of failure; "" if there was an answer
    text: str


class EndpointHealth(Record, frozen=True, kw_only=True):
    """How attempts at an endpoint have ended, and which warnings were sent. `id` is the endpoint's.

    It is failing while `failing_since` is set. `probe_at` is set while its breaker is open.
    `destination` is what it is about (`Endpoint.destination`); "": not known.
    """

    destination: str = ""

    failing_since: Micros | None = None  # the first failure after the last success
    last_success_at: Micros | None = None
    last_failure: AttemptFailure | None = None
    probe_at: Micros | None = None
    dense_since: Micros | None = None  # since then failures follow one another
    warned: tuple[str, ...] = ()  # warnings sent since then: "1h", "1d", "4d"
    warned_at: Micros | None = None  # the last warning since the last success
    rest_until: Micros = 0  # the receiver asked for no request before (`Retry-After`)

    def but(self, **fields: Any) -> EndpointHealth:
        """Return the same health with other values of these fields."""
        return msgspec.structs.replace(self, **fields)
