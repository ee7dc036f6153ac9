"""The head of an answer, read without a parser.

`connection.py` uses it where the parser does not come to the end of the head: it refuses a header,
or the head is too long or cut off. The status line says what the receiver did with the request, so
it counts whatever follows it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SWITCHING_PROTOCOLS = 101

_PREFIX = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9][ \t]+([0-9]{3})(?:[ \t][^\n]*)?\r?\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_EMPTY_LINES = re.compile(rb"[\r\n]*")
_KEEP_ALIVE = re.compile(
    rb"\nkeep-alive:[^\n]*?\btimeout[ \t]*=[ \t]*\"?([0-9]{1,9})", re.IGNORECASE
)


class FinalHead(NamedTuple):
    """Where the final head begins in what was received, and how much of it there is."""

    start: int
    status: int = 0  # 0: there is no whole status line
    end: int | None = None  # where the body begins; None: the head is not whole
    is_http: bool = True  # False: what begins at `start` is not an answer of HTTP/1.x


def find_final_head(received: bytes) -> FinalHead:
    """Find the head that follows the interim ones (1xx). Lines may end in LF alone.

    >>> find_final_head(b"HTTP/1.1 103 Early\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\n\\r\\nok")
    FinalHead(start=22, status=200, end=41, is_http=True)
    >>> find_final_head(b"HTTP/1.1 200 OK\\nX: y").end is None
    True
    >>> find_final_head(b"SSH-2.0-OpenSSH\\r\\n").is_http
    False
    """
    start = 0
    while True:
        start = _EMPTY_LINES.match(received, start).end()  # type: ignore[union-attr]  # matches ""
        line = _STATUS_LINE.match(received, start)
        if line is None:
            rest = received[start:]
            is_begun = rest.startswith(_PREFIX) or _PREFIX.startswith(rest)
            return FinalHead(start, is_http=is_begun and b"\n" not in rest)
        blank_line = _BLANK_LINE.search(received, line.end() - 1)
        status = int(line[1])
        if not 100 <= status <= 199 or status == SWITCHING_PROTOCOLS:
            return FinalHead(start, status, blank_line.end() if blank_line else None)
        if blank_line is None:
            return FinalHead(start)
        start = blank_line.end()


def is_blank_line_in(text: bytes) -> bool:
    """Tell whether a head ends in this text: a line without anything in it."""
    return _BLANK_LINE.search(text) is not None


def final_head(received: bytes) -> bytes:
    """Return the status line and headers of the final answer, as far as they were received."""
    head = find_final_head(received)
    return received[head.start : head.end]


def announced_idle_s(received: bytes) -> int | None:
    """Return for how many seconds the receiver keeps an idle connection; None if it does not say.

    Source: `Keep-Alive: timeout=N`, RFC 2068 19.7.1.

    >>> announced_idle_s(b"HTTP/1.1 200 OK\\r\\nKeep-Alive: max=9, timeout=5\\r\\n\\r\\n")
    5
    """
    if b"imeout" not in received and b"IMEOUT" not in received:  # cheaper than the search
        return None
    match = _KEEP_ALIVE.search(final_head(received))
    return int(match[1]) if match else None
