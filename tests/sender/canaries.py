"""Run inside a network namespace of its own: does the sender touch what it must not?

Every address of the corpus is bound to the namespace's loopback, with canaries on the ports
that the corpus uses. A connection to a canary is a hole in the guard; nothing real can be
reached from here. Prints one JSON object. `python -m tests.sender.canaries`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
import subprocess
from typing import NamedTuple

import uvloop

from tests.sender.hostile_corpus import cases
from tests.sender.post import head_of
from tillbell.clock import SystemClock
from tillbell.errors import Invalid
from tillbell.http.address_policy import AddressPolicy, Target
from tillbell.http.client import HttpClient
from tillbell.http.resolver import Resolver
from tillbell.model.messages import Reply
from tillbell.testing.dns import StubDns

PUBLIC = ("93.184.216.34", "1.2.3.4")  # of the corpus, nothing else may be called
PORTS = (80, 443, 8080, 8443, 9000, 5432)
_EVERYTHING = ("0.0.0.0/0", "::/0")
_NEVER = {"blocked", "name"}


class Visit(NamedTuple):
    """One try at one URL."""

    id: str
    config: str
    hits: list[str]
    error: str


class Canaries:
    """Listeners on every address and the ports of the corpus; they count who comes."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self._servers: list[asyncio.Server] = []

    async def open(self) -> None:
        for port in PORTS:
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                sock = socket.socket(family)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family is socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((host, port))
                self._servers.append(await asyncio.start_server(self._sing, sock=sock))

    async def _sing(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits.append(writer.get_extra_info("sockname")[0])
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    def forbidden(self) -> list[str]:
        return [hit for hit in self.hits if hit not in PUBLIC]

    async def are_alive(self, address: str) -> bool:
        """Call one without the guard: a canary that cannot be reached proves nothing."""
        before = len(self.hits)
        reader, writer = await asyncio.open_connection(address, 80)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        return len(self.hits) == before + 1

    def close(self) -> None:
        for server in self._servers:
            server.close()


def bind_addresses() -> list[str]:
    """Give the namespace every literal address of the corpus; return those it took."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    bound = []
    for address in sorted({*PUBLIC, *_literals()}):
        width = 128 if ":" in address else 32
        command = ["ip", "addr", "add", f"{address}/{width}", "dev", "lo"]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            bound.append(address)
    return bound


def _literals() -> set[str]:
    found = {"169.254.169.254", "10.0.0.5"}
    for case in cases("url"):
        host = case.input.partition("://")[2].partition("/")[0].strip("[]").partition("]")[0]
        for text in (host, host.rpartition(":")[0]):
            with contextlib.suppress(ValueError):
                found.add(str(ipaddress.ip_address(text.rstrip("."))))
    return found


def unchecked(url: str) -> Target:
    """Make a target as a careless program would: what may stand in an old database."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].rpartition("@")[2]
    host = authority.strip("[").partition("]")[0] if "[" in authority else authority
    host, _, port = host.rpartition(":") if host.count(":") == 1 else (host, "", "80")
    number = int(port) if port.isdecimal() and port.isascii() and 0 < int(port) < 65536 else 80
    return Target(scheme, host, number, b"canary", b"/", is_tls=scheme == "https")


async def visit_all(
    canaries: Canaries, sender: HttpClient, policy: AddressPolicy, config: str
) -> list[Visit]:
    visits: list[Visit] = []
    is_opened = config == "everything opened"
    for case in cases("url"):
        if case.expect == "accepted" or (is_opened and case.expect not in _NEVER):
            continue  # it may be called, or the operator has opened what it leads to
        with contextlib.suppress(Invalid):
            checked = policy.check_url(case.input)
            visits.append(await visit(canaries, sender, f"{case.id} at create", config, checked))
        row = unchecked(case.input)
        visits.append(await visit(canaries, sender, f"{case.id} at delivery", config, row))
    return visits


async def visit(
    canaries: Canaries, sender: HttpClient, id_: str, config: str, target: Target
) -> Visit:
    canaries.hits.clear()
    reply: Reply = await sender.send(target, head_of(target._replace(path=b"/")), b"{}", 2.0)
    return Visit(id_, config, canaries.forbidden(), reply.error)


def write_answers(names: StubDns) -> None:
    names.answer("public.example.com", PUBLIC[0])
    names.answer("metadata.google.internal", "169.254.169.254")
    names.sequence("rebind.example.com", *[[PUBLIC[0]], ["127.0.0.1"], ["169.254.169.254"]] * 400)
    names.sequence("late.example.com", ("NXDOMAIN",), ["169.254.169.254"])
    names.answer("mixed.example.com", PUBLIC[0], "10.0.0.5")
    names.answer("families.example.com", PUBLIC[0], "::1")
    names.alias("alias.example.com", "metadata.google.internal.", "169.254.169.254")


async def visit_names(
    canaries: Canaries, sender: HttpClient, policy: AddressPolicy
) -> dict[str, object]:
    counts: dict[str, object] = {}
    for name, times in (("rebind", 1000), ("late", 3), ("mixed", 3), ("families", 3), ("alias", 3)):
        canaries.hits.clear()
        target = policy.check_url(f"http://{name}.example.com/")
        replies = [await sender.send(target, head_of(target), b"", 5.0) for _ in range(times)]
        counts[name] = {
            "elsewhere": canaries.forbidden(),
            "errors": sorted({reply.error for reply in replies}),
        }
    return counts


async def main() -> dict[str, object]:
    bound = bind_addresses()
    canaries = Canaries()
    await canaries.open()
    report: dict[str, object] = {"bound": bound}
    async with StubDns() as names:
        write_answers(names)
        visits: list[Visit] = []
        for config, opened in (("nothing opened", ()), ("everything opened", _EVERYTHING)):
            policy = AddressPolicy(opened, allow_http=True)
            sender = HttpClient(policy, Resolver([names.server], timeout_s=1), SystemClock())
            visits += await visit_all(canaries, sender, policy, config)
            if not opened:
                report["names"] = await visit_names(canaries, sender, policy)
                target = policy.check_url("http://public.example.com/")
                report["public"] = (await sender.send(target, head_of(target), b"", 5.0)).status
            await sender.close()
        report["visits"] = visits
        report["alive"] = [await canaries.are_alive(a) for a in ("169.254.169.254", "10.0.0.1")]
    canaries.close()
    return report


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main())))
