"""What people read in Slack, Discord and Teams, and that no payload can do more than be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.profiles.exchange import payload, rendered
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


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


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


@pytest.mark.parametrize("event_type", [*CATALOG, "loyalty.points_added"])
def test_limits_hold_for_any_length(event_type: str) -> None:
    slack = rendered("slack", event_type, LONG)
    assert len(slack["blocks"]) <= 50
    assert units(slack["text"]) <= 4_000
    for block in slack["blocks"]:
        text, fields = block.get("text"), block.get("fields", [])
        limit = 150 if block["type"] == "header" else 3_000
        assert text is None or 0 < units(text["text"]) <= limit
        assert len(fields) <= 10
        assert all(0 < units(field["text"]) <= 2_000 for field in fields)
    assert len(json.dumps(slack["blocks"], ensure_ascii=False)) < 13_000
    embed = rendered("discord", event_type, LONG)["embeds"][0]
    fields = embed.get("fields", [])
    assert units(embed["title"]) <= 256
    assert units(embed["description"]) <= 4_096
    assert len(fields) <= 25
    assert all(units(f["name"]) <= 256 and 0 < units(f["value"]) <= 1_024 for f in fields)
    counted = [embed["title"], embed["description"], embed["footer"]["text"]]
    counted += [text for f in fields for text in (f["name"], f["value"])]
    assert sum(map(units, counted)) <= 6_000
    assert (
        len(json.dumps(rendered("teams", event_type, LONG), ensure_ascii=False).encode()) < 28_000
    )


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
