"""Name servers, as dnspython asks them."""

from __future__ import annotations

from collections.abc import Sequence

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver

from tillbell.http.resolved import DnsAnswer, Unresolved, silent

ADDRESSES_MAX = 16  # of one family that are returned; a caller tries fewer
_TRY_S = 1.5  # one question to one server


class NameServers:
    """The servers of this machine, or those of the settings."""

    def __init__(self, client: dns.asyncresolver.Resolver) -> None:
        self._client = client

    @classmethod
    def configured(
        cls, file: str | None, servers: Sequence[str], timeout_s: float
    ) -> NameServers | Unresolved:
        """Read the servers from a file as resolv.conf is, or take those that are named."""
        client = dns.asyncresolver.Resolver(configure=False)
        if file is not None:
            try:
                client = dns.asyncresolver.Resolver(file)
            except dns.resolver.NoResolverConfiguration:
                text = "This machine has no name servers in /etc/resolv.conf; set dns_servers."
                return Unresolved("dns_error", text)
        else:
            client.nameservers = [_server(text) for text in servers]
        client.timeout, client.lifetime = _TRY_S, timeout_s
        client.cache = None  # our own is bounded and holds both families
        return cls(client)

    async def ask(self, host: str, family: str) -> DnsAnswer:
        """Ask for the addresses of one family, A or AAAA."""
        backend = dns.asyncbackend.get_backend("asyncio")
        try:
            # As bytes, so that dnspython changes nothing: the name that was judged is looked up.
            name = dns.name.from_text(host.encode("ascii", "backslashreplace"), dns.name.root)
            answer = await self._client.resolve(
                name, family, raise_on_no_answer=False, search=False, backend=backend
            )
        except dns.exception.Timeout:
            return DnsAnswer((), 0, silent(host))
        except dns.resolver.NXDOMAIN:
            return DnsAnswer((), 0, Unresolved("dns_error", f"The name {host} does not exist."))
        except dns.exception.DNSException as error:
            text = f"The name servers could not answer for {host} ({type(error).__name__})."
            return DnsAnswer((), 0, Unresolved("dns_error", text))
        addresses = [record.address for record in answer or ()]
        return DnsAnswer(tuple(addresses[:ADDRESSES_MAX]), answer.chaining_result.minimum_ttl)


def _server(text: str) -> dns.nameserver.Do53Nameserver:
    """Parse `address`, `address:port` or `[address]:port`."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        return dns.nameserver.Do53Nameserver(address, int(port[1:] or 53))
    if text.count(":") == 1:
        address, _, port = text.partition(":")
        return dns.nameserver.Do53Nameserver(address, int(port))
    return dns.nameserver.Do53Nameserver(text)
