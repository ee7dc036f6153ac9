"""Rotation of secrets of endpoints and sources."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tillbell.clock import HOUR, SECOND, Micros
from tillbell.model.endpoints import SigningSecret

SECRETS_MAX = 5  # valid at once; the oldest are dropped


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
    """Return the new secret and the old ones that stay valid. No expiry becomes later."""
    ending = [
        msgspec.structs.replace(s, expires_at=min(s.expires_at or overlap.until, overlap.until))
        for s in secrets
    ]
    still_valid = (s for s in ending if s.expires_at is not None and s.expires_at > overlap.now)
    return (new, *still_valid)[:SECRETS_MAX]
