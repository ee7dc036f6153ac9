"""Shoppex: `{"id", "event", "data", "created_at"}`, signed with HMAC-SHA512.

The platform's contract: `event` names what happened with colons (`order:paid`); every time
is a Unix second, never ISO text; `X-Shoppex-Event` repeats the name, `X-Shoppex-Delivery`
is one delivery's id over all its attempts, and `X-Shoppex-Signature` is the lower-case hex
HMAC-SHA512 of the body's bytes, keyed with the secret's text. Any 2xx within 30 seconds is
success; after that come 5 minutes, 30 minutes, 2 hours and 24 hours, then it has failed.

We add an `id` to the envelope, by which receivers can deduplicate, and the `webhook-*` headers,
whose signature covers a timestamp. During a rotation the platform's header is made with the new
secret, because it can hold one signature; `webhook-signature` holds one for each secret.

What is sent:

- Orders. Paid and cancelled ones have two parts: `order:paid`, and `order:paid:product`
  with whole products in `data.products`. An endpoint gets the parts that its selectors
  name: `order:paid` (or `order.paid`) the first, `order:paid:product` the second, and a
  wildcard (`*`, `order.*`, `invoice.*`) or no selectors at all both.
  They are two deliveries, so their ids differ: the second adds `_product`.
- Subscriptions and products, under the platform's spelling.
- `test:ping`.
- Types of the application's own: name as registered, `data` the payload as published, or a text
  if the payload is none JSON object.
- Nothing else of our built-in types (transactions, shipments, e-mails, …): the platform has none
  of them.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from tillbell import ed25519
from tillbell.catalog import KNOWN
from tillbell.clock import SECOND
from tillbell.profiles import shoppex_body
from tillbell.profiles.base import AttemptContext, MessageContext
from tillbell.profiles.defaults import (
    HOUR_S,
    MINUTE_S,
    DefaultProfile,
    check_header_secret,
    webhook_headers,
)
from tillbell.profiles.fields import Fields
from tillbell.rules.delivery.selectors import names
from tillbell.rules.delivery.signing import hmac_sha512_hex

_PRODUCT = ":product"
# Our event type → the platform's name.
_NAMES = {
    name: name.replace(".", ":")
    for name in KNOWN
    if name.startswith(("order.", "subscription.", "product.", "test."))
}
# Orders that the platform sends a second time, with whole products.
_IN_TWO_PARTS = frozenset({"order.paid", "order.cancelled"})
_PRODUCT_PARTS = frozenset(_NAMES[name] + _PRODUCT for name in _IN_TWO_PARTS)
_WILDCARDS = frozenset({"*", "order.*"})
_SECRET_MIN = 8


class Shoppex(DefaultProfile):
    """Orders, subscriptions, products and the application's own types."""

    name = "shoppex"
    has_platform_names = True
    schedule_s: tuple[int, ...] = (5 * MINUTE_S, 30 * MINUTE_S, 2 * HOUR_S, 24 * HOUR_S)

    def parts(self, event_type: str, selectors: Collection[str] | None) -> tuple[str, ...]:
        """Return the platform's events that this endpoint selected."""
        base = _NAMES.get(event_type)
        if base is None:
            return () if event_type in KNOWN else (event_type,)
        if event_type not in _IN_TWO_PARTS:
            return (base,)
        return _parts_of_order(event_type, base, selectors)

    def carries_text(self, event_type: str) -> bool:
        """Carry any text for types of the application's own."""
        return event_type not in _NAMES

    def variant(self, part: str) -> str:
        """Return the name of the body; the part with products has its own."""
        return self.name + _PRODUCT if part in _PRODUCT_PARTS else self.name

    def render(self, part: str, message: MessageContext) -> bytes:
        """Return the envelope."""
        body = {
            "id": _id(message.id, part),
            "event": part,
            "data": _content(part, message),
            "created_at": message.created_at // SECOND,
        }
        return msgspec.json.encode(body)

    def headers(self, attempt: AttemptContext) -> list[tuple[str, str]]:
        """Return the platform's three headers and the webhook headers."""
        headers = [("X-Shoppex-Event", attempt.part), ("X-Shoppex-Delivery", attempt.delivery_id)]
        if attempt.secrets:
            signature = hmac_sha512_hex(attempt.secrets[0], attempt.body)
            headers.append(("X-Shoppex-Signature", signature))
        message_id = _id(attempt.message_id, attempt.part)
        return headers + webhook_headers(attempt, attempt.secrets, message_id)

    def check_secret(self, secret: str) -> str | None:
        """Accept printable ASCII of 8 to 256 characters; its bytes are the key."""
        if secret.startswith(ed25519.SECRET_PREFIX):
            return "Shoppex signs with HMAC; an ed25519 secret cannot be used"
        if len(secret) < _SECRET_MIN:
            return f"the secret has {len(secret)} characters; it needs {_SECRET_MIN}"
        return check_header_secret(secret)


def _parts_of_order(
    event_type: str, base: str, selectors: Collection[str] | None
) -> tuple[str, ...]:
    parts = {event_type: base, f"{event_type}.product": base + _PRODUCT}
    chosen = _WILDCARDS if selectors is None else names(selectors)
    if not _WILDCARDS.isdisjoint(chosen):
        return tuple(parts.values())
    # They match. A selector that names neither part means the plain one.
    return tuple(part for name, part in parts.items() if name in chosen) or (base,)


def _content(part: str, message: MessageContext) -> dict[str, object] | msgspec.Raw | str:
    if message.event_type not in _NAMES:
        return message.payload_json()
    fields = Fields.of_payload(message.payload)
    family = part.partition(":")[0]
    if family == "order":
        return shoppex_body.order(part, fields)
    if family == "subscription":
        return shoppex_body.subscription(fields)
    return shoppex_body.plain(fields)


def _id(message_id: str, part: str) -> str:
    """Return an id per part, or receivers would drop the second one as a duplicate."""
    return message_id + "_product" if part in _PRODUCT_PARTS else message_id
