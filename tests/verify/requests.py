"""Genuine requests, made with the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from tillbell.verify import VerificationError, Verified, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW_S = 1614265330
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {"webhook-id": ID, "webhook-timestamp": str(NOW_S), "webhook-signature": SIGNATURE}


def signed(body: bytes, timestamp_s: int = NOW_S, secret: str = SECRET) -> dict[str, str]:
    """Write the three headers."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{ID}.{timestamp_s}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def accept(headers: Any = HEADERS, secret: Any = SECRET, **given: Any) -> Verified:
    """Verify the vector of the specification, but for what is given."""
    return verify(given.pop("body", BODY), headers, secret, **{"now": NOW_S, **given})


def reason(headers: Any = HEADERS, secret: Any = SECRET, **given: Any) -> str:
    """Say why verifying refuses; "" if it accepts."""
    try:
        accept(headers, secret, **given)
    except VerificationError as refusal:
        return refusal.reason
    return ""
