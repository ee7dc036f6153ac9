"""What most profiles share: defaults, webhook headers, and rules for plain shared secrets."""

from __future__ import annotations

import base64
from collections.abc import Sequence

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
# The example schedule of Standard Webhooks 1.0.0: ten tries over 75 hours.
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


class Dialect:
    """Defaults of a profile that signs by Standard Webhooks and sends one part a message."""

    name: str = ""
    content_type: str = "application/json"
    timeout_s: int = 30
    success: str = "2xx"
    schedule_s: tuple[int, ...] = STANDARD_SCHEDULE_S
    makes_secret: bool = True

    def parts(self, event_type: str, selectors: Sequence[str] | None) -> tuple[str, ...]:
        """Send every message once, under its event type."""
        del selectors
        return (event_type,)

    def variant(self, part: str) -> str:
        """Keep one rendered body a profile."""
        del part
        return self.name

    def check_secret(self, secret: str) -> str | None:
        """Accept what Standard Webhooks accepts."""
        return check_standard_secret(secret)

    def new_secret(self, entropy: bytes) -> str:
        """Write a `whsec_` secret."""
        return new_standard_secret(entropy)


class SharedSecretDialect(Dialect):
    """A profile whose secret is itself the value of a header, unless there is none.

    Such a header is not a signature: whoever reads one request can forge others. So a
    `webhook-signature`, keyed with the secret's text, goes beside it. While a rotation
    lasts the header carries the new secret only, because it can hold one value; the
    signature header carries both.
    """

    makes_secret = False

    def check_secret(self, secret: str) -> str | None:
        """Accept what can be written in a header: printable ASCII, 1 to 256 characters."""
        return check_header_secret(secret)

    def new_secret(self, entropy: bytes) -> str:
        """Write the bytes as a token of letters, digits, `-` and `_`."""
        return base64.urlsafe_b64encode(entropy).decode().rstrip("=")


def webhook_headers(
    sending: AttemptContext,
    secrets: Sequence[str],
    message_id: str,
    names: tuple[str, str, str] = WEBHOOK_NAMES,
) -> list[tuple[str, str]]:
    """Write the id, the attempt's timestamp and, given secrets, the signature."""
    timestamp_s = sending.timestamp_s
    headers = [(names[0], message_id), (names[1], str(timestamp_s))]
    if secrets:
        signature = standard_signature(secrets, message_id, timestamp_s, sending.body)
        headers.append((names[2], signature))
    return headers


def standard_keys(secrets: Sequence[str]) -> list[str]:
    """Add the prefix that users of other SDKs leave out."""
    return [normal_standard_secret(secret) for secret in secrets]


def check_header_secret(secret: str) -> str | None:
    """Say why a text cannot be a header's value and an HMAC key; None when it can."""
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
