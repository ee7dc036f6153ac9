"""Connections: kept, bounded, never used when dead, never mixed up."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

import pytest

from tests.patience import PATIENCE_S
from tests.scale import full_or_tenth, soak
from tests.sender.post import Post
from tillbell.clock import SystemClock
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.pool import PoolLimits
from tillbell.http.resolver import Resolver
from tillbell.testing.behaviours import raw
from tillbell.testing.dns import StubDns
from tillbell.testing.exchange import ReceiverExchange
from tillbell.testing.receiver import Receiver

ROUNDS = full_or_tenth(1_000)
POISONED = full_or_tenth(500)
EACH = full_or_tenth(625)  # exchanges of each of sixteen
_POLICY = AddressPolicy(("127.0.0.0/8",), allow_http=True)


def _sender(**limits: float) -> HttpClient:
    return HttpClient(_POLICY, Resolver([]), SystemClock(), PoolLimits(**limits))  # type: ignore[arg-type]


@soak
async def test_connections_are_used_again(post: Post) -> None:
    """Twenty endpoints, new connections for at most one request in twenty."""
    async with Receiver() as one, Receiver() as two:
        for _ in range(ROUNDS):
            urls = [one.url(f"/{n}") for n in range(10)] + [two.url(f"/{n}") for n in range(10)]
            replies = await asyncio.gather(*[post(url) for url in urls])
            assert {reply.status for reply in replies} == {200}
        assert len(one.requests) + len(two.requests) == 20 * ROUNDS
        assert one.connections + two.connections <= ROUNDS


async def test_phases_of_a_request_are_measured(
    post: Post, receiver: Receiver, names: StubDns
) -> None:
    names.answer("shop.example", "127.0.0.1")
    url = receiver.url("/ok").replace("127.0.0.1", "shop.example")
    replies = [await post(url), await post(url)]
    closed = socket.socket()  # nobody listens
    closed.bind(("127.0.0.1", 0))
    refusing = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    replies += [await post(refusing), await post("http://missing.example/")]
    closed.close()

    first, again, refused, unknown = (list(map(int, r.phases.split())) for r in replies)
    name, connect, tls, byte = first
    assert min(name, connect, byte) > 0
    assert tls == 0
    assert again[:3] == [0, 0, 0]  # the connection was open
    assert again[3] > 0
    assert refused == [0]  # it ended while it connected
    assert unknown == []
    for reply, took in zip(replies, (first, again, refused, unknown), strict=True):
        assert sum(took) <= reply.duration_us


@soak
async def test_a_poisoned_connection_never_answers_the_next_request(
    post: Post, receiver: Receiver
) -> None:
    for _ in range(POISONED):
        assert (await post(receiver.url("/poison"))).status == 200
        assert (await post(receiver.url("/status/503"))).status == 503
    assert receiver.connections == POISONED + 1


@pytest.mark.parametrize(
    "extra", [b"H", b"HTTP/1.1 418 T\r\nX: ", b"garbage", b"\0", b"HTTP/1.1 100 C\r\n\r\n", b"\r\n"]
)
async def test_any_unasked_bytes_end_the_connection_or_mean_nothing(
    post: Post, receiver: Receiver, extra: bytes
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    receiver.on("/extra", raw(answer + extra, closes=False))
    for _ in range(20):
        assert (await post(receiver.url("/extra"))).body == b"ok"
        assert (await post(receiver.url("/status/503"))).status == 503


async def test_unasked_bytes_that_come_later_end_the_connection(
    post: Post, receiver: Receiver
) -> None:
    sent = asyncio.Event()

    async def late(exchange: ReceiverExchange) -> None:
        await exchange.answer(200)
        await asyncio.sleep(0.01)
        await exchange.answer(418)
        sent.set()

    receiver.on("/late", late)
    assert (await post(receiver.url("/late"))).status == 200
    await sent.wait()
    assert (await post(receiver.url("/status/503"))).status == 503
    assert receiver.connections == 2


@soak
async def test_exchanges_over_shared_connections_are_never_mixed_up(
    post: Post, receiver: Receiver
) -> None:
    async def echo(exchange: ReceiverExchange) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(exchange.request.body)
        odd = int(exchange.request.body) % 7
        await exchange.write(answer + exchange.request.body + (answer if odd == 0 else b""))
        if odd == 1:
            exchange.close()

    receiver.on("/echo", echo)
    failures = Counter[str]()

    async def work(first: int) -> None:
        for number in range(first, first + EACH):
            reply = await post(receiver.url("/echo"), str(number).encode())
            failures[reply.error] += 1
            assert reply.error or reply.body == str(number).encode()

    await asyncio.gather(*[work(lane * EACH) for lane in range(16)])
    assert failures.keys() <= {"", "reset"}  # a connection may close as a request sets out
    assert failures[""] > 0.98 * 16 * EACH


async def test_a_connection_that_the_receiver_closed_is_not_used(
    post: Post, receiver: Receiver
) -> None:
    async def close_without_a_word(exchange: ReceiverExchange) -> None:
        await exchange.answer(200)
        exchange.close()

    receiver.on("/gone", close_without_a_word)
    for _ in range(100):
        assert (await post(receiver.url("/gone"))).status == 200
        await asyncio.sleep(0)
    assert receiver.connections == 100


async def test_a_connection_is_used_no_longer_than_its_receiver_announced(
    post: Post, receiver: Receiver
) -> None:
    """Less a second, in which the next request may reach it. What is not announced is no limit."""
    body = b"Keep-Alive: timeout=1"  # not a header
    for announced, is_kept in {
        "timeout=1": False,
        "max=100, timeout=1": False,
        'timeout="1"': False,
        "timeout=0": False,
        "Max=100, TIMEOUT = 1": False,
        "timeout=60": True,
        "max=100": True,
        "timeout=soon": True,
    }.items():
        lines = ["HTTP/1.1 200 OK", f"keep-Alive: {announced}", f"Content-Length: {len(body)}"]
        answer = "\r\n".join([*lines, "", ""]).encode() + body
        receiver.on("/kept", raw(answer, closes=False))
        before = receiver.connections
        for _ in range(3):
            assert (await post(receiver.url("/kept"))).status == 200
        opened = receiver.connections - before
        assert opened <= 1 if is_kept else opened >= 2, announced


async def test_a_connection_is_closed_when_its_announced_time_is_over(receiver: Receiver) -> None:
    sender = _sender()
    answer = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n"
    receiver.on("/kept", raw(answer, closes=False))
    await Post(sender)(receiver.url("/kept"))
    async with asyncio.timeout(PATIENCE_S):
        while sender.connections:
            await asyncio.sleep(0.02)
    await sender.close()


async def test_a_reset_of_a_kept_connection_is_told_and_not_repeated(
    post: Post, receiver: Receiver
) -> None:
    await post(receiver.url("/ok"))
    reply = await post(receiver.url("/close-silently"))
    assert (reply.error, len(receiver.requests)) == ("reset", 2)
    assert "a reused connection" in reply.detail


async def test_a_deadline_frees_its_connection_and_disturbs_no_other(receiver: Receiver) -> None:
    sender = _sender(open_max=2)
    post = Post(sender)
    hanging = asyncio.ensure_future(post(receiver.url("/hang"), timeout_s=0.5))
    for _ in range(50):
        assert (await post(receiver.url("/ok"))).status == 200
    assert (await hanging).error == "timeout"
    assert receiver.connections == 2
    await sender.close()


async def test_a_place_is_waited_for_and_then_taken(receiver: Receiver) -> None:
    sender = _sender(open_max=4)
    post = Post(sender)
    replies = await asyncio.gather(*[post(receiver.url(f"/{n}")) for n in range(200)])
    assert {reply.status for reply in replies} == {200}
    assert receiver.connections == 4
    await sender.close()


async def test_places_go_from_one_origin_to_another() -> None:
    sender = _sender(open_max=2)
    post = Post(sender)
    async with Receiver() as one, Receiver() as two, Receiver() as three:
        urls = [each.url() for each in (one, two, three)] * 30
        replies = await asyncio.gather(*[post(url) for url in urls])
        assert {reply.status for reply in replies} == {200}
        await sender.close()


async def test_without_a_place_until_the_deadline_the_attempt_is_overloaded(
    receiver: Receiver,
) -> None:
    sender = _sender(open_max=1)
    post = Post(sender)
    hanging = asyncio.ensure_future(post(receiver.url("/hang"), timeout_s=10 * PATIENCE_S))
    await receiver.wait_for(1)
    async with asyncio.timeout(PATIENCE_S):
        reply = await post(receiver.url("/ok"), timeout_s=0.2)
    assert reply.error == "overloaded"
    assert not hanging.done()
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert (await post(receiver.url("/ok"))).status == 200
    await sender.close()


async def test_a_cancelled_attempt_gives_its_place_back(receiver: Receiver) -> None:
    sender = _sender(open_max=1)
    post = Post(sender)
    hanging = asyncio.ensure_future(post(receiver.url("/hang")))
    await receiver.wait_for(1)
    queued = asyncio.ensure_future(post(receiver.url("/ok")))
    await asyncio.sleep(0)
    queued.cancel()
    hanging.cancel()
    await asyncio.gather(queued, hanging, return_exceptions=True)
    assert (await post(receiver.url("/ok"))).status == 200
    await sender.close()


async def test_a_line_of_impatient_attempts_loses_no_place(receiver: Receiver) -> None:
    """Attempts time out and are cancelled all the time while they wait; the place stays in use."""
    sender = _sender(open_max=1)
    post = Post(sender)
    for round_ in range(40):
        work = [
            asyncio.ensure_future(post(receiver.url(f"/{n}"), timeout_s=0.001 * (n % 4)))
            for n in range(20)
        ]
        work[round_ % 20].cancel()
        await asyncio.gather(*work, return_exceptions=True)
    assert (await post(receiver.url("/ok"))).status == 200
    assert sender.connections == 1
    await sender.close()


async def test_idle_connections_are_closed_after_a_while(receiver: Receiver) -> None:
    sender = _sender(idle_s=0.05)
    await Post(sender)(receiver.url("/ok"))
    async with asyncio.timeout(PATIENCE_S):
        while sender.connections:
            await asyncio.sleep(0.02)
    await sender.close()


async def test_a_connection_is_not_used_beyond_its_age(receiver: Receiver) -> None:
    sender = _sender(age_s=0.0)
    for _ in range(3):
        await Post(sender)(receiver.url("/ok"))
    assert receiver.connections == 3
    await sender.close()


async def test_exchanges_under_way_end_when_the_sender_closes(receiver: Receiver) -> None:
    sender = _sender()
    hanging = asyncio.ensure_future(Post(sender)(receiver.url("/hang")))
    await receiver.wait_for(1)
    await sender.close()
    assert (await hanging).error == "reset"


async def test_a_closed_port_is_refused(post: Post) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert (await post(f"http://127.0.0.1:{port}/")).error == "connect_refused"


async def test_a_receiver_that_does_not_accept_costs_the_connect_timeout_only() -> None:
    import socket

    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    port = full.getsockname()[1]
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
    sender = _sender(connect_timeout_s=0.3)
    async with asyncio.timeout(PATIENCE_S):
        reply = await Post(sender)(f"http://127.0.0.1:{port}/", timeout_s=10 * PATIENCE_S)
    assert reply.error == "connect_timeout"
    await sender.close()
    for sock in (full, *fillers):
        sock.close()
