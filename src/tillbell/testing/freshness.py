"""Making a kept sample an event of now: an id that nobody had, and times that end now.

Only an id that is the event's alone is renewed. Ids of payments stay, because a life has several
events: what is authorized today is captured tomorrow.
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
_EPOCH = range(1_700_000_000, 2_000_000_000)  # seconds; samples have no other number like these
_MIN_TAIL_CHARACTERS = 12


def renewed(case: SimulationCase, event_id: str | None, now: Micros) -> SimulationCase:
    """Return a case with another event id wherever that stands, and its times moved up to now."""
    fields = case.fields
    if event_id:
        other = in_same_shape(event_id)
        fields = _mapped(fields, lambda leaf: other if leaf == event_id else leaf)
    return case._replace(fields=_moved(fields, now))


def in_same_shape(text: str) -> str:
    """Return a random id that looks like another: its prefix, digits where it has only digits."""
    head, tail = re.fullmatch(r"(.*[_-])?(.*)", text, re.DOTALL).groups(default="")  # type: ignore[union-attr]
    length = max(len(tail), _MIN_TAIL_CHARACTERS) if head else len(tail)
    random = token(length)
    if tail.isdigit():
        return head + "".join(str(byte % 10) for byte in random)
    return head + random.hex()[:length]


def _moved(fields: Any, now: Micros) -> Any:
    """Move all times by as much as the newest is past; what lies ahead is moved along."""
    past = [at for leaf in _leaves(fields) if (at := _instant(leaf)) is not None and at <= now]
    if not past:
        return fields
    by_s = (now - max(past)) // SECOND
    return _mapped(fields, lambda leaf: _later(leaf, by_s))


def _instant(leaf: object) -> Micros | None:
    if (told := _datetime(leaf)) is not None:
        return from_datetime(told)
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
    """Read seconds or milliseconds since 1970, as a number or its text."""
    if isinstance(leaf, bool) or not isinstance(leaf, (int, str)):
        return None
    if isinstance(leaf, str) and re.fullmatch(r"\d{10}|\d{13}", leaf, re.ASCII) is None:
        return None
    number = int(leaf)
    return next((s for s in (number, number // 1000) if s in _EPOCH), None)


def _later(leaf: Any, by_s: int) -> Any:
    """Write a time that much later, as it was written; anything else stays."""
    if (told := _datetime(leaf)) is not None:
        return _written_like(leaf, told + timedelta(seconds=by_s))
    if _epoch_s(leaf) is None:
        return leaf
    number = int(leaf)
    moved = number + by_s * (1 if number in _EPOCH else 1000)
    return str(moved) if isinstance(leaf, str) else moved


def _written_like(text: str, told: datetime) -> str:
    shape = _ISO.fullmatch(text)
    if shape is None:
        return told.strftime("%Y%m%d%H%M%S")
    between, fraction, zone = shape.groups(default="")
    return told.strftime(f"%Y-%m-%d{between}%H:%M:%S") + fraction + zone


def _leaves(held: Any) -> Iterator[Any]:
    if isinstance(held, Mapping):
        held = list(held.values())
    if isinstance(held, list):
        for one in held:
            yield from _leaves(one)
    else:
        yield held


def _mapped(held: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(held, Mapping):
        return {name: _mapped(one, change) for name, one in held.items()}
    if isinstance(held, list):
        return [_mapped(one, change) for one in held]
    return change(held)
