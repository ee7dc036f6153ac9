"""The proof of Standard Webhooks 1.0.0, by either set of header names: `webhook-*`, `svix-*`.

The signed content is `{id}.{timestamp}.{body}`. The header lists signatures; any known version
of any secret may match; unknown versions are ignored. Unlike the public libraries it refuses what
no sender does: an id with a dot or beyond ASCII, a timestamp that is not plain digits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tillbell import ed25519
from tillbell.clock import SECOND
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Verdict
from tillbell.providers.kit.proof import (
    NO_SECRET,
    SIGNATURE_MAX,
    clock_problem,
    from_base64,
    is_one_of,
    signed,
)
from tillbell.providers.kit.proof import secret_problem as text_problem
from tillbell.providers.kit.requests import JSON
from tillbell.rules.delivery.signing import (
    PREFIX,
    hmac_sha256,
    key_of,
    normal_standard_secret,
    standard_signature,
)

STANDARD, SVIX = "webhook-", "svix-"
_ID = re.compile(r"[!-\-/-~]{1,256}")  # visible ASCII without the dot, which ends it
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Verify with each of the secrets. `whpk_…` and `whsk_…` are ed25519 keys."""
    if not any(setup.secrets):
        return NO_SECRET
    id_ = event_id(incoming)
    if id_ is None:
        return Verdict(None, "The header webhook-id (or svix-id) is missing or no id.")
    written = _header(incoming, "timestamp") or ""
    at = int(written) * SECOND if _TIMESTAMP.fullmatch(written) else None
    problem = clock_problem(at, incoming.received_at)
    if problem is not None:
        return Verdict(None, problem)
    listed = _header(incoming, "signature") or ""
    if not 0 < len(listed) <= SIGNATURE_MAX:
        return Verdict(None, "The header webhook-signature (or svix-signature) is missing.")
    content = f"{id_}.{int(written)}.".encode() + incoming.body
    is_right = [_matches(secret, content, listed.split(" ")) for secret in setup.secrets]
    return signed(any(is_right), "The signature")


def event_id(incoming: Incoming) -> str | None:
    """Return the event's id, the same over all attempts; None if it is none."""
    id_ = _header(incoming, "id")
    return id_ if id_ is not None and _ID.fullmatch(id_) else None


def signing_headers(
    case: SimulationCase, setup: SourceSetup, body: bytes, start: str = STANDARD
) -> dict[str, str]:
    """Write the three headers and the content type of a case."""
    timestamp_s = case.at // SECOND
    secret = normal_standard_secret(setup.secrets[0])
    return {
        "content-type": JSON,
        f"{start}id": case.id,
        f"{start}timestamp": str(timestamp_s),
        f"{start}signature": standard_signature([secret], case.id, timestamp_s, body),
    }


def secret_problem(secret: str) -> str | None:
    """Say what is wrong with a secret or public key; None if it can verify."""
    try:
        if secret.startswith((ed25519.SECRET_PREFIX, ed25519.PUBLIC_PREFIX)):
            ed25519.verifier(secret)
            return None
        key = key_of(normal_standard_secret(secret))
    except ValueError as error:
        return "after whsec_ comes base64" if secret.startswith(PREFIX) else str(error)
    return text_problem(secret) if key else "the secret is empty"


def _header(incoming: Incoming, name: str) -> str | None:
    """Return one of the three headers, by the same set of names as the id."""
    is_svix = any(key == SVIX + "id" for key, _ in incoming.headers)
    return incoming.header((SVIX if is_svix else STANDARD) + name)


def _matches(secret: str, content: bytes, listed: Sequence[str]) -> bool:
    versions = [signature.partition(",") for signature in listed]
    try:
        if secret.startswith((ed25519.SECRET_PREFIX, ed25519.PUBLIC_PREFIX)):
            is_right = ed25519.verifier(secret)
            claimed = [from_base64(text) for version, _, text in versions if version == "v1a"]
            return any(
                len(signature) == 64 and is_right(signature, content) for signature in claimed
            )
        key = key_of(normal_standard_secret(secret))
    except ValueError:  # no usable secret
        return False
    claimed = [from_base64(text) for version, _, text in versions if version == "v1"]
    return bool(key) and is_one_of(claimed, [hmac_sha256(key, content)])
