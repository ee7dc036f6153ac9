"""Reads members of a payload that may hold anything. Never raises and never loses a digit.

Values stay raw JSON until they are read, so members that are only passed on keep their exact
bytes. A member that is missing, null or of another type reads as None (or empty).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact
from typing import Self

import msgspec

from tillbell.money import plain

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_DIGITS = b"-0123456789"
_NUMBER_MAX = 64  # characters; no amount or id is longer
_EXACT = Context(prec=100, traps=[Inexact])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Fields:
    """One JSON object of a payload."""

    __slots__ = ("_members",)

    def __init__(self, source: bytes | msgspec.Raw) -> None:
        try:
            self._members = _MEMBERS.decode(source)
        except _UNREADABLE:  # not an object: it has no members
            self._members = {}

    @classmethod
    def of_payload(cls, payload: bytes) -> Self:
        """Return the object of the message: `data` of our envelope, or the whole payload.

        Our envelope is `{"type", "timestamp", "data"}`: an object with a text in `type` and an
        object in `data`. A publisher may send the bare object instead.
        """
        message = cls(payload)
        if message.is_envelope():
            return message.child("data")
        return message

    def is_envelope(self) -> bool:
        """Tell whether this is `{"type": "…", "data": {…}}`."""
        return self.json("data").startswith(b"{") and self.json("type").startswith(b'"')

    def json(self, name: str) -> bytes:
        """Return a member's exact JSON, `null` if it is missing."""
        value = self._members.get(name)
        return b"null" if value is None else bytes(value)

    def raw(self, name: str) -> msgspec.Raw | None:
        """Return a member to be copied byte for byte; None if missing or null."""
        return None if self.json(name) == b"null" else self._members[name]

    def names(self) -> Iterator[str]:
        """Return the names of all members."""
        return iter(self._members)

    def child(self, name: str) -> Self:
        """Return the object in a member, empty if there is none."""
        return type(self)(self.json(name))

    def children(self, name: str) -> list[Fields]:
        """Return the objects in a list, without elements of other types."""
        try:
            elements = [bytes(element) for element in _ELEMENTS.decode(self.json(name))]
        except _UNREADABLE:  # not a list: it has no elements
            return []
        return [Fields(element) for element in elements if element.startswith(b"{")]

    def texts(self, name: str) -> list[str]:
        """Return the texts in a list, without elements of other types."""
        try:
            elements = _ELEMENTS.decode(self.json(name))
        except _UNREADABLE:  # not a list: it has no elements
            return []
        texts = (_string(bytes(element)) for element in elements)
        return [text for text in texts if text is not None]

    def text(self, name: str) -> str | None:
        """Return a string, or the digits of a number: platforms write ids both ways."""
        value = self.json(name)
        return _string(value) if value.startswith(b'"') else _digits(value)

    def number(self, name: str) -> msgspec.Raw | None:
        """Return a number with its digits as written; None if it is none or over 64 characters."""
        return as_number(_digits(self.json(name)))

    def amount(self, name: str, currency: str | None) -> str | None:
        """Return an amount as decimal text with the currency's digits; None if it is none."""
        number = _digits(self.json(name))
        try:
            value = self.text(name) if number is None else Decimal(number)
            return None if value is None else plain(value, currency or "")
        except (ValueError, ArithmeticError):  # not an amount, or out of range
            return None

    def flag(self, name: str) -> bool:
        """Tell whether a member is `true`."""
        return self.json(name) == b"true"

    def instant(self, name: str) -> datetime | None:
        """Return a time: ISO 8601 text with its offset kept (none means UTC), or Unix seconds."""
        written = self.text(name)
        if written is None:
            return None
        try:
            if _digits(self.json(name)) is not None:
                return datetime.fromtimestamp(int(written), UTC)
            value = datetime.fromisoformat(written)
        except (ValueError, OverflowError, OSError):  # not a time, or out of range
            return None
        return value if value.tzinfo else value.replace(tzinfo=UTC)


def line_total(line: Fields, currency: str | None) -> str | None:
    """Return what a line of an order costs: `totalPrice`, else its price times its quantity."""
    total, price = line.amount("totalPrice", currency), line.amount("unitPrice", currency)
    quantity = line.amount("quantity", None)
    if total is not None or price is None or quantity is None:
        return total
    try:
        return plain(_EXACT.multiply(Decimal(price), Decimal(quantity)), currency or "")
    except (ValueError, ArithmeticError):  # out of range
        return None


def as_number(digits: str | None) -> msgspec.Raw | None:
    """Return decimal text as a JSON number that keeps its digits: `49.00`, not `49.0`."""
    return None if digits is None else msgspec.Raw(digits.encode())


def _digits(value: bytes) -> str | None:
    if value[:1] not in _DIGITS or len(value) > _NUMBER_MAX:
        return None
    return value.decode()


def _string(value: bytes) -> str | None:
    try:
        return _STRING.decode(value)
    except _UNREADABLE:  # an unpaired surrogate is JSON but not text
        return None
