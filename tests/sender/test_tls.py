"""TLS: verified for the host that was asked for, never given up, never replaced by plain HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme

from tests.patience import PATIENCE_S
from tests.sender.post import Post
from tillbell.clock import SystemClock
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.resolver import Resolver
from tillbell.model.messages import Reply
from tillbell.testing.behaviours import by_path
from tillbell.testing.dns import StubDns
from tillbell.testing.receiver import Receiver

HOST = "hooks.example.com"
_YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
async def secure_post(authority: trustme.CA, names: StubDns) -> AsyncIterator[Post]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    policy = AddressPolicy(("127.0.0.0/8",))
    names.answer(HOST, "127.0.0.1")
    resolver = Resolver([names.server])
    sender = HttpClient(policy, resolver, SystemClock(), ssl_context=context)
    yield Post(sender)
    await sender.close()


def _url(receiver: Receiver, host: str = HOST, path: str = "/ok") -> str:
    return f"https://{host}:{receiver.port}{path}"


async def test_a_valid_certificate_is_accepted_and_the_connection_kept(
    secure_post: Post, authority: trustme.CA
) -> None:
    context = _server_context(authority.issue_cert(HOST))
    async with Receiver(ssl_context=context) as receiver:
        replies = [await secure_post(_url(receiver), b"x" * 100_000) for _ in range(5)]
        assert {reply.status for reply in replies} == {200}
        assert min(map(int, replies[0].phases.split())) > 0  # the handshake too
        assert replies[4].phases.startswith("0 0 0 ")
        assert receiver.connections == 1
        assert len(receiver.requests[4].body) == 100_000


async def test_a_literal_address_is_verified_as_an_address(
    secure_post: Post, authority: trustme.CA
) -> None:
    context = _server_context(authority.issue_cert("127.0.0.1"))
    async with Receiver(ssl_context=context) as receiver:
        assert (await secure_post(_url(receiver, "127.0.0.1"))).status == 200
        assert (await secure_post(_url(receiver, HOST))).error == "tls_error"


@pytest.mark.parametrize(
    ("names_in_certificate", "options", "reason"),
    [
        (("other.example.com",), {}, "mismatch"),
        (("example.com",), {}, "mismatch"),
        ((HOST,), {"not_before": _YESTERDAY, "not_after": _YESTERDAY}, "expired"),
    ],
    ids=["wrong host", "parent of the host", "expired"],
)
async def test_a_certificate_that_does_not_fit_fails_with_its_reason(
    secure_post: Post,
    authority: trustme.CA,
    names_in_certificate: tuple[str, ...],
    options: dict[str, Any],
    reason: str,
) -> None:
    context = _server_context(authority.issue_cert(*names_in_certificate, **options))
    async with Receiver(ssl_context=context) as receiver:
        reply = await secure_post(_url(receiver))
        assert (reply.status, reply.error) == (0, "tls_error")
        assert reason in reply.detail
        assert reply.detail.isprintable()
        assert receiver.requests == []


async def test_an_unknown_authority_fails(secure_post: Post) -> None:
    context = _server_context(trustme.CA().issue_cert(HOST))
    async with Receiver(ssl_context=context) as receiver:
        reply = await secure_post(_url(receiver))
    assert reply.error == "tls_error"
    assert "certificate" in reply.detail


async def test_old_tls_fails(secure_post: Post, authority: trustme.CA) -> None:
    context = _server_context(authority.issue_cert(HOST))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with Receiver(ssl_context=context) as receiver:
        assert (await secure_post(_url(receiver))).error == "tls_error"


async def _reply_of_server(post: Post, context: ssl.SSLContext) -> Reply:
    """Post once to a TLS server that ends the handshake as its context says.

    It runs on a thread: the event loops' own servers close without the alert.
    """

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        served = asyncio.get_running_loop().run_in_executor(None, serve, listener)
        reply = await post(f"https://{HOST}:{port}/", timeout_s=PATIENCE_S)
        await served
    return reply


async def test_alerts_of_the_receiver_are_reported_in_plain_words(
    secure_post: Post, authority: trustme.CA
) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for alert, words in (
            (ssl.ALERT_DESCRIPTION_BAD_CERTIFICATE, "requires a client certificate"),
            (ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME, "does not know the host name"),
            (ssl.ALERT_DESCRIPTION_ACCESS_DENIED, "denies us access"),
            (ssl.ALERT_DESCRIPTION_USER_CANCELLED, "user cancelled"),
            (ssl.ALERT_DESCRIPTION_UNKNOWN_PSK_IDENTITY, "unknown psk identity"),
            (ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE, "no cipher"),
        ):
            context = _server_context(authority.issue_cert(HOST))
            context.minimum_version = context.maximum_version = version
            context.sni_callback = lambda *_, alert=alert: alert
            reply = await _reply_of_server(secure_post, context)
            required = alert == ssl.ALERT_DESCRIPTION_BAD_CERTIFICATE
            assert reply.error == ("client_certificate_required" if required else "tls_error")
            assert words in reply.detail, reply.detail


async def test_a_receiver_that_requires_a_client_certificate_is_reported(
    secure_post: Post, authority: trustme.CA
) -> None:
    """With TLS 1.3 its alert comes after the handshake, as the answer to the request."""
    for version, errors in (
        (ssl.TLSVersion.TLSv1_2, {"tls_error"}),
        (ssl.TLSVersion.TLSv1_3, {"client_certificate_required", "reset"}),
    ):
        context = _server_context(authority.issue_cert(HOST))
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = context.maximum_version = version
        reply = await _reply_of_server(secure_post, context)
        assert (reply.status, reply.error) == (0, reply.error)
        assert reply.error in errors
        assert "client certificate" in reply.detail


async def _plain_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(64)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)
    writer.close()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(64)
    writer.transport.abort()


@pytest.mark.parametrize(
    ("behave", "error"),
    [(_plain_http, "tls_error"), (_hang_up, "tls_error"), (_silence, "connect_timeout")],
)
async def test_a_port_that_does_not_speak_tls_fails_and_is_never_asked_in_plain(
    secure_post: Post, behave: object, error: str
) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await behave(reader, writer)  # type: ignore[operator]

    async with await asyncio.start_server(count, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(PATIENCE_S):
            reply = await secure_post(f"https://{HOST}:{port}/", timeout_s=0.5)
        assert (reply.status, reply.error) == (0, error)
        assert connections == 1


async def test_hostile_answers_are_the_same_over_tls(
    secure_post: Post, authority: trustme.CA
) -> None:
    context = _server_context(authority.issue_cert(HOST))
    async with Receiver(by_path, ssl_context=context) as receiver:

        async def post(path: str) -> tuple[int, str]:
            timeout_s = {"/hang": 0.5, "/drip-head": 1.0}.get(path, PATIENCE_S)
            reply = await secure_post(_url(receiver, path=path), timeout_s=timeout_s)
            return reply.status, reply.error

        assert await post("/poison") == (200, "")
        assert await post("/status/503") == (503, "")
        assert await post("/endless") == (200, "")
        assert await post("/hang") == (0, "timeout")
        assert await post("/drip-head") == (200, "")
        assert await post("/reset") == (0, "reset")
        assert await post("/reset-mid") == (200, "")
        assert await post("/close-silently") == (0, "reset")
        assert await post("/close") == (200, "")
        assert await post("/ok") == (200, "")


async def test_the_default_trust_is_the_systems(authority: trustme.CA, names: StubDns) -> None:
    names.answer(HOST, "127.0.0.1")
    sender = HttpClient(AddressPolicy(("127.0.0.0/8",)), Resolver([names.server]), SystemClock())
    async with Receiver(ssl_context=_server_context(authority.issue_cert(HOST))) as receiver:
        assert (await Post(sender)(_url(receiver))).error == "tls_error"
    await sender.close()
