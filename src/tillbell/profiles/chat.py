"""Messages for people in a chat: what is told of a message, whatever the chat's format is.

A chat takes webhooks at a URL that is itself the secret, so nothing is signed unless the endpoint
is given a secret. An old notice helps nobody: retries end after about eight hours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.chat_words import EVENTS, FAMILIES, EventWords, FamilyWords
from tillbell.profiles.defaults import (
    HOUR_S,
    MINUTE_S,
    DefaultProfile,
    standard_keys,
    webhook_headers,
)
from tillbell.profiles.fields import Fields

FACTS_MAX = 10
LINES_MAX = 10  # of an order
VALUE_MAX = 200  # characters of a fact
_TITLE_NAME_MAX = 80
_PAY_OUT = "Pay-out"
_LINK_MAX = 1_000
# What all chats take as a link: Discord refuses a host without a dot. No character of it has a
# meaning in the markup of a chat.
_LINK = re.compile(
    r"https://(?:[a-z0-9-]+\.)+[a-z0-9-]+(?:[/?#][!#-'*-;=?-\[\]-{}~]*)?",
    re.IGNORECASE,
)
_NOT_PRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")

Escape = Callable[[str], str]


class ChatFact(NamedTuple):
    """One member of the payload, in words."""

    label: str
    value: str


class ChatNotice(NamedTuple):
    """What people are told of a message. Nothing in it is escaped yet."""

    title: str
    sentence: str
    facts: tuple[ChatFact, ...]
    tone: str
    link: str  # of a parcel: its page at the carrier; "" for none


class ChatProfile(DefaultProfile):
    """What the profiles of all chats share."""

    is_chat = True
    makes_secret = False
    timeout_s = 10
    schedule_s: tuple[int, ...] = (
        5, MINUTE_S, 5 * MINUTE_S, 30 * MINUTE_S, 2 * HOUR_S, 5 * HOUR_S,
    )  # fmt: skip

    def headers(self, attempt: AttemptContext) -> list[tuple[str, str]]:
        """Return id and timestamp, and a signature if the endpoint was given a secret."""
        return webhook_headers(attempt, standard_keys(attempt.secrets), attempt.message_id)


def notice_of(message: MessageContext) -> ChatNotice:
    """Return what people are told of a message; of a type that we do not know, its first members.

    A payload that is no JSON object is the sentence.
    """
    event_type = message.event_type
    family = FAMILIES.get(event_type.partition(".")[0])
    words = EVENTS.get(event_type)
    fields = Fields.of_payload(message.payload)
    text = message.payload_json() if message.content_type is not None else None
    sentence = one_line(text) if isinstance(text, str) else ""
    if family is None or words is None:
        facts = tuple(_first_members(fields))
        return ChatNotice(one_line(event_type), sentence, facts, "plain", "")
    return ChatNotice(
        title=_title(family, words, fields),
        sentence=sentence or words.sentence,
        facts=tuple(_facts(family, fields))[:FACTS_MAX],
        tone=words.tone,
        link=_link(fields),
    )


def own_text(message: MessageContext) -> str | None:
    """Return what the endpoint's template says of a message; None: there is none, or it is empty.

    No chat takes an empty message.
    """
    return message.text or None


def one_line(text: str) -> str:
    """Return text without what is not printed: control and direction characters, line ends."""
    return _NOT_PRINTED.sub(" ", text).strip()


def fitted(text: str, limit: int, escape: Escape = str) -> str:
    """Return text escaped and, if it is too long then, cut with an ellipsis.

    Lengths are in UTF-16 units, which is never less than what a chat counts.

    >>> fitted("Smith & Sons", 9, lambda text: text.replace("&", "&amp;"))
    'Smith …'
    """
    escaped = escape(text)
    if _units(escaped) <= limit:
        return escaped
    low, high = 0, len(text)  # the longest start that fits
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _units(escape(text[:middle])) < limit else (low, middle - 1)
    return escape(text[:low]) + "…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _title(family: FamilyWords, words: EventWords, fields: Fields) -> str:
    noun = _PAY_OUT if fields.text("direction") == "pay_out" else family.noun
    named = (_text_at(fields, member) for member in family.names)
    name = fitted(next((text for text in named if text), ""), _TITLE_NAME_MAX)
    return " ".join(part for part in (noun, name, words.title) if part)


def _facts(family: FamilyWords, fields: Fields) -> Iterator[ChatFact]:
    for label, member, currency_member in family.amounts:
        currency = fields.text(currency_member) or ""
        amount = fields.amount(member, currency) or _text_at(fields, member)
        if amount:
            yield _fact(label, f"{amount} {currency}")
    for label, member in family.facts:
        text = _text_at(fields, member)
        if text:
            yield _fact(label, text)
    lines = list(_order_lines(fields))
    if lines:
        more = len(lines) - LINES_MAX
        shown = lines[:LINES_MAX] + ([f"and {more} more"] if more > 0 else [])
        yield _fact("Items", ", ".join(shown))


def _order_lines(fields: Fields) -> Iterator[str]:
    for line in fields.children("items"):
        name = line.text("productName") or line.child("product").text("name") or ""
        quantity = line.text("quantity") or "1"
        yield f"{quantity} × {name or line.text('productId') or '?'}"


def _first_members(fields: Fields) -> Iterator[ChatFact]:
    """Return the first members that are no objects and no lists, under their names."""
    number = 0
    for name in fields.names():
        text = fields.text(name)
        if text is None and fields.json(name) in (b"true", b"false"):
            text = fields.json(name).decode()
        text = one_line(text or "")
        if text and number < FACTS_MAX:
            number += 1
            yield _fact(one_line(name) or "?", text)


def _fact(label: str, text: str) -> ChatFact:
    return ChatFact(fitted(one_line(label), 60), fitted(one_line(text), VALUE_MAX))


def _text_at(fields: Fields, path: str) -> str:
    """Return the text of a member, "" if there is none; texts of a list with commas."""
    *objects, member = path.split(".")
    for name in objects:
        fields = fields.child(name)
    text = fields.text(member)
    if text is None and fields.json(member).startswith(b"["):
        text = ", ".join(fields.texts(member))
    return one_line(text or "")


def _link(fields: Fields) -> str:
    link = fields.text("trackingUrl") or ""
    is_taken = len(link) <= _LINK_MAX and _LINK.fullmatch(link) is not None
    return link if is_taken else ""
