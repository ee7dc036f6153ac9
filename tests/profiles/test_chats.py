"""What people read in Slack, Discord and Teams, and that no payload can do more than be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.profiles.chat_rules import faults
from tests.profiles.exchange import payload, render, rendered
from tillbell.catalog import CATALOG
from tillbell.model.messages import Reply, Result
from tillbell.profiles import PROFILES, profile
from tillbell.profiles.base import MessageContext
from tillbell.rules.delivery.answers import judge

CHATS = [name for name in PROFILES if profile(name).is_chat]
HOSTILE = "<!channel> & @everyone [click](https://evil.example) *x* `y`\r\n\u202ereversed"
LONG = payload(
    id="<&>" * 4_000,
    number="<" * 9_000,
    amount="1.00",
    currency="EUR",
    cancelReason="&" * 9_000,
    customer={"name": "😀" * 5_000, "email": "<" * 5_000},
    items=[{"productName": ">" * 900, "quantity": 1}] * 400,
    trackingUrl="https://carrier.example/" + "a" * 5_000,
)


def texts(document: Any) -> list[str]:
    """Return every text of a document."""
    if isinstance(document, str):
        return [document]
    inner = document.values() if isinstance(document, dict) else document
    return [t for each in inner for t in texts(each)] if isinstance(document, dict | list) else []


def test_slack_says_what_happened_in_blocks_and_in_the_notification() -> None:
    order = payload(
        number="ORD-7", amount="49.5", currency="EUR", customer={"name": "Ada & Sons"},
        items=[{"productName": "Tea", "quantity": 2}, {"productName": "Cup", "quantity": 1}],
    )  # fmt: skip
    post = rendered("slack", "order.paid", order)
    header, facts, context = post["blocks"]
    assert header["text"] == {
        "type": "plain_text",
        "text": "🟢 Order ORD-7 is paid",
        "emoji": False,
    }
    assert [field["text"] for field in facts["fields"]] == [
        "*Amount*\n49.50 EUR",
        "*Customer*\nAda &amp; Sons",
        "*Items*\n2 × Tea, 1 × Cup",
    ]
    assert context["elements"][0]["text"].startswith("order.paid · msg_1 · <!date^1705314650^")
    assert post["text"].startswith("🟢 Order ORD-7 is paid. Amount: 49.50 EUR")
    conflict = rendered("slack", "transaction.conflict", payload(uid="PAY-1", direction="pay_out"))
    assert conflict["blocks"][0]["text"]["text"] == "🔴 Pay-out PAY-1 has a conflict"
    assert "A person must decide." in conflict["blocks"][1]["text"]["text"]
    parcel = payload(trackingNumber="T1", trackingUrl="https://carrier.example/T1?a=1&b=2")
    section = rendered("slack", "shipment.in_transit", parcel)["blocks"][1]
    assert section["text"]["text"] == "<https://carrier.example/T1?a=1&amp;b=2|Follow it>"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://a.example/|x", "https://a.b/>"])
def test_a_link_that_is_no_plain_https_is_left_out(link: str) -> None:
    for name in CHATS:
        document = payload(trackingNumber="T1", trackingUrl=link)
        assert link not in texts(rendered(name, "shipment.in_transit", document))


def test_hostile_text_is_only_text() -> None:
    document = payload(
        number=HOSTILE, cancelReason=HOSTILE, customer={"name": HOSTILE}, amount=HOSTILE
    )
    for event_type in ("order.cancelled", "loyalty.points_added"):
        slack = rendered("slack", event_type, document)
        markup = [t for t in texts(slack) if "channel" in t and not t.startswith("🟠")]
        assert markup
        assert not [t for t in markup if "<!" in t or "& " in t.replace("&amp; ", "")]
        discord = rendered("discord", event_type, document)
        assert discord["allowed_mentions"] == {"parse": []}
        assert not [t for t in texts(discord) if "[click]" in t.replace("\\[", "")]
        teams = rendered("teams", event_type, document)
        assert not [t for t in texts(teams) if "[click]" in t.replace("\\[", "")]
        for post in (slack, discord, teams):
            assert not [t for t in texts(post) if "\u202e" in t or "\r" in t]


NAMES = (
    *("id", "number", "uid", "amount", "currency", "refundedAmount", "plan", "trackingNumber"),
    *("subject", "name", "path", "email", "sku", "stock", "reason", "cancelReason", "message"),
    *("status", "carrier", "url", "to", "appUid", "endpointUid", "orderId", "direction"),
    *("trackingUrl", "provider", "value"),
)
NOTHING: tuple[Any, ...] = (
    *("", " ", "\u3000", "\u202e\u2066", "\x00\r\n", "\ud800", "a\udc00b"),
    *(None, True, -0.0, 1e300, [], {}, [None], [[]], {"a": {}}),
)
MARKS = (
    *(HOSTILE, "```", "> quote", "# head", "- item", "1. item", "<at>Ada</at>", "<@U1>", "<#C1>"),
    *("@here", "<t:0>", "<:x:1>", "||spoiler||", "{{DATE(2026-01-01T00:00:00Z)}}", "${data}"),
    *("<https://evil.example|bank>", "[bank](https://evil.example)", "https://evil.example"),
    *("https://", "https://a", "https://a.b:x", "https://[::1", "https://u:p@a.example"),
    *("https://a.example/)", "https://a.example:99999/x", "https://a.example/\\x"),
)
ENDLESS = tuple(text * 9_000 for text in ("<", "&", "\\", "]", "日", "😀"))


def whole(value: Any) -> bytes:
    """Write a payload in which every member that is shown has this value."""
    inner = {"name": value, "email": value, "responseStatusCode": value, "error": value}
    members = dict.fromkeys(NAMES, value) | {"customer": inner, "lastAttempt": inner}
    lines = [{"productName": value, "quantity": value, "productId": value}] * 12
    return payload(**members, items=lines, **{"": value, "\n": value, "<!here>": value})


def test_every_chat_takes_every_event_whatever_the_payload_says() -> None:
    usual = [LONG, payload(), b"{}", b"[]", whole(""), whole(HOSTILE)]
    every = [b"null", *map(whole, (*NOTHING, *MARKS, *ENDLESS))]
    cases = [(event_type, document) for event_type in CATALOG for document in usual]
    some = ("order.paid", "shipment.in_transit", "endpoint.failing", "x" * 128)
    cases += [(event_type, document) for event_type in some for document in every]
    refused = [
        (chat, event_type, document[:80], fault)
        for chat in CHATS
        for event_type, document in cases
        for fault in faults(chat, render(chat, event_type, document))
    ]
    assert refused[:5] == []


def test_every_chat_takes_an_owners_own_text_and_any_other_payload() -> None:
    for chat in CHATS:
        for text in ("Hello", "x" * 8_000, "😀" * 4_000, ""):
            message = MessageContext("msg_1", "order.paid", 0, payload(number="O-1"), text=text)
            assert faults(chat, profile(chat).render("order.paid", message)) == [], text[:9]
        for body in (b"", b" ", b"\x00", b"<!channel>" * 900):
            message = MessageContext("msg_1", "note.made", 0, body, "text/plain")
            assert faults(chat, profile(chat).render("note.made", message)) == [], body[:9]


def test_a_text_that_is_no_json_is_shown_as_it_is() -> None:
    message = MessageContext("msg_1", "note.made", 0, b"a < b\x00", "text/plain")
    for name in CHATS:
        post = json.loads(profile(name).render("note.made", message))
        assert [t for t in texts(post) if t.replace("&lt;", "<").replace("\\", "") == "a < b"]


def test_answers_of_chats() -> None:
    def result(name: str, status: int, retry_after: str = "") -> Result:
        reply = Reply(status=status, error="", detail="", retry_after=retry_after)
        return judge(reply, profile(name).success, profile(name).gone_statuses)

    for name, status in (("slack", 200), ("discord", 204), ("teams", 202)):
        assert result(name, status) is Result.ACCEPTED
        assert result(name, 429, "30") is Result.THROTTLED
        assert result(name, 410) is Result.GONE
        assert result(name, 400) is Result.REFUSED
    assert [result(name, 404) for name in ("slack", "discord")] == [Result.GONE] * 2
    assert result("teams", 404) is Result.REFUSED
    assert result("standard", 404) is Result.REFUSED
