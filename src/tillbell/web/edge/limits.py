"""The rate limit of an API key: requests per second, shown in the `RateLimit` header fields.

Fields as in draft-ietf-httpapi-ratelimit-headers: a policy of `q` requests in `w` seconds,
and what remains (`r`) until it is full again (`t` seconds).
"""

from __future__ import annotations

from tillbell.clock import SECOND, Clock, Micros
from tillbell.errors import TooMany

_KEYS_MAX = 10_000


class RateLimit:
    """A bucket for each key that holds the requests of one second (generic cell rate algorithm).

    A key is remembered as the instant at which its bucket is full again, and forgotten after it.
    """

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._full_at: dict[str, Micros] = {}

    def take(self, key_id: str) -> list[tuple[bytes, bytes]]:
        """Count one request; return the header fields that show the limit.

        `TooMany` if the limit is exceeded. No fields if there is no limit (`rate` 0).
        """
        if not self._rate:
            return []
        now = self._clock.now()
        full_at = max(self._full_at.get(key_id, now), now) + SECOND // self._rate
        if full_at > now + SECOND:
            raise TooMany(f"This key may make {self._rate} requests a second.")
        if len(self._full_at) >= _KEYS_MAX:
            self._full_at = {k: at for k, at in self._full_at.items() if at > now}
        self._full_at[key_id] = full_at
        remaining = (now + SECOND - full_at) * self._rate // SECOND
        return [
            (b"ratelimit-policy", b'"default";q=%d;w=1' % self._rate),
            (b"ratelimit", b'"default";r=%d;t=1' % remaining),
        ]
