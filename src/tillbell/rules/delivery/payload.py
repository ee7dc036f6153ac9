"""Limits of a message beyond being JSON. Each limit has its own error."""

from __future__ import annotations

from collections.abc import Iterator

DEPTH_MAX = 64
KEY_MAX = 1024  # characters in a member's name
EVENT_ID_MAX = 256
ORDER_KEY_MAX = 256
DELIVER_WITHIN_S = 24 * 3600
RETENTION_DAYS_MAX = 90  # as Svix has it
RETENTION_HOURS_MAX = RETENTION_DAYS_MAX * 24
THROTTLE_RATE_MAX = 65_535  # messages a second


def too_deep(text: bytes) -> bool:
    """Return whether JSON nests deeper than `DEPTH_MAX`. Fast if there are few brackets.

    >>> too_deep(b"[" * 64 + b"]" * 64), too_deep(b"[" * 65 + b"]" * 65)
    (False, True)
    >>> too_deep(b'{"a": "' + b"[" * 99 + b'"}')
    False
    """
    if text.count(b"{") + text.count(b"[") <= DEPTH_MAX:
        return False
    depth = 0
    for byte in _outside_strings(text):
        if byte in b"{[":
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif byte in b"}]":
            depth -= 1
    return False


def _outside_strings(text: bytes) -> Iterator[int]:
    is_string = is_escaped = False
    for byte in text:
        if is_escaped:
            is_escaped = False
        elif is_string and byte == 0x5C:
            is_escaped = True
        elif byte == 0x22:
            is_string = not is_string
        elif not is_string:
            yield byte


def longest_key(value: object) -> int:
    """Return the length of the longest member name in decoded JSON.

    >>> longest_key({"a": [{"abc": 1}]})
    3
    """
    longest = 0
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            longest = max(longest, *map(len, item)) if item else longest
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return longest
