"""Preview: what an endpoint would be sent of a message, without sending or storing it."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.fanout import failed_rendering, routes_to
from tillbell.deliver.payload_routes import PayloadRouter
from tillbell.model.messages import Message

EXAMPLE_ID = "msg_06h2dx59gryjxdq34fczt689cw"  # of a message that is none


class PreviewedPart(NamedTuple):
    """One request."""

    part: str
    body: bytes  # b"" if there is a problem
    problem: str | None  # why the endpoint's text template made no text


def previewed_parts(
    compiled: CompiledEndpoint, event_type: str, payload: bytes, now: Micros
) -> list[PreviewedPart]:
    """Return the requests of a message, whatever the endpoint's filters say of it."""
    message = Message(EXAMPLE_ID, compiled.endpoint.scope, event_type, now)
    routes = routes_to([compiled.unrestricted()], event_type, ())
    bodies = PayloadRouter(frozenset()).render(routes, message, payload)
    parts = []
    for route in routes:
        body = bodies[route.variant]
        problem = failed_rendering(route.variant, body)
        parts.append(PreviewedPart(route.part, b"" if problem else body, problem))
    return parts
