"""The shape of a profile.

A profile turns a message into the exact bytes and headers that the consumers of a platform
expect. Profiles are pure: no clock, no I/O.

A **part** is one of the requests that a profile makes of a message, under the platform's own
name: `standard` makes one part with our event type; `shoppex` may make `order:paid` and
`order:paid:product` of one `order.paid`. Each part is one delivery. A platform's profile has no
part for event types that the platform does not know.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tillbell.clock import Micros
from tillbell.rules.delivery.raw_payload import is_json_object


class MessageContext(NamedTuple):
    """The message, as far as a body depends on it."""

    id: str
    event_type: str
    created_at: Micros
    payload: bytes  # as published
    content_type: str | None = None  # of a payload that is any text; None: it is a JSON object

    text: str | None = None  # what the endpoint's own template made, for profiles of chats

    def payload_json(self) -> msgspec.Raw | str:
        """Return the payload for a member of another document: as it is, or as a text."""
        if self.content_type is None or is_json_object(self.payload):
            return msgspec.Raw(self.payload)
        return self.payload.decode()


class AttemptContext(NamedTuple):
    """The attempt, as far as its headers depend on it."""

    message_id: str
    delivery_id: str
    part: str
    attempt: int  # number, from 1
    timestamp_s: int  # of this attempt
    body: bytes
    secrets: Sequence[str]  # texts as shown to the owner, current one first; empty: unsigned


class Profile(Protocol):
    """The format that an endpoint wants."""

    name: str
    content_type: str
    timeout_s: int
    success: str  # "2xx" or "200"
    schedule_s: tuple[int, ...]  # seconds before attempt 2, 3, …
    makes_secret: bool  # whether an endpoint without a secret is given one
    sends_origin: bool  # whether each request says which host it comes from
    has_platform_names: bool  # whether selectors may be written in the platform's names
    is_chat: bool  # people read it, its URL is the secret, and it may have a text template
    gone_statuses: frozenset[int]  # answers that mean: nothing will be taken any more

    def parts(self, event_type: str, selectors: Collection[str] | None) -> tuple[str, ...]:
        """Return the parts of a message of this type for an endpoint; () for none.

        `selectors` are the endpoint's (None: everything). The caller knows that they match.
        """
        ...

    def carries_text(self, event_type: str) -> bool:
        """Tell whether messages of this type may have a payload that is no JSON object.

        Those that may not make no parts then: a platform has no place for such a payload.
        """
        ...

    def variant(self, part: str) -> str:
        """Return the name of the body of a part; "" if it is the payload as published."""
        ...

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the body of a part. Never raises if the payload is valid JSON, or if
        `carries_text` and it is UTF-8.

        Members that the profile requires and the message lacks are null or "", by profile.
        """
        ...

    def headers(self, attempt: AttemptContext) -> list[tuple[str, str]]:
        """Return the headers of an attempt, without Content-Type."""
        ...

    def check_secret(self, secret: str) -> str | None:
        """Return what is wrong with a secret that an owner chose; None if it is valid."""
        ...

    def new_secret(self, entropy: bytes) -> str:
        """Return 32 random bytes as a secret of this profile."""
        ...

    def escape(self, text: str) -> str:
        """Return text of a payload as it is written into a text template's result."""
        ...
