"""CloudEvents 1.0 in structured mode: one JSON object that carries its own description.

`id` is the message's id and `source` the gateway, which together name the event once and
for all; `type` is the event type and `time` when it was published. `data` is the payload,
or what its `{"type", "timestamp", "data"}` envelope holds, byte for byte. The Standard
Webhooks headers sign the whole. Success is any 2xx (202 for "will be processed").

Source: CloudEvents 1.0.2, JSON format; HTTP binding section 3.2.
"""

from __future__ import annotations

import msgspec

from tillbell.clock import iso
from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.dialect import Dialect, standard_keys, webhook_headers
from tillbell.profiles.fields import Fields

SOURCE = "urn:tillbell"


class CloudEvents(Dialect):
    """Every message as a CloudEvent."""

    name = "cloudevents"
    content_type = "application/cloudevents+json"

    def render(self, part: str, message: MessageContext) -> bytes:
        """Write the event around its data."""
        whole = Fields(message.payload)
        data = whole.json("data") if whole.is_envelope() else message.payload
        event = {
            "specversion": "1.0",
            "id": message.id,
            "source": SOURCE,
            "type": part,
            "time": iso(message.created_at),
            "datacontenttype": "application/json",
            "data": msgspec.Raw(data),
        }
        return msgspec.json.encode(event)

    def headers(self, sending: AttemptContext) -> list[tuple[str, str]]:
        """Write id, timestamp and one signature a secret."""
        return webhook_headers(sending, standard_keys(sending.secrets), sending.message_id)
