"""The rate limit of an API key: requests per second, shown in the `RateLimit` header fields.

Fields as in draft-ietf-httpapi-ratelimit-headers: a policy of `q` requests in `w` seconds,
and what remains (`r`) until it is full again (`t` seconds).
"""

from __future__ import annotations

from ipaddress import ip_network

from tillbell.clock import MINUTE, SECOND, Clock, Micros
from tillbell.errors import TooMany
from tillbell.rules.proxies import Networks, client_address
from tillbell.web.edge.asgi_types import Headers, Scope

_KEYS_MAX = 10_000
GUESSES_MAX = 20  # wrong keys of an address in a minute


def address_of(scope: Scope, trusted: Networks) -> str:
    """Return whom a request comes from: an IPv4 address, or the network of an IPv6 address."""
    client = scope.get("client")
    if not client:
        return ""
    forwarded = [v.decode("latin-1") for name, v in scope["headers"] if name == b"x-forwarded-for"]
    address = client_address(client[0], forwarded, trusted)
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address


class GuessLimit:
    """Counts requests with wrong keys for each address, and slows down who sends many.

    A right key is never refused, whatever else its address sends.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full_at: dict[str, Micros] = {}  # by address: when all its guesses are forgotten

    def count(self, address: str) -> None:
        """Count one wrong key. `TooMany` above `GUESSES_MAX` in a minute."""
        now = self._clock.now()
        cost = MINUTE // GUESSES_MAX
        full_at = max(self._full_at.get(address, now), now) + cost
        if full_at > now + MINUTE:
            wait_s = -(-(full_at - now - MINUTE) // SECOND)
            raise TooMany(
                f"Too many wrong API keys came from this address; wait {wait_s} s.",
                retry_after_s=wait_s,
            )
        if len(self._full_at) >= _KEYS_MAX:
            self._full_at = {a: at for a, at in self._full_at.items() if at > now}
            if len(self._full_at) >= _KEYS_MAX:
                self._full_at.clear()  # more addresses than can be remembered
        self._full_at[address] = full_at


class RateLimit:
    """A bucket for each key that holds the requests of one second (generic cell rate algorithm).

    A key is remembered as the instant at which its bucket is full again, and forgotten after it.
    """

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._full_at: dict[str, Micros] = {}

    def applies(self, own_rate: int | None) -> bool:
        """Tell whether there is a limit for a key with this own one."""
        return bool(self._rate if own_rate is None else own_rate)

    def take(
        self, key_id: str, own_rate: int | None = None, headers: Headers | None = None
    ) -> None:
        """Count one request, and add the fields that show the limit to the headers of its answer.

        `own_rate` is the key's own limit, which replaces the general one. `TooMany` if the limit is
        exceeded; that answer has the fields too. No fields if there is none (0).
        """
        rate = self._rate if own_rate is None else own_rate
        if not rate:
            return
        now = self._clock.now()
        full_at = max(self._full_at.get(key_id, now), now) + SECOND // rate
        if headers is not None:
            remaining = max(0, now + SECOND - full_at) * rate // SECOND
            headers.append((b"ratelimit-policy", b'"default";q=%d;w=1' % rate))
            headers.append((b"ratelimit", b'"default";r=%d;t=1' % remaining))
        if full_at > now + SECOND:
            raise TooMany(f"This key may make {rate} requests a second.")
        if len(self._full_at) >= _KEYS_MAX:
            self._full_at = {k: at for k, at in self._full_at.items() if at > now}
        self._full_at[key_id] = full_at
