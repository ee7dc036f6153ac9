"""What holds for every profile in the registry."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.cases import each
from tests.profiles.exchange import exchange, payload, render, sample
from tillbell.catalog import CATALOG
from tillbell.profiles import PROFILES, profile
from tillbell.profiles.base import MessageContext

EVENT_TYPES = (*CATALOG, "loyalty.points_added")
ROUTES = [
    (name, event_type, index)
    for name, spoken in PROFILES.items()
    for event_type in EVENT_TYPES
    for index in range(len(spoken.parts(event_type, None)))
]
STORED = [name for name in PROFILES if name not in ("standard", "svix")]
PLATFORMS = ("shoppex", "zenofy", "mozarto", "mozarto-legacy")
CHATS = ("slack", "discord", "teams")
GOOD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

MEMBERS = [
    "type", "data", "id", "amount", "currency", "customer", "items", "createdAt", "paidAt",
    "quantity", "unitPrice", "product", "metadata", "cancelReason", "status", "rawStatus",
    "message", "email", "userId", "settlementCurrency", "isBumpProduct",
]  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**60, max_value=10**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["EUR", "149.99", "2026-05-01T10:30:00+02:00", "9999-12-31T23:59:59-23:59"])
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=8)
    ),
    max_leaves=25,
)


def test_registry_names_each_profile_as_it_names_itself() -> None:
    assert {name: spoken.name for name, spoken in PROFILES.items()} == {n: n for n in PROFILES}
    assert {"standard", "svix", "cloudevents", *PLATFORMS, *CHATS} == set(PROFILES)
    with pytest.raises(KeyError):
        profile("unheard-of")


@each(("name", "event_type", "index"), ROUTES)
def test_catalogue_samples_become_json(name: str, event_type: str, index: int) -> None:
    entry = CATALOG.get(event_type)
    document = json.dumps(entry.sample).encode() if entry else b'{"points": 5}'
    body = render(name, event_type, document, index)
    assert isinstance(json.loads(body), dict)
    assert render(name, event_type, document, index) == body


@given(documents)
@example({"type": "order.paid", "data": [1, 2]})
@example({"type": "order.paid", "data": {"items": {"a": 1}, "customer": [], "amount": {}}})
@example([])
@example(None)
def test_any_json_can_be_rendered(document: object) -> None:
    written = json.dumps(document).encode()
    families = {entry.group: entry.name for entry in CATALOG.values()}  # chats: one of each
    for name, event_type, index in ROUTES:
        if name in CHATS and event_type in CATALOG and event_type not in families.values():
            continue
        json.loads(render(name, event_type, written, index))


@each(
    "document",
    [
        b'{"amount": 1e999999999, "currency": "EUR", "createdAt": 1e99}',
        b'{"amount": ' + b"9" * 5000 + b', "currency": "EUR", "id": ' + b"9" * 5000 + b"}",
        b'{"amount": -0.0, "currency": "EUR", "createdAt": -99999999999999999}',
        b'{"amount": "NaN", "currency": "EUR"}',
        b'{"amount": "1_000", "currency": "EUR"}',
        b'{"id": "\\ud800", "metadata": "\\udfff"}',
        b'{"data": ' + b"[" * 3000 + b"]" * 3000 + b', "type": "x"}',
        b'{"items": ' + b"[" * 60 + b"]" * 60 + b"}",
        b'{"id": "a\\u0000\\r\\nX-Evil: 1"}',
        b' \n{"type": "order.paid" , "data" : { } }\n ',
        b"12",
        b'"text"',
    ],
)
def test_hostile_json_is_rendered(document: bytes) -> None:
    spoken_by = [(n, t, i) for n, t, i in ROUTES if n in (*PLATFORMS, *CHATS) and t in CATALOG]
    for name, event_type, index in spoken_by:
        # Python reads no integer of 5000 digits; JSON has no such limit.
        body = json.loads(render(name, event_type, document, index), parse_int=str)
        assert body


@each(("name", "event_type", "index"), ROUTES)
def test_bodies_of_profiles_are_kept_apart(name: str, event_type: str, index: int) -> None:
    spoken = profile(name)
    variants = [spoken.variant(part) for part in spoken.parts(event_type, None)]
    assert len(set(variants)) == len(variants)
    others = {
        other.variant(part)
        for other in PROFILES.values()
        if other.name != name and other.name in STORED
        for part in other.parts(event_type, None)
    }
    assert variants == [""] or not others.intersection(variants)


@each("name", ["standard", "svix"])
@each("document", [b'{ "a" : 1.10 }', b"[1,2]\n", b"\xff not even json"])
def test_payload_is_sent_as_published(name: str, document: bytes) -> None:
    assert profile(name).variant("any.type") == ""
    assert render(name, "any.type", document) == document


@each(("name", "event_type", "index"), ROUTES)
def test_retries_keep_id_and_body(name: str, event_type: str, index: int) -> None:
    sent = [
        exchange(name, event_type, b"{}", GOOD_SECRET, part=index, attempt=number)
        for number in (1, 2)
    ]
    stable = [
        {k: v for k, v in headers.items() if not k.endswith(("timestamp", "signature"))}
        for _, headers in sent
    ]
    assert sent[0].body == sent[1].body
    assert stable[0] == stable[1]
    assert len({headers[k] for _, headers in sent for k in headers if "timestamp" in k}) == 2


@each("name", PROFILES)
def test_new_secrets_pass_their_own_check(name: str) -> None:
    spoken = profile(name)
    first, second = spoken.new_secret(b"a" * 32), spoken.new_secret(b"b" * 32)
    assert spoken.check_secret(first) is None
    assert first != second


@pytest.mark.parametrize("name", PROFILES)
@given(text=st.text(max_size=80))
def test_any_secret_that_passes_is_safe_in_headers(name: str, text: str) -> None:
    if profile(name).check_secret(text) is not None:
        return
    event_type = "order.paid" if name in ("shoppex", "zenofy") else "transaction.approved"
    _, headers = exchange(name, event_type, b"{}", text)
    for header, value in headers.items():
        assert (header + value).isascii()
        assert (header + value).isprintable()
        assert value == value.strip()


@each("name", ["zenofy", "mozarto", "mozarto-legacy"])
@each("secret", ["", "å", "a\r\nX: y", " padded", "x" * 257, "whsk_abc", "whsec_!", "a\x00b"])
def test_secrets_that_no_header_can_carry_are_refused(name: str, secret: str) -> None:
    assert profile(name).check_secret(secret)


def test_profiles_without_a_made_secret_are_those_whose_platform_has_it_optional() -> None:
    optional = {name for name, spoken in PROFILES.items() if not spoken.makes_secret}
    assert optional == {"zenofy", "mozarto", "mozarto-legacy", *CHATS}


@each(
    ("name", "timeout_s", "success", "schedule_s"),
    [
        ("standard", 30, "2xx", (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)),
        ("svix", 30, "2xx", (5, 300, 1800, 7200, 18000, 36000, 36000)),
        ("shoppex", 30, "2xx", (300, 1800, 7200, 86400)),
        ("zenofy", 30, "2xx", (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)),
        ("mozarto", 10, "200", (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)),
        ("mozarto-legacy", 10, "200", (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)),
        ("cloudevents", 30, "2xx", (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)),
        *[(name, 10, "2xx", (5, 60, 300, 1800, 7200, 18000)) for name in CHATS],
    ],
)
def test_published_terms(
    name: str, timeout_s: int, success: str, schedule_s: tuple[int, ...]
) -> None:
    spoken = profile(name)
    assert (spoken.timeout_s, spoken.success, spoken.schedule_s) == (timeout_s, success, schedule_s)


def test_cloudevent_carries_the_data_byte_for_byte() -> None:
    body = render("cloudevents", "order.paid", sample("paid_order"))
    event = json.loads(body)
    assert {k: v for k, v in event.items() if k != "data"} == {
        "specversion": "1.0",
        "id": "msg_1",
        "source": "urn:tillbell",
        "type": "order.paid",
        "time": "2024-01-15T10:30:50.000000Z",
        "datacontenttype": "application/json",
    }
    assert b'"rate": 1.10' in body
    assert b"12345678901234567890123" in body
    assert profile("cloudevents").content_type == "application/cloudevents+json"


@pytest.mark.parametrize("document", [b"[1]", b"{}", b'{"type": "a", "data": 5}'])
def test_cloudevent_of_a_bare_payload_has_it_as_data(document: bytes) -> None:
    assert json.loads(render("cloudevents", "a.b", document))["data"] == json.loads(document)


def test_bare_payload_is_itself_the_data() -> None:
    whole = sample("approved_transaction")
    bare = json.dumps(json.loads(whole)["data"]).encode()
    for name in ("mozarto", "mozarto-legacy"):
        assert render(name, "transaction.approved", bare) == render(
            name, "transaction.approved", whole
        )


def test_rendering_ignores_who_else_is_listening() -> None:
    published = MessageContext("msg_2", "order.paid", 0, payload(id="o"))
    assert b'"id":"msg_2"' in profile("shoppex").render("order:paid", published)
