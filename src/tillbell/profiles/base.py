"""Profiles: the dialects that endpoints speak. One file a dialect, all of this shape.

A profile turns a message into the exact bytes and headers a platform's consumers
expect. Everything here is pure: bytes in, bytes out, no clock, no I/O.

A **part** is the platform's own name for what it sends of a message: `standard`
sends one part under our event type; `shoppex` may send `order:paid` and
`order:paid:product` of one `order.paid`. Each part is one delivery. A profile of a
platform has no part for event types that the platform does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tillbell.clock import Micros


class MessageContext(NamedTuple):
    """What a profile may know of a message when it renders it."""

    id: str
    event_type: str
    created_at: Micros
    payload: bytes  # as published


class AttemptContext(NamedTuple):
    """What a profile may know of one attempt when it writes its headers."""

    message_id: str
    delivery_id: str
    part: str
    attempt: int  # number, from 1
    timestamp_s: int  # of this attempt
    body: bytes
    secrets: Sequence[str]  # texts as shown to the owner, current one first; empty: unsigned


class Profile(Protocol):
    """One dialect."""

    name: str
    content_type: str
    timeout_s: int
    success: str  # "2xx" or "200"
    schedule_s: tuple[int, ...]  # seconds before attempt 2, 3, …
    makes_secret: bool  # whether an endpoint without a secret is given one

    def parts(self, event_type: str, selectors: Sequence[str] | None) -> tuple[str, ...]:
        """Name what this endpoint is sent of such a message; () when nothing.

        `selectors` are the endpoint's (None: everything), already known to match.
        """
        ...

    def variant(self, part: str) -> str:
        """Name the rendered body of a part; "" when it is the payload as published."""
        ...

    def render(self, part: str, message: MessageContext) -> bytes:
        """Write the body. Never raises on a payload that is valid JSON: what the profile
        requires and the message lacks becomes null or "" by the profile's rule (T32)."""
        ...

    def headers(self, sending: AttemptContext) -> list[tuple[str, str]]:
        """Write the headers of one attempt, Content-Type excluded."""
        ...

    def check_secret(self, secret: str) -> str | None:
        """Say what is wrong with a secret that an owner chose; None when it is fine."""
        ...

    def new_secret(self, entropy: bytes) -> str:
        """Write 32 random bytes as a secret of this profile."""
        ...
