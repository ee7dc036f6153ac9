"""What Slack, Discord and Teams take, as they publish it: none of it is read from the profiles.

Slack: docs.slack.dev, the reference of Block Kit (section, header and context block, text object).
Discord: discord.com/developers, "Execute Webhook", "Embed Limits", "Allowed Mentions"; it trims
texts and refuses those that are empty then, and links to a host without a dot. Teams:
learn.microsoft.com, limits of incoming webhooks and workflows; adaptivecards.io, 1.4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

Doc = dict[str, Any]
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")
_SLACK_MARK = re.compile(r"<([^>]*)>")
_SLACK_DATE = re.compile(r"!date\^\d+\^[^|>]*\|[^|>]+")
_MASKED_LINK = re.compile(r"(?<!\\)\[[^\]]*(?<!\\)\]\((.*?)\)")
_BARE_LINK = re.compile(r"https?://")


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def faults(chat: str, body: bytes) -> list[str]:
    """Return what a chat would refuse of a body, and what a payload must not make of it."""
    return list(_CHECKS[chat](json.loads(body), body))


def _long(name: str, text: Any, most: int) -> Iterator[str]:
    if not isinstance(text, str) or not text.strip() or units(text) > most:
        yield f"{name}: must have 1 to {most} characters: {str(text)[:60]!r}"


# ── Slack ────────────────────────────────────────────────────────────────────────────────────────


def _slack(post: Doc, body: bytes) -> Iterator[str]:
    del body
    blocks = post["blocks"]
    if not 1 <= len(blocks) <= 50:
        yield f"{len(blocks)} blocks"
    if sum(units(json.dumps(block, ensure_ascii=False)) for block in blocks) > 13_000:
        yield "msg_blocks_too_long"
    yield from _long("text", post["text"], 40_000)
    yield from _slack_marks("text", post["text"])
    for block in blocks:
        yield from _slack_block(block)


def _slack_block(block: Doc) -> Iterator[str]:
    kind = block["type"]
    if kind == "header":
        yield from _slack_text("header", block["text"], 150, "plain_text")
    elif kind == "section":
        if "text" not in block and not block.get("fields"):
            yield "a section without text and fields"
        if "text" in block:
            yield from _slack_text("section", block["text"], 3_000, "mrkdwn")
        if len(block.get("fields", [])) > 10:
            yield "more than 10 fields"
        for field in block.get("fields", []):
            yield from _slack_text("field", field, 2_000, "mrkdwn")
    elif kind == "context":
        if not 1 <= len(block["elements"]) <= 10:
            yield "elements of a context"
        for element in block["elements"]:
            yield from _slack_text("context", element, 3_000, "mrkdwn")
    else:
        yield f"an unknown block {kind!r}"


def _slack_text(name: str, text: Doc, most: int, kind: str) -> Iterator[str]:
    if text["type"] != kind:
        yield f"{name}: must be {kind}"
    if set(text) - {"type", "text", "emoji" if kind == "plain_text" else "verbatim"}:
        yield f"{name}: unknown members"
    yield from _long(name, text["text"], most)
    if kind == "mrkdwn":
        if text.get("verbatim") is not True:
            yield f"{name}: addresses would become links"
        yield from _slack_marks(name, text["text"])


def _slack_marks(name: str, text: str) -> Iterator[str]:
    if _ENTITY.search(text):
        yield f"{name}: an & that is no entity"
    for mark in _SLACK_MARK.findall(text):
        address, bar, label = mark.partition("|")
        is_link = address.startswith("https://") and bar and label == "Follow it"
        if not is_link and not _SLACK_DATE.fullmatch(mark):
            yield f"{name}: a mention or link {mark!r}"
    if re.search(r"[<>]", _SLACK_MARK.sub("", text)):
        yield f"{name}: a stray angle bracket"


# ── Discord ──────────────────────────────────────────────────────────────────────────────────────


def _discord(post: Doc, body: bytes) -> Iterator[str]:
    del body
    if post["allowed_mentions"] != {"parse": []}:
        yield "it may call people"
    if set(post) - {"embeds", "allowed_mentions"} or len(post["embeds"]) != 1:
        yield "more than one embed"
    (embed,) = post["embeds"]
    if not _is_discord_link(embed.get("url", "https://a.example")):
        yield f"not a well formed URL {embed['url']!r}"
    if len(embed.get("fields", [])) > 25:
        yield "more than 25 fields"
    yield from _discord_embed(embed)


def _is_discord_link(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme == "https" and "." in (parts.hostname or "") and parts.port != 0
    except ValueError:
        return False


def _discord_embed(embed: Doc) -> Iterator[str]:
    counted = [embed["footer"]["text"]]
    for name, most in (("title", 256), ("description", 4_096)):
        if name in embed:
            yield from _long(name, embed[name], most)
            counted.append(embed[name])
    if not {"title", "description"} & set(embed):
        yield "an embed that says nothing"
    yield from _long("footer", embed["footer"]["text"], 2_048)
    for field in embed.get("fields", []):
        yield from _long("field name", field["name"], 256)
        yield from _long("field value", field["value"], 1_024)
        counted += [field["name"], field["value"]]
    if sum(map(units, counted)) > 6_000:
        yield "more than 6,000 characters in all"
    for text in counted[1:]:
        if _MASKED_LINK.search(text) or _BARE_LINK.search(text):
            yield f"a link made of a payload: {text[:80]!r}"
        if re.search(r"(?<!\\)<[@#:!]", text):
            yield f"a mention made of a payload: {text[:80]!r}"


# ── Teams ────────────────────────────────────────────────────────────────────────────────────────


def _teams(post: Doc, body: bytes) -> Iterator[str]:
    if len(body) > 28_000 or 2 * units(body.decode()) > 28_000:
        yield "more than 28 KB"
    (attachment,) = post["attachments"]
    card = attachment["content"]
    if (post["type"], attachment["contentType"], card["type"]) != (
        "message",
        "application/vnd.microsoft.card.adaptive",
        "AdaptiveCard",
    ):
        yield "no card"
    if "entities" in card.get("msteams", {}):
        yield "it may call people"
    if not card["body"]:
        yield "an empty card"
    for element in card["body"]:
        if element["type"] == "TextBlock":
            texts = [element["text"]]
        elif element["type"] == "FactSet":
            texts = [fact[name] for fact in element["facts"] for name in ("title", "value")]
        else:
            texts = []
            yield f"an unknown element {element['type']!r}"
        for text in texts:
            yield from _teams_text(element["type"], text)


def _teams_text(name: str, text: str) -> Iterator[str]:
    yield from _long(name, text, 8_000)
    for address in _MASKED_LINK.findall(text):
        if not text.startswith("[Follow it](https://") or not address:
            yield f"a link made of a payload: {text[:80]!r}"
    if re.search(r"(?<!\\)<", text):
        yield f"a mark made of a payload: {text[:80]!r}"


_CHECKS = {"slack": _slack, "discord": _discord, "teams": _teams}
