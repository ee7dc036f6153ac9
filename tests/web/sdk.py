"""What tests that drive the official Python SDK share."""

from __future__ import annotations

from svix.api import EndpointIn, MessageIn

from tests.web.served_gateway import ServedGateway

PAYLOAD = {"type": "order.paid", "data": {"id": "ord_1"}}


def order(**fields: object) -> MessageIn:
    """Make a message to publish."""
    return MessageIn(event_type="order.paid", payload=PAYLOAD, **fields)  # type: ignore[arg-type]


def listening(served: ServedGateway, app_id: str, path: str = "/ok", **fields: object) -> str:
    """Add an endpoint at a path of the receiver; return its id."""
    body = EndpointIn(url=served.receiver.url(path), **fields)  # type: ignore[arg-type]
    return served.svix.endpoint.create(app_id, body).id
