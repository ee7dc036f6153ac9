"""The preview of an endpoint that tells people in a chat."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tillbell.catalog import CATALOG
from tillbell.clock import Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.preview import EXAMPLE_ID, PreviewedPart, previewed_parts
from tillbell.profiles.base import MessageContext
from tillbell.profiles.chat import ChatNotice, notice_of

_FIRST = "order.paid"


class ChatPreview(NamedTuple):
    """What people would read of the sample of an event type."""

    event_type: str
    notice: ChatNotice
    text: str | None  # what the endpoint's own template says in place of the notice
    part: PreviewedPart


def chat_preview(compiled: CompiledEndpoint, now: Micros) -> ChatPreview | None:
    """Return the preview of a message of a type that the endpoint takes; None: it is no chat."""
    if not compiled.profile.is_chat:
        return None
    types = [name for name in (_FIRST, *CATALOG) if compiled.takes_type(name)] or [_FIRST]
    payload = msgspec.json.encode(CATALOG[types[0]].sample)
    part = previewed_parts(compiled, types[0], payload, now)[0]
    message = MessageContext(EXAMPLE_ID, types[0], now, payload)
    text = compiled.text_template.text(message) if compiled.text_template is not None else None
    shown = text if isinstance(text, str) else None
    return ChatPreview(types[0], notice_of(message), shown, part)
