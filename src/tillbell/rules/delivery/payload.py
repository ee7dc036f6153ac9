"""Limits of a message beyond being JSON. Each limit has its own error."""

from __future__ import annotations

DEPTH_MAX = 64
KEY_MAX = 1024  # characters in a member's name
EVENT_ID_MAX = 256
ORDER_KEY_MAX = 256
DELIVER_WITHIN_S = 24 * 3600
RETENTION_DAYS_MAX = 90  # as Svix has it
RETENTION_HOURS_MAX = RETENTION_DAYS_MAX * 24
THROTTLE_RATE_MAX = 65_535  # messages a second
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def too_deep(text: bytes) -> bool:
    """Return whether JSON nests deeper than `DEPTH_MAX`. Each step is one pass in C.

    Of other text that is no JSON the parser tells; brackets that are never closed count, because
    they take its stack too.

    >>> too_deep(b"[" * 64 + b"]" * 64), too_deep(b"[" * 65 + b"]" * 65)
    (False, True)
    >>> too_deep(b'{"a": "' + b"[" * 99 + b'"}')
    False
    >>> too_deep(b"[" * 65), too_deep(b"[" * 64), too_deep(b"[" * 999 + b"]" * 64)
    (True, False, True)
    """
    if text.count(b"{") + text.count(b"[") <= DEPTH_MAX:
        return False
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(unescaped.split(b'"')[::2])  # every second part is a text
    brackets = outside.translate(None, _NO_BRACKETS)
    for _ in range(DEPTH_MAX):
        inner = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if inner == brackets:
            break  # nothing is left, or it is no JSON
        brackets = inner
    if b"[]" in brackets or b"{}" in brackets:
        return True
    return brackets.count(b"{") + brackets.count(b"[") > DEPTH_MAX  # never closed


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
