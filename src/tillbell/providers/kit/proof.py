"""Proving who sent something: comparisons in constant time that never raise.

A wrong length, a missing header, or text that is no hex or base64 does not match; it is no error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network

from tillbell.clock import SECOND, Micros
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Verdict

TOLERANCE_S = 300
TOLERANCE_MAX_S = 86_400  # that the owner of a source may set
SIGNATURE_MAX = 4_096  # longest header that is looked at
# `hashlib.new` looks a name up at every call, which takes as long as to hash a callback.
_HASHES = {
    "md5": hashlib.md5,
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}
NO_SECRET = Verdict(None, "The source has no secret, so nothing can be proven. Set one.")


def mac(algorithm: str, key: bytes, message: bytes) -> bytes:
    """Return the HMAC; `algorithm` as hashlib names it."""
    return hmac.digest(key, message, algorithm)


def digest(algorithm: str, message: bytes) -> bytes:
    """Return the hash. Some providers use MD5 or SHA-1."""
    return _HASHES[algorithm](message, usedforsecurity=False).digest()


def same(claimed: bytes, expected: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(claimed, expected)


def same_text(claimed: str | None, expected: str) -> bool:
    """Compare texts in constant time; None is never the same."""
    if claimed is None:
        return False
    return hmac.compare_digest(key_bytes(claimed), key_bytes(expected))


def key_bytes(text: str) -> bytes:
    """Return a text as UTF-8; half a surrogate pair, which JSON may hold, is no error."""
    return text.encode("utf-8", "surrogatepass")


def from_hex(text: str | None) -> bytes:
    """Return the bytes of hex in either case; b"" if it is none."""
    if text is None or len(text) > SIGNATURE_MAX:
        return b""
    try:
        return binascii.unhexlify(text.strip().encode("ascii"))
    except (ValueError, UnicodeEncodeError):
        return b""


def from_base64(text: str | None) -> bytes:
    """Return the bytes of strict base64; b"" if it is none."""
    if text is None or len(text) > SIGNATURE_MAX:
        return b""
    try:
        return base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (ValueError, UnicodeEncodeError):
        return b""


def is_one_of(claimed: Iterable[bytes], expected: Iterable[bytes]) -> bool:
    """Tell whether any claimed signature equals any expected one. All are compared."""
    candidates = list(expected)
    is_match = False
    for signature in claimed:
        for candidate in candidates:
            is_match |= bool(signature) and hmac.compare_digest(signature, candidate)
    return is_match


def clock_problem(at: Micros | None, now: Micros, tolerance_s: int = TOLERANCE_S) -> str | None:
    """Say what is wrong with a signed time; None if it is within the tolerance, early or late."""
    if at is None:
        return "The signed time is missing or not a time."
    if now - at > tolerance_s * SECOND:
        return f"The signed time is more than {tolerance_s} s old."
    if at - now > tolerance_s * SECOND:
        return f"The signed time is more than {tolerance_s} s in the future."
    return None


def signed(is_right: bool, scheme: str, trust: Trust = Trust.SIGNED) -> Verdict:  # noqa: FBT001
    """Return the verdict of one comparison."""
    if is_right:
        return Verdict(trust, f"{scheme} matches.")
    return Verdict(None, f"{scheme} does not match. Check the source's secret.")


def verify_with_secrets(
    secrets: Iterable[str],
    is_right: Callable[[str], bool],
    scheme: str,
    trust: Trust = Trust.SIGNED,
) -> Verdict:
    """Try each secret of a source; an empty one proves nothing."""
    usable = [secret for secret in secrets if secret]
    if not usable:
        return NO_SECRET
    if any(is_right(secret) for secret in usable):
        return signed(is_right=True, scheme=scheme, trust=trust)
    if any(is_right(secret.strip()) for secret in usable if secret != secret.strip()):
        why = "The source's secret has a space or line end too many at one of its ends."
        return Verdict(None, why)
    return signed(is_right=False, scheme=scheme)


def secret_problem(secret: str) -> str | None:
    """Say what is wrong with a secret that is used as its text; None if nothing is."""
    if not secret.strip():
        return "the secret is empty"
    if secret != secret.strip():
        return "the secret has a space or line end at one of its ends"
    return None


def prefixed_secret(prefix: str) -> Callable[[str], str | None]:
    """Return a check of secrets that the provider makes with this prefix."""

    def problem(secret: str) -> str | None:
        if secret.startswith(prefix) and len(secret) > len(prefix):
            return secret_problem(secret)
        return (
            secret_problem(secret) or f"the secret begins with {prefix}, as the provider shows it"
        )

    return problem


def not_another_credential(**credentials: str) -> Callable[[str], str | None]:
    """Return a check that refuses other credentials of the provider, which are pasted by mistake.

    `credentials` has their documented prefixes, with names for a person. Nothing else is asked of a
    secret whose form the provider does not document.
    """

    def problem(secret: str) -> str | None:
        for prefix, name in credentials.items():
            if secret.strip().startswith(prefix):
                return f"this is {name} ({prefix}…), not the secret that signs callbacks"
        return secret_problem(secret)

    return problem


def formed_secret(pattern: str, form: str) -> Callable[[str], str | None]:
    """Return a check of secrets that have this form at the provider; `form` says it in words."""
    compiled = re.compile(pattern)

    def problem(secret: str) -> str | None:
        spaces = secret_problem(secret)
        if spaces is not None:
            return spaces
        return None if compiled.fullmatch(secret) else f"the secret is {form}"

    return problem


def is_from(peer: str, networks: Iterable[str]) -> bool:
    """Tell whether an address is in one of these networks (CIDR); False if one is malformed."""
    try:
        address = ip_address(peer)
        return any(address in ip_network(str(network), strict=False) for network in networks)
    except ValueError:
        return False
