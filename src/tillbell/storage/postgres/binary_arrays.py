"""Columns of many rows as PostgreSQL takes them: arrays, ready to be sent.

The binary form of an array (PostgreSQL's `array_recv`): how many dimensions it has, whether some
are NULL, the type of the elements, the length, the first index; then each element behind its
length in bytes, -1 for NULL. The driver writes the same, but looks for the type of each list first
and asks an object for each element: that took longer than the server took to store the row.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

_HEAD = struct.Struct(">iiIii")
_EMPTY = struct.Struct(">iiI")
_length = struct.Struct(">i").pack
_number = struct.Struct(">iq").pack
_NULL = _length(-1)


class Texts(bytes):
    """A `text[]`."""


class Numbers(bytes):
    """A `bigint[]`."""


class Blobs(bytes):
    """A `bytea[]`."""


OIDS: dict[type[bytes], tuple[int, int]] = {  # of the elements, and of the array (pg_type.dat)
    Texts: (25, 1009),
    Numbers: (20, 1016),
    Blobs: (17, 1001),
}


def texts(values: Sequence[str | None]) -> Texts:
    """Write texts. PostgreSQL knows no NUL in them: it becomes U+FFFD."""
    elements: list[bytes] = []
    for value in values:
        if value is None:
            elements.append(_NULL)
            continue
        raw = (value.replace("\0", "\ufffd") if "\0" in value else value).encode()
        elements += (_length(len(raw)), raw)
    return Texts(_head(Texts, values) + b"".join(elements))


def numbers(values: Sequence[int | None]) -> Numbers:
    """Write integers of 64 bits; truth values are 0 and 1."""
    if None in values:
        raw = b"".join([_NULL if value is None else _number(8, value) for value in values])
    else:
        flat = [8] * (2 * len(values))
        flat[1::2] = values  # type: ignore[assignment]  # none is None
        raw = _numbers(len(values)).pack(*flat)
    return Numbers(_head(Numbers, values) + raw)


def blobs(values: Sequence[bytes | None]) -> Blobs:
    """Write byte strings."""
    elements: list[bytes] = []
    for value in values:
        elements += (_NULL,) if value is None else (_length(len(value)), value)
    return Blobs(_head(Blobs, values) + b"".join(elements))


MAKERS: dict[str, Callable[[Sequence[Any]], bytes]] = {
    "text": texts,
    "bigint": numbers,
    "bytea": blobs,
}


@lru_cache(maxsize=1_024)
def _numbers(count: int) -> struct.Struct:
    return struct.Struct(">" + "iq" * count)


def _head(kind: type[bytes], values: Sequence[object]) -> bytes:
    element, _ = OIDS[kind]
    if not values:
        return _EMPTY.pack(0, 0, element)
    return _HEAD.pack(1, None in values, element, len(values), 1)
