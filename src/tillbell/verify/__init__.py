"""For receivers: is this request genuine?

    from tillbell.verify import VerificationError, verify

    verified = verify(request.body, request.headers, SECRET)

Needs nothing but the standard library; `cryptography` only for ed25519 keys. How to use it
with Flask, FastAPI and Django, and what to do in other languages: docs/verify.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from tillbell import ed25519
from tillbell.clock import SECOND, SystemClock
from tillbell.rules.delivery.signing import key_of, normal_standard_secret
from tillbell.verify.headers import Headers, HeaderView
from tillbell.verify.outcome import VerificationError, Verified
from tillbell.verify.platforms import STANDARD, check_profile
from tillbell.verify.standard import VerificationRequest

__all__ = ["VerificationError", "Verified", "verify"]


def verify(
    body: bytes,
    headers: Headers,
    secret: str | Sequence[str],
    *,
    profile: str = "standard",
    tolerance_s: float = 300,
    now: float | None = None,
) -> Verified:
    """Prove that a request was sent by who holds the secret, or raise `VerificationError`.

    `body` is the bytes as received, before any parsing; text is refused, because decoding
    and encoding again need not give the same bytes. `headers` is whatever the framework
    has: mapping, pairs, ASGI scope, WSGI environment. `secret` may be several, to accept the
    old and the new one while they change; an empty one is refused, never ignored. `profile`
    is the endpoint's. A timestamp may be `tolerance_s` seconds off `now` (Unix seconds,
    default: the machine's clock) in either direction.

    Raises nothing else, whatever the sender put in body and headers. Comparisons take
    constant time. Standard Webhooks 1.0.0, *Verifying signatures*.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise VerificationError("body_not_bytes", "pass the raw body as bytes, not decoded text")
    request = VerificationRequest(
        bytes(body),
        HeaderView(headers),
        _secrets(secret, profile),
        SystemClock().now() / SECOND if now is None else now,
        tolerance_s,
    )
    return check_profile(profile, request)


def _secrets(secret: str | Sequence[str], profile: str) -> list[str]:
    """Return usable secrets; fail closed on an unset environment variable and the like."""
    given = [secret] if isinstance(secret, str) else list(secret or ())
    if not given or not all(isinstance(text, str) and text.strip() for text in given):
        raise VerificationError("no_secret", "the secret is empty; is its setting missing?")
    stripped = [text.strip() for text in given]
    if profile in STANDARD:
        stripped = [normal_standard_secret(text) for text in stripped]
    for text in stripped:
        _check(text)
    return stripped


def _check(secret: str) -> None:
    try:
        if secret.startswith((ed25519.SECRET_PREFIX, ed25519.PUBLIC_PREFIX)):
            ed25519.verifier(secret)
            return
        key = key_of(secret)
    except (ValueError, ImportError) as error:
        raise VerificationError("bad_secret", f"the secret cannot be used: {error}") from error
    if not key:
        raise VerificationError("no_secret", "the secret holds no key")
