"""Reads usual messages and callbacks in one pass, without a parser.

`read_direct` takes a request only if it came as a whole and its head is of a form that every parser
reads alike: one line for a field, `name: value`, printable ASCII, no name twice, and none of the
fields that change how a request is read. What it does not take goes to the parser, byte for byte,
which has the rules for everything that is allowed, and the refusals.

So the two never disagree: the form is a part of what the parser takes and means the same there.

Nothing is imported here that takes long to load: the processes of `http_front.py` use it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from tillbell.web.server.request_rules import is_host

MESSAGE_START = b"POST /api/v1/app/"
CALLBACK_START = b"POST /api/webhooks/"
_TARGET = re.compile(
    rb"POST /api/v1/app/([A-Za-z0-9_.-]{1,256})/msg(?:\?([A-Za-z0-9_.=&-]*))? HTTP/1\.1"
)
_CALLBACK_TARGET = re.compile(
    rb"POST ((/api/webhooks/[a-z0-9-]{1,64}(?:/[A-Za-z0-9_-]{1,128})?)"
    rb"(?:\?([A-Za-z0-9_.~=&%+:,/@!*$;()-]*))?) HTTP/1\.1"
)
_NAME = re.compile(rb"[A-Za-z0-9-]+")
_PRINTABLE = bytes(range(0x20, 0x7F))
# What changes how the body, the connection or the request itself is read.
_UNUSUAL = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_KEEP_ALIVE = b"keep-alive"
_LENGTH_MAX = 9  # digits
_HEAD_MAX = 4_096  # bytes

Client = tuple[str, int]


class DirectRequest(NamedTuple):
    """A whole request to create a message. `fields` has names in lower case, each of them once."""

    application: str
    query: bytes
    fields: dict[bytes, bytes]
    body: bytes


class DirectCallback(NamedTuple):
    """A whole POST of a callback. Header names are in lower case, each of them once."""

    path: bytes
    query: bytes
    target: bytes  # both, as they were sent
    headers: list[tuple[bytes, bytes]]
    body: bytes
    client: Client | None


class _Usual(NamedTuple):
    """A whole request of the usual form. `names` are those of its fields in lower case."""

    line: bytes
    names: tuple[bytes, ...]
    values: list[bytes]
    body: bytes


def read_direct(data: bytes, client: Client | None = None) -> DirectRequest | DirectCallback | None:
    """Read a usual message or callback; None if it is neither, or not whole."""
    if data.startswith(MESSAGE_START):
        return _read_message(data)
    if data.startswith(CALLBACK_START):
        return _read_callback(data, client)
    return None


def _read_message(data: bytes) -> DirectRequest | None:
    usual = _read_usual(data)
    target = None if usual is None else _target(usual.line)
    if usual is None or target is None:
        return None
    fields = dict(zip(usual.names, map(bytes.strip, usual.values), strict=True))
    fields.pop(b"connection", None)
    return DirectRequest(*target, fields, usual.body)


def _read_callback(data: bytes, client: Client | None) -> DirectCallback | None:
    """Read a callback. A value with spaces around it goes to the parser: it may be signed."""
    usual = _read_usual(data)
    target = None if usual is None else _callback_target(usual.line)
    if usual is None or target is None or usual.values != list(map(bytes.strip, usual.values)):
        return None
    headers = list(zip(usual.names, usual.values, strict=True))
    return DirectCallback(*target, headers, usual.body, client)


def _read_usual(data: bytes) -> _Usual | None:
    """Take a request apart that every parser reads alike; None if it may be another one."""
    end = data.find(b"\r\n\r\n", 0, _HEAD_MAX)
    if end < 0:
        return None
    head = data[:end]
    first, *lines = head.split(b"\r\n")
    pairs = [line.partition(b": ") for line in lines]
    names = _usual_names(tuple([name if colon else b"" for name, colon, _ in pairs]))
    # Without what is printable, nothing but the ends of the lines is left.
    if names is None or head.translate(None, _PRINTABLE) != b"\r\n" * len(lines):
        return None
    values = [value for _, _, value in pairs]
    length = values[names.index(b"content-length")].strip()
    if (
        not length.isdigit()
        or len(length) > _LENGTH_MAX
        or int(length) != len(data) - end - 4
        or not _is_host(values[names.index(b"host")])
        or not _is_kept_alive(names, values)
    ):
        return None
    return _Usual(first, names, values, data[end + 4 :])


def _is_kept_alive(names: tuple[bytes, ...], values: list[bytes]) -> bool:
    if b"connection" not in names:
        return True
    return values[names.index(b"connection")].strip().lower() == _KEEP_ALIVE


# A client sends the same target and the same names again and again; values are read each time.


@lru_cache(maxsize=1024)
def _target(line: bytes) -> tuple[str, bytes] | None:
    """Return the application and the query of a request line; None if it is of another form."""
    target = _TARGET.fullmatch(line)
    return None if target is None else (target[1].decode(), target[2] or b"")


@lru_cache(maxsize=1024)
def _callback_target(line: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return path, query and both of a callback's line; None if it is of another form."""
    target = _CALLBACK_TARGET.fullmatch(line)
    return None if target is None else (target[2], target[3] or b"", target[1])


_is_host = lru_cache(maxsize=256)(is_host)


@lru_cache(maxsize=1024)
def _usual_names(names: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
    """Return the names of all fields in lower case; None if the parser has to read them."""
    lower = tuple([name.lower() for name in names])
    unique = frozenset(lower)
    is_usual = (
        len(unique) == len(lower)
        and all(map(_NAME.fullmatch, lower))
        and unique.isdisjoint(_UNUSUAL)
        and {b"host", b"content-length"} <= unique
    )
    return lower if is_usual else None
