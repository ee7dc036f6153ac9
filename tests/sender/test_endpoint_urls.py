"""What `AddressPolicy.check_url` makes of URLs that owners, or strangers, hand in."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import each
from tests.sender.hostile_corpus import HostileCase, cases, public_addresses
from tillbell.errors import Invalid, Misconfigured
from tillbell.http.address_policy import AddressPolicy

_URLS = cases("url")
_EVERYTHING = ("0.0.0.0/0", "::/0")
_ADDRESS_KINDS = {"url_private_address", "url_blocked_address"}
closed = AddressPolicy(allow_http=True)
wide_open = AddressPolicy(_EVERYTHING, allow_http=True)


def _kind(policy: AddressPolicy, url: str) -> str:
    """Return the kind of problem; "" when accepted."""
    try:
        policy.check_url(url)
    except Invalid as refusal:
        (problem,) = refusal.problems
        assert problem.loc == ("body", "url")
        assert problem.msg.startswith("The URL ")
        assert problem.msg.isprintable()
        return problem.type
    return ""


def _with(expect: str) -> list[HostileCase]:
    return [case for case in _URLS if case.expect == expect]


def _id(case: HostileCase) -> str:
    return case.id


@each("case", _with("refused"), ids=_id)
def test_a_url_that_breaks_a_rule_is_refused_whatever_is_configured(case: HostileCase) -> None:
    for policy in (closed, wide_open):
        kind = _kind(policy, case.input)
        assert kind
        assert kind not in _ADDRESS_KINDS


@each("case", _with("blocked"), ids=_id)
def test_an_address_that_nobody_may_call_is_blocked_whatever_is_configured(
    case: HostileCase,
) -> None:
    assert _kind(closed, case.input) == "url_blocked_address"
    assert _kind(wide_open, case.input) == "url_blocked_address"


@each("case", _with("operator"), ids=_id)
def test_a_private_address_is_blocked_unless_the_operator_opens_its_network(
    case: HostileCase,
) -> None:
    assert _kind(closed, case.input) == "url_private_address"
    assert _kind(wide_open, case.input) == ""


@each("case", _with("accepted") + _with("name"), ids=_id)
def test_an_honest_url_is_accepted(case: HostileCase) -> None:
    assert _kind(closed, case.input) == ""


def test_the_corpus_covers_every_class() -> None:
    kinds = {case.kind for case in _URLS}
    assert len(_URLS) > 200
    assert kinds >= {"loopback", "metadata", "nat64", "6to4", "teredo", "parser", "ipv6_mapped"}


def test_https_is_required_and_the_message_says_how_to_allow_http() -> None:
    with pytest.raises(Invalid, match="TILLBELL_ALLOW_HTTP") as refusal:
        AddressPolicy().check_url("http://example.com/")
    assert refusal.value.problems[0].type == "url_insecure"


def test_the_message_for_a_private_address_names_the_setting_to_allow_it() -> None:
    with pytest.raises(Invalid, match=r"TILLBELL_ALLOW_CIDRS=10\.1\.2\.3/32"):
        closed.check_url("https://10.1.2.3/")


def test_an_international_name_is_shown_as_it_will_be_looked_up() -> None:
    target = closed.check_url("https://Bücher.Example/a")
    assert target.host == "xn--bcher-kva.example"
    assert target.url == "https://xn--bcher-kva.example/a"


@each(
    ("url", "host_header", "path"),
    [
        ("https://Example.com", b"example.com", b"/"),
        ("https://example.com?x=%41&y=%zz", b"example.com", b"/?x=%41&y=%zz"),
        ("https://example.com:443/a%2Fb/../c", b"example.com", b"/a%2Fb/../c"),
        ("https://example.com:8443//", b"example.com:8443", b"//"),
        ("http://example.com:443/", b"example.com:443", b"/"),
        ("https://[2606:4700:0:0::1111]:99999"[:-6] + ":8443/", b"[2606:4700::1111]:8443", b"/"),
    ],
)
def test_path_and_query_stay_as_written(url: str, host_header: bytes, path: bytes) -> None:
    target = closed.check_url(url)
    assert (target.host_header, target.path) == (host_header, path)


@each(
    ("url", "path"),
    [
        ('https://example.com/{id}/a"b?q={x}|y', b"/%7Bid%7D/a%22b?q=%7Bx%7D%7Cy"),
        ("https://example.com/<a>[b]^`", b"/%3Ca%3E%5Bb%5D%5E%60"),
    ],
)
def test_what_older_versions_saved_is_sent_percent_encoded(url: str, path: bytes) -> None:
    assert closed.check_url(url).path == path


@each(
    ("url", "kind"),
    [
        *((f"https://example.com/a{character}b", "url_characters") for character in '"<>[]^`{|}'),
        *((f"https://example.com/?a{character}b", "url_characters") for character in '"<>[]^`{|}'),
        *((f"https://example.com/{end}", "url_characters") for end in ("%", "%2", "%zz", "a?%g0")),
        *((f"https://example.com/{end}", "url_path") for end in ("..", "a/../b", "./", "a/.?b")),
        *((f"https://example.com/{end}", "url_path") for end in ("%2e%2E/", ".%2e", "a/%2e")),
    ],
)
def test_a_path_that_programs_read_differently_is_not_saved(url: str, kind: str) -> None:
    with pytest.raises(Invalid) as refusal:
        closed.check_new_url(url)
    assert refusal.value.problems[0].type == kind


@each(
    ("url", "saved"),
    [
        ("HTTPS://Hooks.Example.COM./path", "https://hooks.example.com/path"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:8443?x=/../&y=..", "https://example.com:8443?x=/../&y=.."),
        ("https://BÜCHER.example/%E3%83%95//;p=1", "https://xn--bcher-kva.example/%E3%83%95//;p=1"),
        ("https://[2606:4700:0::1111]:8443/...", "https://[2606:4700::1111]:8443/..."),
        (
            "https://example.com/-._~!$&'()*+,;=:@/?-._~!$&'()*+,;=:@/?",
            "https://example.com/-._~!$&'()*+,;=:@/?-._~!$&'()*+,;=:@/?",
        ),
    ],
)
def test_a_url_is_saved_in_one_form(url: str, saved: str) -> None:
    assert closed.check_new_url(url) == closed.check_new_url(saved) == saved


def test_a_host_is_not_folded_into_another_one() -> None:
    for host in ("\u212aelvin.example", "\uff45xample.com", "ex\u00adample.com"):
        assert _kind(closed, f"https://{host}/") == "url_host"


def test_a_name_without_a_dot_needs_an_open_network() -> None:
    for url in ("https://receiver/", "https://receiver./", *(c.input for c in _with("dotless"))):
        assert (_kind(closed, url), _kind(wide_open, url)) == ("url_host", ""), url
    policy = AddressPolicy(("172.16.0.0/12",), allow_http=True)
    assert policy.check_new_url("http://Receiver.:3000/x") == "http://receiver:3000/x"
    assert policy.admit("receiver", ["172.18.0.4"]) == (("172.18.0.4",), "")
    assert policy.admit("receiver", ["10.0.0.4"])[0] == ()


def test_only_named_ports_are_allowed_when_the_operator_names_them() -> None:
    policy = AddressPolicy(allowed_ports=(443, 8443))
    assert _kind(policy, "https://example.com:8443/") == ""
    assert _kind(policy, "https://example.com:9443/") == "url_port"


@each("address", public_addresses())
def test_a_public_address_is_never_blocked(address: str) -> None:
    assert closed.judge(address) is None


def test_the_operator_opens_one_network_and_nothing_else() -> None:
    policy = AddressPolicy(("10.1.0.0/16",))
    assert policy.judge("10.1.255.255") is None
    assert policy.judge("::ffff:10.1.0.1") is None
    for other in ("10.2.0.1", "10.0.255.255", "127.0.0.1", "192.168.0.1", "64:ff9b::10.1.0.1"):
        assert policy.judge(other) is not None, other
    for metadata in ("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254"):
        assert policy.judge(metadata) is not None, metadata


@pytest.mark.parametrize("cidr", ["10.0.0.1/8", "nonsense", "169.254.0.0/16", "fe80::/64", ""])
def test_a_network_that_cannot_be_opened_is_refused_at_start(cidr: str) -> None:
    with pytest.raises(Misconfigured, match="allow_cidrs"):
        AddressPolicy((cidr,))


@each("text", ["", "localhost", "127.1", "1.2.3.4 ", "::1%lo", "fe80::1%eth0"])
def test_what_is_not_a_plain_address_is_not_admitted(text: str) -> None:
    assert wide_open.judge(text) is not None


def test_one_denied_address_denies_the_whole_answer() -> None:
    assert closed.admit("example.com", ["8.8.8.8", "10.0.0.5"])[0] == ()
    assert closed.admit("example.com", ["8.8.8.8", "::1"])[0] == ()
    assert closed.admit("example.com", ["8.8.8.8", "1.1.1.1"])[0] == ("8.8.8.8", "1.1.1.1")


def test_localhost_needs_only_one_of_its_two_addresses_opened() -> None:
    policy = AddressPolicy(("127.0.0.0/8",), allow_http=True)
    policy.check_url("http://localhost:8080/")
    assert policy.admit("localhost", ["127.0.0.1", "::1"])[0] == ("127.0.0.1",)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_in_any_wrapper_is_never_judged_milder(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    if closed.judge(str(plain)) is None:
        return
    wrappers = (f"::ffff:{plain}", f"64:ff9b::{plain}", f"::{plain}", _sixtofour(number))
    assert all(closed.judge(wrapper) is not None for wrapper in wrappers)


def _sixtofour(number: int) -> str:
    return str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    for url in (text, "https://" + text, "https://example.com" + text):
        _kind(closed, url)
