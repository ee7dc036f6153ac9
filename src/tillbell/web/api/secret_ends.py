"""When rotated secrets end. The same for what we sign with and for what we verify with."""

from __future__ import annotations

import msgspec

from tillbell.clock import Micros
from tillbell.model.endpoints import SigningSecret


def expiring(secrets: tuple[SigningSecret, ...], now: Micros, until: Micros) -> list[SigningSecret]:
    """Give every secret an end, the present one `until`; leave out what has ended."""
    ended = [
        msgspec.structs.replace(s, expires_at=min(s.expires_at or until, until)) for s in secrets
    ]
    return [s for s in ended if s.expires_at is not None and s.expires_at > now]
