"""Names to addresses, asynchronously, without the system's resolver.

`getaddrinfo` blocks a thread of a small pool: a handful of dead names would stop every other
look-up. Here a look-up is a few datagrams and a timer. IPv4 and IPv6 are asked in parallel,
with a final dot and without search domains, so `internal` never becomes `internal.corp.example`.

Failures are values. Answers are kept for their time to live, at most a minute, because an
endpoint that moves must be followed soon. What an address may be used for is judged by the
caller (`addresses.py`), at every connection.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver

from tillbell.rules.delivery.urls import is_localhost

CACHE_MAX = 10_000  # names
TTL_MAX_S = 60
ADDRESSES_MAX = 16  # of one family that we look at; a caller tries fewer
_TRY_S = 1.5  # one question to one server
_FAMILY_GRACE_S = 0.3  # one family has answered: how long to wait for the other


class Resolved(NamedTuple):
    """The addresses of a name, IPv4 first, in the order of the answer; at least one."""

    addresses: tuple[str, ...]


class Unresolved(NamedTuple):
    """No address."""

    error: str  # dns_error or dns_timeout
    detail: str


class _DnsAnswer(NamedTuple):
    addresses: tuple[str, ...]
    ttl_s: int
    failure: Unresolved | None = None


_STOPPED = Unresolved("dns_error", "The server is stopping; it will try again.")
_LOCALHOST = Resolved(("127.0.0.1", "::1"))


class Resolver:
    """Looks names up. Equal look-ups under way share one question.

    `servers` are `address` or `address:port` (`[address]:port` for IPv6); None: the system's.
    At most `max_parallel` names are under way; further ones wait for a place. By default that
    is as many as an eighth of the process's descriptors can carry, at most 256.
    """

    def __init__(
        self,
        servers: Sequence[str] | None = None,
        *,
        timeout_s: float = 5.0,
        max_parallel: int | None = None,
        hosts_file: str | None = "/etc/hosts",
    ) -> None:
        self._servers = servers
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(max_parallel or _lookups_budget())
        self._hosts = _read_hosts(hosts_file) if hosts_file else {}
        self._cache: dict[str, tuple[float, Resolved]] = {}
        self._under_way: dict[str, asyncio.Task[Resolved | Unresolved]] = {}
        self._client: dns.asyncresolver.Resolver | None = None

    async def resolve(self, host: str) -> Resolved | Unresolved:
        """Look a name up. Cancelling the wait leaves the look-up to others that share it."""
        if is_localhost(host):
            return _LOCALHOST
        known = self._hosts.get(host) or self._cached(host)
        if known is not None:
            return known
        task = self._under_way.get(host)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._look_up(host))
            self._under_way[host] = task
            task.add_done_callback(lambda _: self._under_way.pop(host))
        await asyncio.wait((task,))
        return _STOPPED if task.cancelled() else task.result()

    async def close(self) -> None:
        """Give up every look-up under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cached(self, host: str) -> Resolved | None:
        entry = self._cache.get(host)
        if entry is None:
            return None
        if asyncio.get_running_loop().time() < entry[0]:
            return entry[1]
        del self._cache[host]
        return None

    async def _look_up(self, host: str) -> Resolved | Unresolved:
        async with self._places:
            v4, v6 = await self._ask_both(host)
        addresses = v4.addresses + v6.addresses
        if not addresses:
            return v4.failure or v6.failure or Unresolved("dns_error", f"{host} has no address.")
        resolved = Resolved(addresses)
        self._keep(host, resolved, min(a.ttl_s for a in (v4, v6) if a.addresses))
        return resolved

    def _keep(self, host: str, resolved: Resolved, ttl_s: int) -> None:
        if ttl_s <= 0:
            return
        if len(self._cache) >= CACHE_MAX:
            del self._cache[next(iter(self._cache))]
        expires_at = asyncio.get_running_loop().time() + min(ttl_s, TTL_MAX_S)
        self._cache[host] = (expires_at, resolved)

    async def _ask_both(self, host: str) -> tuple[_DnsAnswer, _DnsAnswer]:
        """Ask for both families; one that has addresses does not wait long for the other."""
        client = self._open_client()
        if isinstance(client, Unresolved):
            return _DnsAnswer((), 0, client), _DnsAnswer((), 0, client)
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(_ask(client, host, family)) for family in ("A", "AAAA")]
        try:
            done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if late and any(task.result().addresses for task in done):
                await asyncio.wait(late, timeout=_FAMILY_GRACE_S)
            elif late:
                await asyncio.wait(late)
            slow = _DnsAnswer((), 0, _silent(host))
            v4, v6 = (task.result() if task.done() else slow for task in tasks)
            return v4, v6
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _open_client(self) -> dns.asyncresolver.Resolver | Unresolved:
        if self._client is not None:
            return self._client
        client = dns.asyncresolver.Resolver(configure=False)
        if self._servers is None:
            try:
                client = dns.asyncresolver.Resolver()
            except dns.resolver.NoResolverConfiguration:
                text = "This machine has no name servers in /etc/resolv.conf; set dns_servers."
                return Unresolved("dns_error", text)
        else:
            client.nameservers = [_server(text) for text in self._servers]
        client.timeout, client.lifetime = _TRY_S, self._timeout_s
        client.cache = None  # ours is bounded and holds both families
        self._client = client
        return client


async def _ask(client: dns.asyncresolver.Resolver, host: str, family: str) -> _DnsAnswer:
    backend = dns.asyncbackend.get_backend("asyncio")
    try:
        # As bytes, so that nothing is folded: what is looked up is what was judged.
        name = dns.name.from_text(host.encode("ascii", "backslashreplace"), dns.name.root)
        answer = await client.resolve(
            name, family, raise_on_no_answer=False, search=False, backend=backend
        )
    except dns.exception.Timeout:
        return _DnsAnswer((), 0, _silent(host))
    except dns.resolver.NXDOMAIN:
        return _DnsAnswer((), 0, Unresolved("dns_error", f"The name {host} does not exist."))
    except dns.exception.DNSException as error:
        text = f"The name servers could not answer for {host} ({type(error).__name__})."
        return _DnsAnswer((), 0, Unresolved("dns_error", text))
    addresses = [record.address for record in answer or ()]
    return _DnsAnswer(tuple(addresses[:ADDRESSES_MAX]), answer.chaining_result.minimum_ttl)


def _silent(host: str) -> Unresolved:
    return Unresolved("dns_timeout", f"The name servers did not answer for {host} in time.")


def _server(text: str) -> dns.nameserver.Do53Nameserver:
    """Read `address`, `address:port` or `[address]:port`."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        return dns.nameserver.Do53Nameserver(address, int(port[1:] or 53))
    if text.count(":") == 1:
        address, _, port = text.partition(":")
        return dns.nameserver.Do53Nameserver(address, int(port))
    return dns.nameserver.Do53Nameserver(text)


def _lookups_budget() -> int:
    """Two sockets a name; leave most descriptors to connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(256, soft // 8)) if soft > 0 else 256


def _read_hosts(path: str) -> dict[str, Resolved]:
    """Read the hosts file: how containers and operators name machines without a name server."""
    try:
        text = Path(path).read_text("utf-8", "replace")
    except OSError:
        return {}  # no such file is no such names
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name.lower(), []).append(address)
    return {name: Resolved(tuple(addresses)) for name, addresses in found.items()}
