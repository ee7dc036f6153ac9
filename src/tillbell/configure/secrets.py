"""Rotation of secrets: the same for what we sign with and for what we verify with."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tillbell.clock import HOUR, SECOND, Micros
from tillbell.model.endpoints import SigningSecret

SECRETS_MAX = 5  # in overlap at once; the oldest goes first


class Overlap(NamedTuple):
    """How long the secrets in use go on beside a new one."""

    now: Micros
    until: Micros


def overlap(now: Micros, grace_s: int | None, usual_hours: int) -> Overlap:
    """Return the overlap of a rotation at `now`; without a grace period it is the usual one."""
    return Overlap(now, now + (grace_s * SECOND if grace_s is not None else usual_hours * HOUR))


def rotated(
    new: SigningSecret, secrets: tuple[SigningSecret, ...], overlap: Overlap
) -> tuple[SigningSecret, ...]:
    """Return the new secret and those that go on beside it: each gets an end, none a later one."""
    ending = [
        msgspec.structs.replace(s, expires_at=min(s.expires_at or overlap.until, overlap.until))
        for s in secrets
    ]
    going_on = (s for s in ending if s.expires_at is not None and s.expires_at > overlap.now)
    return (new, *going_on)[:SECRETS_MAX]
