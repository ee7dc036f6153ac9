"""What the sender ignores: redirects, proxies, netrc; and that nothing else goes out."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TypeVar

import pytest

import tillbell
from tests.sender.post import Post
from tillbell.testing.behaviours import raw
from tillbell.testing.exchange import ReceiverExchange
from tillbell.testing.receiver import Receiver

_Node = TypeVar("_Node", bound=ast.AST)
_SOURCE = Path(tillbell.__file__).parent


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_result_and_is_not_followed(
    post: Post, receiver: Receiver, status: int
) -> None:
    async with Receiver() as elsewhere:
        locations = (elsewhere.url(), "http://169.254.169.254/", "//127.0.0.1/", "/ok")
        for location in locations:

            async def redirect(exchange: ReceiverExchange, location: str = location) -> None:
                await exchange.answer(status, b"", f"Location: {location}")

            receiver.on("/redirect", redirect)
            assert (await post(receiver.url("/redirect"))).status == status
        assert elsewhere.connections == 0
    assert len(receiver.requests) == len(locations)


@pytest.mark.parametrize(
    "header", ["Refresh: 0;url={}", 'Alt-Svc: h2="{}"', "Link: <{}>; rel=preload", "Location: {}"]
)
async def test_headers_that_point_elsewhere_mean_nothing(
    post: Post, receiver: Receiver, header: str
) -> None:
    async with Receiver() as elsewhere:
        line = header.format(elsewhere.url()).encode()
        receiver.on("/a", raw(b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 0\r\n\r\n"))
        assert (await post(receiver.url("/a"))).status == 200
        assert (await post(receiver.url("/b"))).status == 200
        assert elsewhere.connections == 0


async def test_proxies_and_netrc_of_the_environment_are_not_used(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    async with Receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url("/"))
        assert (await post(receiver.url("/ok"))).status == 200
        assert proxy.connections == 0
    assert (await receiver.request(0)).header("Authorization") is None


_OUTBOUND_CALLS = {
    "create_connection",
    "open_connection",
    "open_unix_connection",
    "create_unix_connection",
    "create_datagram_endpoint",
    "sock_connect",
    "connect_ex",
    "urlopen",
}
_CLIENTS = {"httpx", "aiohttp", "requests", "urllib3", "http.client", "urllib.request", "ftplib"}
_CLIENTS |= {"httpcore", "smtplib", "telnetlib", "websockets", "xmlrpc.client", "pycurl"}
_ALLOWED = {"http/client.py", "http/mail.py", "http/name_servers.py"}
# Over a pair of sockets that they were given, or made: to each other.
_ALLOWED |= {"web/server/http_process.py", "web/server/http_processes.py"}
# Public helpers for tests listen; the command line talks to a server its user names.
_NOT_THE_GATEWAY = ("testing/", "cli/", "demo/")


def _ways_out(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    modules = {alias.name for node in _of(tree, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in _of(tree, ast.ImportFrom)}
    calls = {node.func.attr for node in _of(tree, ast.Call) if isinstance(node.func, ast.Attribute)}
    ways = (modules & _CLIENTS) | (calls & _OUTBOUND_CALLS)
    if "socket" in modules:
        ways |= calls & {"connect"}
    if "dns.asyncresolver" in modules:
        ways |= {"dns.asyncresolver"}
    return ways


def _of(tree: ast.AST, kind: type[_Node]) -> list[_Node]:
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


def test_only_the_sender_and_the_resolver_open_outbound_sockets() -> None:
    found = {
        name: ways
        for path in sorted(_SOURCE.rglob("*.py"))
        if not (name := str(path.relative_to(_SOURCE))).startswith(_NOT_THE_GATEWAY)
        and (ways := _ways_out(path))
    }
    assert found.keys() == _ALLOWED, found
