"""Signatures of what we send, and the secrets that they are made with.

Standard Webhooks 1.0.0: the signed content is `{id}.{timestamp}.{body}`, the header is
space-separated `version,base64` with one entry per secret, so that a receiver that knows
any of them accepts (rotation). `v1` is HMAC-SHA256, `v1a` is ed25519.

A secret is stored as the text that its owner sees. The text determines the key:

- `whsec_…`: the base64-decoded bytes, HMAC;
- `whsk_…`: an ed25519 seed;
- anything else: the text's UTF-8 bytes, HMAC (how platforms with a plain shared secret
  also get a standard signature).

Keyed hash states are cached per secret and copied for each signature, which saves two hash
blocks per signature (RFC 2104 section 4).
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache

from tillbell import ed25519

PREFIX = "whsec_"
KEY_MIN = 24
KEY_MAX = 64
_PREFIXES = (PREFIX, ed25519.SECRET_PREFIX, ed25519.PUBLIC_PREFIX)
_CACHED_KEYS = 8192  # about 1 KB each, with the secret in clear
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def standard_signature(
    secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes
) -> str:
    """Return the value of `webhook-signature`: one `v1,…` or `v1a,…` per secret, in order.

    The id must not contain a `.` that a stranger chose; our ids have none. Raises `ValueError` for
    a secret with the prefix `whsec_` or `whsk_` that `check_standard_secret` refuses.
    """
    head = f"{message_id}.{timestamp_s}.".encode()
    if len(secrets) == 1:
        return _signer(secrets[0])(head, body)
    return " ".join([_signer(secret)(head, body) for secret in secrets])


def hmac_sha256(key: bytes, *parts: bytes) -> bytes:
    """Return HMAC-SHA256 over the joined parts, from a cached keyed state."""
    return _keyed("sha256", key)(*parts)


def hmac_sha512_hex(secret: str, body: bytes) -> str:
    """Return HMAC-SHA512 of the body in lower-case hex; the key is the secret's text."""
    return _keyed("sha512", secret.encode())(body).hex()


def key_of(secret: str) -> bytes:
    """Return the HMAC key of a secret's text.

    >>> key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").hex()
    '31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0'
    >>> key_of("plain")
    b'plain'
    """
    if secret.startswith(PREFIX):
        return _decode(secret.removeprefix(PREFIX))
    return secret.encode()


def new_standard_secret(entropy: bytes) -> str:
    """Return 32 random bytes as a secret text."""
    return PREFIX + binascii.b2a_base64(entropy, newline=False).decode()


def normal_standard_secret(text: str) -> str:
    """Return a secret with the `whsec_` that some SDKs leave out; other texts unchanged.

    >>> normal_standard_secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
    """
    if text.startswith(_PREFIXES):
        return text
    return PREFIX + text if check_standard_secret(PREFIX + text) is None else text


_FORM = f"expected {PREFIX} and base64 of {KEY_MIN} to {KEY_MAX} random bytes"


def check_standard_secret(text: str) -> str | None:
    """Return what is wrong with a secret that an owner chose; None if it is valid.

    Valid are `whsec_` and base64 of 24 to 64 bytes (the bounds of the specification), the
    same base64 without the prefix, and `whsk_` ed25519 secrets.

    >>> check_standard_secret("whsec_c2hvcnQ=")
    'expected whsec_ and base64 of 24 to 64 random bytes; this has 5 bytes'
    """
    if text.startswith(ed25519.PUBLIC_PREFIX):
        return "this is a public key; the endpoint needs the secret, whsk_…"
    if text.startswith(ed25519.SECRET_PREFIX):
        return ed25519.check_secret(text)
    try:
        key = _decode(text.removeprefix(PREFIX))
    except ValueError:
        return _FORM
    if not KEY_MIN <= len(key) <= KEY_MAX:
        return f"{_FORM}; this has {len(key)} bytes"
    return None


@lru_cache(maxsize=_CACHED_KEYS)
def _signer(secret: str) -> Callable[[bytes, bytes], str]:
    if secret.startswith(ed25519.SECRET_PREFIX):
        sign = ed25519.signer(secret)
        return lambda head, body: "v1a," + _base64(sign(head + body))
    return _hmac_signer(key_of(secret))


def _hmac_signer(key: bytes) -> Callable[[bytes, bytes], str]:
    """Return `(head, body) -> "v1,…"`. Written without helpers, because each delivery runs it."""
    keyed_inner, keyed_outer = _states("sha256", key)
    copy_inner, copy_outer = keyed_inner.copy, keyed_outer.copy

    def sign(head: bytes, body: bytes) -> str:
        inner = copy_inner()
        inner.update(head)
        inner.update(body)
        outer = copy_outer()
        outer.update(inner.digest())
        return "v1," + _base64(outer.digest())

    return sign


@lru_cache(maxsize=_CACHED_KEYS)
def _keyed(algorithm: str, key: bytes) -> Callable[..., bytes]:
    keyed_inner, keyed_outer = _states(algorithm, key)

    def digest(*parts: bytes) -> bytes:
        inner = keyed_inner.copy()
        for part in parts:
            inner.update(part)
        outer = keyed_outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    return digest


def _states(algorithm: str, key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """Return the hash states after the inner and the outer pad (RFC 2104)."""
    block = hashlib.new(algorithm).block_size
    short = key if len(key) <= block else hashlib.new(algorithm, key).digest()
    padded = short.ljust(block, b"\0")
    return (
        hashlib.new(algorithm, padded.translate(_INNER)),
        hashlib.new(algorithm, padded.translate(_OUTER)),
    )


def _decode(text: str) -> bytes:
    """Decode base64 strictly, but allow missing padding (some SDKs drop it)."""
    raw = text.encode("ascii", "replace")
    return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4), strict_mode=True)


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()
