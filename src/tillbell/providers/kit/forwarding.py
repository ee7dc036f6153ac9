"""Events that we do not interpret: passed on as messages `<provider>.<their word>`."""

from __future__ import annotations

import re

from tillbell.model.callbacks import ForwardNotice
from tillbell.providers.kit.base import Unreadable

LONGEST = 100
_WORD = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){1,5}")


def forwarded_event(provider: str, word: str, payload: bytes) -> ForwardNotice:
    """Return the event as it came; `Unreadable` if its word is no event name.

    >>> forwarded_event("square", "customer.created", b"{}").event_type
    'square.customer.created'
    """
    if len(word) > LONGEST or _WORD.fullmatch(word) is None:
        raise Unreadable(f"The type is not one of {provider}'s.")
    return ForwardNotice(f"{provider}.{word}", payload)
