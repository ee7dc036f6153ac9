"""Standard Webhooks 1.0.0, and the same with Svix's header names.

The body is the payload exactly as published. Three headers: the message's id, the same
for every attempt and resend; the Unix second of this attempt; and the signatures of
`{id}.{timestamp}.{body}`, one for each secret in use, so that receivers can change secrets
without missing a message. A receiver accepts if one of them matches and the timestamp is near
its own clock, and deduplicates by the id.

Source: github.com/standard-webhooks/standard-webhooks, spec 1.0.0.
"""

from __future__ import annotations

from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.defaults import (
    HOUR_S,
    MINUTE_S,
    WEBHOOK_NAMES,
    DefaultProfile,
    standard_keys,
    webhook_headers,
)


class Standard(DefaultProfile):
    """The default profile."""

    name = "standard"
    header_names = WEBHOOK_NAMES

    def variant(self, part: str) -> str:
        """Return "": the body is the payload as published."""
        del part
        return ""

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the payload as published."""
        del part
        return message.payload

    def headers(self, attempt: AttemptContext) -> list[tuple[str, str]]:
        """Return id, timestamp and one signature for each secret."""
        keys = standard_keys(attempt.secrets)
        return webhook_headers(attempt, keys, attempt.message_id, self.header_names)


class Svix(Standard):
    """The same for receivers that read `svix-…` headers, with Svix's default schedule."""

    name = "svix"
    header_names = ("svix-id", "svix-timestamp", "svix-signature")
    schedule_s: tuple[int, ...] = (
        5,
        5 * MINUTE_S,
        30 * MINUTE_S,
        2 * HOUR_S,
        5 * HOUR_S,
        10 * HOUR_S,
        10 * HOUR_S,
    )
