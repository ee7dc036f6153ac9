"""The lines of an order in a payload: which products it has, and the order with some lines only."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tillbell.profiles.fields import Fields

_LINES, _PRODUCT = "items", "productId"
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])

IsOwn = Callable[[str | None], bool]  # takes the product of a line; None: the line names none


def products_of(payload: bytes) -> tuple[str | None, ...]:
    """Return the product of each line; () if the payload is no order with lines."""
    lines = Fields.of_payload(payload).children(_LINES)
    return tuple(line.text(_PRODUCT) for line in lines)


def with_own_lines(payload: bytes, is_own: IsOwn) -> bytes:
    """Return an order with its own lines alone; all other bytes of its members stay.

    >>> with_own_lines(b'{"id":"1","items":[{"productId":"a","p":1.10},{"productId":"b"}]}',
    ...                lambda product: product == "a")
    b'{"id":"1","items":[{"productId":"a","p":1.10}]}'
    """
    members = _MEMBERS.decode(payload)
    if Fields(payload).is_envelope():
        order = with_own_lines(bytes(members["data"]), is_own)
        return msgspec.json.encode({**members, "data": msgspec.Raw(order)})
    lines = [
        line
        for line in _ELEMENTS.decode(members[_LINES])
        if is_own(Fields(bytes(line)).text(_PRODUCT))
    ]
    return msgspec.json.encode({**members, _LINES: lines})
