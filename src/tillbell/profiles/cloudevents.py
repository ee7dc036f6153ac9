"""CloudEvents 1.0 in structured mode: one JSON object with the event and its attributes.

`id` is the message's id and `source` the gateway; both together are unique. `type` is the event
type and `time` the time of publication. `data` is the payload, or `data` of its
`{"type", "timestamp", "data"}` envelope, byte for byte. A payload that is no JSON object is a text
in `data`, and `datacontenttype` is its content type. The Standard Webhooks headers sign the
whole body. Success is any 2xx (202 for "will be processed"). Each request says which host it comes
from, as the handshake did.

Source: CloudEvents 1.0.2, JSON format; HTTP binding section 3.2; Web Hooks section 4.1.2.
"""

from __future__ import annotations

import msgspec

from tillbell.clock import iso
from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.defaults import DefaultProfile, standard_keys, webhook_headers
from tillbell.profiles.fields import Fields
from tillbell.rules.delivery.raw_payload import JSON

SOURCE = "urn:tillbell"


class CloudEvents(DefaultProfile):
    """Every message as a CloudEvent."""

    name = "cloudevents"
    content_type = "application/cloudevents+json"
    sends_origin = True

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the event with its data."""
        payload = Fields(message.payload)
        data = message.payload_json()
        if payload.is_envelope():
            data = msgspec.Raw(payload.json("data"))
        content_type = message.content_type or JSON
        if isinstance(data, str) and content_type == JSON:  # it says so and is none
            content_type = "text/plain"
        event = {
            "specversion": "1.0",
            "id": message.id,
            "source": SOURCE,
            "type": part,
            "time": iso(message.created_at),
            "datacontenttype": content_type,
            "data": data,
        }
        return msgspec.json.encode(event)

    def headers(self, attempt: AttemptContext) -> list[tuple[str, str]]:
        """Return id, timestamp and one signature for each secret."""
        return webhook_headers(attempt, standard_keys(attempt.secrets), attempt.message_id)
