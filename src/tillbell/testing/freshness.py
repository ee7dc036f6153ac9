"""Turns a stored sample into an event of now: with a new event id and current times.

Only the id of the event is renewed. Ids of payments stay, because one payment has several events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tillbell.clock import SECOND, Micros, from_datetime
from tillbell.ids import token
from tillbell.providers.kit.base import SimulationCase

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_COMPACT = re.compile(r"20\d{12}")  # 20260301090000
_EPOCH = range(1_700_000_000, 2_000_000_000)  # seconds; samples have no other numbers in this range
_MIN_TAIL_CHARACTERS = 12


def renewed(case: SimulationCase, event_id: str | None, now: Micros) -> SimulationCase:
    """Return a case with a new event id everywhere, and its times moved to now."""
    fields = case.fields
    if event_id:
        other = in_same_shape(event_id)
        fields = _mapped(fields, lambda leaf: other if leaf == event_id else leaf)
    return case._replace(fields=_moved(fields, now))


def in_same_shape(text: str) -> str:
    """Return a random id like another: the same prefix and length, digits if it has only digits."""
    head, tail = re.fullmatch(r"(.*[_-])?(.*)", text, re.DOTALL).groups(default="")  # type: ignore[union-attr]
    length = max(len(tail), _MIN_TAIL_CHARACTERS) if head else len(tail)
    random = token(length)
    if tail.isdigit():
        return head + "".join(str(byte % 10) for byte in random)
    return head + random.hex()[:length]


def _moved(fields: Any, now: Micros) -> Any:
    """Move all times by the age of the newest past one. Times in the future move as well."""
    past = [at for leaf in _leaves(fields) if (at := _instant(leaf)) is not None and at <= now]
    if not past:
        return fields
    by_s = (now - max(past)) // SECOND
    return _mapped(fields, lambda leaf: _later(leaf, by_s))


def _instant(leaf: object) -> Micros | None:
    if (at := _datetime(leaf)) is not None:
        return from_datetime(at)
    seconds = _epoch_s(leaf)
    return None if seconds is None else seconds * SECOND


def _datetime(leaf: object) -> datetime | None:
    if not isinstance(leaf, str):
        return None
    try:
        if _COMPACT.fullmatch(leaf):
            return datetime.strptime(leaf, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return datetime.fromisoformat(leaf) if _ISO.fullmatch(leaf) else None
    except ValueError:
        return None


def _epoch_s(leaf: object) -> int | None:
    """Return the Unix seconds of a number or text in seconds or milliseconds; None for others."""
    if isinstance(leaf, bool) or not isinstance(leaf, (int, str)):
        return None
    if isinstance(leaf, str) and re.fullmatch(r"\d{10}|\d{13}", leaf, re.ASCII) is None:
        return None
    number = int(leaf)
    return next((s for s in (number, number // 1000) if s in _EPOCH), None)


def _later(leaf: Any, by_s: int) -> Any:
    """Return a time that much later in the same format; other values unchanged."""
    if (at := _datetime(leaf)) is not None:
        return _written_like(leaf, at + timedelta(seconds=by_s))
    if _epoch_s(leaf) is None:
        return leaf
    number = int(leaf)
    moved = number + by_s * (1 if number in _EPOCH else 1000)
    return str(moved) if isinstance(leaf, str) else moved


def _written_like(text: str, at: datetime) -> str:
    shape = _ISO.fullmatch(text)
    if shape is None:
        return at.strftime("%Y%m%d%H%M%S")
    between, fraction, zone = shape.groups(default="")
    return at.strftime(f"%Y-%m-%d{between}%H:%M:%S") + fraction + zone


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {name: _mapped(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value)
