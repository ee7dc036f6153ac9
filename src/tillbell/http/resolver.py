"""The resolver: looks names up asynchronously, without the system's resolver.

`getaddrinfo` blocks a thread of a small pool: a few dead names would stop every other look-up. Here
a look-up is a few datagrams and a timer. IPv4 and IPv6 are asked in parallel, with a final dot and
without search domains, so `internal` never becomes `internal.corp.example`.

Failures are values. Answers are cached for their time to live, at most a minute, so that requests
follow an endpoint to a new address. Changes of the hosts file and of the system's name servers are
seen within a second. The caller judges every address before it connects (`address_policy.py`).
"""

from __future__ import annotations

import asyncio
import math
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tillbell.http.resolved import DnsAnswer, Resolved, Unresolved, silent
from tillbell.rules.delivery.urls import is_localhost

if TYPE_CHECKING:
    from tillbell.http.name_servers import NameServers

CACHE_MAX = 10_000  # names
TTL_MAX_S = 60
LOOK_AT_FILES_EVERY_S = 1.0
_RESOLV_CONF = "/etc/resolv.conf"
_FAMILY_GRACE_S = 0.3  # how long to wait for the other family when one has answered


_STOPPED = Unresolved("dns_error", "The server is stopping; it will try again.")
_LOCALHOST = Resolved(("127.0.0.1", "::1"))


class WatchedFile:
    """A file of the system, which may be changed, replaced or missing."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._state: tuple[int, ...] = ()

    def has_changed(self) -> bool:
        """Tell whether it is another one than at the last call; True at the first."""
        try:
            stat = Path(self.path).stat()
        except OSError:
            state: tuple[int, ...] = (0,)
        else:
            state = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
        self._state, before = state, self._state
        return state != before


class Resolver:
    """Looks names up. Equal look-ups at the same time share one question.

    `servers` are `address` or `address:port` (`[address]:port` for IPv6); None: those that
    `servers_file` names. At most `max_parallel` names are looked up at the same time; others wait.
    The default is an eighth of the process's descriptors, at most 256.
    """

    def __init__(
        self,
        servers: Sequence[str] | None = None,
        *,
        timeout_s: float = 5.0,
        max_parallel: int | None = None,
        hosts_file: str | None = "/etc/hosts",
        servers_file: str = _RESOLV_CONF,
    ) -> None:
        self._servers = servers
        self._timeout_s = timeout_s
        self._permits = asyncio.Semaphore(max_parallel or _lookups_budget())
        self._hosts_file = WatchedFile(hosts_file) if hosts_file else None
        self._servers_file = WatchedFile(servers_file) if servers is None else None
        self._hosts: dict[str, Resolved] = {}
        self._look_at = -math.inf  # when the files are looked at again, as loop time
        self._cache: dict[str, tuple[float, Resolved]] = {}  # expiry as loop time, by name
        self._under_way: dict[str, asyncio.Task[Resolved | Unresolved]] = {}  # by name
        self._client: NameServers | None = None

    async def resolve(self, host: str) -> Resolved | Unresolved:
        """Look a name up. Cancelling the call does not end a look-up that others share."""
        if is_localhost(host):
            return _LOCALHOST
        self._look_at_files()
        resolved = self._hosts.get(host) or self._cached(host)
        if resolved is not None:
            return resolved
        task = self._under_way.get(host)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._look_up(host))
            self._under_way[host] = task
            task.add_done_callback(lambda _: self._under_way.pop(host))
        await asyncio.wait((task,))
        return _STOPPED if task.cancelled() else task.result()

    async def close(self) -> None:
        """Cancel every look-up under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look_at_files(self) -> None:
        """Read the files again that have changed."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._look_at:
            return
        self._look_at = now_s + LOOK_AT_FILES_EVERY_S
        if self._hosts_file is not None and self._hosts_file.has_changed():
            self._hosts = _read_hosts(self._hosts_file.path)
        if self._servers_file is not None and self._servers_file.has_changed():
            self._client = None
            self._cache.clear()  # other servers may answer otherwise

    def _cached(self, host: str) -> Resolved | None:
        entry = self._cache.get(host)
        if entry is None:
            return None
        if asyncio.get_running_loop().time() < entry[0]:
            return entry[1]
        del self._cache[host]
        return None

    async def _look_up(self, host: str) -> Resolved | Unresolved:
        async with self._permits:
            v4, v6 = await self._ask_both(host)
        addresses = v4.addresses + v6.addresses
        if not addresses:
            return v4.failure or v6.failure or Unresolved("dns_error", f"{host} has no address.")
        resolved = Resolved(addresses)
        self._cache_answer(host, resolved, min(a.ttl_s for a in (v4, v6) if a.addresses))
        return resolved

    def _cache_answer(self, host: str, resolved: Resolved, ttl_s: int) -> None:
        if ttl_s <= 0:
            return
        if len(self._cache) >= CACHE_MAX:
            del self._cache[next(iter(self._cache))]
        expires_at = asyncio.get_running_loop().time() + min(ttl_s, TTL_MAX_S)
        self._cache[host] = (expires_at, resolved)

    async def _ask_both(self, host: str) -> tuple[DnsAnswer, DnsAnswer]:
        """Ask for both families; when one has addresses, do not wait long for the other."""
        client = await self._open_client()
        if isinstance(client, Unresolved):
            return DnsAnswer((), 0, client), DnsAnswer((), 0, client)
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(client.ask(host, family)) for family in ("A", "AAAA")]
        try:
            done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if late and any(task.result().addresses for task in done):
                await asyncio.wait(late, timeout=_FAMILY_GRACE_S)
            elif late:
                await asyncio.wait(late)
            slow = DnsAnswer((), 0, silent(host))
            v4, v6 = (task.result() if task.done() else slow for task in tasks)
            return v4, v6
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _open_client(self) -> NameServers | Unresolved:
        if self._client is None:
            name_servers = await asyncio.to_thread(_load_client)
            file = self._servers_file.path if self._servers_file is not None else None
            client = name_servers.configured(file, self._servers or (), self._timeout_s)
            if isinstance(client, Unresolved):
                return client
            self._client = client
        return self._client


def _load_client() -> type[NameServers]:
    """Import what asks name servers: 4 MiB, and only for names that the hosts file does not have.

    It takes so long that another thread does it.
    """
    from tillbell.http.name_servers import NameServers

    return NameServers


def _lookups_budget() -> int:
    """Return how many names to look up at once: each takes two sockets, others need more."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(256, soft // 8)) if soft > 0 else 256


def _read_hosts(path: str) -> dict[str, Resolved]:
    """Read the hosts file, by which containers and operators name machines; {} if there is none."""
    try:
        text = Path(path).read_text("utf-8", "replace")
    except OSError:
        return {}
    addresses_of: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            addresses_of.setdefault(name.lower(), []).append(address)
    return {name: Resolved(tuple(addresses)) for name, addresses in addresses_of.items()}
