"""Query parameters that several lists share, and time ranges."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from tillbell.clock import Micros, from_datetime
from tillbell.errors import Invalid, Problem
from tillbell.storage.ports.outbound import MessageFilter
from tillbell.web.api.shapes import Time

_TYPES_MAX = 500

LabelQuery = Annotated[str | None, Query(max_length=128)]
TimeQuery = Annotated[Time | None, Query()]
# SDKs join them with commas, others repeat the parameter.
TypesQuery = Annotated[list[str] | None, Query(max_length=_TYPES_MAX)]
WithContent = Annotated[bool, Query(description="Whether payloads are shown.")]


async def message_filter(
    channel: LabelQuery = None,
    tag: LabelQuery = None,
    before: TimeQuery = None,
    after: TimeQuery = None,
    event_types: TypesQuery = None,
) -> MessageFilter:
    """Read a filter over messages from the query."""
    names = [name for part in event_types or () for name in part.split(",") if name]
    if len(names) > _TYPES_MAX:
        message = f"name at most {_TYPES_MAX} event types"
        raise Invalid(Problem(("query", "event_types"), message, "too_many"))
    refuse_wildcards(names, ("query", "event_types"))
    return MessageFilter(
        event_types=tuple(names) or None,
        channel=channel,
        tag=tag,
        before=instant(before),
        after=instant(after),
    )


def refuse_wildcards(names: Iterable[str], loc: tuple[str | int, ...]) -> None:
    """Raise `Invalid` for a wildcard: here names are compared as they are."""
    wildcard = next((name for name in names if "*" in name), None)
    if wildcard is not None:
        text = f"{wildcard[:64]!r}: wildcards are not read here; name each event type"
        raise Invalid(Problem(loc, text, "wildcard"))


MessageFilterOf = Annotated[MessageFilter, Depends(message_filter)]


def instant(value: datetime | None) -> Micros | None:
    """Return a time in microseconds since 1970; None for None."""
    return from_datetime(value) if value is not None else None


def codes_of(class_: int | None) -> tuple[int, int] | None:
    """Return the first and last status code of a class; (0, 0): there was no answer."""
    if class_ is None:
        return None
    return (class_, class_ + 99) if class_ else (0, 0)


def time_range(since: datetime, until: datetime | None, now: Micros) -> tuple[Micros, Micros]:
    """Return begin and end of a time range, which ends `now` by default.

    `Invalid` if it ends before it begins.
    """
    start, end = from_datetime(since), from_datetime(until) if until is not None else now
    if end < start:
        raise Invalid(Problem(("body", "until"), "must not be earlier than since", "span"))
    return start, end
