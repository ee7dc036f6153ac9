"""What a look-up of a name ends with."""

from __future__ import annotations

from typing import NamedTuple


class Resolved(NamedTuple):
    """The addresses of a name, IPv4 first, in the order of the answer; at least one."""

    addresses: tuple[str, ...]


class Unresolved(NamedTuple):
    """Why a name has no address."""

    error: str  # dns_error or dns_timeout
    detail: str


class DnsAnswer(NamedTuple):
    """What name servers said of a name, for one family of addresses."""

    addresses: tuple[str, ...]
    ttl_s: int
    failure: Unresolved | None = None


def silent(host: str) -> Unresolved:
    """Say that nobody answered."""
    return Unresolved("dns_timeout", f"The name servers did not answer for {host} in time.")
