"""Slack: a message of Block Kit for an incoming webhook.

A header block with the title, a section with the sentence and one with the facts, and a context
block with event type, message id and time. `text` is what notifications show. `&`, `<` and `>` of
payloads are escaped, so no payload can mention a channel or hide a link. Slack answers `ok` with
200; 429 with `Retry-After`; 404 (`no_service`, `channel_not_found`) and 410 (`channel_is_archived`)
say that nothing will be taken any more: the endpoint is disabled.

Source: docs.slack.dev, Block Kit reference, "Formatting message text", and the changelog of
2016-05-17 on errors of incoming webhooks.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tillbell.clock import SECOND, iso
from tillbell.profiles.base import MessageContext
from tillbell.profiles.chat import ChatNotice, ChatProfile, fitted, notice_of, one_line, own_text

HEADER_MAX = 150
SECTION_MAX = 3_000
SENTENCE_MAX = 1_500
FIELD_MAX = 1_500  # Slack: 2,000 with the label
TEXT_MAX = 3_000  # of the fallback; Slack takes more and shows less
_MARKS = {"good": "🟢", "warn": "🟠", "bad": "🔴", "plain": "🔵"}


class Slack(ChatProfile):
    """Every message as a post in a channel of Slack."""

    name = "slack"
    gone_statuses = frozenset({404, 410})

    def escape(self, text: str) -> str:
        """Write the three characters that Slack's markup begins with as entities."""
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the post; the endpoint's own text in place of title, sentence and facts."""
        del part
        own = own_text(message)
        if own is not None:
            text = fitted(own, SECTION_MAX)  # its values are escaped already
            fallback, blocks = text, [_section(text)]
        else:
            notice = notice_of(message)
            fallback, blocks = self._fallback(notice), self._blocks(notice)
        blocks.append({"type": "context", "elements": [_markup(self._context(message))]})
        post = {"text": fallback, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}
        return msgspec.json.encode(post)

    def _fallback(self, notice: ChatNotice) -> str:
        facts = ", ".join(f"{fact.label}: {fact.value}" for fact in notice.facts)
        texts = (_title(notice), notice.sentence.removesuffix("."), facts)
        return fitted(". ".join(text for text in texts if text), TEXT_MAX, self.escape)

    def _blocks(self, notice: ChatNotice) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]]
        blocks = [{"type": "header", "text": _plain(fitted(_title(notice), HEADER_MAX))}]
        sentence = fitted(notice.sentence, SENTENCE_MAX, self.escape)
        if notice.link:
            sentence = f"{sentence}\n<{self.escape(notice.link)}|Follow it>".strip()
        if sentence:
            blocks.append(_section(sentence))
        fields = [
            _markup(f"*{self.escape(fact.label)}*\n{fitted(fact.value, FIELD_MAX, self.escape)}")
            for fact in notice.facts
        ]
        if fields:
            blocks.append({"type": "section", "fields": fields})
        return blocks

    def _context(self, message: MessageContext) -> str:
        event_type = self.escape(one_line(message.event_type))
        at = f"<!date^{message.created_at // SECOND}^{{date_short_pretty}} {{time}}|"
        return f"{event_type} · {message.id} · {at}{iso(message.created_at)}>"


def _title(notice: ChatNotice) -> str:
    return f"{_MARKS[notice.tone]} {notice.title}"


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _markup(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markup(text)}
