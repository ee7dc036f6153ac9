"""Fan-out: one message becomes one delivery for each part of each endpoint that wants it.

Bodies are rendered here, when the message is published, and kept: every attempt and
resend sends the same bytes, whatever has changed since (T24).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.ids import delivery_id
from tillbell.model.messages import Delivery, DeliveryState, Message, Trigger
from tillbell.profiles.base import MessageContext


class Route(NamedTuple):
    """One part of a message's way to one endpoint."""

    compiled: CompiledEndpoint
    part: str
    number: int  # of the part, from 0
    variant: str  # which rendered body


def routes_to(
    lives: Iterable[CompiledEndpoint], event_type: str, channels: tuple[str, ...]
) -> tuple[Route, ...]:
    """Say where messages of this type with these channels go."""
    return tuple(
        Route(live, part, number, live.profile.variant(part))
        for live in lives
        if live.takes_messages and live.filter.wants(event_type, channels)
        for number, part in enumerate(live.profile.parts(event_type, live.endpoint.selectors))
    )


def render(found: Iterable[Route], message: Message, payload: bytes) -> dict[str, bytes]:
    """Write every body that these routes need, once each; "" is the payload itself."""
    bodies = {"": payload}
    for route in found:
        if route.variant not in bodies:
            published = MessageContext(message.id, message.event_type, message.created_at, payload)
            bodies[route.variant] = route.compiled.profile.render(route.part, published)
    return bodies


def waiting_delivery(
    route: Route, message: Message, due_at: Micros, trigger: Trigger = Trigger.SCHEDULED
) -> Delivery:
    """Make a delivery that is to be claimed when due."""
    endpoint_id = route.compiled.endpoint.id
    return Delivery(
        delivery_id(message.id, endpoint_id, route.number),
        message.app_id,
        endpoint_id,
        message.id,
        route.variant,
        DeliveryState.WAITING,
        due_at,
        due_at,
        trigger=trigger,
        order_key=message.order_key if route.compiled.endpoint.ordering else None,
    )


def leased_delivery(route: Route, message: Message, now: Micros, lease_until: Micros) -> Delivery:
    """Make a delivery that is born leased: attempt 1 is open, the caller sends it at once."""
    endpoint_id = route.compiled.endpoint.id
    return Delivery(
        delivery_id(message.id, endpoint_id, route.number),
        message.app_id,
        endpoint_id,
        message.id,
        route.variant,
        DeliveryState.SENDING,
        lease_until,
        now,
        1,
        1,
        1,
        Trigger.SCHEDULED,
        now,
    )


def rendered_part(live: CompiledEndpoint, delivery: Delivery, event_type: str) -> str:
    """Find the platform's name for what a stored delivery carries."""
    parts = live.profile.parts(event_type, None)
    return next((p for p in parts if live.profile.variant(p) == delivery.variant), event_type)
