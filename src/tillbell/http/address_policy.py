"""Address policy: the one place that decides where requests may be sent.

The table of special blocks is ssrfguard's, transcribed from IANA's registries. This file adds what
the registries lack (metadata services), what operators may allow, and one rule for IPv6: only
2000::/3 is public.

- **Never**, whatever is configured: link-local and metadata addresses, also inside mapped,
  compatible, NAT64 and 6to4 forms.
- **If the operator allows it** (`TILLBELL_ALLOW_CIDRS`): loopback, private, carrier-grade NAT,
  unique-local, each also in its IPv4-mapped form.
- Every other special block: never.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from ssrfguard import DEFAULT_DENIED

from tillbell.errors import Misconfigured
from tillbell.rules.delivery.urls import (
    canonical_url,
    is_literal,
    is_localhost,
    parse_url,
    refuse,
)

Address = IPv4Address | IPv6Address
Origin = tuple[str, str, int]  # scheme, host, port

# Addresses that give out a cloud machine's credentials, or belong to the local link.
_NEVER = {
    ip_network(cidr): name
    for cidr, name in (
        ("169.254.0.0/16", "link-local, where clouds serve machine credentials"),
        ("fe80::/10", "link-local"),
        ("100.100.100.200/32", "Alibaba Cloud's metadata service"),
        ("168.63.129.16/32", "Azure's host agent"),
        ("192.0.0.192/32", "Oracle Cloud's metadata service"),
        ("fd00:ec2::/32", "AWS's metadata and host services"),
        ("fd20:ce::/32", "Google Cloud's metadata service"),
        ("fd00:42::42/128", "Scaleway's metadata service"),
        ("fd00:c1::/32", "Oracle Cloud's metadata service"),
    )
}
_PRIVATE = {
    ip_network(cidr): name
    for cidr, name in (
        ("127.0.0.0/8", "loopback"),
        ("::1/128", "loopback"),
        ("10.0.0.0/8", "private"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("fc00::/7", "unique-local"),
    )
}
PRIVATE_RANGES = tuple(map(str, _PRIVATE))  # all that an operator may allow
_GLOBAL_V6 = ip_network("2000::/3")
# IETF protocol assignments, for example Teredo. IANA calls a few of them reachable; none of those
# is a web server.
_PROTOCOLS = (ip_network("192.0.0.0/24"), ip_network("2001::/23"))
_NAT64 = ip_network("64:ff9b::/96")
_JUDGED_MAX = 4_096  # addresses whose judgement is kept: it depends on the settings alone
_INSECURE = (
    "must begin with https://; for http:// the operator sets TILLBELL_ALLOW_HTTP=true (or --dev)"
)

_SINGLE_LABEL = (
    "has a host without a dot; use a full name such as hooks.example.com. Names of a private "
    "network are for the operator to allow, with its range in TILLBELL_ALLOW_CIDRS"
)


class Target(NamedTuple):
    """A checked URL, parsed once. The text is not read again."""

    scheme: str
    host: str  # lower case, A-labels; a literal IPv6 address without brackets
    port: int
    host_header: bytes
    path: bytes  # path and query
    is_tls: bool

    @property
    def origin(self) -> Origin:
        """Scheme, host and port: what requests must share to use the same connection."""
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        """The URL as it will be called, international names as A-labels."""
        return f"{self.scheme}://{self.host_header.decode()}{self.path.decode()}"


class AddressPolicy:
    """Where endpoints may be, by the rules above and the operator's settings.

    `allowed_ports=None` allows 80, 443 and everything from 1024. A mail, name or shell service on
    another port might read an HTTP request as commands.
    """

    def __init__(
        self,
        allow_cidrs: Sequence[str] = (),
        allow_http: bool = False,  # noqa: FBT001
        allowed_ports: Sequence[int] | None = None,
    ) -> None:
        self._allowed = [_network(cidr) for cidr in allow_cidrs]
        self._allows_http = allow_http
        self._ports = None if allowed_ports is None else frozenset(allowed_ports)
        self._judge_once = lru_cache(_JUDGED_MAX)(self._judge)

    def check_url(self, url: str) -> Target:
        """Parse and judge an endpoint's URL; `Invalid` says what to change.

        The addresses of a name are judged by `admit` before each connection.
        """
        parsed = parse_url(url)
        target = _target(parsed.scheme, parsed.host, parsed.port, parsed.path)
        if problem := self.judge_target(target):
            refuse(*problem)
        return target

    def check_new_url(self, url: str) -> str:
        """Return a URL as it is to be saved, after `check_url`; `Invalid` says what to change."""
        self.check_url(url)
        return canonical_url(url)

    def judge_target(self, target: Target) -> tuple[str, str] | None:
        """Return why a target may not be called, as (kind, message); the name is not looked up.

        None if nothing is wrong.
        """
        if not target.is_tls and not self._allows_http:
            return "url_insecure", _INSECURE
        if not self._allows_port(target.port):
            return "url_port", f"has port {target.port}, which is not allowed"
        if is_literal(target.host):
            return self._judge_host(target.host)
        if is_localhost(target.host) and self.judge("::1"):
            return self._judge_host("127.0.0.1")
        if "." not in target.host and not self._allowed:
            return "url_host", _SINGLE_LABEL
        return None

    def judge(self, address: str) -> str | None:
        """Return why an address may not be called; None if it may."""
        return self._judge_once(address)

    def _judge(self, address: str) -> str | None:
        ip = _read(address)
        if ip is None:
            return f"{address!r} is not a plain IP address."
        if _may_be_opened(ip) and any(ip in network for network in self._allowed):
            return None
        return _judge_public(ip)

    def admit(self, host: str, addresses: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """Return the addresses of a name that may be called, and ""; or () and why not.

        If one address is blocked, the whole name is refused, because no honest service has both
        public and internal addresses. `localhost` is the exception: it has two addresses.
        """
        judged = [(address, self.judge(address)) for address in addresses]
        allowed = tuple(address for address, reason in judged if reason is None)
        reasons = [reason for _, reason in judged if reason is not None]
        if reasons and not (allowed and is_localhost(host)):
            return (), f"{host}: {reasons[0]}"
        return allowed, ""

    def _judge_host(self, address: str) -> tuple[str, str] | None:
        reason = self.judge(address)
        if reason is None:
            return None
        ip = _read(address)
        kind = "url_private_address" if ip and _may_be_opened(ip) else "url_blocked_address"
        return kind, f"leads to an address that is not allowed: {reason}"

    def _allows_port(self, port: int) -> bool:
        if self._ports is not None:
            return port in self._ports
        return port in (80, 443) or port >= 1024


def _target(scheme: str, host: str, port: int, path: str) -> Target:
    shown = f"[{host}]" if ":" in host else host
    is_tls = scheme == "https"
    header = shown if port == (443 if is_tls else 80) else f"{shown}:{port}"
    return Target(scheme, host, port, header.encode(), path.encode(), is_tls)


def _network(cidr: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(cidr)
    except ValueError as error:
        raise Misconfigured(f"allow_cidrs: {cidr!r} is not a network: {error}.") from None
    for block, name in _NEVER.items():
        if network.version == block.version and network.subnet_of(block):  # type: ignore[arg-type]
            raise Misconfigured(f"allow_cidrs: {cidr} is {name}; it can never be allowed.")
    return network


def _read(text: str) -> Address | None:
    """Parse an address without a zone; an IPv4-mapped one becomes its IPv4 address."""
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    if isinstance(ip, IPv4Address):
        return ip
    return None if ip.scope_id else ip.ipv4_mapped or ip  # RFC 4291 §2.5.5.2


def _may_be_opened(ip: Address) -> bool:
    return bool(_private_name(ip)) and not _never_name(ip)


def _judge_public(ip: Address) -> str | None:
    """Judge an address that no setting allows."""
    if name := _never_name(ip):
        return f"{ip} is {name}; it can never be an endpoint."
    if name := _private_name(ip):
        return (
            f"{ip} is {name}. If the receiver is your own, the operator can allow it with "
            f"TILLBELL_ALLOW_CIDRS={ip}/{ip.max_prefixlen}."
        )
    if any(ip in network for network in _PROTOCOLS):
        return f"{ip} is not public: it belongs to an IETF protocol (RFC 6890)."
    if isinstance(ip, IPv6Address):
        return _judge_v6(ip)
    verdict = DEFAULT_DENIED.classify(ip)
    return f"{ip} is not public: {verdict.reason}." if verdict.blocked else None


def _judge_v6(ip: IPv6Address) -> str | None:
    inner = _translated(ip)
    if inner is not None:
        reason = _judge_public(inner)
        return None if reason is None else f"{ip} contains an IPv4 address: {reason}"
    verdict = DEFAULT_DENIED.classify(ip)
    if verdict.blocked:
        return f"{ip} is not public: {verdict.reason}."
    return None if ip in _GLOBAL_V6 else f"{ip} is not a public IPv6 address."


def _translated(ip: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address inside a NAT64 or 6to4 address, if it is one."""
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour


def _never_name(ip: Address) -> str:
    return next((name for network, name in _NEVER.items() if ip in network), "")


def _private_name(ip: Address) -> str:
    return next((name for network, name in _PRIVATE.items() if ip in network), "")
