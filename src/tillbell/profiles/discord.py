"""Discord: a message with one embed, for a webhook of a channel.

Marks of Markdown in payloads are escaped, and `allowed_mentions` allows none: no payload can call
people or hide a link. Discord answers 204; 429 with `Retry-After`; 404 when the webhook was
deleted: the endpoint is disabled.

Source: discord.com/developers, "Execute Webhook" and "Embed Limits".
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tillbell.clock import iso
from tillbell.profiles.base import MessageContext
from tillbell.profiles.chat import ChatProfile, fitted, notice_of, one_line, own_text

TITLE_MAX = 256
DESCRIPTION_MAX = 4_096
SENTENCE_MAX = 2_000
FIELD_MAX = 1_024  # ten of them at their own limit of 200 stay below 6,000 in all
FOOTER_MAX = 400
_COLOURS = {"good": 0x2EB67D, "warn": 0xE8912D, "bad": 0xD92D20, "plain": 0x3B6EA8}
_MARKDOWN = re.compile(r"([\\*_~`|>\[\]#<])")


class Discord(ChatProfile):
    """Every message as an embed in a channel of Discord."""

    name = "discord"
    gone_statuses = frozenset({404, 410})

    def escape(self, text: str) -> str:
        """Write a backslash before each mark of Markdown."""
        return _MARKDOWN.sub(r"\\\1", text)

    def unlinked(self, text: str) -> str:
        """Escape a text in which no address becomes a link."""
        return self.escape(text).replace("://", r"\://")

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the message; the endpoint's own text in place of title, sentence and fields."""
        del part
        embed: dict[str, Any]
        text = own_text(message)
        if text is not None:
            embed = {"description": fitted(text, DESCRIPTION_MAX)}
        else:
            notice = notice_of(message)
            embed = {
                "title": fitted(notice.title, TITLE_MAX, self.unlinked),
                "color": _COLOURS[notice.tone],
                "fields": [
                    {
                        "name": self.unlinked(fact.label),
                        "value": fitted(fact.value, FIELD_MAX, self.unlinked),
                        "inline": len(fact.value) < 40,
                    }
                    for fact in notice.facts
                ],
            }
            if notice.sentence:
                embed["description"] = fitted(notice.sentence, SENTENCE_MAX, self.unlinked)
            if notice.link:
                embed["url"] = notice.link
        footer = f"{one_line(message.event_type)} · {message.id}"
        embed["footer"] = {"text": fitted(footer, FOOTER_MAX)}
        embed["timestamp"] = iso(message.created_at)
        return msgspec.json.encode({"embeds": [embed], "allowed_mentions": {"parse": []}})
