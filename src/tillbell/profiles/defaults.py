"""Base classes of profiles, the webhook headers, and checks of plain shared secrets."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence

from tillbell import ed25519
from tillbell.profiles.base import AttemptContext
from tillbell.rules.delivery.signing import (
    PREFIX,
    check_standard_secret,
    new_standard_secret,
    normal_standard_secret,
    standard_signature,
)

MINUTE_S = 60
HOUR_S = 3600
# The example schedule of Standard Webhooks 1.0.0: ten attempts over 75 hours.
STANDARD_SCHEDULE_S = (
    5,
    5 * MINUTE_S,
    30 * MINUTE_S,
    2 * HOUR_S,
    5 * HOUR_S,
    10 * HOUR_S,
    14 * HOUR_S,
    20 * HOUR_S,
    24 * HOUR_S,
)
WEBHOOK_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SHARED_SECRET_MAX = 256


class DefaultProfile:
    """Defaults of a profile that signs by Standard Webhooks and sends one part per message."""

    name: str = ""
    content_type: str = "application/json"
    timeout_s: int = 30
    success: str = "2xx"
    schedule_s: tuple[int, ...] = STANDARD_SCHEDULE_S
    makes_secret: bool = True
    sends_origin: bool = False
    has_platform_names: bool = False
    is_chat: bool = False
    gone_statuses: frozenset[int] = frozenset({410})

    def parts(self, event_type: str, selectors: Collection[str] | None) -> tuple[str, ...]:
        """Send every message once, under its event type."""
        del selectors
        return (event_type,)

    def carries_text(self, event_type: str) -> bool:
        """Carry every payload."""
        del event_type
        return True

    def variant(self, part: str) -> str:
        """Return the profile's name: all parts have the same body."""
        del part
        return self.name

    def check_secret(self, secret: str) -> str | None:
        """Accept secrets of Standard Webhooks."""
        return check_standard_secret(secret)

    def new_secret(self, entropy: bytes) -> str:
        """Return a `whsec_` secret."""
        return new_standard_secret(entropy)

    def escape(self, text: str) -> str:
        """Return the text as it is: a body of its own has no markup."""
        return text


class SharedSecretProfile(DefaultProfile):
    """A profile that sends its secret, if there is one, as the value of a header.

    Such a header is not a signature: anyone who reads one request can forge others. So a
    `webhook-signature`, keyed with the secret's text, is sent as well. During a rotation the
    header holds the new secret only; the signature header holds one signature for each.
    """

    makes_secret = False

    def carries_text(self, event_type: str) -> bool:
        """Carry JSON objects only: the platform's body is made of their members."""
        del event_type
        return False

    def check_secret(self, secret: str) -> str | None:
        """Accept texts that fit in a header: printable ASCII, 1 to 256 characters."""
        return check_header_secret(secret)

    def new_secret(self, entropy: bytes) -> str:
        """Return the bytes as a token of letters, digits, `-` and `_`."""
        return base64.urlsafe_b64encode(entropy).decode().rstrip("=")


def webhook_headers(
    attempt: AttemptContext,
    secrets: Sequence[str],
    message_id: str,
    names: tuple[str, str, str] = WEBHOOK_NAMES,
) -> list[tuple[str, str]]:
    """Return id, timestamp and, if there are secrets, signature under these header names."""
    timestamp_s = attempt.timestamp_s
    headers = [(names[0], message_id), (names[1], str(timestamp_s))]
    if secrets:
        signature = standard_signature(secrets, message_id, timestamp_s, attempt.body)
        headers.append((names[2], signature))
    return headers


def standard_keys(secrets: Sequence[str]) -> list[str]:
    """Return the secrets with the prefix `whsec_`, which users of other SDKs may leave out."""
    return [normal_standard_secret(secret) for secret in secrets]


def check_header_secret(secret: str) -> str | None:
    """Return why a text cannot be a header's value and an HMAC key; None if it can."""
    if not 1 <= len(secret) <= _SHARED_SECRET_MAX:
        return f"a secret has 1 to {_SHARED_SECRET_MAX} characters"
    if not (secret.isascii() and secret.isprintable()):
        return "only printable ASCII characters can be sent in a header"
    if secret != secret.strip():
        return "spaces at the ends would be lost in a header"
    if secret.startswith(ed25519.SECRET_PREFIX):
        return "an ed25519 secret must never be sent; this profile sends its secret"
    if secret.startswith(PREFIX):
        return check_standard_secret(secret)
    return None
