"""Rotation of secrets of endpoints and sources."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tillbell.clock import HOUR, SECOND, Micros
from tillbell.errors import Malformed
from tillbell.model.endpoints import SigningSecret

OLD_SECRETS_MAX = 10  # that are still valid beside the current one


class Overlap(NamedTuple):
    """Until when the old secrets stay valid beside a new one."""

    now: Micros
    until: Micros


def overlap(now: Micros, grace_s: int | None, default_hours: int) -> Overlap:
    """Return the overlap of a rotation at `now`: the grace period, else the default in hours."""
    return Overlap(now, now + (grace_s * SECOND if grace_s is not None else default_hours * HOUR))


def rotated(
    new: SigningSecret, secrets: tuple[SigningSecret, ...], overlap: Overlap
) -> tuple[SigningSecret, ...]:
    """Return the new secret and the old ones that stay valid. No expiry becomes later.

    `Malformed` if more than `OLD_SECRETS_MAX` would stay valid: none may stop without notice.
    """
    ending = [
        msgspec.structs.replace(s, expires_at=min(s.expires_at or overlap.until, overlap.until))
        for s in secrets
    ]
    still_valid = [s for s in ending if s.expires_at is not None and s.expires_at > overlap.now]
    if len(still_valid) > OLD_SECRETS_MAX:
        raise Malformed(
            f"{OLD_SECRETS_MAX} old secrets are still valid. Wait until one has expired, or end "
            "them all with a grace period of 0 seconds.",
            code="limit_reached",
        )
    return (new, *still_valid)
