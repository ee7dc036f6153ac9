"""Codes that change every 30 seconds (RFC 6238: HMAC-SHA-1, six digits), as phones show them."""

from __future__ import annotations

import base64
import hmac
import struct
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
_DRIFT = 1  # steps that a phone's clock may be off, in either direction


def code_of(secret: bytes, step: int) -> str:
    """Return the code of a step: how often 30 seconds have passed since 1970.

    >>> code_of(b"12345678901234567890", 59 // 30)
    '287082'
    """
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    start = digest[-1] & 0x0F
    (number,) = struct.unpack(">I", digest[start : start + 4])
    return f"{(number & 0x7FFF_FFFF) % 10**DIGITS:0{DIGITS}}"


def accepted_step(secret: bytes, code: str, now_s: int, used_step: int) -> int | None:
    """Return the step of a code that is right now; None if it is wrong, or was used before.

    A code counts once: none of `used_step` or earlier does.
    """
    now = now_s // STEP_S
    for step in range(max(now - _DRIFT, used_step + 1), now + _DRIFT + 1):
        if hmac.compare_digest(code_of(secret, step).encode(), code.encode()):
            return step
    return None


def secret_text(secret: bytes) -> str:
    """Return a secret as people type it into a phone: base32."""
    return base64.b32encode(secret).decode().rstrip("=")


def secret_of(text: str) -> bytes:
    """Return the secret of a text."""
    return base64.b32decode(text + "=" * (-len(text) % 8))


def enrolment_uri(secret: bytes, issuer: str, account: str) -> str:
    """Return what a phone reads from the picture.

    >>> enrolment_uri(b"12345", "Tillbell", "ana@shop.example")
    'otpauth://totp/Tillbell:ana%40shop.example?secret=GEZDGNBV&issuer=Tillbell'
    """
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    return f"otpauth://totp/{label}?{urlencode({'secret': secret_text(secret), 'issuer': issuer})}"
