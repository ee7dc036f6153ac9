"""How far a callback has come, and from whom."""

from __future__ import annotations

from tests.cases import each

from tillbell.rules.delivery.hops import HOPS_MAX, hop_line, hop_tags, hops_of
from tillbell.rules.proxies import client_address, networks


@each(
    ("headers", "hops"),
    [
        ((), 0),
        ((("tillbell-delivery", "dlv_1"),), 1),
        ((("tillbell-delivery", "dlv_1"), ("tillbell-hops", "2")), 2),
        ((("tillbell-hops", "1"), ("tillbell-hops", "3")), 3),
        ((("tillbell-hops", "-1"),), HOPS_MAX),
        ((("tillbell-hops", ""),), HOPS_MAX),
        ((("tillbell-hops", "٢"),), HOPS_MAX),
        ((("tillbell-hops", "9" * 5_000),), HOPS_MAX),
    ],
)
def test_hops_are_read_and_doubt_counts_as_too_many(
    headers: tuple[tuple[str, str], ...], hops: int
) -> None:
    assert hops_of(headers) == hops


def test_each_gateway_adds_one_and_what_a_provider_sent_carries_nothing() -> None:
    assert hop_tags(0) == ()
    headers: tuple[tuple[str, str], ...] = (("tillbell-delivery", "dlv_1"),)
    seen = []
    for _ in range(3):
        hops = hops_of(headers)
        seen.append(hops)
        name, _, value = hop_line(hop_tags(hops)).strip().partition(": ")
        headers = ((name.lower(), value),)
    assert seen == [1, 2, 3]
    assert hop_line(("mine", "example")) == ""


OURS = networks(["10.0.0.0/8", "::1/128"])


@each(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["127.0.0.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::ffff:10.0.0.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("::1", ["[2001:db8::7]:443"], "2001:db8::7"),
        ("", ["203.0.113.7"], ""),
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert client_address(peer, forwarded, OURS) == client
