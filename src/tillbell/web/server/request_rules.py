"""What a request's head must be like, beyond what the parser checks (RFC 9112, RFC 9110).

A head that two programs read differently lets a request pass by the one that stands in front. So
what has more than one meaning, or none, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CHUNK_MAX = 1 << 32  # bytes that one chunk may announce; bodies have far lower limits
FIELDS_MAX = 256  # of a head
_FRAMING_MAX = 4_096  # bytes around the first chunks of a body, and of its trailer
_ONCE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"transfer-encoding",
    }
)
# uri-host [":" port], without the comma by which some programs join two.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+;=]+)(?::[0-9]*)?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)([/?].*)?", re.DOTALL)
_CHUNK_SIZE = re.compile(rb"(?:^|\n)([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n]*)?\r\n$")
_CHUNK_SIZE_SO_FAR = re.compile(rb"(?:^|\n)([0-9A-Fa-f]+)$")
_UPGRADE = re.compile(rb"(?i)\r\nupgrade(?=:)")


class MalformedRequest(Exception):
    """A head that is refused; the text says why."""


def origin_form(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a request's target as path and query, or `*`.

    `MalformedRequest` if the target or its authority is none that a server answers for.
    """
    if target.startswith(b"/") and b"#" not in target:
        return target
    if target == b"*" and method == b"OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or b"#" in target:
        raise MalformedRequest("The request target is neither a path nor an http URL.")
    authority, rest = absolute[1], absolute[2] or b""
    hosts = [value.strip() for name, value in headers if name == b"host"]
    if hosts and hosts[0].lower() != authority.lower():
        raise MalformedRequest("The request target and Host name different hosts.")
    return rest if rest.startswith(b"/") else b"/" + rest


def check_head(version: str, method: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether the body is chunked. Names are lower case.

    `MalformedRequest` if a head has no meaning, or more than one.
    """
    if version not in ("1.1", "1.0"):
        raise MalformedRequest(f"HTTP/{version} is not served.")
    if method == b"CONNECT":
        raise MalformedRequest("This server is no proxy.")
    single: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ONCE:
            if name in single:
                raise MalformedRequest(f"The header has {name.decode()} twice.")
            single[name] = value
    host = single.get(b"host")
    if host is None:
        if version == "1.1":
            raise MalformedRequest("The header has no Host.")
    elif not is_host(host):
        raise MalformedRequest("Host is not a host.")
    encoding = single.get(b"transfer-encoding")
    if encoding is not None and (
        version == "1.0"
        or b"content-length" in single
        or encoding.strip(b" \t").lower() != b"chunked"
    ):
        raise MalformedRequest("The body's length cannot be told: use chunked, or Content-Length.")
    return encoding is not None


def is_host(value: bytes) -> bool:
    """Tell whether the value of Host is a host, with or without a port."""
    return _HOST.fullmatch(value.strip()) is not None


def check_protocol(*, is_upgrade: bool) -> None:
    """Raise `MalformedRequest` if the parser takes what follows the head for another protocol."""
    if is_upgrade:
        raise MalformedRequest("This server speaks HTTP/1.1 alone; leave out Upgrade.")


def without_upgrade(received: bytes) -> bytes:
    """Rename Upgrade in a head, so that an offer of another protocol is not taken up."""
    head, end, rest = received.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade", head) + end + rest


def announced_chunk(received: bytes, *, is_line_whole: bool) -> int:
    """Return the size in the line at the end of what was received of a chunked body; 0: none."""
    size = (_CHUNK_SIZE if is_line_whole else _CHUNK_SIZE_SO_FAR).search(received)
    return int(size[1], 16) if size is not None else 0


def is_mostly_framing(received: int, body: int) -> bool:
    """Tell whether a chunked body has more around its bytes than any client needs, in bytes.

    Each chunk, and each field of a trailer, costs more than hundreds of bytes in one chunk.

    >>> is_mostly_framing(60_000, 50_000), is_mostly_framing(60_000, 10_000)
    (False, True)
    """
    return received > _FRAMING_MAX + body + body // 4
