"""The check of a Standard Webhooks signature."""

from __future__ import annotations

import binascii
import hmac
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from tillbell import ed25519
from tillbell.rules.delivery.signing import hmac_sha256, key_of
from tillbell.verify.headers import HeaderView
from tillbell.verify.outcome import VerificationError

SIGNATURES_MAX = 10
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_ID_MAX = 256


class VerificationRequest(NamedTuple):
    """A request with the secrets, time and tolerance to verify it by."""

    body: bytes
    headers: HeaderView
    secrets: Sequence[str]
    now_s: float
    tolerance_s: float


class SignedParts(NamedTuple):
    """The id and timestamp that were signed with the body."""

    id: str
    timestamp: int


def check_standard(request: VerificationRequest, prefix: str = "webhook-") -> SignedParts:
    """Verify the three headers with this prefix. Any signature may match any secret."""
    id_ = request.headers.one(prefix + "id")
    # With a dot, part of the id could pass as the timestamp (specification, *Signed content*).
    if "." in id_ or len(id_) > _ID_MAX:
        raise VerificationError("bad_id", f"{prefix}id must be short and hold no dot")
    timestamp = _timestamp(request, prefix)
    candidates = request.headers.one(prefix + "signature").split(" ")
    if len(candidates) > SIGNATURES_MAX:
        raise VerificationError("too_many_signatures", f"more than {SIGNATURES_MAX} signatures")
    content = f"{id_}.{timestamp}.".encode("utf-8", "surrogatepass") + request.body
    for secret in request.secrets:
        if _matches(secret, content, candidates):
            return SignedParts(id_, timestamp)
    raise VerificationError("no_match", "no signature matches: wrong secret, or changed body")


def same(expected: str, actual: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(_bytes(expected), _bytes(actual))


def _timestamp(request: VerificationRequest, prefix: str) -> int:
    text = request.headers.one(prefix + "timestamp")
    if not _TIMESTAMP.fullmatch(text):
        raise VerificationError("bad_timestamp", f"{prefix}timestamp is not a Unix second")
    timestamp = int(text)
    age_s = request.now_s - timestamp
    # Written so that a tolerance of NaN refuses too.
    if math.isnan(age_s) or not age_s <= request.tolerance_s:
        raise VerificationError("too_old", f"sent {age_s:.0f} s ago")
    if not -age_s <= request.tolerance_s:
        raise VerificationError("too_new", f"sent {-age_s:.0f} s in the future; check the clock")
    return timestamp


def _matches(secret: str, content: bytes, candidates: Sequence[str]) -> bool:
    if secret.startswith((ed25519.SECRET_PREFIX, ed25519.PUBLIC_PREFIX)):
        return _matches_ed25519(secret, content, candidates)
    digest = hmac_sha256(key_of(secret), content)
    expected = "v1," + binascii.b2a_base64(digest, newline=False).decode()
    # Compared as text: another spelling of the same base64 is refused.
    return any(same(expected, candidate) for candidate in candidates)


def _matches_ed25519(key: str, content: bytes, candidates: Sequence[str]) -> bool:
    verifies = ed25519.verifier(key)
    signatures = [_decode(c[4:]) for c in candidates if c.startswith("v1a,")]
    return any(verifies(signature, content) for signature in signatures)


def _decode(text: str) -> bytes:
    try:
        return binascii.a2b_base64(_bytes(text), strict_mode=True)
    except ValueError:  # not base64: a signature that never matches
        return b""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
