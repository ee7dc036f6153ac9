"""Query parameters that several lists share, and time ranges."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Request

from tillbell.app import Gateway
from tillbell.clock import Micros, from_datetime
from tillbell.errors import Invalid, Problem
from tillbell.rules.nearest import hint
from tillbell.storage.ports.outbound import MessageFilter
from tillbell.web.api.routes import GatewayOf
from tillbell.web.api.shapes import Time
from tillbell.web.edge.paths import APPLICATION

_TYPES_MAX = 500

LabelQuery = Annotated[str | None, Query(max_length=128)]
TimeQuery = Annotated[Time | None, Query()]
# SDKs join them with commas, others repeat the parameter.
TypesQuery = Annotated[list[str] | None, Query(max_length=_TYPES_MAX)]
WithContent = Annotated[bool, Query(description="Whether payloads are shown.")]


async def _event_types(
    request: Request, gateway: GatewayOf, event_types: TypesQuery = None
) -> tuple[str, ...] | None:
    """Read the names of event types from the query."""
    names = [name for part in event_types or () for name in part.split(",") if name]
    if len(names) > _TYPES_MAX:
        message = f"name at most {_TYPES_MAX} event types"
        raise Invalid(Problem(("query", "event_types"), message, "too_many"))
    await check_types(gateway, request.scope.get(APPLICATION), names, ("query", "event_types"))
    return tuple(names) or None


async def message_filter(
    event_types: Annotated[tuple[str, ...] | None, Depends(_event_types)],
    channel: LabelQuery = None,
    tag: LabelQuery = None,
    before: TimeQuery = None,
    after: TimeQuery = None,
) -> MessageFilter:
    """Read a filter over messages from the query."""
    return MessageFilter(
        event_types=event_types,
        channel=channel,
        tag=tag,
        before=instant(before),
        after=instant(after),
    )


async def check_types(
    gateway: Gateway,
    app_id: str | None,
    names: Collection[str],
    loc: tuple[str | int, ...],
    *,
    is_act: bool = False,
) -> None:
    """Raise `Invalid` for event types that no message has. Names are compared as they are.

    In a list only those that are nearly a known one are refused: every other name may be published
    some day. An act (`is_act`) takes what is registered or was published, in an application or,
    None, in any.
    """
    known = gateway.config_cache.known_event_types()
    problems = [
        Problem(
            loc, f"{name[:64]!r}: wildcards are not read here; name each event type", "wildcard"
        )
        for name in names
        if "*" in name
    ]
    for name in dict.fromkeys(name for name in names if "*" not in name):
        near = gateway.config_cache.near_type(name)
        if name in known or (near is None and not is_act):
            continue
        if not await gateway.plots.has_messages_of(app_id, name):
            text = f"no message has the event type {name[:64]!r}{hint(near)}"
            problems.append(Problem(loc, text, "unknown_event_type"))
    if problems:
        raise Invalid(*problems)


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
