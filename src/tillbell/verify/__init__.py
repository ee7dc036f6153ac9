"""Verification for receivers: proves that a request is genuine.

    from tillbell.verify import VerificationError, verify

    verified = verify(request.body, request.headers, SECRET)

Needs only the standard library, and `cryptography` for ed25519 keys. docs/verify.md shows the use
with Flask, FastAPI and Django, and in other languages.
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
    """Prove that the sender of a request has the secret, or raise `VerificationError`.

    `body`: the bytes as received, before any parsing. Text is refused, because decoding and
    encoding may change the bytes. `headers`: as the framework has them, a mapping, pairs, an ASGI
    scope or a WSGI environment. `secret`: one or several, to accept the old and the new one during
    a rotation; an empty one is refused. `profile`: that of the endpoint. The timestamp may differ
    from `now` (Unix seconds, default: the machine's clock) by `tolerance_s` seconds.

    Raises nothing else, whatever body and headers contain. Comparisons take constant time.
    Source: Standard Webhooks 1.0.0, *Verifying signatures*.
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
    """Return the secrets; an empty one, as of an unset variable, is refused."""
    texts = [secret] if isinstance(secret, str) else list(secret or ())
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise VerificationError("no_secret", "the secret is empty; is its setting missing?")
    stripped = [text.strip() for text in texts]
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
