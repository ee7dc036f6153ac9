"""The HTTP client, through which every request of this server leaves.

Every attempt, ping and provider look-up goes through `HttpClient.send`. It resolves a name once,
judges every address of the answer, and connects to a judged address, never to a name. TLS is
verified for the target's host. One deadline covers everything from the name look-up to the last
byte. Redirects, proxies, cookies, netrc files and content codings are not supported.

A request is sent once and never repeated here, so the attempt log says what the receiver saw. How
answers are read: `connection.py`; how connections are kept: `pool.py`.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from tillbell.clock import Clock
from tillbell.http.address_policy import AddressPolicy, Target
from tillbell.http.connection import NOT_OPENED, HttpConnection, Opening
from tillbell.http.pool import Pool, PoolLimits
from tillbell.http.resolved import Unresolved
from tillbell.http.resolver import Resolver
from tillbell.http.tls_failures import explain_tls_failure
from tillbell.model.messages import Reply
from tillbell.rules.delivery.urls import is_literal

ADDRESSES_TRIED_MAX = 3
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
_NO_DESCRIPTOR_S = 0.1  # how long to wait for a free descriptor


class _ConnectFailure(NamedTuple):
    """Why there is no connection."""

    error: str
    detail: str


_OVERLOADED = _ConnectFailure(
    "overloaded", "This server has too many connections open; it will try again."
)


_CONNECT, _TLS = 1, 2  # places of phases; a name is looked up before both


class _Stopwatch:
    """Takes the time of each phase until a connection is open: name, connect, TLS."""

    __slots__ = ("_ends", "_monotonic", "_started")

    def __init__(self, monotonic: Callable[[], float], started: float) -> None:
        self._monotonic = monotonic
        self._started = started
        self._ends: list[int] = []  # of the phases that ended; microseconds since the start

    def end(self) -> None:
        """End the phase under way."""
        self._ends.append(int((self._monotonic() - self._started) * 1_000_000))

    def skip(self) -> None:
        """Go on to the next phase; this one takes no time."""
        self._ends.append(self._ends[-1] if self._ends else 0)

    def back_to(self, phase: int) -> None:
        """Be in this phase again, because another address is tried; its time goes on."""
        del self._ends[phase:]

    def end_all(self) -> None:
        """End the last phase: a connection is there, a new one or one that has become free."""
        if len(self._ends) <= _TLS:
            self.end()
        if len(self._ends) <= _TLS:
            self.skip()

    def ended(self) -> Opening:
        """Return how long each phase took that ended."""
        starts = [0, *self._ends[:-1]]
        took = [end - start for start, end in zip(starts, self._ends, strict=False)]
        return Opening(" ".join(map(str, took)), sum(took))


_HELD = Reply(status=0, error="held", detail="This server sends nothing before `tillbell release`.")


class HttpClient:
    """Sends requests. One per process, and one that asks the identity provider.

    `ssl_context` replaces the system's trust store (for tests and private authorities).
    """

    def __init__(
        self,
        policy: AddressPolicy,
        resolver: Resolver,
        clock: Clock,
        limits: PoolLimits | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._clock = clock
        self._monotonic = clock.monotonic
        self._limits = limits or PoolLimits()
        self._pool = Pool(self._limits)
        self._loop = asyncio.get_running_loop()  # kept: asking for it is a system call
        self._ssl = ssl_context
        self.is_held = False  # nothing leaves this server: see deliver/hold.py

    async def send(self, target: Target, head: bytes, body: bytes, timeout_s: float) -> Reply:
        """Send one request and return the reply; a receiver's failure is a reply with an `error`.

        `head` is the request line and headers, each ended by CRLF; `Content-Length` is added.
        Ends at most one tick of the pool (50 ms) after `timeout_s`.
        """
        if self.is_held:
            return _HELD
        started = self._monotonic()
        now = self._loop.time()
        deadline = now + timeout_s
        connection, opening = self._pool.take_idle(target.origin, now), NOT_OPENED
        if connection is None:
            stopwatch = _Stopwatch(self._monotonic, started)
            opened = await self._open(target, deadline, stopwatch)
            if isinstance(opened, _ConnectFailure):
                return Reply(
                    status=0,
                    error=opened.error,
                    detail=opened.detail,
                    duration_us=int((self._monotonic() - started) * 1_000_000),
                    phases=stopwatch.ended().phases,
                )
            connection, opening = opened, stopwatch.ended()
        try:
            # The joined request is not kept: a receiver may take long to answer.
            return await connection.exchange(
                b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body),
                deadline,
                started,
                timeout_s,
                opening,
            )
        except asyncio.CancelledError:
            connection.abort()
            raise

    @property
    def connections(self) -> int:
        """Return how many connections are open or being opened."""
        return self._pool.permits_in_use

    async def close(self) -> None:
        """Close every connection."""
        await self._resolver.close()
        await self._pool.close()

    # ── a new connection ─────────────────────────────────────────────────────────────────────────

    async def _open(
        self, target: Target, deadline: float, stopwatch: _Stopwatch
    ) -> HttpConnection | _ConnectFailure:
        # A target may come from the database and never have been checked, so it is judged here.
        if problem := self._policy.judge_target(target):
            kind = "blocked_address" if problem[0].endswith("_address") else "blocked_url"
            return _ConnectFailure(kind, f"The URL {problem[1]}")
        addresses = await self._allowed_addresses(target.host, deadline, stopwatch)
        if isinstance(addresses, _ConnectFailure):
            return addresses
        connection = await self._acquire_and_connect(target, addresses, deadline, stopwatch)
        if isinstance(connection, HttpConnection):
            stopwatch.end_all()
        return connection

    async def _acquire_and_connect(
        self,
        target: Target,
        addresses: tuple[str, ...],
        deadline: float,
        stopwatch: _Stopwatch,
    ) -> HttpConnection | _ConnectFailure:
        """Open a connection as soon as the pool has a permit, or take one that becomes idle."""
        loop = asyncio.get_running_loop()
        was_woken = False
        while loop.time() < deadline:
            if connection := self._pool.take_idle(target.origin, loop.time()):
                return connection
            if self._pool.try_acquire(was_woken=was_woken):
                opened = await self._connect_any(target, addresses, deadline, stopwatch)
                if opened is not _OVERLOADED:
                    return opened
                # No descriptor is free, and others than the pool hold them: wait a little.
                self._pool.evict_oldest()
                await asyncio.sleep(min(_NO_DESCRIPTOR_S, max(0.0, deadline - loop.time())))
            else:
                await self._pool.wait(deadline)
            was_woken = True
        return _OVERLOADED

    async def _allowed_addresses(
        self, host: str, deadline: float, stopwatch: _Stopwatch
    ) -> tuple[str, ...] | _ConnectFailure:
        """Return the addresses of a host to connect to; a blocked one blocks them all."""
        if is_literal(host):
            addresses: tuple[str, ...] = (host,)
            stopwatch.skip()
        else:
            try:
                async with asyncio.timeout_at(deadline):
                    resolved = await self._resolver.resolve(host)
            except TimeoutError:
                return _ConnectFailure("dns_timeout", f"The name {host} was not resolved in time.")
            if isinstance(resolved, Unresolved):
                return _ConnectFailure(resolved.error, resolved.detail)
            addresses = resolved.addresses
            stopwatch.end()
        allowed, reason = self._policy.admit(host, addresses)
        return allowed or _ConnectFailure("blocked_address", reason)

    async def _connect_any(
        self,
        target: Target,
        addresses: tuple[str, ...],
        deadline: float,
        stopwatch: _Stopwatch,
    ) -> HttpConnection | _ConnectFailure:
        """Try a few addresses in turn, with a permit; each has its share of the time.

        The next is tried after a timeout or a failure of TCP; other failures of TLS are final.
        """
        loop = asyncio.get_running_loop()
        deadline = min(deadline, loop.time() + self._limits.connect_timeout_s)
        candidates = addresses[:ADDRESSES_TRIED_MAX]
        result: HttpConnection | _ConnectFailure = _OVERLOADED
        try:
            for remaining, address in zip(range(len(candidates), 0, -1), candidates, strict=True):
                until = loop.time() + (deadline - loop.time()) / remaining
                result = await self._connect(target, address, until, stopwatch)
                if isinstance(result, HttpConnection):
                    self._pool.add(result)
                elif result.error.startswith("connect_"):
                    continue
                break
        finally:
            if not isinstance(result, HttpConnection):
                self._pool.release()
        return result

    async def _connect(
        self, target: Target, address: str, until: float, stopwatch: _Stopwatch
    ) -> HttpConnection | _ConnectFailure:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            return _explain(error, target, address)
        sock.setblocking(False)
        connection = HttpConnection(
            self._pool, self._clock, target.origin, sock, self._limits.body_kept
        )
        loop = asyncio.get_running_loop()
        is_reached = False
        stopwatch.back_to(_CONNECT)
        try:
            async with asyncio.timeout_at(until):
                await loop.sock_connect(sock, (address, target.port))
                is_reached = True
                stopwatch.end()
                if not target.is_tls:
                    stopwatch.skip()
                await loop.create_connection(lambda: connection, sock=sock, **self._tls(target))
        except OSError as error:  # also TimeoutError and ssl.SSLError
            sock.close()
            return _explain(error, target, address, is_reached=is_reached)
        except asyncio.CancelledError:
            sock.close()
            raise
        if connection.is_dead:
            return _explain_dead(connection)
        return connection

    def _tls(self, target: Target) -> dict[str, Any]:
        if not target.is_tls:
            return {}
        return {"ssl": self._context(), "server_hostname": target.host}

    def _context(self) -> ssl.SSLContext:
        if self._ssl is None:
            self._ssl = ssl.create_default_context()
            self._ssl.set_alpn_protocols(["http/1.1"])
        return self._ssl


def _explain_dead(connection: HttpConnection) -> _ConnectFailure:
    """Say why a connection died before it was used."""
    if connection.has_surplus_bytes:
        return _ConnectFailure(
            "protocol_error",
            "The receiver sent data before the request, so it does not speak HTTP.",
        )
    if isinstance(connection.lost_by, ssl.SSLError):
        _, host, port = connection.origin
        return _ConnectFailure(*explain_tls_failure(connection.lost_by, f"{host}:{port}"))
    return _ConnectFailure("reset", "The receiver closed the connection before the request.")


def _explain(
    error: OSError, target: Target, address: str, *, is_reached: bool = False
) -> _ConnectFailure:
    """Name the class of a failure to connect, and what to do about it."""
    where = f"[{address}]:{target.port}" if ":" in address else f"{address}:{target.port}"
    if error.errno in _TOO_MANY_FILES:
        return _OVERLOADED
    if is_reached and target.is_tls:
        return _explain_tls(error, where)
    if isinstance(error, TimeoutError):
        return _ConnectFailure("connect_timeout", f"{where} did not accept a connection in time.")
    if isinstance(error, ConnectionRefusedError):
        return _ConnectFailure("connect_refused", f"{where} refused the connection; is it running?")
    reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return _ConnectFailure("connect_error", f"No connection to {where}: {reason}.")


def _explain_tls(error: OSError, where: str) -> _ConnectFailure:
    if isinstance(error, TimeoutError):
        text = f"The TLS handshake with {where} did not end in time."
        return _ConnectFailure("connect_timeout", text)
    if isinstance(error, ssl.SSLError):
        return _ConnectFailure(*explain_tls_failure(error, where))
    text = f"{where} ended the TLS handshake. Does the port speak TLS?"
    return _ConnectFailure("tls_error", text)
