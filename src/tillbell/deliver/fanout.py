"""Fan-out: one message becomes one delivery for each part of each endpoint that wants it.

Bodies are rendered here, when the message is published, and stored: every attempt and every resend
sends the same bytes, whatever has changed since.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.ids import delivery_id
from tillbell.model.construct import by_keyword
from tillbell.model.messages import Delivery, DeliveryState, Message, Trigger
from tillbell.rules.delivery.raw_payload import is_json_object

_delivery = by_keyword(Delivery)
_OWN = "@"  # in the name of a body that belongs to one endpoint alone
_UNRENDERED = b"!"  # bodies of chats are JSON objects, which begin otherwise


class Route(NamedTuple):
    """One part of a message on its way to one endpoint."""

    compiled: CompiledEndpoint
    part: str
    number: int  # of the part, from 0
    variant: str  # names the rendered body; "" is the payload as published


def routes_to(
    compiled_endpoints: Iterable[CompiledEndpoint], event_type: str, channels: tuple[str, ...]
) -> tuple[Route, ...]:
    """Return where messages of this type with these channels go."""
    return tuple(
        Route(compiled=compiled, part=part, number=number, variant=_variant(compiled, part))
        for compiled in compiled_endpoints
        if compiled.takes_messages and compiled.filter.wants(event_type, channels)
        for number, part in enumerate(compiled.profile.parts(event_type, compiled.filter.asked))
    )


def _variant(compiled: CompiledEndpoint, part: str) -> str:
    variant, endpoint = compiled.profile.variant(part), compiled.endpoint
    is_own = endpoint.own_lines or compiled.text_template is not None
    return f"{variant}{_OWN}{endpoint.id[-10:]}" if is_own else variant


def shared_variant(variant: str) -> str:
    """Return the profile's name of a body, which may belong to one endpoint alone.

    >>> shared_variant("zenofy@0123456789"), shared_variant("zenofy"), shared_variant("@0123456789")
    ('zenofy', 'zenofy', '')
    """
    return variant.partition(_OWN)[0]


def unrendered(reason: str) -> bytes:
    """Return what stands in place of a body that the endpoint's template could not make."""
    return _UNRENDERED + reason.encode()


def failed_rendering(variant: str, body: bytes) -> str | None:
    """Return why a stored body could not be made; None: it was made.

    >>> failed_rendering("slack@0123456789", unrendered("line 2: …"))
    'line 2: …'
    >>> failed_rendering("slack@0123456789", b"{}")
    """
    is_failed = _OWN in variant and body.startswith(_UNRENDERED)
    return body.removeprefix(_UNRENDERED).decode() if is_failed else None


def carrying(routes: tuple[Route, ...], message: Message, payload: bytes) -> tuple[Route, ...]:
    """Leave out the routes whose profile cannot carry this payload: it is no JSON object."""
    if message.content_type is None or is_json_object(payload):
        return routes
    return tuple(
        route for route in routes if route.compiled.profile.carries_text(message.event_type)
    )


def waiting_delivery(
    route: Route,
    message: Message,
    now: Micros,
    *,
    due_at: Micros,
    trigger: Trigger = Trigger.SCHEDULED,
) -> Delivery:
    """Return a new delivery that is claimed when it is due."""
    endpoint = route.compiled.endpoint
    return _delivery(
        id=delivery_id(message.id, endpoint.id, route.number),
        app_id=message.app_id,
        endpoint_id=endpoint.id,
        message_id=message.id,
        variant=route.variant,
        state=DeliveryState.WAITING,
        due_at=due_at,
        created_at=now,
        trigger=trigger,
        order_key=message.order_key if endpoint.ordering else None,
    )


def leased_delivery(
    route: Route, message: Message, now: Micros, *, lease_until: Micros
) -> Delivery:
    """Return a new delivery that is leased from the start: attempt 1 is open and is made at once.

    It has no order key: endpoints with ordering never get one.
    """
    endpoint_id = route.compiled.endpoint.id
    return _delivery(
        id=delivery_id(message.id, endpoint_id, route.number),
        app_id=message.app_id,
        endpoint_id=endpoint_id,
        message_id=message.id,
        variant=route.variant,
        state=DeliveryState.SENDING,
        due_at=lease_until,
        created_at=now,
        attempts=1,
        tries=1,
        token=1,
        trigger=Trigger.SCHEDULED,
        started_at=now,
    )


def rendered_part(compiled: CompiledEndpoint, delivery: Delivery, event_type: str) -> str:
    """Return the profile's name for the part that a stored delivery carries."""
    profile, variant = compiled.profile, shared_variant(delivery.variant)
    parts = profile.parts(event_type, None)
    return next((part for part in parts if profile.variant(part) == variant), event_type)
