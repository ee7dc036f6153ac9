"""Names: who answers, how long that may take, and what an answer may be used for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.scale import full_or_tenth, soak
from tests.sender.post import Post, head_of
from tillbell.clock import SystemClock
from tillbell.http import resolver as resolver_module
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.name_servers import ADDRESSES_MAX
from tillbell.http.resolved import Resolved, Unresolved
from tillbell.http.resolver import Resolver
from tillbell.model.messages import Reply
from tillbell.testing.dns import NXDOMAIN, SERVFAIL, StubDns
from tillbell.testing.receiver import Receiver

HOST = "hooks.example.com"


def _url(receiver: Receiver, host: str = HOST) -> str:
    return f"http://{host}:{receiver.port}/ok"


async def test_a_name_is_resolved_and_called(
    post: Post, receiver: Receiver, names: StubDns
) -> None:
    names.answer(HOST, "127.0.0.1")
    assert (await post(_url(receiver))).status == 200
    assert (await receiver.request(0)).header("Host") == f"{HOST}:{receiver.port}"
    assert sorted(names.questions) == [(HOST, "A"), (HOST, "AAAA")]


@pytest.mark.parametrize(
    "answer",
    [
        ("169.254.169.254",),
        ("10.0.0.5",),
        ("127.0.0.1", "10.0.0.5"),
        ("10.0.0.5", "127.0.0.1"),
        ("127.0.0.1", "::1"),
        ("127.0.0.1", "::ffff:169.254.169.254"),
        ("127.0.0.1", "64:ff9b::a9fe:a9fe"),
        ("0.0.0.0",),
        ("::",),
    ],
)
async def test_one_denied_address_blocks_the_attempt(
    post: Post, receiver: Receiver, names: StubDns, answer: tuple[str, ...]
) -> None:
    names.answer(HOST, *answer)
    reply = await post(_url(receiver))
    assert (reply.status, reply.error) == (0, "blocked_address")
    assert HOST in reply.detail
    assert receiver.connections == 0


async def test_an_alias_is_judged_by_where_it_leads(
    post: Post, receiver: Receiver, names: StubDns
) -> None:
    names.alias(HOST, "metadata.google.internal.", "169.254.169.254")
    assert (await post(_url(receiver))).error == "blocked_address"


async def test_a_name_that_begins_to_lead_inside_is_blocked(
    post: Post, receiver: Receiver, names: StubDns
) -> None:
    names.sequence(HOST, NXDOMAIN, ["169.254.169.254"])
    assert (await post(_url(receiver))).error == "dns_error"
    assert (await post(_url(receiver))).error == "blocked_address"


@soak
async def test_the_address_that_was_judged_is_the_one_that_is_called(receiver: Receiver) -> None:
    """A name that changes with every question: nothing asks a second time."""
    count = full_or_tenth(500)
    policy = AddressPolicy(("127.0.0.1/32",), allow_http=True)
    async with StubDns() as names, Receiver(host="127.0.0.2") as forbidden:
        names.sequence(HOST, *[["127.0.0.1"], ["127.0.0.2"]] * count)
        sender = HttpClient(policy, Resolver([names.server]), SystemClock())
        target = policy.check_url(f"http://{HOST}:{receiver.port}/close")
        answers = [await sender.send(target, head_of(target), b"", 5) for _ in range(2 * count)]
        await sender.close()
        assert forbidden.connections == 0
    assert {(reply.status, reply.error) for reply in answers} == {(200, ""), (0, "blocked_address")}
    assert len(names.questions) == 4 * count


@pytest.mark.parametrize(
    ("steps", "error"),
    [((NXDOMAIN,), "dns_error"), ((SERVFAIL,), "dns_error"), (((),), "dns_error")],
)
async def test_a_name_without_an_address_fails_with_its_class(
    post: Post, receiver: Receiver, names: StubDns, steps: tuple[tuple[str, ...], ...], error: str
) -> None:
    names.sequence(HOST, *steps)
    reply = await post(_url(receiver))
    assert (reply.status, reply.error) == (0, error)
    assert HOST in reply.detail


async def test_a_silent_name_server_costs_the_attempt_its_own_deadline(
    receiver: Receiver, names: StubDns
) -> None:
    names.silence(HOST)
    resolver = Resolver([names.server], timeout_s=10 * PATIENCE_S)
    sender = HttpClient(AddressPolicy(("127.0.0.0/8",), allow_http=True), resolver, SystemClock())
    async with asyncio.timeout(PATIENCE_S):
        reply = await Post(sender)(_url(receiver), timeout_s=0.3)
    assert reply.error == "dns_timeout"
    await sender.close()


async def test_a_hundred_silent_names_do_not_delay_another(names: StubDns) -> None:
    resolver = Resolver([names.server], timeout_s=1.5)
    names.answer(HOST, "127.0.0.1")
    dead = [f"dead-{number}.example.com" for number in range(100)]
    for name in dead:
        names.silence(name)
    waiting = [asyncio.ensure_future(resolver.resolve(name)) for name in dead]
    for _ in range(20):
        assert await resolver.resolve(HOST) == Resolved(("127.0.0.1",))
    assert not any(wait.done() for wait in waiting)  # twenty answers came while they hung
    errors = {
        reply.error for reply in await asyncio.gather(*waiting) if isinstance(reply, Unresolved)
    }
    assert errors == {"dns_timeout"}


async def test_one_silent_family_does_not_hold_up_the_other(names: StubDns) -> None:
    class HalfSilent(StubDns):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            if b"\x00\x1c\x00\x01" not in data:  # AAAA IN
                super().datagram_received(data, addr)

    async with HalfSilent() as half:
        half.answer(HOST, "127.0.0.1")
        resolver = Resolver([half.server], timeout_s=10 * PATIENCE_S)
        async with asyncio.timeout(PATIENCE_S):
            assert await resolver.resolve(HOST) == Resolved(("127.0.0.1",))
        await resolver.close()


async def test_equal_questions_under_way_are_asked_once(names: StubDns) -> None:
    names.answer(HOST, "127.0.0.1", delay_s=0.05)
    resolver = Resolver([names.server])
    answers = await asyncio.gather(*[resolver.resolve(HOST) for _ in range(50)])
    assert set(answers) == {Resolved(("127.0.0.1",))}
    assert len(names.questions) == 2


async def test_giving_up_on_a_question_leaves_it_to_the_others(names: StubDns) -> None:
    names.answer(HOST, "127.0.0.1", delay_s=0.05)
    resolver = Resolver([names.server])
    first = asyncio.ensure_future(resolver.resolve(HOST))
    second = asyncio.ensure_future(resolver.resolve(HOST))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Resolved(("127.0.0.1",))


async def test_a_question_under_way_ends_when_the_resolver_closes(names: StubDns) -> None:
    names.silence(HOST)
    resolver = Resolver([names.server])
    waiting = asyncio.ensure_future(resolver.resolve(HOST))
    await asyncio.sleep(0)
    await resolver.close()
    assert isinstance(await waiting, Unresolved)


@pytest.mark.parametrize(("ttl", "questions"), [(60, 2), (0, 4)])
async def test_answers_are_kept_for_their_time_to_live(
    names: StubDns, ttl: int, questions: int
) -> None:
    names.answer(HOST, "127.0.0.1", ttl=ttl)
    resolver = Resolver([names.server])
    await resolver.resolve(HOST)
    await resolver.resolve(HOST)
    assert len(names.questions) == questions


async def test_a_huge_answer_is_cut(names: StubDns) -> None:
    names.answer(HOST, *[f"93.184.216.{number}" for number in range(1, 100)])
    found = await Resolver([names.server]).resolve(HOST)
    assert isinstance(found, Resolved)
    assert len(found.addresses) == ADDRESSES_MAX


async def test_names_are_asked_as_they_are_without_a_search_list(names: StubDns) -> None:
    await Resolver([names.server]).resolve("kubernetes.default")
    assert {name for name, _ in names.questions} == {"kubernetes.default"}


async def test_localhost_is_not_asked_of_anybody(names: StubDns) -> None:
    resolver = Resolver([names.server])
    for name in ("localhost", "shop.localhost"):
        assert await resolver.resolve(name) == Resolved(("127.0.0.1", "::1"))
    assert names.questions == []


async def test_changes_of_the_systems_files_are_seen(
    names: StubDns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_module, "LOOK_AT_FILES_EVERY_S", 0)
    hosts = tmp_path / "hosts"
    resolver = Resolver([names.server], hosts_file=str(hosts))
    name = "added.internal.example"
    assert isinstance(await resolver.resolve(name), Unresolved)
    hosts.write_text(f"127.0.0.9 {name}\n")
    assert await resolver.resolve(name) == Resolved(("127.0.0.9",))
    (tmp_path / "new").write_text(f"127.0.0.8 {name}\n")
    (tmp_path / "new").rename(hosts)
    assert await resolver.resolve(name) == Resolved(("127.0.0.8",))
    hosts.unlink()
    assert isinstance(await resolver.resolve(name), Unresolved)
    await resolver.close()

    servers = tmp_path / "resolv.conf"
    resolver = Resolver(hosts_file=None, servers_file=str(servers), timeout_s=0.1)
    assert "no name servers" in repr(await resolver.resolve(name))
    servers.write_text("nameserver 127.0.0.1\n")
    assert "no name servers" not in repr(await resolver.resolve(name))
    await resolver.close()


async def test_the_hosts_file_comes_first(names: StubDns, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.9 shop.internal.example # ours\n::1 shop.internal.example\n\n#x\n")
    resolver = Resolver([names.server], hosts_file=str(hosts))
    assert await resolver.resolve("shop.internal.example") == Resolved(("127.0.0.9", "::1"))
    assert names.questions == []


@pytest.mark.parametrize("servers", [[], ["127.0.0.1:9"]])
async def test_a_missing_name_server_is_an_error_of_the_attempt(servers: list[str]) -> None:
    found = await Resolver(servers, timeout_s=0.2).resolve(HOST)
    assert isinstance(found, Unresolved)
    assert found.error in ("dns_error", "dns_timeout")


async def test_many_names_wait_for_their_turn(names: StubDns) -> None:
    resolver = Resolver([names.server], max_parallel=2)
    for number in range(20):
        names.answer(f"h{number}.example.com", "127.0.0.1")
    found = await asyncio.gather(*[resolver.resolve(f"h{n}.example.com") for n in range(20)])
    assert found == [Resolved(("127.0.0.1",))] * 20


async def test_a_target_that_was_never_checked_is_judged_when_it_is_sent(
    sender: HttpClient, receiver: Receiver
) -> None:
    async def send(url: str, policy: AddressPolicy, **changes: Any) -> Reply:
        target = policy.check_url(url)._replace(**changes)
        return await sender.send(target, head_of(target), b"", 2)

    anything = AddressPolicy(("0.0.0.0/0", "::/0"), allow_http=True, allowed_ports=range(65536))
    assert (await send(f"http://10.0.0.1:{receiver.port}/", anything)).error == "blocked_address"
    assert (await send("http://127.0.0.1:25/", anything)).error == "blocked_url"
    assert (await send("http://a.example/", anything, host="169.254.169.254")).error == (
        "blocked_address"
    )
    assert (await send("http://a.example/", anything, host="2130706433")).error == "blocked_address"
    assert (await send("http://a.example/", anything, host="127.0.1")).error == "blocked_address"
    assert receiver.connections == 0
