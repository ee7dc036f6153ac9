"""ed25519 keys in the text form of Standard Webhooks: `whsk_…` signs, `whpk_…` verifies.

A secret text holds the 32-byte seed, alone or followed by the 32-byte public key (the 64-byte
form of the reference implementations). `cryptography` is imported at the first use of a key, so
receivers that use HMAC only do not need it.
Source: Standard Webhooks 1.0.0, *Signature scheme*; RFC 8032.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from functools import lru_cache

SECRET_PREFIX = "whsk_"  # noqa: S105 - a prefix, not a secret
PUBLIC_PREFIX = "whpk_"
_SEED_LENGTH = 32
_PAIR_LENGTH = 64


def new_secret(seed: bytes) -> str:
    """Return a 32-byte seed as a secret text: `whsk_` and base64 of seed and public key."""
    return SECRET_PREFIX + _base64(seed + _public_bytes(seed))


def public_text(secret: str) -> str:
    """Return the public key `whpk_…` of a secret `whsk_…`; `ValueError` if it is not valid."""
    return PUBLIC_PREFIX + _base64(_public_bytes(_seed(secret)))


def check_secret(text: str) -> str | None:
    """Return what is wrong with a `whsk_…` text; None if it is valid."""
    try:
        _seed(text)
    except ValueError as error:
        return str(error)
    return None


@lru_cache(maxsize=4096)
def signer(secret: str) -> Callable[[bytes], bytes]:
    """Return the function that signs bytes with a `whsk_…` secret (64-byte signatures)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(_seed(secret)).sign


@lru_cache(maxsize=4096)
def verifier(text: str) -> Callable[[bytes, bytes], bool]:
    """Return the function `(signature, content) -> bool` for a `whpk_…` or `whsk_…` text.

    `ValueError` if the text holds no key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(_public_of(text))

    def matches(signature: bytes, content: bytes) -> bool:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    return matches


def _public_of(text: str) -> bytes:
    if text.startswith(SECRET_PREFIX):
        return _public_bytes(_seed(text))
    public = _decode(text.removeprefix(PUBLIC_PREFIX))
    if len(public) != _SEED_LENGTH:
        raise ValueError(f"an ed25519 public key has 32 bytes, this one has {len(public)}")
    return public


def _seed(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"an ed25519 secret starts with {SECRET_PREFIX}")
    key = _decode(secret.removeprefix(SECRET_PREFIX))
    if len(key) not in (_SEED_LENGTH, _PAIR_LENGTH):
        raise ValueError(f"an ed25519 secret has 32 or 64 bytes, this one has {len(key)}")
    seed = key[:_SEED_LENGTH]
    if len(key) == _PAIR_LENGTH and _public_bytes(seed) != key[_SEED_LENGTH:]:
        raise ValueError("the second half of the ed25519 secret is not its public key")
    return seed


def _public_bytes(seed: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _decode(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are subclasses
        raise ValueError("the key is not base64") from None


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()
