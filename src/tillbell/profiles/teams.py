"""Microsoft Teams: an Adaptive Card for a workflow ("when a webhook request is received").

The envelope is a message with one attachment, which is the card. Marks of Markdown in payloads are
escaped. Teams answers 202 and takes at most 28 KB; 429 with `Retry-After`.

Source: learn.microsoft.com, "Create incoming webhooks with Workflows"; adaptivecards.io, 1.4.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tillbell.clock import iso
from tillbell.profiles.base import MessageContext
from tillbell.profiles.chat import ChatProfile, fitted, notice_of, one_line, own_text

TITLE_MAX = 256
TEXT_MAX = 4_000
_COLOURS = {"good": "Good", "warn": "Warning", "bad": "Attention", "plain": "Default"}
_MARKDOWN = re.compile(r"([\\*_~`\[\]#<>])")


class Teams(ChatProfile):
    """Every message as a card in a channel or chat of Teams."""

    name = "teams"

    def escape(self, text: str) -> str:
        """Write a backslash before each mark of Markdown."""
        return _MARKDOWN.sub(r"\\\1", text)

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the card; the endpoint's own text in place of title, sentence and facts."""
        del part
        card: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": self._body(message),
        }
        attachment = {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": card,
        }
        return msgspec.json.encode({"type": "message", "attachments": [attachment]})

    def _body(self, message: MessageContext) -> list[dict[str, Any]]:
        footer = f"{one_line(message.event_type)} · {message.id} · {iso(message.created_at)}"
        foot = _text(self.escape(footer), isSubtle=True, size="Small")
        text = own_text(message)
        if text is not None:
            return [_text(fitted(text, TEXT_MAX)), foot]
        notice = notice_of(message)
        title = fitted(notice.title, TITLE_MAX, self.escape)
        body = [_text(title, weight="Bolder", size="Medium", color=_COLOURS[notice.tone])]
        if notice.sentence:
            body.append(_text(fitted(notice.sentence, TEXT_MAX, self.escape)))
        if notice.facts:
            facts = [
                {"title": self.escape(fact.label), "value": self.escape(fact.value)}
                for fact in notice.facts
            ]
            body.append({"type": "FactSet", "facts": facts})
        if notice.link:
            body.append(_text(f"[Follow it]({notice.link})"))
        return [*body, foot]


def _text(text: str, **members: object) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **members}
