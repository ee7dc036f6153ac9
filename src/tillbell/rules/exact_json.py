"""JSON decoded without loss: a number keeps every digit, and is compared exactly."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

_WHOLE_MAX = 40  # digits of a whole number that is compared as one
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_TIME_MIN, _TIME_MAX = 20, 35  # characters of a time with its offset
NOT_JSON: Final = object()


def decoded_exactly(payload: bytes) -> Any:
    """Return decoded JSON with `Decimal` for numbers; `NOT_JSON` if it is none."""
    try:
        return json.loads(payload, parse_float=_decimal, parse_int=_whole)
    except (ValueError, RecursionError):
        return NOT_JSON


def number_of(value: Any) -> Decimal | None:
    """Return a number, or the number that a text holds, as amounts are written; else None.

    >>> number_of("49.00"), number_of(Decimal("1e2")), number_of("1e2"), number_of(True)
    (Decimal('49.00'), Decimal('1E+2'), None, None)
    """
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) else None
    return value if isinstance(value, Decimal) and value.is_finite() else None


def instant_of(text: str) -> datetime | None:
    """Return the instant that a text names with date, time and offset; None if it names none.

    >>> instant_of("2026-05-01T10:30:00+02:00") == instant_of("2026-05-01T08:30:00Z")
    True
    >>> instant_of("2026-05-01T10:30:00") is None
    True
    """
    if not _TIME_MIN <= len(text) <= _TIME_MAX or not text.isascii():
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _whole(text: str) -> Any:
    return Decimal(text) if len(text) <= _WHOLE_MAX else text


def _decimal(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:  # its exponent has tens of digits
        return text
