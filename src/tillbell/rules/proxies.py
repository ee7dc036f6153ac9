"""Who is the client when our own proxies stand in front of us?

`X-Forwarded-For` is a list to which each proxy appends whom it heard from. Only what our own
proxies wrote can be believed: the last address that is not one of theirs is the client, and
whatever stands before it may be invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]


def networks(cidrs: Sequence[str]) -> Networks:
    """Read address ranges."""
    return tuple(ip_network(cidr) for cidr in cidrs)


def client_address(peer: str, forwarded: Sequence[str], trusted: Networks) -> str:
    """Return the client's address; `forwarded` are the header's values in order.

    >>> proxies = networks(["10.0.0.0/8"])
    >>> client_address("10.0.0.1", ["6.6.6.6, 203.0.113.7, 10.0.0.2"], proxies)
    '203.0.113.7'
    >>> client_address("203.0.113.9", ["127.0.0.1"], proxies)
    '203.0.113.9'
    """
    known = _read(peer)
    if known is None:
        return peer
    if not forwarded or not trusted:
        return _written(known)
    named = [part for value in forwarded for part in value.split(",")]
    while named and _is_in(known, trusted):
        heard_from = _read(named.pop())
        if heard_from is None:
            break
        known = heard_from
    return _written(known)


def is_in(peer: str, networks: Networks) -> bool:
    """Tell whether an address is in one of these networks; False if it is no address.

    >>> is_in("::ffff:203.0.113.7", (ip_network("203.0.113.0/24"),))
    True
    """
    known = _read(peer)
    return known is not None and _is_in(known, networks)


_written = lru_cache(maxsize=1024)(str)  # the same few addresses send nearly all requests


@lru_cache(maxsize=1024)
def _read(text: str) -> Address | None:
    """Read an address; a port after it is left out, an IPv4 address mapped to IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_in(address: Address, trusted: Networks) -> bool:
    return any(address.version == network.version and address in network for network in trusted)
